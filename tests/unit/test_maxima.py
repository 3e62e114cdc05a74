"""Maxima are cut where another entry becomes the largest and nowhere else: closed forms, and what naive cuts make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks.graph import Input, Linear, Maximum, SplineNetwork
from splinegeo.networks.tournament import canonical_bits, contenders, winners
from splinegeo.partition.classes import function_classes
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.frame import Frame
from splinegeo.partition.judge import Judge
from splinegeo.partition.lowering import lower
from splinegeo.testing import assert_maps, assert_watertight, mlp, pattern_bits
from tests.oracles.compare import assert_equals_oracle
from tests.oracles.parts import reduced
from tests.oracles.rational import exact_partition

BOX = sg.Box([-2, -2], [2, 2])


def sites(n: int, seed: int = 0) -> Array:
    return np.random.default_rng([n, seed]).uniform(-1.9, 1.9, (n, 2))


def tangents(points: Array) -> tuple[Array, Array]:
    """The planes 2 p u - |p|^2 tangent to the paraboloid at p: the largest one belongs to the nearest point."""
    return 2 * points, -(points**2).sum(1)


def largest_of(weight: Array, bias: Array, groups: Array | None = None) -> SplineNetwork:
    """The maximum of affine functions; of some of them for each row of ``groups``."""
    groups = np.arange(len(bias))[None] if groups is None else np.asarray(groups)
    nodes = (
        Input("input", 2, ()),
        Linear("planes", len(bias), (0,), weight, bias),
        Maximum("max", len(groups), (1,), groups),
    )
    return SplineNetwork(nodes, 2, (2,), (len(groups),))


def pairwise_cuts(weight: Array, bias: Array) -> SplineNetwork:
    """Every difference of two functions, rectified: what cutting along all ties would give."""
    i, j = np.array(list(combinations(range(len(bias)), 2))).T
    return mlp([weight[i] - weight[j], np.ones((1, len(i)))], [bias[i] - bias[j], [0.0]])


@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 13, 40])
def test_the_envelope_of_tangent_planes_has_one_region_a_point(n: int) -> None:
    """Voronoi cells: n of them, each around its point. Cutting along all ties makes more, and so do tournaments."""
    points = sites(n)
    weight, bias = tangents(points)
    net = largest_of(weight, bias)
    part = sg.partition(net, BOX)
    assert part.n_regions == part.n_linear_regions == n
    assert sorted(part.locate(points)) == list(range(n))
    assert_watertight(part)
    nearest = winners(net.nodes[2], pattern_bits(part).astype(np.uint8)[:, None])[:, 0]
    assert (part.locate(points[nearest]) == np.arange(n)).all()
    assert part.volumes.sum() == pytest.approx(16, rel=1e-12)
    if n <= 13:
        naive, tournament = (sg.partition(x, BOX).n_regions for x in (pairwise_cuts(weight, bias), lower(net).network))
        assert naive >= tournament >= n
        if n > 2:
            assert naive > n
        if n > 3:
            assert tournament > n


def test_three_planes_are_cut_into_three_not_six() -> None:
    """The three ties meet in a point; half of each is beaten by the third plane."""
    angle = 2 * np.pi * np.arange(3) / 3
    weight, bias = np.stack([np.cos(angle), np.sin(angle)], 1), np.zeros(3)
    assert sg.partition(pairwise_cuts(weight, bias), BOX).n_regions == 6
    part = sg.partition(largest_of(weight, bias), BOX)
    assert (part.n_regions, part.n_edges - part.n_regions) == (3, 12 - 3 - 2)  # seven corners: 4 + 3 on the boundary


@pytest.mark.parametrize("n", [3, 5, 8])
def test_order_and_repetition_of_entries_do_not_matter(n: int) -> None:
    """Patterns name other comparisons; polygons, neighbours and linear regions are the same."""
    weight, bias = tangents(sites(n, 1))
    rng = np.random.default_rng(n)
    reference = sg.partition(largest_of(weight, bias), BOX)
    for groups in (rng.permutation(n), np.r_[np.arange(n), rng.integers(n, size=4)], np.repeat(np.arange(n), 2)):
        part = sg.partition(largest_of(weight, bias, groups[None]), BOX)
        assert (part.n_regions, part.n_edges, part.n_vertices) == (n, reference.n_edges, reference.n_vertices)
        np.testing.assert_allclose(np.sort(part.volumes), np.sort(reference.volumes), rtol=1e-9)
        assert_watertight(part)
    # The same functions as other entries, not as repetitions of one.
    part = sg.partition(largest_of(np.tile(weight, (2, 1)), np.tile(bias, 2)), BOX)
    assert (part.n_regions, part.n_edges) == (n, reference.n_edges)


def test_entries_that_are_all_equal_cut_nothing() -> None:
    """On constant images every window is a tie, and no bit is set; a brighter last row wins or loses everywhere."""
    conv = nn.Conv2d(1, 2, 2)
    nn.init.ones_(conv.weight)
    network = sg.capture(nn.Sequential(conv, nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1)), (1, 4, 4))
    gray, row = np.ones(16), np.repeat([0.0, 0.0, 0.0, 1.0], 4)
    ramp = sg.partition(network, BOX, sg.Slice(np.zeros(16), np.stack([gray, row], 1)))
    assert ramp.n_regions == ramp.n_linear_regions == 2  # brighter or darker, in u_2 = 0
    assert np.sort(ramp.volumes).tolist() == [8.0, 8.0]
    shade = sg.capture(nn.Sequential(nn.Linear(2, 1), nn.Flatten(), _Repeat(), network_of_pools()), (2,))
    flat = sg.partition(shade, BOX)
    assert flat.n_regions == 1
    assert not pattern_bits(flat).any()


class _Repeat(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def network_of_pools() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.MaxPool2d(2, 2))


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_windows(seed: int) -> None:
    """Two windows of three among four planes: the overlay of two envelopes, counted by who wins at dense samples."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-4, 5, (4, 2)) * 1.0, rng.integers(-2, 3, 4) * 1.0
    groups = np.array([[0, 1, 2], [1, 2, 3]])
    part = sg.partition(largest_of(weight, bias, groups), BOX)
    t = np.linspace(-2, 2, 403)[1:-1] + 1e-3
    u = np.stack(np.meshgrid(t[:-1], t[:-1]), -1).reshape(-1, 2)
    values = u @ weight.T + bias
    seen = {tuple(row) for row in values[:, groups].argmax(2).tolist()}
    assert part.n_regions == len(seen)


