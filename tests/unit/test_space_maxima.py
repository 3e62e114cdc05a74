"""Maxima outside the plane: regions are where one entry is the largest. Closed forms, theorems, and the plane."""

from __future__ import annotations

import pickle
from itertools import combinations, product
from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo import space
from splinegeo._types import Array
from splinegeo.networks.graph import Input, Linear, Maximum, SplineNetwork
from splinegeo.networks.tournament import winners
from splinegeo.partition.lowering import lower
from splinegeo.partition.merging import components
from splinegeo.partition.unite import decisive_patterns
from splinegeo.space import problem
from splinegeo.testing import mlp
from tests.oracles.space_families import MAXIMA, maxima_network


def cube(d: int, half: float = 2.0) -> sg.Box:
    return sg.Box([-half] * d, [half] * d)


def largest_of(weight: Array, bias: Array, groups: Array | None = None) -> SplineNetwork:
    """The maximum of affine functions; of some of them for each row of ``groups``."""
    n, d = weight.shape
    groups = np.arange(n)[None] if groups is None else np.asarray(groups)
    nodes = (
        Input("input", d, ()),
        Linear("planes", n, (0,), weight, bias),
        Maximum("max", len(groups), (1,), groups),
    )
    return SplineNetwork(nodes, 2, (d,), (len(groups),))


def envelope(points: Array) -> SplineNetwork:
    """The largest of the functions 2 p u - |p|^2, tangent to the paraboloid at p: that of the nearest point."""
    return largest_of(2 * points, -(points**2).sum(1))


def pairwise_cuts(weight: Array, bias: Array) -> SplineNetwork:
    """Every difference of two functions, rectified: what cutting along all ties would give."""
    i, j = np.array(list(combinations(range(len(bias)), 2))).T
    return mlp([weight[i] - weight[j], np.ones((1, len(i)))], [bias[i] - bias[j], [0.0]])


def pieces(part: space.SpacePartition) -> space.SpacePartition:
    """What the walk finds: the partition by all comparisons."""
    return space.partition(lower(part.network).network, part.domain, part.slice, threads=1)


