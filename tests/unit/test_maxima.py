"""Maxima are cut where another entry becomes the largest and nowhere else: closed forms, and what naive cuts make."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks.graph import Input, Linear, Maximum, SplineNetwork
from splinegeo.networks.tournament import winners
from splinegeo.partition.lowering import lower
from splinegeo.testing import assert_watertight, mlp, pattern_bits

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