def test_pools_of_pools_are_pools() -> None:
    """Windows of two, twice, are windows of three: the same function, so the same linear regions."""
    torch.manual_seed(1)
    conv = nn.Conv2d(1, 1, 2, dtype=torch.float64)
    rng = np.random.default_rng(3)
    plane = sg.Slice(rng.normal(size=36), rng.normal(size=(36, 2)))
    twice = sg.partition(sg.capture(nn.Sequential(conv, *[nn.MaxPool2d(2, 1)] * 2), (1, 6, 6)), BOX, plane)
    once = sg.partition(sg.capture(nn.Sequential(conv, nn.MaxPool2d(3, 1)), (1, 6, 6)), BOX, plane)
    assert twice.n_linear_regions == once.n_linear_regions <= once.n_regions <= twice.n_regions
    points = rng.uniform(-2, 2, (200, 2))
    a, b = (p.linear_regions()[p.locate(points)] for p in (twice, once))
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


def test_nothing_is_decided_by_who_loses() -> None:
    """Bits differ across an edge only where the winner does: to each side of it another function is the largest."""
    weight, bias = tangents(sites(9, 2))
    net = largest_of(weight, bias)
    part = sg.partition(net, BOX)
    won = winners(net.nodes[2], pattern_bits(part).astype(np.uint8)[:, None])[:, 0]
    inner = part.edge_regions[:, 1] >= 0
    ends = part.vertices[part.edge_vertices[inner]]
    values = ends @ weight.T + bias
    for (a, b), at in zip(won[part.edge_regions[inner]], values, strict=True):
        assert a != b
        np.testing.assert_allclose(at[:, a], at[:, b], atol=1e-9)
        assert (at.max(1) <= at[:, a] + 1e-9).all()


