"""The public assertions see what is broken: a true partition with one thing changed must fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo import testing
from splinegeo._rational import area
from splinegeo.networks.graph import Convolution, Maximum, Sparse
from splinegeo.partition import unite
from splinegeo.testing import assert_maps, assert_tiles, assert_valid, assert_watertight, exact_polygon
from tests.oracles.families import SQUARE, make_case
from tests.oracles.modules import KINDS, MODULES, make_module_case
from tests.oracles.rational import exact_partition
from tests.unit.test_maxima import largest_of, sites, tangents


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


@pytest.mark.parametrize("name", list(MODULES))
def test_every_operation_is_proved(name: str) -> None:
    """Convolutions, sparse maps, maxima: the exact polygons are the oracle's, which shares no code with them."""
    case = make_module_case(name, KINDS[list(MODULES).index(name) % len(KINDS)])
    part = sg.partition(case.network, sg.Polygon(case.polygon), None if case.slice is None else sg.Slice(*case.slice))
    assert_valid(part)
    exact = exact_partition(case.network, case.polygon, *(case.slice or ()))
    areas = sorted(region.area for region in exact.regions)
    ours = sorted(Fraction(int(a.p), int(a.q)) for a in (area(exact_polygon(part, k)) for k in range(part.n_regions)))
    assert ours == areas


def pooled() -> sg.Partition:
    """Of a convolution, a sparse map and maxima of four entries."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.MaxPool2d(2)
    network = sg.capture(nn.Sequential(*layers).double(), (1, 3, 3))
    assert {type(node) for node in network.nodes} >= {Convolution, Sparse, Maximum}
    rng = np.random.default_rng(2)
    return sg.partition(network, sg.Box([-2, -2], [2, 2]), sg.Slice(rng.normal(size=9), rng.normal(size=(9, 2))))


def with_node(part: sg.Partition, kind: type, **changes: Callable[[np.ndarray], np.ndarray]) -> sg.Partition:
    """The partition with another network: one of its nodes changed."""
    nodes = list(part.network.nodes)
    (k,) = [k for k, node in enumerate(nodes) if isinstance(node, kind)]
    nodes[k] = replace(nodes[k], **{name: change(getattr(nodes[k], name)) for name, change in changes.items()})
    return replace(part, network=sg.SplineNetwork(tuple(nodes), part.network.output, part.network.input_shape, (8,)))


def other_winner(part: sg.Partition) -> sg.Partition:
    """In the pattern of one region the final of the last maximum goes to the other side."""
    patterns = part.packed_patterns.copy()
    bit = part.network.n_breakpoints - 1
    patterns[part.n_regions // 2, bit // 8] ^= 1 << bit % 8
    return replace(part, packed_patterns=patterns)


def undecisive_bit(part: sg.Partition) -> sg.Partition:
    """A comparison is noted whose winner loses the final."""
    patterns, bits, last = part.packed_patterns.copy(), testing.pattern_bits(part), part.network.n_breakpoints - 1
    region = int(np.argmax(~bits[:, last]))  # the right side wins the final: what the left one did before is nothing
    bit = last - 2
    patterns[region, bit // 8] |= 1 << bit % 8
    return replace(part, packed_patterns=patterns)


BROKEN: dict[str, Callable[[sg.Partition], sg.Partition]] = {
    "kernel": lambda p: with_node(p, Convolution, kernel=lambda w: w[:, :, ::-1].copy()),
    "bias": lambda p: with_node(p, Convolution, bias=lambda b: b[::-1].copy()),
    "sparse": lambda p: with_node(p, Sparse, bias=lambda b: b + 1e-9 * np.arange(len(b))),
    "entries": lambda p: with_node(p, Maximum, groups=lambda g: np.roll(g, 1, 0)),
    "seats": lambda p: with_node(p, Maximum, groups=lambda g: g[:, [1, 0, 3, 2]]),
    "winner": other_winner,
    "undecisive": undecisive_bit,
}


@pytest.mark.parametrize("name", BROKEN)
def test_proofs_of_convolutions_and_maxima_fail(name: str) -> None:
    """Other weights, other windows, other outcomes: none of it is this partition."""
    part = pooled()
    assert part.n_regions > 20
    assert_valid(part)
    with pytest.raises(AssertionError, match=r"region \d+|areas sum|same pattern"):
        assert_tiles(BROKEN[name](part))


@pytest.mark.parametrize("kind", [Convolution, Sparse])
def test_maps_of_other_weights_fail(kind: type) -> None:
    """What differs in the ninth digit cuts alike, and maps differently."""
    part = with_node(pooled(), kind, bias=lambda b: b + 1e-9)
    with pytest.raises(AssertionError, match="interior point"):
        assert_valid(part)


def test_an_overcut_maximum_fails() -> None:
    """Pieces of one region, cut along a tie of two losers, have one pattern."""
    part = sg.partition(largest_of(*tangents(sites(7))), sg.Box([-2, -2], [2, 2]))
    assert_valid(part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unite, "label_pieces", lambda words, regions, twin, labels: _each(labels))
        cut = sg.partition(largest_of(*tangents(sites(7))), sg.Box([-2, -2], [2, 2]))
    assert cut.n_regions > 7
    with pytest.raises(AssertionError, match="same pattern"):
        assert_tiles(cut)


def _each(labels: np.ndarray) -> int:
    labels[:] = np.arange(len(labels))
    return len(labels)


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
