"""Pictures of samples show the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt

import splinegeo as sg
from splinegeo import assess, plot


def test_trajectories():
    rng = np.random.default_rng(0)
    bands = {name: assess.confidence_band(rng.normal(size=(5, 4)).cumsum(1)) for name in ("psi", "nu")}
    ax = plot.plot_trajectories([40, 30, 20, 10], bands, label="value")
    assert ax.xaxis_inverted()  # sampling runs from left to right
    np.testing.assert_allclose(ax.lines[1].get_ydata(), bands["nu"].mean)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["psi", "nu"]
    box = ax.collections[0].get_datalim(ax.transData)
    assert box.y0 == pytest.approx(bands["psi"].low.min())
    assert "95 % bands over 5 seeds" in ax.get_xlabel()
    with pytest.raises(sg.ShapeMismatch):
        plot.plot_trajectories([1, 2], bands, ax=ax)
    with pytest.raises(sg.InvalidArgument):
        plot.plot_trajectories([1, 2], {})


@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 1, 3, 4), (5, 3, 3, 4), (5, 3, 4, 3)])
def test_contact_sheet(shape):
    images = np.random.default_rng(0).uniform(size=shape)
    ax = plot.plot_contact_sheet(images, [4, 0, 2], columns=2, title="lowest")
    sheet = ax.images[0].get_array()
    assert sheet.shape[:2] == (2 * 4 - 1, 2 * 5 - 1)
    last = images[2]
    if last.shape[0] in (1, 3) and last.ndim == 3 and last.shape[-1] != 3:
        last = last.transpose(1, 2, 0)
    if sheet.ndim == 2:
        np.testing.assert_allclose(sheet[4:7, 0:4].filled(np.nan), last.reshape(3, 4))
        assert sheet.mask[4:, 5:].all()
    else:
        assert (sheet[4:, 5:] == 1).all()
    assert ax.get_title() == "lowest"


def test_separation_and_bins():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 300), rng.normal(2, 1, 200)
    found = assess.separation(a, b)
    ax = plot.plot_separation(a, {"other": b}, name="digits", separations={"other": found}, label="psi")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["digits", f"other (AUROC {found.auroc:.3f})"]
    for patch in ax.patches:
        data = patch.get_data()
        assert (data.values * np.diff(data.edges)).sum() == pytest.approx(1)
    figure, second = plt.subplots()
    assert plot.plot_bins([1, 2, 3], {"q = 1": [5, 4, 3], "q = 2": [4, 3, 2]}, ax=second, value="psi") is second
    np.testing.assert_array_equal(second.lines[1].get_ydata(), [4, 3, 2])
    assert figure.axes == [second]


def test_plane_map():
    grid = assess.plane_grid([[0, 0, 1], [2, 0, 1], [0, 1, 1]], 9)
    values = grid.points[..., 0] + 10 * grid.points[..., 1]
    ax = plot.plot_plane_map(grid, values, label="psi")
    image = ax.images[0]
    left, right, bottom, top = image.get_extent()
    # each pixel lies around its point
    assert left == pytest.approx(grid.u[0] - (grid.u[1] - grid.u[0]) / 2)
    assert top == pytest.approx(grid.v[-1] + (grid.v[1] - grid.v[0]) / 2)
    assert right > left
    assert top > bottom
    np.testing.assert_allclose(image.get_array(), values)
    np.testing.assert_allclose(np.array(ax.lines[0].get_data()).T, grid.anchors)


BAD = {
    "columns": lambda: plot.plot_contact_sheet(np.ones((2, 2, 2)), columns=0),
    "indices": lambda: plot.plot_contact_sheet(np.ones((2, 2, 2)), [2]),
    "channels": lambda: plot.plot_contact_sheet(np.ones((2, 2, 5, 5))),
    "empty": lambda: plot.plot_separation([], {"b": [1.0]}),
    "grid": lambda: plot.plot_plane_map(assess.plane_grid(np.eye(3), 4), np.ones(15)),
    "scores": lambda: plot.plot_bins([1, 2], [1, 2, 3]),
}


@pytest.mark.parametrize("call", BAD)
def test_bad_arguments(call):
    with pytest.raises(sg.SplineGeoError):
        BAD[call]()