@pytest.mark.parametrize("regions", [1, 2, 5, 11, 20, 40])
def test_regions_within_a_budget_are_whole(regions: int) -> None:
    """The walk counts pieces; a region is left out while a piece of it may be missing."""
    net = largest_of(*tangents(sites(12, 3)))
    whole = sg.partition(net, BOX)
    part = sg.partition(net, BOX, budget=sg.Budget(regions=regions))
    areas = dict(zip(map(bytes, whole.packed_patterns), whole.volumes.tolist(), strict=True))
    assert part.n_regions <= whole.n_regions
    assert part.complete == (part.n_regions == whole.n_regions)
    for pattern, area in zip(part.packed_patterns, part.volumes, strict=True):
        assert areas[bytes(pattern)] == pytest.approx(area, rel=1e-9)
    assert_watertight(part)


class _Channels(nn.Module):
    """The largest channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(1)


def pooled(kind: str, seed: int = 0) -> nn.Module:
    """Pools over 4 x 5 images: of affine functions, of rectified ones, twice; with padding, dead and equal channels."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = {
        "affine": [nn.Conv2d(1, 2, 2), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(12, 2)],
        "rectified": [nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(12, 2)],
        "padded": [nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(1, 1, 2), nn.ReLU()],
        "twice": [
            nn.Conv2d(1, 1, 2),
            nn.ReLU(),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(1, 2, 2),
            nn.ReLU(),
            nn.MaxPool2d((1, 2)),
        ],
        "channels": [nn.Conv2d(1, 4, 2), nn.ReLU(), _Channels(), nn.Flatten(), nn.Linear(12, 2), nn.ReLU()],
    }[kind]
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for first in (layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.out_channels > 1):
            first.bias[0] = -9.0 if seed % 2 else first.bias[0]  # dead, or nearly
            if first.out_channels == 4:
                first.weight[2:], first.bias[2:] = first.weight[:2].clone(), first.bias[:2].clone()
    return net


def bordered(value: float, seed: int = 0) -> sg.Slice:
    """Images 4 x 5 that are constant but for 2 x 2 pixels, of which two are the same."""
    rng = np.random.default_rng(seed)
    origin, basis = np.full((4, 5), value), np.zeros((4, 5, 2))
    origin[1:3, 2:4], basis[1:3, 2:4] = rng.normal(size=(2, 2)), rng.normal(size=(2, 2, 2))
    origin[2, 3], basis[2, 3] = origin[1, 2], basis[1, 2]
    return sg.Slice(origin.ravel(), basis.reshape(20, 2))


@contextmanager
def questions() -> Iterator[list[int]]:
    """The levels of which a sign was asked."""
    asked: list[int] = []
    signs = Judge.signs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judge, "signs", lambda self, vertex, level: asked.append(level) or signs(self, vertex, level))
        yield asked


@pytest.mark.parametrize("border", [0.0, 0.375])
@pytest.mark.parametrize("kind", ["affine", "rectified", "padded", "twice", "channels"])
def test_ties_on_constant_borders(kind: str, border: float) -> None:
    """The oracle's partition, directly and in parts."""
    seed = int(border > 0)
    network, plane = sg.capture(pooled(kind, seed), (1, 4, 5)), bordered(border, seed)
    exact = exact_partition(network, BOX.vertices.tolist(), plane.origin, plane.basis)
    for leaf in (None, 8):
        with nullcontext() if leaf is None else reduced(leaf):
            part = sg.partition(network, BOX, plane)
        assert_equals_oracle(part, exact)
        assert_watertight(part)
        assert_maps(part)


