"""Partitions in any dimension: counts that are known, theorems, and agreement with the plane and with autograd."""

from __future__ import annotations

import pickle
from itertools import pairwise
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

import splinegeo as sg
from benchmarks.nets import make_module, make_network
from splinegeo import space
from splinegeo.partition import crew
from splinegeo.testing import mlp
from tests.oracles.families import make_case

COUNTS = {
    (3, 16, 16, 1): 2_438,
    (4, 12, 12, 1): 4_899,
    (5, 10, 10, 1): 7_937,
}
SLOW_COUNTS = {
    (6, 10, 10, 1): 20_386,
    (7, 10, 10, 1): 26_460,
    (3, 64, 64, 1): 240_847,
    (4, 32, 32, 1): 389_434,
}


def cube(d: int, half: float = 2.0) -> sg.Box:
    return sg.Box([-half] * d, [half] * d)


@pytest.fixture(scope="module")
def d3() -> space.SpacePartition:
    return sg.partition(make_network((3, 16, 16, 1)), cube(3), threads=1)


@pytest.mark.parametrize(
    "widths", [*COUNTS, *(pytest.param(widths, marks=pytest.mark.slow) for widths in SLOW_COUNTS)], ids=str
)
def test_benchmark_nets(widths: tuple[int, ...]) -> None:
    part = sg.partition(make_network(widths), cube(widths[0]))
    assert part.complete
    assert part.n_regions == {**COUNTS, **SLOW_COUNTS}[widths]
    if widths[0] < 7:
        assert part.volumes.min() > 0
        assert part.volumes.sum() == pytest.approx(4.0 ** widths[0], rel=1e-11)


@pytest.mark.parametrize(("d", "n"), [(1, 9), (2, 9), (3, 9), (4, 8), (5, 7), (6, 8), (7, 9), (8, 10)])
def test_buck(d: int, n: int) -> None:
    """n hyperplanes in general position that all meet inside the domain: the sum of C(n, j) for j <= d (Buck 1943)."""
    rng = np.random.default_rng(d)
    weight, bias = rng.normal(size=(n, d)), rng.normal(size=n)
    # Far enough out every vertex of the arrangement is inside.
    part = sg.partition(mlp([weight, np.ones((1, n))], [bias, [0.0]]), cube(d, 1e4), threads=1)
    assert part.n_regions == sum(comb(n, j) for j in range(d + 1))
    interior = np.abs(part.vertices).max(1) < 1e4
    assert interior.sum() == comb(n, d)


@pytest.mark.parametrize(("d", "n"), [(1, 3), (2, 5), (3, 6), (4, 6), (5, 6)])
def test_central_arrangements(d: int, n: int) -> None:
    """n hyperplanes in general position through one point: twice the sum of C(n - 1, j) for j < d."""
    weight = np.round(np.random.default_rng(n).normal(size=(n, d)) * 2**20) / 2**20
    point = np.array([0.5, -0.25, 1.0, 0.75, -0.5])[:d]
    part = space.partition(mlp([weight, np.ones((1, n))], [-weight @ point, [0.0]]), cube(d), threads=1)
    assert part.n_regions == 2 * sum(comb(n - 1, j) for j in range(d))
    assert part.euler_characteristic == 1


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_a_network_without_knots(d: int) -> None:
    """One region, the cube, with C(d, k) 2^(d - k) faces of dimension k."""
    part = space.partition(mlp([np.ones((1, d))], [[0.0]]), cube(d), threads=1)
    assert part.n_regions == part.n_linear_regions == 1
    assert part.f_vector() == tuple(comb(d, k) * 2 ** (d - k) for k in range(d + 1))
    assert part.euler_characteristic == 1
    assert part.volumes.tolist() == pytest.approx([4.0**d])
    assert part.neighbors[0].tolist() == [-1] * (2 * d)


