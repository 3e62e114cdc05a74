"""The structure of the pictures: how many polygons, where, with which values. How they look is for eyes."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import BoundaryNorm, LogNorm
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from splinegeo.domains import Box
from splinegeo.plot import plot_decision_boundary, plot_histogram, plot_image, plot_partition, plot_raster
from splinegeo.plot.raster import plot_panels
from splinegeo.streaming import RasterImage
from tests.figures.stand_in import grid, raster

NAMES = ["psi", "nu", "exp_psi", "volume", "rank", "density"]


def png(ax) -> bytes:
    out = io.BytesIO()
    ax.figure.savefig(out, format="png")
    return out.getvalue()


def polygon_areas(collection) -> np.ndarray:
    areas = []
    for path in collection.get_paths():
        x, y = path.vertices[:-1].T
        areas.append(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    return np.array(areas)


@pytest.mark.parametrize("squares", [0, 5, 16])
def test_one_collection_holds_every_region(squares):
    part = grid(squares=squares)
    ax = plot_partition(part)
    (collection,) = ax.collections
    assert isinstance(collection, PolyCollection)
    np.testing.assert_allclose(polygon_areas(collection), part.volumes)
    np.testing.assert_array_equal(collection.get_array(), part.psi)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-1, 1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_1$", "$z_2$")
    assert ax.get_aspect() == 1
    assert png(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_named_colours(name):
    part = grid()
    wanted = {
        "psi": part.psi,
        "nu": part.nu,
        "exp_psi": part.singular_values.prod(1),
        "volume": part.volumes,
        "rank": part.rank,
        "density": 1 / part.singular_values.prod(1) / 4,
    }[name]
    ax = plot_partition(part, color=name)
    np.testing.assert_allclose(ax.collections[0].get_array(), wanted, rtol=1e-12)
    assert isinstance(ax.collections[0].norm, LogNorm) == (name in ("exp_psi", "volume", "density"))
    bar = ax.figure.axes[1]
    assert bar.get_ylabel()
    assert png(ax)


def test_functions_and_arrays_as_colours():
    part = grid()
    x = part.interior_points[:, 0]
    np.testing.assert_array_equal(plot_partition(part, color=x).collections[0].get_array(), x)
    by_function = plot_partition(part, color=lambda p: p.interior_points[:, 0])
    np.testing.assert_array_equal(by_function.collections[0].get_array(), x)
    rgb = np.random.default_rng(0).uniform(size=(part.n_regions, 3))
    ax = plot_partition(part, color=rgb)
    np.testing.assert_array_equal(ax.collections[0].get_facecolor()[:, :3], rgb)
    assert len(ax.figure.axes) == 1  # nothing for a colour bar to say
    classes = plot_partition(part, color=x > 0)
    assert isinstance(classes.collections[0].norm, BoundaryNorm)
    assert len(np.unique(classes.collections[0].to_rgba(classes.collections[0].get_array()), axis=0)) == 2
    assert [t.get_text() for t in classes.figure.axes[1].get_yticklabels()] == ["0", "1"]


def test_no_fill_leaves_the_lines():
    ax = plot_partition(grid(), color=None)
    assert ax.collections[0].get_facecolor().size == 0
    assert ax.collections[0].get_linewidth()[0] > 0
    assert len(ax.figure.axes) == 1


def test_robust_limits_say_what_they_leave_out():
    part = grid(30)
    values = np.linspace(0, 1, part.n_regions)
    values[7] = 1e6
    ax = plot_partition(part, color=values)
    low, high = ax.collections[0].get_clim()
    assert low == 0
    assert 0.98 <= high <= 1
    assert "highest 1 %" in ax.figure.axes[1].get_ylabel()
    assert ax.collections[0].colorbar.extend == "max"
    assert plot_partition(part, color=values, limits="full").collections[0].get_clim() == (0, 1e6)
    clipped = plot_partition(part, color=values, limits=(0.2, 0.8))
    assert clipped.collections[0].get_clim() == (0.2, 0.8)
    assert clipped.collections[0].colorbar.extend == "both"


def test_values_without_a_number_are_grey_and_constants_draw():
    part = grid()
    values = np.where(np.arange(part.n_regions) < 3, np.nan, 2.0)
    values[3] = -np.inf
    collection = plot_partition(part, color=values).collections[0]
    colors = collection.to_rgba(collection.get_array())
    assert len(np.unique(colors[:4], axis=0)) == 1
    assert not np.allclose(colors[0], colors[5])
    assert png(plot_partition(part, color=np.full(part.n_regions, np.nan)))


def test_edges_thin_out():
    widths = [plot_partition(grid(n), colorbar=False).collections[0].get_linewidth()[0] for n in (2, 20, 60)]
    assert widths[0] > widths[1] >= widths[2] > 0
    faint = plot_partition(grid(60), colorbar=False)
    png(faint)
    faces, lines = (
        c[:, :3].sum() for c in (faint.collections[0].get_facecolor(), faint.collections[0].get_edgecolor())
    )
    assert 0.5 * faces < lines < 0.95 * faces  # darker than the polygons, far from black
    ax = plot_partition(grid(20), edges=False, colorbar=False)
    png(ax)  # the colours of the faces are known once drawn
    np.testing.assert_array_equal(ax.collections[0].get_edgecolor(), ax.collections[0].get_facecolor())
    own = plot_partition(grid(2), lw=3.5, ec="red", rasterized=True).collections[0]
    assert own.get_linewidth()[0] == 3.5
    assert own.get_rasterized()


def test_an_axes_of_the_user_is_used_and_keeps_what_is_in_it():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([-3, 3], [0, 0])
    assert plot_partition(grid(), ax=left) is left
    assert left.get_xlim()[0] <= -3
    assert plot_histogram(grid(), ax=right) is right
    assert figure.axes[:2] == [left, right]


@pytest.mark.parametrize("squares", [0, 5])
def test_image_in_space_goes_through_the_maps(squares):
    part = grid(squares=squares)
    ax = plot_image(part, color="exp_psi")
    (collection,) = ax.collections
    assert isinstance(collection, Poly3DCollection)
    png(ax)
    np.testing.assert_array_equal(collection.get_array(), np.exp(part.psi))
    faces = np.asarray(collection._faces)
    assert len(faces) == part.n_regions
    a, b = part.affine_maps()
    for k in (0, part.n_regions - 1):
        np.testing.assert_allclose(faces[k][:3], part.polygons[k][:3] @ a[k].T + b[k], atol=1e-15)
    assert ax.get_zlabel() == "$x_{3}$"


def test_image_without_lines_is_outlined_in_its_own_colours():
    part = grid()
    collection = plot_image(part, edges=False).collections[0]
    png(collection.axes)
    faces, edges = collection.get_facecolor(), collection.get_edgecolor()
    np.testing.assert_array_equal(np.unique(faces, axis=0), np.unique(edges, axis=0))
    assert png(plot_image(part, edges=False, color=np.full((part.n_regions, 3), 0.5)))


def test_image_in_the_plane_and_projections():
    assert isinstance(plot_image(grid(outputs=2)).collections[0], PolyCollection)
    part = grid(outputs=5)
    ax = plot_image(part, project=(0, 2))
    assert ax.get_ylabel() == "$x_{3}$"
    vertices = np.concatenate([p.vertices for p in ax.collections[0].get_paths()])
    np.testing.assert_allclose([vertices[:, 1].min(), vertices[:, 1].max()], [0, 1.5], atol=1e-15)
    matrix = np.zeros((3, 5))
    matrix[[0, 1, 2], [1, 0, 2]] = 2.0
    ax = plot_image(part, project=matrix, color=None)
    assert ax.name == "3d"
    assert png(ax)


def test_decision_boundary():
    part = grid()
    ax = plot_partition(part)
    assert plot_decision_boundary(part, 0, ax=ax) is ax
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_array_equal(lines.get_segments(), part.decision_boundary(0))
    none = plot_decision_boundary(part, 0, 1)
    assert len(none.collections[0].get_segments()) == 0
    assert none.get_xlim() == (-1, 1)
    alone = plot_decision_boundary(np.array([[[0, 0], [1, 2]]]), color="red", linewidth=3)
    assert alone.collections[0].get_linewidth()[0] == 3
    assert png(ax)


@pytest.mark.parametrize("name", [*NAMES, "array"])
def test_histogram_holds_the_whole_area(name):
    part = grid(squares=4)
    ax = plot_histogram(part, np.linspace(-1, 1, part.n_regions) if name == "array" else name)
    assert sum(p.get_height() for p in ax.patches) == pytest.approx(1, rel=1e-12)
    assert png(ax)


def test_histogram_says_what_it_leaves_out():
    part = grid()
    values = np.arange(part.n_regions, dtype=float)
    values[:8] = np.nan
    ax = plot_histogram(part, values)
    assert "25 % without a value" in ax.get_ylabel()
    assert sum(p.get_height() for p in ax.patches) == pytest.approx(0.75)


def test_many_regions_draw_in_seconds():
    part = grid(224)  # 100,352 regions
    start = time.perf_counter()
    png(plot_partition(part))
    assert time.perf_counter() - start < 20  # about 3 s; the limit is for a machine that is doing other things


def test_a_raster_has_its_pixels_where_they_are():
    """Row 0 at the bottom, what is outside grey, areas on a logarithmic scale."""
    image = raster()
    ax = plot_raster(image)
    (drawn,) = ax.images
    assert drawn.origin == "lower"
    assert tuple(drawn.get_extent()) == (0, 2, 0, 3)
    np.testing.assert_array_equal(drawn.get_array().filled(-1), np.nan_to_num(image["psi"], nan=-1))
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) == ((0, 2), (0, 3), 1)
    np.testing.assert_allclose(drawn.to_rgba(np.ma.masked_invalid([[np.nan]]))[0, 0, :3], 0xC8 / 255)
    assert ax.figure.axes[1].get_ylabel()
    assert png(ax)
    ax = plot_raster(image, "volume", plt.subplots()[1], colorbar=False, limits=(1, 10), interpolation="nearest")
    assert isinstance(ax.images[0].norm, LogNorm)
    assert ax.images[0].get_clim() == (1, 10)
    assert len(ax.figure.axes) == 1


def test_panels_of_a_raster_are_no_smaller_than_its_pixels():
    """One for each of its pictures, side by side."""
    wide = RasterImage(Box([0, 0], [6, 1]), {name: np.zeros((200, 1200)) for name in ("psi", "nu", "count")})
    axes = plot_panels(wide, 100)
    assert [len(ax.images) for ax in axes] == [1, 1, 1]
    axes[0].figure.set_dpi(100)
    assert png(axes[0])  # lays the figure out
    assert all(ax.get_window_extent().width > 1150 for ax in axes)
    assert len({ax.get_window_extent().y0 for ax in axes}) == 1