def assert_sound(part: space.SpacePartition) -> None:
    """Facets pair up and have the same vertices from both sides, volumes add up, the Euler characteristic is 1."""
    assert part.complete
    assert len(np.unique(part.packed_patterns, axis=0)) == part.n_regions
    times = np.bincount(part.region_facets, minlength=part.n_facets)
    inner = part.facet_regions[:, 1] >= 0
    assert (times == np.where(inner, 2, 1)).all()
    assert (inner == (part.facet_sides < 0)).all()
    seen: dict[int, set[int]] = {}
    for r in range(part.n_regions):
        here = slice(part.region_offsets[r], part.region_offsets[r + 1])
        corners, on = part.corner_vertices[here], part.corner_facets[here]
        assert len(set(corners.tolist())) == len(corners)
        for j, facet in enumerate(part.region_facets[part.facet_offsets[r] : part.facet_offsets[r + 1]].tolist()):
            ends = set(corners[(on[:, j // 64] >> np.uint64(j % 64)) & np.uint64(1) == 1].tolist())
            assert len(ends) >= part.dim
            assert seen.setdefault(facet, ends) == ends
    # Of two regions there is one facet at most, and of a region and a side of the domain.
    pairs = np.c_[np.sort(part.facet_regions, 1), part.facet_sides]
    assert len(np.unique(pairs, axis=0)) == part.n_facets
    assert part.euler_characteristic == 1
    assert part.volumes.min() > 0
    assert part.volumes.sum() == pytest.approx(part.domain.volume, rel=1e-10)
    # Vertices are numbered in order of appearance, and each is somebody's.
    first = np.unique(part.corner_vertices, return_index=True)
    assert np.array_equal(first[0], np.arange(part.n_vertices))
    assert (np.diff(first[1]) > 0).all()


@pytest.mark.parametrize(("d", "n"), [(1, 2), (1, 9), (3, 2), (3, 5), (3, 24), (4, 8), (5, 6), (6, 4), (8, 3)])
def test_the_envelope_of_tangent_planes_has_one_region_a_point(d: int, n: int) -> None:
    """Voronoi cells: n of them, each around its point. Cutting along all ties makes more, and so do tournaments."""
    points = np.random.default_rng([d, n]).uniform(-1.9, 1.9, (n, d))
    net = envelope(points)
    part = sg.partition(net, cube(d), threads=1)
    assert part.n_regions == part.n_linear_regions == n
    assert sorted(part.locate(points)) == list(range(n))
    nearest = winners(net.nodes[2], part.patterns.astype(np.uint8)[:, None])[:, 0]
    assert (part.locate(points[nearest]) == np.arange(n)).all()
    if d <= 5:
        assert_sound(part)
    maps, offsets = part.affine_maps()
    assert np.array_equal(maps[:, 0], 2 * points[nearest])
    assert offsets[:, 0] == pytest.approx(-(points[nearest] ** 2).sum(1), rel=1e-15)
    if d in (3, 4) and 3 < n < 10:
        tournament = pieces(part).n_regions
        naive = sg.partition(pairwise_cuts(2 * points, -(points**2).sum(1)), cube(d), threads=1).n_regions
        assert naive >= tournament > n


@pytest.mark.parametrize(("d", "naive"), [(1, 2), (3, 24), (4, 120)])
def test_functions_that_meet_in_a_point(d: int, naive: int) -> None:
    """d + 1 in general position: one region each. All ties would make one for each of their (d + 1)! orders."""
    assert naive == factorial(d + 1)
    weight = np.vstack([np.eye(d), -np.ones((1, d))])
    part = sg.partition(largest_of(weight, np.zeros(d + 1)), cube(d), threads=1)
    assert part.n_regions == d + 1
    assert_sound(part)
    assert (np.abs(part.vertices).max(1) < 2).sum() == 1
    assert sg.partition(pairwise_cuts(weight, np.zeros(d + 1)), cube(d), threads=1).n_regions == naive


@pytest.mark.parametrize("d", [1, 3, 4, 5])
def test_the_largest_coordinate(d: int) -> None:
    """max |x_i|: a cone over each facet of the cube. Its k-faces are those of the cube, and cones over smaller ones."""
    part = sg.partition(largest_of(np.vstack([np.eye(d), -np.eye(d)]), np.zeros(2 * d)), cube(d), threads=1)
    of_cube = [comb(d, k) * 2 ** (d - k) for k in range(d)]
    assert part.f_vector() == tuple(a + b for a, b in zip([*of_cube, 0], [1, *of_cube], strict=True))
    assert_sound(part)
    assert part.volumes == pytest.approx(np.full(2 * d, 4.0**d / (2 * d)))


@pytest.mark.parametrize("d", [1, 3, 4])
def test_the_sum_of_absolute_values(d: int) -> None:
    """The largest of all +-x_1 ... +-x_d: orthants, not the thousands of pieces of their tournament."""
    signs = np.array(list(product([1.0, -1.0], repeat=d)))
    part = sg.partition(largest_of(signs, np.zeros(2**d)), cube(d), threads=1)
    assert part.f_vector() == tuple(comb(d, k) * 2**k * 3 ** (d - k) for k in range(d + 1))
    assert_sound(part)
    assert (np.sign(part.affine_maps()[0][:, 0]) == np.sign(part.interior_points)).all()


@pytest.mark.parametrize(("d", "n_pieces"), [(3, 25), (4, None), (5, None)])
def test_edges_on_many_facets(d: int, n_pieces: int | None) -> None:
    """max(t, |x_1| + ... + |x_{d-1}|): a cone over a cross-polytope, whose edges lie on 2^(d-2) facets.

    Where d of them or more meet in an edge, a cut through it makes points on as many facets as a vertex.
    """
    signs = np.array(list(product([1.0, -1.0], repeat=d - 1)))
    weight = np.r_[np.c_[signs, np.zeros(2 ** (d - 1))], np.eye(d)[-1:]]
    # The last, one that wins nowhere, cuts the inner cone in the tournament only.
    weight = np.r_[weight, 0.25 * np.eye(d)[:1] + 0.5 * np.eye(d)[-1:]]
    order = np.random.default_rng(d).permutation(len(weight))
    part = sg.partition(largest_of(weight[order], np.r_[np.zeros(len(order) - 1), -0.125][order]), cube(d), threads=1)
    assert part.n_regions == 2 ** (d - 1) + 1
    assert_sound(part)
    inner = int(part.locate(np.eye(d)[-1]))
    assert len(part.corners[inner]) == 2 * (d - 1) + 1
    assert len(part.neighbors[inner]) == 2 ** (d - 1) + 1
    assert part.volumes[inner] == pytest.approx(4 ** (d - 1) / factorial(d - 1) * 2 / d)
    assert pieces(part).n_regions > part.n_regions
    if n_pieces is not None:
        assert pieces(part).n_regions >= n_pieces


def test_more_facets_than_a_word_has_bits() -> None:
    """A point inside a sphere of others: its cell has a facet for each of them."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(72, 3))
    points *= rng.uniform(0.99, 1.01, (72, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    part = sg.partition(envelope(np.r_[np.zeros((1, 3)), points]), cube(3), threads=1)
    assert part.n_regions == 73
    assert_sound(part)
    inner = int(part.locate([0.0, 0.0, 0.0]))
    n = len(part.neighbors[inner])
    assert 64 < n <= 72
    assert len(part.corners[inner]) == 2 * n - 4  # simple, by Euler
    assert part.corner_facets.shape[1] == 2


@pytest.mark.parametrize("n", [3, 6])
def test_order_and_repetition_of_entries_do_not_matter(n: int) -> None:
    points = np.random.default_rng([n, 1]).uniform(-1.9, 1.9, (n, 3))
    weight, bias = 2 * points, -(points**2).sum(1)
    rng = np.random.default_rng(n)
    reference = sg.partition(envelope(points), cube(3), threads=1)
    for groups in (rng.permutation(n), np.r_[np.arange(n), rng.integers(n, size=4)], np.repeat(np.arange(n), 2)):
        part = sg.partition(largest_of(weight, bias, groups[None]), cube(3), threads=1)
        assert part.f_vector() == reference.f_vector()
        assert np.sort(part.volumes) == pytest.approx(np.sort(reference.volumes), rel=1e-9)
    # The same functions as other entries, not as repetitions of one.
    part = sg.partition(largest_of(np.tile(weight, (2, 1)), np.tile(bias, 2)), cube(3), threads=1)
    assert part.f_vector() == reference.f_vector()


def test_entries_that_are_all_equal_cut_nothing() -> None:
    part = sg.partition(largest_of(np.ones((5, 3)), np.zeros(5)), cube(3), threads=1)
    assert part.n_regions == 1
    assert not part.patterns.any()
    assert part.f_vector() == (8, 12, 6, 1)
    # Of constants the larger one counts.
    weight, bias = np.array([[0.0, 0, 0], [1.0, 0, 0], [0.0, 0, 0]]), np.array([0.25, 0.0, 1.5])
    part = sg.partition(largest_of(weight, bias), cube(3), threads=1)
    assert np.sort(part.volumes).tolist() == pytest.approx([8.0, 56.0])
    assert_sound(part)
    assert len(part.facets[int(np.flatnonzero(part.facet_sides < 0)[0])]) > 0
    assert part.rank.tolist() == [0, 1] or part.rank.tolist() == [1, 0]


def test_repeated_halfspaces_of_the_domain() -> None:
    """A side of the domain that is given twice is one facet of each region, however many pieces touch it."""
    eye = np.eye(3)
    rows = np.r_[np.c_[eye, -2 * np.ones(3)], np.c_[-eye, -2 * np.ones(3)]]
    domain = sg.Polytope(np.r_[rows, rows[:2], 2 * rows[3:5], [[1.0, 1, 1, -6]]])
    points = np.random.default_rng(4).uniform(-1.9, 1.9, (7, 3))
    part = sg.partition(envelope(points), domain, threads=1)
    assert part.f_vector() == sg.partition(envelope(points), cube(3), threads=1).f_vector()
    assert_sound(part)


@pytest.mark.parametrize("family", MAXIMA)
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
def test_theorems(family: str, dim: int) -> None:
    """Pieces with one decisive pattern are connected through facets: they are a region, and have its volume."""
    part = space.partition(maxima_network(family, dim, 3), cube(dim), threads=1)
    assert_sound(part)
    net = part.network
    lowered = lower(net)
    fine = pieces(part)
    bits = np.zeros((fine.n_regions, net.n_breakpoints), np.uint8)
    bits[:, lowered.breakpoints] = fine.patterns
    patterns = decisive_patterns(net, np.packbits(bits, axis=1, bitorder="little"))
    inner = fine.facet_regions[fine.facet_regions[:, 1] >= 0]
    same = (patterns[inner[:, 0]] == patterns[inner[:, 1]]).all(1)
    _, count = components(inner[same], fine.n_regions)
    index = {row.tobytes(): k for k, row in enumerate(part.packed_patterns)}
    assert count == part.n_regions == len(index)
    region = np.array([index[row.tobytes()] for row in patterns])
    assert part.volumes == pytest.approx(np.bincount(region, fine.volumes), rel=1e-9)
    # Corners of regions are corners of pieces, and a region has no corner between two of its own.
    assert part.n_vertices <= fine.n_vertices
    for k in range(part.n_regions):
        own = part.corners[k]
        middle = (own[:, None] + own[None]) / 2
        gaps = np.abs(middle[:, :, None] - own).max(3)
        gaps[np.arange(len(own)), np.arange(len(own))] = 1
        assert gaps.min() > 1e-9


@pytest.mark.parametrize("family", MAXIMA)
def test_the_plane(family: str) -> None:
    """What the engine for planes finds."""
    for seed in (2, 3):
        net = maxima_network(family, 2, seed)
        here, there = space.partition(net, cube(2), threads=1), sg.partition(net, cube(2))
        assert (here.n_regions, here.n_linear_regions) == (there.n_regions, there.n_linear_regions)
        assert (here.n_vertices, here.n_facets) == (there.n_vertices, there.n_edges)
        index = {row.tobytes(): k for k, row in enumerate(there.packed_patterns)}
        same = np.array([index[row.tobytes()] for row in here.packed_patterns])
        assert here.volumes == pytest.approx(there.volumes[same], rel=1e-9)
        assert here.psi == pytest.approx(there.psi[same], rel=1e-9, abs=1e-9)
        assert here.nu == pytest.approx(there.nu[same], rel=1e-9, abs=1e-9)
        assert sum(map(len, here.facets)) == sum(map(len, there.edges))


def pooled() -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 2, 2),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(12, 4),
        nn.ReLU(),
        nn.Linear(4, 2),
    )
    return nn.Sequential(*layers).double()


class Maxout(nn.Module):
    """Of each three units the largest one."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, 3 * n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).unflatten(-1, (-1, 3)).amax(-1)


class Lattice(nn.Module):
    """Larger and smaller values of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.a(x), self.b(x)
        return self.head(torch.maximum(torch.minimum(a, b), torch.relu(a - 0.5)))


def modules() -> dict[str, tuple[nn.Module, sg.Slice, tuple[int, ...], int]]:
    rng = np.random.default_rng(0)
    torch.manual_seed(1)
    images = sg.Slice(rng.normal(size=20), rng.normal(size=(20, 3)))
    bordered = np.zeros((4, 5, 3))  # images that are constant but for 2 x 2 pixels: many entries are equal
    bordered[1:3, 2:4] = rng.normal(size=(2, 2, 3))
    border = sg.Slice(np.full(20, 0.375), bordered.reshape(20, 3))
    return {
        "max-pool": (pooled(), images, (1, 4, 5), 3),
        "border": (pooled(), border, (1, 4, 5), 3),
        "maxout": (nn.Sequential(Maxout(3, 3), Maxout(3, 3), nn.Linear(3, 2)).double(), sg.Slice.identity(3), (3,), 3),
        "maxout-4": (nn.Sequential(Maxout(4, 2), Maxout(2, 2)).double(), sg.Slice.identity(4), (4,), 4),
        "lattice": (Lattice().double(), sg.Slice.identity(3), (3,), 3),
    }


@pytest.fixture(scope="module", params=["max-pool", "border", "maxout", "maxout-4", "lattice"])
def real(request: pytest.FixtureRequest) -> tuple[nn.Module, space.SpacePartition]:
    module, plane, shape, d = modules()[request.param]
    return module, sg.partition(sg.capture(module, shape), cube(d, 1.0), plane, threads=1)


def test_modules(real: tuple[nn.Module, space.SpacePartition]) -> None:
    """A z + b is the module and A its Jacobian, psi and nu are those of its singular values."""
    module, part = real
    assert_sound(part)
    assert part.n_regions > 10
    u = part.interior_points
    maps, offsets = part.affine_maps()
    z = torch.from_numpy(part.slice.embed(u).reshape(-1, *part.network.input_shape))
    with torch.no_grad():
        expected = module(z).numpy()
    assert np.einsum("nij,nj->ni", maps, u) + offsets == pytest.approx(expected, abs=1e-11)
    some = np.flatnonzero(part.volumes > 1e-7)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: module(x[None])[0]))(z[some]).detach().numpy()
    jacobians = jacobians.reshape(len(some), part.network.n_outputs, -1) @ part.slice.basis
    assert maps[some] == pytest.approx(jacobians, abs=1e-11)
    sigma = np.linalg.svd(jacobians, compute_uv=False)
    assert part.singular_values[some][:, : sigma.shape[1]] == pytest.approx(sigma, abs=1e-10)
    some = some[:: max(1, len(some) // 100)]
    assert np.array_equal(part.locate(u[some]), some)


def test_locate_counts_volumes(real: tuple[nn.Module, space.SpacePartition]) -> None:
    """Every sampled pattern is a region, and the regions' volumes are how often they are met."""
    _, part = real
    points = np.random.default_rng(0).uniform(-1, 1, (5_000, part.dim))
    if 0 in np.ptp(part.slice.basis, 1):
        points = points[:200]  # equal pixels tie: each point takes exact arithmetic
    found = part.locate(points)
    assert found.min() >= 0
    share = part.volumes / part.domain.volume
    counts = np.bincount(found, minlength=part.n_regions) / len(points)
    assert (np.abs(counts - share) <= 6 * np.sqrt(share / len(points)) + 1 / len(points)).all()


def test_locate_on_ties() -> None:
    """A point where entries tie belongs to one of those that tie, always the same."""
    part = sg.partition(largest_of(np.vstack([np.eye(3), -np.eye(3)]), np.zeros(6)), cube(3), threads=1)
    for point in ([1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [0.0, 0.0, 0.0]):
        region = int(part.locate(point))
        a, b = part.affine_maps([region])
        assert a[0] @ point + b[0] == np.abs(point).max()
        assert region == part.locate(point)


def test_sections(real: tuple[nn.Module, space.SpacePartition]) -> None:
    """The plane has a region for each region of the space that it goes through, and they are convex."""
    _, part = real
    rng = np.random.default_rng(1)
    plane = sg.Slice(0.1 * rng.normal(size=part.dim), np.linalg.qr(rng.normal(size=(part.dim, 2)))[0])
    half = 0.3
    flat = part.section(plane, sg.Box([-half, -half], [half, half]))
    large = flat.volumes > 1e-9
    found = part.locate(plane.embed(flat.interior_points[large]))
    assert np.array_equal(part.packed_patterns[found], flat.packed_patterns[large])
    assert len(set(found.tolist())) == large.sum()


def test_a_slab_has_the_plane_s_regions() -> None:
    """A network that does not read its third input: prisms over the regions of the plane."""
    net = maxima_network("maxout", 2, 5)
    first = net.nodes[1]
    assert isinstance(first, Linear)
    wide = Linear("layer 1", first.size, (0,), np.c_[first.weight, np.zeros(first.size)], first.bias)
    tall = SplineNetwork((Input("input", 3, ()), wide, *net.nodes[2:]), net.output, (3,), net.output_shape)
    flat = sg.partition(net, cube(2))
    part = sg.partition(tall, cube(3), threads=1)
    assert_sound(part)
    v, e, f = flat.n_vertices, flat.n_edges, flat.n_regions
    assert part.f_vector() == (2 * v, 2 * e + v, 2 * f + e, f)
    index = {row.tobytes(): k for k, row in enumerate(flat.packed_patterns)}
    same = np.array([index[row.tobytes()] for row in part.packed_patterns])
    assert part.volumes == pytest.approx(4 * flat.volumes[same])


def test_pools_of_pools_are_pools() -> None:
    """Windows of two, twice, are windows of three: the same function, so the same linear regions."""
    torch.manual_seed(1)
    conv = nn.Conv1d(1, 1, 2, dtype=torch.float64)
    rng = np.random.default_rng(3)
    plane = sg.Slice(rng.normal(size=6), rng.normal(size=(6, 3)))
    twice, once = (
        sg.partition(sg.capture(nn.Sequential(conv, *pools), (1, 6)), cube(3), plane, threads=1)
        for pools in ([nn.MaxPool1d(2, 1)] * 2, [nn.MaxPool1d(3, 1)])
    )
    assert twice.n_linear_regions == once.n_linear_regions <= once.n_regions <= twice.n_regions
    points = rng.uniform(-2, 2, (200, 3))
    a, b = (p.linear_regions()[p.locate(points)] for p in (twice, once))
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


def test_facets_lie_where_winners_tie() -> None:
    points = np.random.default_rng(2).uniform(-1.9, 1.9, (12, 3))
    net = envelope(points)
    part = sg.partition(net, cube(3), threads=1)
    won = winners(net.nodes[2], part.patterns.astype(np.uint8)[:, None])[:, 0]
    values = part.vertices @ (2 * points).T - (points**2).sum(1)
    for facet in np.flatnonzero(part.facet_regions[:, 1] >= 0).tolist():
        a, b = won[part.facet_regions[facet]]
        here = values[part.facet_vertices(facet)]
        assert a != b
        assert here[:, a] == pytest.approx(here[:, b], abs=1e-9)
        assert (here.max(1) <= here[:, a] + 1e-9).all()
        assert len(part.facets[facet]) > 0


def test_threads_do_not_matter() -> None:
    net = envelope(np.random.default_rng(5).uniform(-1.9, 1.9, (20, 3)))
    assert sg.partition(net, cube(3), threads=3) == sg.partition(net, cube(3), threads=1)


@pytest.fixture(scope="module")
def whole() -> space.SpacePartition:
    return sg.partition(maxima_network("rectifying", 3, 0), cube(3), threads=1)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 1.0])
def test_regions_within_a_budget_are_whole(whole: space.SpacePartition, share: float) -> None:
    """The walk counts pieces; a region is left out while a piece of it may be missing."""
    n_pieces = pieces(whole).n_regions
    limit = max(1, int(share * n_pieces))
    part = sg.partition(whole.network, whole.domain, threads=2, budget=sg.Budget(regions=limit))
    index = {row.tobytes(): k for k, row in enumerate(whole.packed_patterns)}
    assert part.complete == (limit == n_pieces)
    assert (part.n_regions < whole.n_regions) == (not part.complete)
    assert (part.n_regions > 0) == (share > 0.1)
    for k in range(part.n_regions):
        other = index[part.packed_patterns[k].tobytes()]
        assert part.volumes[k] == pytest.approx(whole.volumes[other], rel=1e-9)
        assert {tuple(v) for v in part.corners[k].tolist()} == {tuple(v) for v in whole.corners[other].tolist()}
        assert len(part.neighbors[k]) == len(whole.neighbors[other])
    if not part.complete:
        assert (part.facet_regions == -2).any() == (part.n_regions > 0)
        found = part.locate(whole.interior_points)
        assert (found >= 0).sum() == part.n_regions
        assert (found == -2).sum() == whole.n_regions - part.n_regions


def test_values(whole: space.SpacePartition, tmp_path: Path) -> None:
    part = whole
    assert pickle.loads(pickle.dumps(part)) == part
    part.save(tmp_path / "part.npz")
    again = sg.load(tmp_path / "part.npz")
    assert again == part
    assert again.n_linear_regions == part.n_linear_regions
    with pytest.raises(ValueError, match="read-only"):
        part.vertices[0] = 0
    graph = pytest.importorskip("networkx")
    assert graph.is_connected(part.to_networkx())


def test_zero_sets() -> None:
    """The surface of a cube as the largest of six functions, and of an octahedron as that of eight."""
    weight = np.vstack([np.eye(3), -np.eye(3)])
    found = sg.zero_set(largest_of(weight, np.full(6, -1.0)), cube(3), threads=1)
    assert found.complete
    assert found.is_watertight
    assert found.euler_characteristic == 2
    assert found.area == pytest.approx(24, rel=1e-13)
    assert found.volume == pytest.approx(8, rel=1e-13)
    signs = np.array(list(product([1.0, -1.0], repeat=3)))
    found = sg.zero_set(largest_of(signs, np.zeros(8)), cube(3), level=1.0, threads=1)
    assert found.is_watertight
    assert found.area == pytest.approx(4 * np.sqrt(3), rel=1e-13)
    assert found.volume == pytest.approx(4 / 3, rel=1e-13)


def test_zero_sets_of_deep_networks_with_maxima() -> None:
    """Vertices are zeros, and the surface is closed inside the domain."""
    net = maxima_network("rectifying", 3, 2)
    found = sg.zero_set(net, cube(3), threads=1)
    assert found.n_faces > 10
    assert np.abs(net(found.vertices)[:, 0]).max() <= 1e-12
    edges, counts = found.edges
    inner = (np.abs(found.vertices[edges]) < 2).any(1).all(1)
    assert (counts[inner] % 2 == 0).all()


def test_what_is_too_large_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of a tournament read each other and the layer before, so there are more weights than between layers."""
    net = maxima_network("rectified", 3, 0)
    rounds = lower(net).network
    sizes = [rounds.nodes[k].size for k in rounds.knots]
    assert len(sizes) == 3
    monkeypatch.setattr(problem, "LARGEST_WEIGHTS", sizes[0] * sizes[1] + sizes[0] * sizes[2] + sizes[1] * sizes[2])
    assert sg.partition(net, cube(3), threads=1).complete
    monkeypatch.setattr(problem, "LARGEST_WEIGHTS", problem.LARGEST_WEIGHTS - 1)
    with pytest.raises(sg.UnsupportedOperation, match="dense matrices"):
        sg.partition(net, cube(3), threads=1)
