"""The structure of pictures in three dimensions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import pyplot as plt
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

import splinegeo as sg
from benchmarks.nets import make_network
from splinegeo.plot import plot_space, plot_surface
from splinegeo.testing import mlp


@pytest.fixture(scope="module")
def part():
    return sg.partition(make_network((3, 8, 6, 2)), sg.Box([-2] * 3, [2, 2, 1]), threads=1)


@pytest.fixture(scope="module")
def surface():
    eye = np.eye(3)
    net = mlp([np.vstack([eye, -eye]), np.ones((1, 6))], [np.zeros(6), [-0.5]])
    return sg.zero_set(net, sg.Box([-1] * 3, [1] * 3), threads=1)


@pytest.mark.parametrize("color", ["psi", "nu", "volume", "rank", "density", None])
def test_the_outside_is_drawn(part, color):
    ax = plot_space(part, color=color)
    (collection,) = ax.collections
    assert isinstance(collection, Poly3DCollection)
    outer = part.facet_sides >= 0
    assert ax.name == "3d"
    assert (ax.get_xlim(), ax.get_zlim()) == ((-2, 2), (-2, 1))
    if color == "psi":
        assert np.array_equal(collection.get_array(), part.psi[part.facet_regions[outer, 0]])
    out = io.BytesIO()
    ax.figure.savefig(out, format="png")
    assert out.getvalue().startswith(b"\x89PNG")


def test_all_edges_are_drawn(part, surface):
    """Polygons of different lengths are padded to one, and Matplotlib closes the longest only."""
    for ax in (plot_space(part), surface.plot()):
        ax.figure.canvas.draw()
        for path in ax.collections[0].get_paths():
            drawn = np.ma.filled(np.ma.asarray(path.vertices, float), np.nan)
            corners = drawn[np.isfinite(drawn).all(1)]
            middle = corners[1:-1] if path.codes is None or path.codes[-1] != path.CLOSEPOLY else corners[1:-2]
            assert (corners[0] == corners[len(middle) + 1]).all()


def test_surfaces(surface):
    ax = surface.plot(color="#ff0000")
    (collection,) = ax.collections
    colours = collection.get_facecolor()
    assert len(colours) == surface.n_faces == 8
    assert len(np.unique(colours, axis=0)) > 1  # lit from one side
    assert (colours[:, 1:3] == 0).all()


def test_refusals(part, surface):
    with pytest.raises(sg.InvalidArgument, match="3-dimensional"):
        plot_space(part, ax=plt.subplots()[1])
    with pytest.raises(sg.InvalidArgument, match="d = 4"):
        plot_space(sg.partition(make_network((4, 3, 1)), sg.Box([-1] * 4, [1] * 4), threads=1))
    with pytest.raises(sg.WrongType, match="SpacePartition"):
        plot_space(surface)
    with pytest.raises(sg.WrongType, match="Surface"):
        plot_surface(part)
    with pytest.raises(sg.InvalidArgument, match="unknown color"):
        part.plot(color="chi")


def test_robust_limits_are_of_the_volume(part):
    """One small region far from the others is clipped, and the colour bar says of what."""
    values = np.linspace(0, 1, part.n_regions)
    values[np.argmin(part.volumes)] = 1e6
    for drawn in (plot_space(part, color=values, limits="robust"), part.plot(color=values, limits="robust")):
        label = drawn.figure.axes[1].get_ylabel()
        assert "highest 1 % of the volume" in label or "1 % of the volume at each end" in label
        assert "area" not in label
        assert drawn.collections[0].get_clim()[1] <= 1
