"""The engine of linear programmes against the engine of vertices and the rational oracle, where both can go."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import splinegeo as sg
from benchmarks.nets import make_network
from splinegeo import space
from splinegeo.lp.adjacency import neighbouring
from splinegeo.lp.enumerate import Found, enumerate_regions
from splinegeo.lp.places import Place
from splinegeo.networks.graph import SplineNetwork
from tests.oracles.rational_space import exact_space
from tests.oracles.space_families import FAMILIES, MAXIMA, maxima_network, space_network


def programmes(net: SplineNetwork, domain: sg.Box | sg.L1Ball, plane: sg.Slice | None = None) -> Found:
    if isinstance(domain, sg.L1Ball):
        place = Place.ball(domain.center, domain.radius, domain.frame)
    else:
        place = Place.box(domain, plane or sg.Slice.identity(net.n_inputs))
    return enumerate_regions(net, place, sg.Budget(), 1, lambda _: None)


def assert_same_regions(found: Found, part: space.SpacePartition) -> None:
    """The same patterns, each once, and every point in the region that it belongs to."""
    rows = [row.tobytes() for row in found.packed_patterns]
    assert len(set(rows)) == len(rows)
    assert set(rows) == {row.tobytes() for row in part.packed_patterns}
    assert found.reason == ""
    where = part.locate(found.points)
    wrong = np.flatnonzero(np.array([part.packed_patterns[k].tobytes() for k in where]) != np.array(rows))
    # In a sliver an ulp wide there may be no point of float64.
    assert (part.volumes[[part._pattern_index[rows[i]] for i in wrong]] < 1e-12 * part.domain.volume).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "dim", [2, 3, pytest.param(4, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_boxes(family: str, dim: int) -> None:
    if family == "concurrent" and dim == 5:
        pytest.skip("the point that its hyperplanes share has four coordinates")
    net, box = space_network(family, dim, 2), sg.Box([-2] * dim, [2] * dim)
    assert_same_regions(programmes(net, box), space.partition(net, box, threads=1))


@pytest.mark.parametrize("family", ["ternary", "concurrent", "domain_facet", "slivers"])
def test_against_rationals(family: str) -> None:
    net = space_network(family, 3, 1)
    true = exact_space(net, [-2] * 3, [2] * 3)
    found = programmes(net, sg.Box([-2] * 3, [2] * 3))
    bits = np.unpackbits(found.packed_patterns, axis=1, count=net.n_breakpoints, bitorder="little")
    assert {tuple(row) for row in bits.tolist()} == {region.pattern for region in true.regions}
    assert len(bits) == len(true.regions)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ([0.25, -0.5, 0.75], [0.5, 0.25, 2.0]),
        ([0.1, 0.2, 0.3], [0.1 + 1e-9, 0.2 + 1e-12, 0.3 + 1e-6]),
        ([-1e-20, -1.0, 0.0], [1.0, 1e-20, 1e-3]),
        ([1e6, 1e6, -1e6], [1e6 + 1e-8, 1e6 + 1, -1e6 + 1e-3]),
    ],
    ids=["offset", "tiny", "crooked", "far"],
)
@pytest.mark.parametrize("family", ["ternary", "quarter", "concurrent"])
def test_boxes_anywhere(family: str, lower: list[float], upper: list[float]) -> None:
    """Bounds that are no floats in the engine's coordinates, and hinges through the corner of the box."""
    net, box = space_network(family, 3, 2), sg.Box(lower, upper)
    through = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])  # the first one touches a corner from outside
    offset = [-float(sum(map(Fraction, upper))), -float(Fraction(lower[0]) - Fraction(upper[1]))]
    touching = SplineNetwork.from_layers([through, np.ones((1, 2))], [offset, [0.0]])
    for network in (net, touching):
        assert_same_regions(programmes(network, box), space.partition(network, box, threads=1))


@pytest.mark.parametrize("family", ["ternary", "hardtanh", "duplicated"])
def test_slices(family: str) -> None:
    rng = np.random.default_rng(3)
    net = space_network(family, 5, 2)
    plane = sg.Slice(np.round(rng.normal(size=5) * 2) / 2, rng.normal(size=(5, 3)))
    box = sg.Box([-1, -1.5, 0], [2, 1, 1])
    assert_same_regions(programmes(net, box, plane), space.partition(net, box, plane, threads=1))


@pytest.mark.parametrize("family", MAXIMA)
@pytest.mark.parametrize("seed", [0, 1])
def test_maxima(family: str, seed: int) -> None:
    net, box = maxima_network(family, 3, seed), sg.Box([-2] * 3, [2] * 3)
    assert_same_regions(programmes(net, box), space.partition(net, box, threads=1))


@pytest.mark.parametrize("family", FAMILIES)
def test_balls(family: str) -> None:
    """In three dimensions the engine of vertices partitions balls."""
    net = space_network(family, 3, 2)
    ball = sg.L1Ball([0.0, 0.0, 0.0], 2.0, np.eye(3))
    part = sg.partition(net, ball)
    assert isinstance(part, space.SpacePartition)
    assert part.stored_geometry is not None
    assert_same_regions(programmes(net, ball), part)


def assert_same_neighbours(net: SplineNetwork, domain: sg.Box | sg.L1Ball, part: space.SpacePartition) -> None:
    place = (
        Place.ball(domain.center, domain.radius, domain.frame)
        if isinstance(domain, sg.L1Ball)
        else Place.box(domain, sg.Slice.identity(net.n_inputs))
    )
    pairs = neighbouring(net, place, part.packed_patterns, 1)
    assert part.stored_geometry is not None
    assert np.array_equal(pairs, part.adjacency)


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours(family: str) -> None:
    net, box = space_network(family, 3, 2), sg.Box([-2] * 3, [2] * 3)
    assert_same_neighbours(net, box, space.partition(net, box, threads=1))
    ball = sg.L1Ball([0.0, 0.0, 0.0], 2.0, np.eye(3))
    assert_same_neighbours(net, ball, sg.partition(net, ball))


@pytest.mark.parametrize("family", MAXIMA)
@pytest.mark.parametrize("seed", [0, 1])
def test_neighbours_with_maxima(family: str, seed: int) -> None:
    net, box = maxima_network(family, 3, seed), sg.Box([-2] * 3, [2] * 3)
    assert_same_neighbours(net, box, space.partition(net, box, threads=1))


@pytest.mark.parametrize("widths", [(3, 16, 16, 1), (5, 10, 10, 1)])
def test_many_regions(widths: tuple[int, ...]) -> None:
    """More than one batch of cells in a task."""
    net, box = make_network(widths), sg.Box([-2] * widths[0], [2] * widths[0])
    part = space.partition(net, box, threads=1)
    assert_same_regions(programmes(net, box), part)
    assert_same_neighbours(net, box, part)
