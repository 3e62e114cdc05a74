"""`Partition`: the same bytes every time, maps and descriptors against linear algebra, and everything it answers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Input, Linear, Select, SplineNetwork
from splinegeo.partition.maps import maps_of_patterns
from splinegeo.testing import assert_valid, knot, mlp

BOX = sg.Box([-2, -2], [2, 2])
TRIANGLE = sg.Polygon([[-2, -1], [2, -2], [0.5, 2]])


def gaussian(*widths: int, seed: int = 0, activation: str = "relu") -> SplineNetwork:
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(widths))
    weights = [rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in pairs]
    return mlp(weights, [0.3 * rng.normal(size=b) for _, b in pairs], activation)


def residual() -> SplineNetwork:
    """relu(V (h + relu(W h))) beside h, h = relu(A z): a sum of branches and a concatenation."""
    rng = np.random.default_rng(5)
    a, w, v = rng.normal(size=(6, 2)), rng.normal(size=(6, 6)), rng.normal(size=(3, 6))
    ones = np.ones(6)
    nodes = (
        Input("input", 2, ()),
        Linear("a", 6, (0,), a, 0.3 * rng.normal(size=6)),
        knot("relu_a", 1, 6),
        Linear("w", 6, (2,), w, 0.3 * rng.normal(size=6)),
        knot("relu_w", 3, 6),
        Combine("sum", 6, (2, 4), (ones, ones), np.zeros(6)),
        Linear("v", 3, (5,), v, np.zeros(3)),
        knot("relu_v", 6, 3),
        Select("cat", 9, (7, 2), np.arange(9)),
    )
    return SplineNetwork(nodes, 8, (2,), (9,))


def bottleneck(rank: int) -> SplineNetwork:
    """Everything passes through ``rank`` units; the weights around them are generic."""
    rng = np.random.default_rng(3)
    widths = (2, 8, rank, 8, 5)
    pairs = list(pairwise(widths))
    return mlp([rng.normal(size=(b, a)) for a, b in pairs], [rng.normal(size=b) for _, b in pairs])


def duplicated_outputs() -> SplineNetwork:
    """Outputs f, 3 f, -f / 7 (rounded): rank 1 where f is not constant, up to the rounding of the weights."""
    rng = np.random.default_rng(8)
    f = rng.integers(-4, 5, 8) / 4
    weight = np.stack([f, 3 * f, -f / 8])
    return mlp([rng.normal(size=(8, 2)), weight], [rng.normal(size=8), np.zeros(3)])


CASES: dict[str, Callable[[], tuple[SplineNetwork, sg.Box | sg.Polygon, sg.Slice | None]]] = {
    "deep": lambda: (gaussian(2, 9, 8, 7, 3), BOX, None),
    "triangle": lambda: (gaussian(2, 8, 8, 2, seed=1), TRIANGLE, None),
    "leaky": lambda: (gaussian(2, 8, 8, 2, activation="leaky"), BOX, None),
    "hardtanh": lambda: (gaussian(2, 8, 8, 2, activation="hardtanh"), BOX, None),
    "residual": lambda: (residual(), BOX, None),
    "slice": lambda: (
        gaussian(10, 12, 8, 4),
        BOX,
        sg.Slice(np.random.default_rng(1).normal(size=10), np.random.default_rng(2).normal(size=(10, 2))),
    ),
    "one output": lambda: (gaussian(2, 8, 8, 1), BOX, None),
    "65 outputs": lambda: (gaussian(2, 8, 8, 65), BOX, None),
    "784 outputs": lambda: (gaussian(2, 8, 8, 784), BOX, None),
    "not kept": lambda: (gaussian(2, 6, 80, 100), sg.Box([-0.2, -0.2], [0.2, 0.2]), None),
    "narrow after wide": lambda: (gaussian(2, 4, 70, 20), sg.Polygon([[0, 0], [0.5, 0.1], [0.2, 0.4]]), None),
    "bottleneck 1": lambda: (bottleneck(1), BOX, None),
    "duplicated outputs": lambda: (duplicated_outputs(), BOX, None),
    "no knots": lambda: (mlp([[[1.0, 2.0], [3.0, 4.0]]], [[0.5, -0.5]]), BOX, None),
    "constant": lambda: (mlp([np.zeros((3, 2)), np.ones((2, 3))], [np.ones(3), np.zeros(2)]), BOX, None),
    "nothing": lambda: (mlp([np.zeros((3, 2)), np.zeros((2, 3))], [np.zeros(3), np.zeros(2)]), BOX, None),
    "one unit": lambda: (mlp([[[1.0, 1.0]], [[1.0]]], [[0.0], [0.0]]), BOX, None),
    "dead": lambda: (mlp([np.ones((5, 2)), np.ones((2, 5))], [np.full(5, -100.0), np.zeros(2)]), BOX, None),
    "first layer dead": lambda: (
        mlp([np.zeros((4, 2)), np.ones((4, 4)), np.ones((1, 4))], [[0] * 4, [1] * 4, [0]]),
        BOX,
        None,
    ),
    "far away": lambda: (gaussian(2, 8, 8, 2), sg.Box([1e6, 1e6], [1e6 + 1, 1e6 + 1]), None),
    "tiny": lambda: (gaussian(2, 8, 8, 2), sg.Box([-1e-30, -1e-30], [1e-30, 1e-30]), None),
    "huge": lambda: (gaussian(2, 8, 8, 2), sg.Box([-1e30, -1e30], [1e30, 1e30]), None),
    "flat box": lambda: (gaussian(2, 8, 8, 2), sg.Box([-2, -1e-12], [2, 1e-12]), None),
}


@cache
def partition(case: str) -> sg.Partition:
    return sg.partition(*CASES[case]())


def exact_maps(part: sg.Partition) -> Array:
    """(N, D, 2) from the patterns, without what the engine kept."""
    columns = np.column_stack([part.slice.basis, part.slice.origin])
    return maps_of_patterns(part.network, part.patterns.astype(np.uint8), columns)[:, :, :2]


def bytes_of(part: sg.Partition) -> dict[str, bytes]:
    return {f.name: v.tobytes() for f in fields(part) if isinstance(v := getattr(part, f.name), np.ndarray)}


each_case = pytest.mark.parametrize("case", CASES)


@each_case
def test_valid(case: str) -> None:
    """Tiles, is watertight, has the right maps."""
    assert_valid(partition(case))


@each_case
def test_same_bytes(case: str) -> None:
    """Over reruns, over thread counts, and through pickle."""
    net, domain, plane = CASES[case]()
    first = partition(case)
    for threads in (1, 2, 3):
        again = sg.partition(net, domain, plane, threads=threads)
        assert again == first
        assert bytes_of(again) == bytes_of(first)
    assert first.n_linear_regions <= len(first.volumes)  # these are kept, and not pickled
    copy = pickle.loads(pickle.dumps(first))
    assert copy == first
    assert bytes_of(copy) == bytes_of(first)
    assert copy.n_linear_regions == first.n_linear_regions
    assert np.array_equal(copy.linear_regions(), first.linear_regions())


@each_case
def test_singular_values(case: str) -> None:
    """ψ, ν and rank against NumPy's SVD of the maps."""
    part = partition(case)
    maps = exact_maps(part)
    kept, _ = part.affine_maps()
    size = np.abs(maps).max(initial=1e-300)
    assert np.abs(kept - maps).max() <= 1e-12 * size
    sigma = np.linalg.svd(maps, compute_uv=False)
    sigma = np.pad(sigma, [(0, 0), (0, 2 - sigma.shape[1])])
    assert part.singular_values.shape == (len(part), 2)
    assert (np.abs(part.singular_values - sigma) <= 1e-12 * np.maximum(sigma[:, :1], 1e-300)).all()
    assert (part.singular_values[:, 0] >= part.singular_values[:, 1]).all()
    threshold = max(maps.shape[1:]) * 2.0**-52 * part.singular_values.max(1, keepdims=True)
    counts = part.singular_values > threshold
    assert np.array_equal(part.rank, counts.sum(1))
    logs = np.log(np.where(counts, part.singular_values, 1)).sum(1)
    assert np.allclose(part.psi, logs, rtol=1e-12, atol=1e-12)
    p = part.singular_values / np.where(part.rank > 0, part.singular_values.sum(1), 1)[:, None]
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1)
    assert np.allclose(part.nu, np.where(part.rank > 0, np.exp(entropy), 0), rtol=1e-9)
    assert (part.rank[part.rank == 0] == part.nu[part.rank == 0]).all()


