"""The public assertions see what is broken: a true partition with one thing changed must fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import splinegeo as sg
from splinegeo import testing
from splinegeo.testing import assert_maps, assert_tiles, assert_valid, assert_watertight, exact_polygon
from tests.oracles.families import SQUARE, make_case
from tests.oracles.rational import exact_partition


@pytest.fixture(scope="module")
def part() -> sg.Partition:
    """A generic partition."""
    return sg.partition(make_case("generic", 0).network, sg.Box([-2, -2], [2, 2]))


def test_exact_polygons_are_those_of_the_oracle(part: sg.Partition) -> None:
    """Two exact computations that share no code find the same rational vertices."""
    exact = exact_partition(part.network, SQUARE)
    theirs = {frozenset(region.vertices) for region in exact.regions}
    ours = {
        frozenset((int(x.p), int(x.q), int(y.p), int(y.q)) for x, y in exact_polygon(part, k))
        for k in range(part.n_regions)
    }
    assert ours == {frozenset((x.numerator, x.denominator, y.numerator, y.denominator) for x, y in v) for v in theirs}


def flip_bit(part: sg.Partition) -> sg.Partition:
    """One bit of one pattern."""
    patterns = part.packed_patterns.copy()
    patterns[3, 0] ^= 1
    return replace(part, packed_patterns=patterns)


def move_vertex(part: sg.Partition) -> sg.Partition:
    """An edge that leads elsewhere."""
    corners = part.corner_vertices.copy()
    corners[5] = corners[7]
    return replace(part, corner_vertices=corners)


def forget_breakpoint(part: sg.Partition) -> sg.Partition:
    """An edge with the unit of another one."""
    points = part.edge_breakpoints.copy()
    points[0] = (points[0] + 1) % part.network.n_breakpoints
    return replace(part, edge_breakpoints=points)


def wrong_neighbor(part: sg.Partition) -> sg.Partition:
    """A neighbour that is not across the edge."""
    neighbors = part.corner_neighbors.copy()
    neighbors[0] = (neighbors[0] + 1) % part.n_regions
    return replace(part, corner_neighbors=neighbors)


@pytest.mark.parametrize("change", [flip_bit, move_vertex, forget_breakpoint, wrong_neighbor])
def test_watertight_fails(part: sg.Partition, change: Callable[[sg.Partition], sg.Partition]) -> None:
    """Any broken link is seen."""
    with pytest.raises(AssertionError, match=r"edge|corner"):
        assert_watertight(change(part))


@pytest.mark.parametrize("exact", [True, False])
def test_tiles_fails(part: sg.Partition, exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain that is larger by 1e-9 is not covered."""
    monkeypatch.setattr(testing, "EXACT_WORK", testing.EXACT_WORK if exact else 0)
    assert_tiles(part)
    larger = replace(part, domain=sg.Box([-2, -2], [2 + 1e-9, 2]))
    if exact:  # the exact polygons follow the domain, so its patterns are checked instead
        assert_tiles(larger)
        with pytest.raises(AssertionError, match=r"bit|same pattern"):
            assert_tiles(flip_bit(part))
    else:
        with pytest.raises(AssertionError, match="sum to"):
            assert_tiles(larger)


def test_maps_fails(part: sg.Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight that differs by 1e-9 is another network."""
    nodes = list(part.network.nodes)
    head = nodes[-1]
    nodes[-1] = type(head)(head.name, head.size, head.inputs, head.weight * (1 + 1e-9), head.bias)
    other = sg.SplineNetwork(tuple(nodes), part.network.output, part.network.input_shape, part.network.output_shape)
    assert_valid(part)
    moved = replace(part, network=other)
    maps = part.affine_maps()
    monkeypatch.setattr(sg.Partition, "affine_maps", lambda self: maps)
    with pytest.raises(AssertionError, match="interior point"):
        assert_maps(moved)


def test_singular_values_fail(part: sg.Partition) -> None:
    """A common factor does not move nu, nor a rank correlation; here it is seen."""
    with pytest.raises(AssertionError, match="singular values"):
        assert_maps(replace(part, singular_values=part.singular_values / 2))


def test_strategies_without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the cure."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        testing.networks()


def test_interior_points_are_inside(part: sg.Partition) -> None:
    """Of the exact polygons."""
    for k, (x, y) in enumerate(part.interior_points):
        v = np.array([[float(p), float(q)] for p, q in exact_polygon(part, k)])
        w = np.roll(v, -1, 0) - v
        assert (w[:, 0] * (y - v[:, 1]) > w[:, 1] * (x - v[:, 0])).all()