@pytest.mark.parametrize("leaf", [None, 1000])
@pytest.mark.parametrize("border", [0.0, 0.375])
def test_ties_of_dead_and_equal_entries_need_no_exact_arithmetic(border: float, leaf: int | None) -> None:
    """In windows of two nothing else is special: both entries equal, both off, or one off where the other begins."""
    torch.manual_seed(3)
    layers = nn.Conv2d(1, 3, 2), nn.ReLU(), nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(18, 2), nn.ReLU()
    network = sg.capture(nn.Sequential(*layers).double(), (1, 4, 5))
    # Unequal pixels: equal hinges would share their kinks, and that does need it.
    plane = bordered(border)
    plane = sg.Slice(plane.origin, plane.basis + np.eye(20)[:, [13]] * [0.5, -0.25])
    with nullcontext() if leaf is None else reduced(leaf), questions() as asked:
        part = sg.partition(network, BOX, plane)
    assert part.n_regions > 50
    assert not asked


@pytest.mark.parametrize("k", range(2, 10))
def test_equal_entries_may_stay_away(k: int) -> None:
    """All bits are the same without all but one of each set of equal entries."""
    rng = np.random.default_rng(k)
    numbers = rng.integers(0, k, (300, k))
    node = Maximum("max", 300, (0,), np.arange(300 * k).reshape(300, k))
    there = contenders(numbers)
    for row, kept in zip(numbers, there, strict=True):
        assert sorted(row[kept]) == sorted(set(row.tolist()))
    x = rng.normal(size=(20, 300, k))
    values = np.take_along_axis(x, np.broadcast_to(numbers, x.shape), 2)
    alone = np.where(there, values, -np.inf)
    assert (canonical_bits(node, alone.reshape(20, -1)) == canonical_bits(node, values.reshape(20, -1))).all()


@pytest.mark.parametrize("kind", ["affine", "padded", "twice", "channels"])
@pytest.mark.parametrize("border", [0.0, 0.375])
def test_units_of_one_class_are_one_function(kind: str, border: float) -> None:
    """In exact arithmetic, at points of the plane; and there are classes of many units."""
    network, plane = sg.capture(pooled(kind), (1, 4, 5)), bordered(border)
    classes = function_classes(network, plane.origin, plane.basis)
    # The network without maxima, asked for its affine nodes and knots at random points.
    exact = ExactNetwork(lower(network).network, plane.origin, plane.basis, Frame.of(BOX.vertices))
    nodes = {(n.name, type(n)): i for i, n in enumerate(exact.network.nodes)}
    several = 0
    for point in np.random.default_rng(0).integers(-64, 65, (5, 2)).tolist():
        coordinates, one = exact.at((*point, 64))
        values = []
        for i, node in enumerate(exact.network.nodes):
            x = [values[j] for j in node.inputs]
            if i == 0:
                values.append(exact.latent(coordinates, one))
            elif hasattr(node, "slopes"):
                above = exact.above(i, x[0], one)
                values.append(exact.knot(i, x[0], [sum(row[0] > 0 for row in unit) for unit in above], one))
            else:
                values.append(exact.apply(i, x, one))
        for node, numbers in zip(network.nodes, classes, strict=True):
            if isinstance(node, Maximum) or not len(numbers):
                continue
            rows = values[nodes[node.name, type(node)]].rows
            for number in set(numbers.tolist()):
                same = {rows[unit] for unit in np.nonzero(numbers == number)[0]}
                assert len(same) == 1
                assert number or same == {(0,)}
            several += len(numbers) - len(set(numbers.tolist()))
    assert several > 50


def test_losers_that_switch_need_no_exact_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that switches on where another one of its window is larger changes no map; the graph says so."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)
    plane = sg.Slice(*(np.random.default_rng(1).normal(size=shape) for shape in (9, (9, 2))))
    part = sg.partition(sg.capture(nn.Sequential(*layers).double(), (1, 3, 3)), BOX, plane)

    def fail(*_: object) -> None:
        raise AssertionError("an exact map was asked for")

    monkeypatch.setattr(Judge, "maps", fail)
    assert part.n_linear_regions < 0.7 * part.n_regions