@each_case
def test_latent_maps(case: str) -> None:
    """A on the latent space, times the basis, is A on the slice; both give the network's values."""
    part = partition(case)
    some = np.unique(np.linspace(0, len(part) - 1, 7).astype(int))
    a, b = part.affine_maps(some, latent=True)
    on_slice, offset = part.affine_maps(some)
    assert a.shape == (len(some), part.network.n_outputs, part.network.n_inputs)
    size = np.abs(a).max(initial=0) * np.abs(part.slice.basis).max() * part.slice.ambient_dim + 1e-300
    assert np.abs(a @ part.slice.basis - on_slice).max() <= 1e-12 * size
    z = part.slice.embed(part.interior_points[some])
    reach = max(1.0, np.abs(z).max())
    y = part.network(z)
    error = np.abs(np.einsum("nij,nj->ni", a, z) + b - y).max()
    assert error <= 1e-12 * reach * (1 + np.abs(a).max(initial=0) * part.network.n_inputs)
    error = np.abs(np.einsum("nij,nj->ni", on_slice, part.interior_points[some]) + offset - y).max()
    assert error <= 1e-11 * reach * (1 + np.abs(a).max(initial=0) * part.network.n_inputs)


@each_case
def test_python(case: str) -> None:
    """len, indexing, iteration, equality, representations."""
    part = partition(case)
    n = len(part)
    assert n == part.n_regions == len(part.polygons) == len(part.neighbors) == len(part.patterns)
    assert (
        repr(part)
        == f"<Partition {n:,} regions of {type(part.domain).__name__} in R^{part.network.n_inputs}, float64, exact>"
    )
    assert "<svg" in part._repr_svg_()
    assert f"{n:,}" in part._repr_html_()
    assert part != 3
    assert part == part
    for k in {0, n // 2, n - 1, -1}:
        region = part[k]
        k %= n
        assert region.index == k
        assert np.array_equal(region.polygon, part.polygons[k])
        assert np.array_equal(region.pattern, part.patterns[k])
        assert np.array_equal(region.neighbors, part.neighbors[k])
        assert region.psi == part.psi[k]
        assert region.nu == part.nu[k]
        assert region.volume == part.volumes[k]
        a, b = part.affine_maps([k])
        assert np.array_equal(region.A, a[0])
        assert np.array_equal(region.b, b[0])
    if n < 100:
        assert [r.index for r in part] == list(range(n))
    with pytest.raises(IndexError):
        part[n]


@each_case
def test_locate(case: str) -> None:
    """Interior points are where they should be; points on edges, vertices and corners in a region that has them."""
    part = partition(case)
    assert np.array_equal(part.locate(part.interior_points), np.arange(len(part)))
    corners = part.locate(part.domain.vertices)
    for point, k in zip(part.domain.vertices, corners, strict=True):
        assert k >= 0
        assert (part.polygons[k] == point).all(1).any()
    some = part.vertices[:: max(1, part.n_vertices // 30)]  # each of them takes exact arithmetic
    found = part.locate(some)  # rounded, so some may lie just outside the domain
    assert ((found >= 0) | ~part.domain.contains(some)).all()
    width = part.domain.vertices.max(0) - part.domain.vertices.min(0)
    outside = part.domain.vertices.max(0) + width
    assert part.locate(outside) == -1
    assert part.locate([[np.nan, 0.0], [np.inf, 0.0], [0.0, -np.inf]]).tolist() == [-1, -1, -1]
    assert part.locate(part.interior_points[:1].reshape(1, 1, 1, 2)).shape == (1, 1, 1)


@each_case
def test_neighbours(case: str) -> None:
    """Symmetric, along shared vertices, and as the edges say."""
    part = partition(case)
    pairs = {(k, int(m)) for k in range(len(part)) for m in part.neighbors[k] if m >= 0}
    assert {(b, a) for a, b in pairs} == pairs
    listed = part.edge_regions[part.edge_regions[:, 1] >= 0]
    assert {tuple(sorted(p)) for p in listed.tolist()} == {tuple(sorted(p)) for p in pairs}
    for e in range(0, part.n_edges, max(1, part.n_edges // 50)):
        a, b = part.edge_regions[e]
        if b >= 0:
            assert np.array_equal(np.nonzero(part.patterns[a] != part.patterns[b])[0], part.edges[e])
        else:
            assert len(part.edges[e]) == 0


@each_case
def test_statistics(case: str) -> None:
    """Area-weighted mean, deviation, quantiles and histogram against the plain formulas."""
    part = partition(case)
    v = part.volumes
    assert v.sum() == pytest.approx(part.domain.volume, rel=1e-12)
    assert part.coverage == 1
    for name in ("psi", "nu", "volume"):
        x = v if name == "volume" else getattr(part, name)
        s = part.summary(name, [0.0, 0.25, 1.0])
        mean = (x * v).sum() / v.sum()
        assert s.mean == pytest.approx(mean, rel=1e-9, abs=1e-9 * np.abs(x).max())
        std = np.sqrt((v * (x - mean) ** 2).sum() / v.sum())
        assert s.std == pytest.approx(std, rel=1e-6, abs=1e-7 * np.abs(x).max())
        order = np.argsort(x, kind="stable")
        at = np.searchsorted(np.cumsum(v[order]), 0.25 * v.sum() * (1 - 1e-12))
        assert dict(s.quantiles)[0.25] == pytest.approx(x[order][at])
        assert (s.min, s.max) == (x.min(), x.max())
        weights, edges = part.histogram(name, bins=7)
        assert weights.sum() == pytest.approx(v.sum(), rel=1e-9)
        assert len(edges) == 8


def test_repr_computes_nothing() -> None:
    """No cached value appears, and it takes no time."""
    part = sg.partition(gaussian(2, 20, 20, 3), BOX)
    before = set(vars(part))
    start = time.perf_counter()
    for _ in range(100):
        repr(part)
    assert time.perf_counter() - start < 0.1
    assert set(vars(part)) == before


def test_equality_sees_what_differs() -> None:
    """Another network, domain or slice makes another partition, even where the arrays agree."""
    part = partition("no knots")
    assert part != partition("deep")
    assert part != sg.partition(part.network, sg.Box([-2, -2], [2, 3]))
    assert part != sg.partition(part.network, BOX, sg.Slice([0, 1], np.eye(2)))
    assert part == sg.partition(part.network, BOX, sg.Slice.identity(2))
    net = gaussian(2, 4, 2)
    last = net.nodes[net.output]
    other = mlp([net.nodes[1].weight, last.weight], [net.nodes[1].bias, last.bias + 1])
    assert sg.partition(net, BOX) != sg.partition(other, BOX)
    assert part != "part"


def test_equality_sees_the_network_where_maps_are_not_kept() -> None:
    """Another constant in the output changes no array; still the networks differ."""
    net = gaussian(2, 3, 70, 70)
    last = net.nodes[net.output]
    other = SplineNetwork(
        (*net.nodes[:-1], Linear("last", 70, last.inputs, last.weight, last.bias + 1)), net.output, (2,), (70,)
    )
    tiny = sg.Box([-0.1, -0.1], [0.1, 0.1])
    assert sg.partition(net, tiny) == sg.partition(net, tiny)
    assert sg.partition(net, tiny) != sg.partition(other, tiny)


@pytest.mark.parametrize(("case", "rank"), [("bottleneck 1", 1), ("duplicated outputs", 1), ("one output", 1)])
def test_exact_zeros(case: str, rank: int) -> None:
    """Where the rank is lower by construction the singular value is zero, not 1e-17."""
    part = partition(case)
    assert (part.singular_values[:, rank:] == 0).all()
    assert (part.rank <= rank).all()
    assert (part.rank == rank).any()
    assert (part.image_areas == 0).all()
    assert np.isinf(part.output_densities).all()
    flat = part.rank == 0
    assert (part.psi[flat] == 0).all()
    assert (part.nu[flat] == 0).all()
    assert np.allclose(part.nu[~flat], 1)


@pytest.mark.parametrize("case", ["constant", "nothing", "dead", "first layer dead"])
def test_constant_networks(case: str) -> None:
    """One linear region, rank 0, ψ = ν = 0."""
    part = partition(case)
    assert part.n_regions == part.n_linear_regions == 1
    assert part.singular_values.tolist() == [[0, 0]]
    assert part.psi.tolist() == part.nu.tolist() == [0]


def test_counts_by_hand() -> None:
    """One unit through the middle, and through a corner."""
    part = partition("one unit")
    assert (part.n_regions, part.n_linear_regions, part.n_vertices, part.n_edges) == (2, 2, 4, 5)
    part = sg.partition(mlp([[[1.0, 1.0]], [[1.0]]], [[4.0], [0.0]]), BOX)
    assert part.n_regions == 1
    same = sg.partition(mlp([[[1.0, 1.0]], [[0.0]]], [[0.0], [0.0]]), BOX)
    assert (same.n_regions, same.n_linear_regions) == (2, 1)


@pytest.mark.parametrize("point", [[0.0, 0.0], [0.0, 1.0], [2.0, 0.0], [-2.0, -2.0], [0.0, 2.0]])
def test_locate_on_edges_and_vertices(point: list[float]) -> None:
    """Four quadrants: a point on an edge or at the vertex is in one of the regions around it, always the same."""
    part = sg.partition(mlp([np.eye(2), np.eye(2)], [[0, 0], [0, 0]]), BOX)
    k = int(part.locate(point))
    polygon = part.polygons[k]
    assert (polygon.min(0) <= point).all()
    assert (polygon.max(0) >= point).all()
    assert part.locate([point] * 3).tolist() == [k] * 3
    assert sg.partition(part.network, BOX, threads=1).locate(point) == k


def test_image_area_and_density() -> None:
    """A linear map of determinant 6 into R^3, and the push-forward of the uniform density, which integrates to one."""
    a = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    part = sg.partition(mlp([a], [[0, 0, 0]]), BOX)
    assert part.image_areas.sum() == pytest.approx(96)
    assert part.output_densities == pytest.approx([1 / 96])
    # x -> leaky relu of a rotation is injective: the image's area is that of the pieces, no overlaps
    part = partition("leaky")
    full = part.rank == 2
    mass = (part.image_areas * np.where(full, part.output_densities, 0))[full].sum()
    assert mass == pytest.approx(part.volumes[full].sum() / part.domain.volume, rel=1e-9)
    folded = sg.partition(mlp([np.eye(2), np.eye(2)], [[0, 0], [0, 0]], "abs"), BOX)
    assert folded.image_areas.sum() == pytest.approx(16)  # four sheets of four
    quarter = sg.partition(mlp([np.eye(2), np.diag([4.0, 1.0])], [[0, 0], [0, 0]], "leaky"), BOX)
    assert quarter.image_areas.sum() == pytest.approx(4 * (2 + 0.5) ** 2)


def test_wide_outputs_are_not_slow() -> None:
    """Linear regions of nets whose maps are not kept."""
    part = partition("not kept")
    start = time.monotonic()
    assert 1 < part.n_linear_regions <= part.n_regions
    assert time.monotonic() - start < 10


def test_linear_regions_join_through_edges() -> None:
    """|x| - |x| is 0 everywhere: two regions, one linear region; and the labels are in order of appearance."""
    part = sg.partition(mlp([[[1.0, 0.0], [1.0, 0.0]], [[1.0, -1.0]]], [[0, 0], [0]], "abs"), BOX)
    assert (part.n_regions, part.n_linear_regions) == (2, 1)
    part = partition("deep")
    labels = part.linear_regions()
    _, first = np.unique(labels, return_index=True)
    assert labels.max() + 1 == part.n_linear_regions
    assert (np.diff(first) > 0).all()