def test_facets_pair_up(d3: space.SpacePartition) -> None:
    """Each facet is met from both of its regions, or from one on the boundary, where the domain's facet is said."""
    times = np.bincount(d3.region_facets, minlength=d3.n_facets)
    inner = d3.facet_regions[:, 1] >= 0
    assert (times == np.where(inner, 2, 1)).all()
    assert (d3.facet_regions[~inner, 1] == -1).all()
    assert (inner == (d3.facet_sides < 0)).all()
    for k in range(0, d3.n_regions, 97):
        for other in d3.neighbors[k]:
            assert other == -1 or k in d3.neighbors[other]
    for facet in np.flatnonzero(~inner)[::31].tolist():
        axis, upper = divmod(int(d3.facet_sides[facet]), 2)
        assert (d3.vertices[d3.facet_vertices(facet), axis] == (2.0 if upper else -2.0)).all()


def test_facets_lie_on_their_units(d3: space.SpacePartition) -> None:
    inner = np.flatnonzero(d3.facet_regions[:, 1] >= 0)[::17]
    pre = d3.network.forward(d3.vertices)
    values = np.concatenate([pre[d3.network.nodes[k].inputs[0]] for k in d3.network.knots], 1)
    for facet in inner.tolist():
        units = d3.facets[facet]
        assert len(units) == 1  # nothing coincides in a generic network
        assert np.abs(values[d3.facet_vertices(facet)][:, units]).max() <= 1e-12


def test_duplicates_share_a_facet() -> None:
    """Four hyperplanes, two of them twice: facets list all that coincide."""
    weight = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    part = sg.partition(mlp([weight, np.ones((1, 4))], [[0.0, 0, 1, -1], [0.0]]), cube(3), threads=1)
    assert part.n_regions == 4
    inner = [tuple(part.facets[f].tolist()) for f in np.flatnonzero(part.facet_regions[:, 1] >= 0)]
    assert sorted(inner) == [(0, 1), (0, 1), (2, 3), (2, 3)]


def test_euler_characteristic(d3: space.SpacePartition) -> None:
    f = d3.f_vector()
    assert f[0] == len(d3.vertices)
    assert f[2:] == (d3.n_facets, d3.n_regions)
    assert d3.euler_characteristic == 1
    assert [len(d3.faces(k)) for k in range(4)] == list(f)
    assert (np.diff(d3.faces(1).offsets) == 2).all()
    facets = {frozenset(vertices.tolist()) for vertices in d3.faces(2)}
    assert facets == {frozenset(d3.facet_vertices(k).tolist()) for k in range(d3.n_facets)}


@pytest.mark.parametrize(
    ("family", "seed"), [(f, s) for f in ("generic", "ternary", "abs", "residual") for s in (2, 3, 4)]
)
def test_the_plane(family: str, seed: int) -> None:
    """Domains in the plane, boxes and polygons, slices too: what the engine for planes finds."""
    case = make_case(family, seed)
    plane = None if case.slice is None else sg.Slice(*case.slice)
    there = sg.partition(case.network, sg.Polygon(case.polygon), plane)
    here = space.partition(case.network, sg.Polygon(case.polygon), plane, threads=1)
    assert (here.n_regions, here.n_linear_regions) == (there.n_regions, there.n_linear_regions)
    assert (here.n_vertices, here.n_facets) == (there.n_vertices, there.n_edges)
    index = {row.tobytes(): k for k, row in enumerate(there.packed_patterns)}
    same = np.array([index[row.tobytes()] for row in here.packed_patterns])
    assert here.volumes == pytest.approx(there.volumes[same], rel=1e-9, abs=1e-12)
    assert here.psi == pytest.approx(there.psi[same], rel=1e-9, abs=1e-9)
    assert here.nu == pytest.approx(there.nu[same], rel=1e-9, abs=1e-9)
    assert sum(map(len, here.facets)) == sum(map(len, there.edges))


