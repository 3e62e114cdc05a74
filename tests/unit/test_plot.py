"""What the plotting functions refuse, what importing them costs, and SVG without Matplotlib."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo.plot import plot_decision_boundary, plot_histogram, plot_image, plot_partition, plot_raster
from splinegeo.plot.svg import partition_svg
from tests.figures.stand_in import grid, raster

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def part():
    return grid()


def axes3d():
    from matplotlib.figure import Figure

    return Figure().add_subplot(projection="3d")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: plot_partition(p, color="phi"), InvalidArgument, "unknown color 'phi'; the names are 'psi', 'nu'"),
        (lambda p: plot_partition(p, color=np.zeros(31)), ShapeMismatch, r"shape \(32,\).*it has shape \(31,\)"),
        (lambda p: plot_partition(p, color=lambda p: 1.0), ShapeMismatch, "the array returned by color"),
        (lambda p: plot_partition(p, color=np.full((32, 3), 2.0)), InvalidArgument, r"\[0, 1\]"),
        (lambda p: plot_partition(p, color=np.full(32, "a")), WrongType, "color must be"),
        (lambda p: plot_partition(p, cmap="nonsense"), InvalidArgument, "no colour map 'nonsense'"),
        (lambda p: plot_partition(p, limits=(1, 0)), InvalidArgument, "low < high"),
        (lambda p: plot_partition(p, limits="tight"), InvalidArgument, "'robust', 'full' or"),
        (lambda p: plot_partition(p, limits=3), InvalidArgument, "got 3"),
        (lambda p: plot_partition(p, color="volume", limits=(0, 1)), InvalidArgument, "logarithmic"),
        (lambda p: plot_partition(p, ax="here"), WrongType, "ax must be a Matplotlib Axes or None; got str"),
        (lambda p: plot_partition(p, ax=axes3d()), InvalidArgument, "2-dimensional"),
        (lambda p: plot_partition(np.zeros(3)), WrongType, "part must be a Partition; got ndarray"),
        (lambda p: plot_image(grid(outputs=5)), InvalidArgument, r"D = 5 .* project=\(0, 1, 2\)"),
        (lambda p: plot_image(grid(outputs=1)), InvalidArgument, "D = 1 .* plot_partition"),
        (lambda p: plot_image(p, project=(0, 3)), InvalidArgument, "outside 0..2"),
        (lambda p: plot_image(p, project=np.zeros((3, 4))), ShapeMismatch, r"\(2, 3\) or \(3, 3\)"),
        (lambda p: plot_histogram(p, None), InvalidArgument, "nothing to count"),
        (lambda p: plot_histogram(p, np.zeros((32, 3))), InvalidArgument, "cannot be counted"),
        (lambda p: plot_histogram(p, np.full(32, np.nan)), InvalidArgument, "none of the 32 regions"),
        (lambda p: plot_raster(p), WrongType, "must be a RasterImage, such as summary.raster; got SimpleNamespace"),
        (lambda p: plot_raster(raster(), "nu"), InvalidArgument, "no picture of 'nu'; it has psi, volume"),
        (lambda p: plot_raster(raster(), limits=(1, 0)), InvalidArgument, "low < high, both finite"),
        (lambda p: plot_raster(raster(), ax=axes3d()), InvalidArgument, "this picture is 2-dimensional"),
        (lambda p: plot_decision_boundary(np.zeros((3, 2))), ShapeMismatch, r"\(S, 2, 2\)"),
        (lambda p: plot_decision_boundary(np.zeros((3, 2, 2)), 0), WrongType, "segments already"),
        (lambda p: plot_decision_boundary(p), WrongType, "which output"),
    ],
)
def test_bad_arguments(part, call, error, message):
    with pytest.raises(error, match=message):
        call(part)


def test_matplotlib_is_imported_only_for_plots():
    code = (
        "import sys, splinegeo, splinegeo.plot, splinegeo.plot.svg, splinegeo.plot.values; "
        "assert 'matplotlib' not in sys.modules; splinegeo.plot.plot_partition; assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_of_the_package():
    import splinegeo.plot

    with pytest.raises(AttributeError, match="plot_partition"):
        splinegeo.plot.plot_everything  # noqa: B018 - looking the name up is the test


def svg(part, **kwargs):
    text = partition_svg(
        part.vertices, part.region_offsets, part.corner_vertices, part.domain.vertices, part.psi, **kwargs
    )
    return text, ET.fromstring(text)


def test_svg_draws_every_region(part):
    _, root = svg(part)
    polygons = root.find(f"{SVG}g").findall(f"{SVG}polygon")
    assert len(polygons) == part.n_regions
    points = np.array([[float(x) for x in p.split(",")] for p in polygons[0].get("points").split()])
    np.testing.assert_allclose(points, (part.polygons[0] * [1, -1] + 1) * 180, atol=0.01)  # y points down
    assert root.find(f"{SVG}text") is None
    order = np.argsort(part.psi)
    assert polygons[order[0]].get("fill") == "#440154"
    assert polygons[order[-1]].get("fill") == "#fde725"


def test_svg_is_capped():
    part = grid(60, squares=50)
    text, root = svg(part, max_regions=100)
    assert len(root.find(f"{SVG}g").findall(f"{SVG}polygon")) == 100
    assert root.find(f"{SVG}text").text == "100 largest of 7,150 regions"
    assert sum(len(p.get("points").split()) == 4 for p in root.find(f"{SVG}g")) == 50  # the largest are among them
    assert len(text) < 20_000


@pytest.mark.parametrize("values", [None, np.full(32, np.nan), np.full(32, 3.0)])
def test_svg_of_odd_values(part, values):
    text = partition_svg(part.vertices, part.region_offsets, part.corner_vertices, part.domain.vertices, values)
    assert len(ET.fromstring(text).find(f"{SVG}g")) == 32