@pytest.mark.parametrize("widths", [(3, 12, 12, 2), (4, 8, 8, 3), (5, 6, 6, 7)])
def test_autograd(widths: tuple[int, ...]) -> None:
    """A z + b is the network, and psi and nu are those of the Jacobian that torch computes."""
    module = make_module(widths, 1)
    part = sg.partition(module, cube(widths[0]), threads=1)
    u = part.interior_points
    maps, offsets = part.affine_maps()
    with torch.no_grad():
        expected = module(torch.from_numpy(u.copy())).numpy()
    assert np.abs(np.einsum("nij,nj->ni", maps, u) + offsets - expected).max() <= 1e-11
    some = np.flatnonzero(part.volumes > 1e-9)[:: max(1, part.n_regions // 100)]
    points = torch.from_numpy(u[some])
    jacobians = torch.func.vmap(torch.func.jacrev(module))(points).detach().numpy()
    assert np.abs(maps[some] - jacobians).max() <= 1e-11
    sigma = np.linalg.svd(jacobians, compute_uv=False)
    counts = sigma > max(jacobians.shape[1:]) * np.finfo(float).eps * sigma[:, :1]
    assert part.psi[some] == pytest.approx(np.log(np.where(counts, sigma, 1)).sum(1), abs=1e-8)
    total = sigma.sum(1, keepdims=True)
    p = sigma / np.where(total > 0, total, 1)
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1)
    assert part.nu[some] == pytest.approx(np.where(total[:, 0] > 0, np.exp(entropy), 0), abs=1e-8)


def test_patterns_and_locate(d3: space.SpacePartition) -> None:
    points = d3.interior_points[d3.volumes > 1e-9]
    regions = np.flatnonzero(d3.volumes > 1e-9)
    assert np.array_equal(d3.locate(points), regions)
    values = d3.network.forward(points)
    above = np.concatenate([values[d3.network.nodes[k].inputs[0]] > 0 for k in d3.network.knots], 1)
    assert np.array_equal(d3.patterns[regions], above)
    assert d3.locate([[2.1, 0, 0], [np.nan, 0, 0]]).tolist() == [-1, -1]


def test_locate_on_facets() -> None:
    """A point on a facet belongs to the side of the centre; where a step to the centre stays on it, to one side."""
    part = sg.partition(mlp([np.eye(3), np.ones((1, 3))], [[-1.0, 0, 0], [0.0]]), cube(3), threads=1)
    assert part.n_regions == 8
    region = part.locate([1.0, 0.5, 0.5])
    assert not part.patterns[region, 0]
    assert part.locate([1.0, 0, 0]) == part.locate([0.9, 1e-9, 1e-9])


def test_vertices_of_the_box_are_the_box(d3: space.SpacePartition) -> None:
    part = sg.partition(d3.network, sg.Box([0.1, 0.2, 0.7], [0.3, 0.9, 0.8]), threads=1)
    assert part.vertices.min(0).tolist() == [0.1, 0.2, 0.7]
    assert part.vertices.max(0).tolist() == [0.3, 0.9, 0.8]


def test_slices(d3: space.SpacePartition) -> None:
    """Units in the slice's coordinates are those of the network with the slice in front of it."""
    rng = np.random.default_rng(0)
    net = make_network((6, 10, 10, 2))
    plane = sg.Slice(rng.normal(size=6), rng.normal(size=(6, 3)))
    part = sg.partition(net, cube(3, 1), plane, threads=1)
    first = net.nodes[1]
    layers = [(first.weight @ plane.basis, first.weight @ plane.origin + first.bias)]
    layers += [(net.nodes[k].weight, net.nodes[k].bias) for k in (3, 5)]
    other = sg.partition(mlp(*zip(*layers, strict=True)), cube(3, 1), threads=1)
    assert np.array_equal(part.packed_patterns, other.packed_patterns)
    latent, constant = part.affine_maps([0, 1], latent=True)
    assert latent.shape == (2, 2, 6)
    a, b = part.affine_maps([0, 1])
    assert a == pytest.approx(latent @ plane.basis)
    assert b == pytest.approx(latent @ plane.origin + constant)


def test_threads_do_not_matter(d3: space.SpacePartition) -> None:
    assert sg.partition(d3.network, d3.domain, threads=3) == d3


@pytest.mark.parametrize("limit", [1, 100, 2_437, 2_438, 5_000])
def test_budget_of_regions(d3: space.SpacePartition, limit: int) -> None:
    part = sg.partition(d3.network, d3.domain, threads=2, budget=sg.Budget(regions=limit))
    assert part.n_regions == min(limit, 2_438)
    assert part.complete == (limit >= 2_438)
    assert np.array_equal(part.packed_patterns, d3.packed_patterns[:limit])
    assert (part.coverage == 1) == part.complete
    if not part.complete:
        assert "regions" in part.stop_reason
        assert (part.facet_regions == -2).any()
        large = np.flatnonzero(d3.volumes > 1e-9)
        assert np.array_equal(part.locate(d3.interior_points[large]), np.where(large < limit, large, -2))


def test_budget_of_time_and_memory() -> None:
    net = make_network((4, 32, 32, 1))
    part = sg.partition(net, cube(4), threads=1, budget=sg.Budget(seconds=0.2))
    assert not part.complete
    assert "seconds" in part.stop_reason
    assert 0 < part.n_regions < 389_434
    part = sg.partition(net, cube(4), threads=1, budget=sg.Budget(memory=3_000_000))
    assert "bytes" in part.stop_reason


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C gives what was found."""
    real, calls = crew.wait, []

    def wait(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(crew, "wait", wait)
    part = sg.partition(make_network((4, 32, 32, 1)), cube(4), threads=1)
    assert part.stop_reason == "interrupted"
    assert not part.complete
    assert part.n_regions < 389_434


def test_interrupt_of_vertices_after_linear_programmes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while vertices are worked out is Ctrl-C; the next one who asks gets them."""
    part = sg.partition(make_network((7, 4, 1)), cube(7), threads=1)
    real = crew.wait

    def wait(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(crew, "wait", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(crew, "wait", wait)
    with pytest.raises(KeyboardInterrupt, match="interrupted while vertices"):
        _ = part.vertices
    assert len(part.vertices) >= 2**7


def test_values(d3: space.SpacePartition, tmp_path: Path) -> None:
    assert repr(d3) == "<SpacePartition 2,438 regions of Box in R^3, d = 3, float64, exact>"
    assert len(d3) == 2_438
    region = d3[-1]
    assert region.index == 2_437
    assert region.vertices.shape[1] == 3
    assert region.volume == d3.volumes[-1]
    assert region.A @ region.vertices.mean(0) + region.b == pytest.approx(d3.network(region.vertices.mean(0)))
    assert pickle.loads(pickle.dumps(d3)) == d3
    d3.save(tmp_path / "part.npz")
    again = sg.load(tmp_path / "part.npz")
    assert isinstance(again, space.SpacePartition)
    assert again == d3
    assert again.n_linear_regions == d3.n_linear_regions
    with pytest.raises(ValueError, match="read-only"):
        d3.vertices[0] = 0
    weights, edges = d3.histogram("volume", bins=7)
    assert weights.sum() == pytest.approx(64)
    assert len(edges) == 8
    assert d3.summary("psi").mean == pytest.approx(np.average(d3.psi, weights=d3.volumes))


def test_damaged_files_are_refused(d3: space.SpacePartition, tmp_path: Path) -> None:
    import dataclasses

    for name, change in {
        "corner_vertices": len(d3.vertices),
        "region_facets": -1,
        "facet_regions": d3.n_regions,
        "corner_facets": 1 << 63,
    }.items():
        array = getattr(d3, name).copy()
        array.flat[0] = change
        bad = dataclasses.replace(d3.geometry, **{name: array})
        dataclasses.replace(d3, stored_geometry=bad).save(tmp_path / "bad.npz")
        with pytest.raises(sg.FileFormatError, match=name):
            sg.load(tmp_path / "bad.npz")


def test_networkx() -> None:
    networkx = pytest.importorskip("networkx")
    part = sg.partition(make_network((3, 6, 4, 1)), cube(3), threads=1)
    graph = part.to_networkx()
    assert graph.number_of_nodes() == part.n_regions
    assert graph.number_of_edges() == (part.facet_regions[:, 1] >= 0).sum()
    assert networkx.is_connected(graph)
    assert all(len(data["units"]) == 1 for _, _, data in graph.edges(data=True))


def test_sections(d3: space.SpacePartition) -> None:
    """Points of a plane lie in regions with the same pattern as in the plane's own partition."""
    plane = sg.Slice([0.1, 0.2, 0.3], [[1, 0], [0, 1], [0.5, -0.25]])
    flat = d3.section(plane, sg.Box([-1, -1], [1, 1]))
    points = flat.interior_points[flat.volumes > 1e-6]
    regions = d3.locate(plane.embed(points))
    assert np.array_equal(d3.packed_patterns[regions], flat.packed_patterns[flat.locate(points)])
    with pytest.raises(sg.ShapeMismatch, match="plane"):
        d3.section(sg.Slice.identity(2), sg.Box([-1, -1], [1, 1]))


def test_what_cannot_be_done_is_said(d3: space.SpacePartition) -> None:
    net = d3.network
    with pytest.raises(sg.ShapeMismatch, match="4 coordinates"):
        sg.partition(net, cube(4))
    with pytest.raises(sg.ShapeMismatch, match="slice lies in"):
        sg.partition(net, cube(3), sg.Slice.identity(4))
    with pytest.raises(sg.WrongType, match="domain"):
        space.partition(net, "box")  # type: ignore[arg-type]
    with pytest.raises(sg.WrongType, match="reduction"):
        sg.partition(net, cube(3), reduction=sg.Reduction())
    with pytest.raises(sg.InvalidArgument, match="beyond"):
        sg.partition(net, cube(3, 1e40))
    with pytest.raises(sg.InvalidArgument, match="dimension from 0 to 3"):
        d3.faces(4)
    with pytest.raises(sg.InvalidArgument, match="indices"):
        d3.affine_maps([2_438])
    with pytest.raises(sg.ShapeMismatch, match="slice coordinates"):
        d3.locate([0.0, 0.0])
    with pytest.raises(sg.InvalidArgument, match="descriptor"):
        d3.summary("rho")  # type: ignore[arg-type]


def test_layers_wider_than_a_word() -> None:
    """Eighty hyperplanes through a point need more slots than a word has bits."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-3, 4, (80, 3)).astype(float)
    net = mlp(
        [weight, rng.integers(-1, 2, (20, 80)).astype(float), np.ones((1, 20))], [np.zeros(80), np.zeros(20), [0.0]]
    )
    part = sg.partition(net, cube(3, 1), threads=1)
    assert part.complete
    # Everything is homogeneous: cones, and each of them reaches the surface of the cube.
    assert all(0 in np.abs(corners).max(1) for corners in part.corners[:200])
    assert part.volumes.sum() == pytest.approx(8)
    assert part.euler_characteristic == 1


@pytest.mark.parametrize("widths", [(3, 5, 4, 3, 2), (4, 4, 4, 4, 1)])
def test_deep(widths: tuple[int, ...]) -> None:
    """Every sampled pattern is a region, and the regions' volumes are how often they are met."""
    part = sg.partition(make_network(widths, 3), cube(widths[0]), threads=1)
    points = np.random.default_rng(0).uniform(-2, 2, (20_000, widths[0]))
    counts = np.bincount(part.locate(points), minlength=part.n_regions)
    share = part.volumes / 4.0 ** widths[0]
    assert share.sum() == pytest.approx(1)
    assert (np.abs(counts / 20_000 - share) <= 6 * np.sqrt(share / 20_000) + 1e-3).all()
    assert len(list(pairwise(widths))) == len(part.network.knots) + 1
