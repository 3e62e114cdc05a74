"""Assertions on partitions and Hypothesis strategies for small networks and domains.

The assertions test the strongest predicate they can afford. Up to `EXACT_WORK` operations everything is redone in
rational arithmetic from the network's weights, and then `assert_tiles` is a proof that the partition is right: every
polygon is exactly the set where its pattern holds, patterns are distinct, and the areas add up to the domain's. All of
that follows from the network's graph, with convolutions and maxima in it, and nothing of it from the engine.

`networks`, `domains` and `slices` need Hypothesis; nothing else here does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq

from splinegeo._rational import Sides, area, clip, rational, value
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution, Input, Knot, Linear, Maximum, Node, Sparse, SplineNetwork

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from splinegeo.partition import Partition

EXACT_WORK = 20_000_000  # regions x (weights + signs); about ten seconds of rational arithmetic

ACTIVATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...], float]] = {
    "relu": ((0.0,), (0.0, 1.0), 0.0),
    "leaky": ((0.0,), (0.25, 1.0), 0.0),
    "negative": ((0.0,), (-0.5, 1.0), 0.0),
    "abs": ((0.0,), (-1.0, 1.0), 0.0),
    "identity": ((0.0,), (1.0, 1.0), 0.0),
    "hardtanh": ((-1.0, 1.0), (0.0, 1.0, 0.0), -1.0),
    "relu6": ((0.0, 6.0), (0.0, 1.0, 0.0), 0.0),
}
"""Breakpoints, slopes and the value at the first breakpoint, as `knot` takes them."""


def knot(name: str, source: int, size: int, activation: str = "relu") -> Knot:
    """A knot node of `size` units that all have one of the `ACTIVATIONS`."""
    t, s, value = ACTIVATIONS[activation]
    return Knot(name, size, (source,), np.tile(t, (size, 1)), np.tile(s, (size, 1)), np.full(size, value))


def mlp(weights: Sequence[Any], biases: Sequence[Any], activation: str = "relu") -> SplineNetwork:
    """A network of linear layers with a knot between each two, from arrays (out, in) and (out,)."""
    pairs = [(np.array(w, np.float64), np.array(b, np.float64)) for w, b in zip(weights, biases, strict=True)]
    n_inputs, n_outputs = pairs[0][0].shape[1], len(pairs[-1][1])
    nodes: list[Node] = [Input("input", n_inputs, ())]
    for i, (weight, bias) in enumerate(pairs):
        nodes.append(Linear(f"layer{i}", len(bias), (len(nodes) - 1,), weight, bias))
        if i + 1 < len(pairs):
            nodes.append(knot(f"{activation}{i}", len(nodes) - 1, len(bias), activation))
    return SplineNetwork(tuple(nodes), len(nodes) - 1, (n_inputs,), (n_outputs,))


def assert_valid(part: Partition) -> None:
    """All the assertions below."""
    assert_watertight(part)
    assert_tiles(part)
    assert_maps(part)


def assert_watertight(part: Partition) -> None:
    """Regions, edges and vertices fit together: twins, V - E + F = 1, patterns that differ exactly across edges."""
    n, n_edges = len(part.region_offsets) - 1, len(part.edge_vertices)
    region = np.repeat(np.arange(n), np.diff(part.region_offsets))
    _check(np.diff(part.region_offsets) >= 3, "region {} has fewer than three corners")
    start, stop = part.corner_vertices, part.corner_vertices[_next_corners(part)]
    ends = np.sort(np.stack([start, stop], 1), 1)
    _check(start != stop, "corner {} repeats its vertex")
    _check((ends == np.sort(part.edge_vertices, 1)[part.corner_edges]).all(1), "corner {} is not on its edge")
    _check(np.bincount(part.corner_vertices, minlength=len(part.vertices)) > 0, "vertex {} belongs to no region")

    uses = np.bincount(part.corner_edges, minlength=n_edges)
    outer = part.edge_regions[:, 1] < 0
    _check(uses == np.where(outer, 1, 2), "edge {} is not shared as edge_regions says")
    sides = part.edge_regions[part.corner_edges]
    _check((sides == region[:, None]).any(1), "corner {}: edge_regions does not name its region")
    across = np.where(sides[:, 0] == region, sides[:, 1], sides[:, 0])
    _check(across == part.corner_neighbors, "corner {}: corner_neighbors and edge_regions disagree")
    # The twins of a half-edge run in opposite directions.
    heading = np.zeros(n_edges, np.int64)
    np.add.at(heading, part.corner_edges, np.where(start < stop, 1, -1))
    _check((heading == 0) | outer, "edge {} is passed twice in one direction")
    if part.complete:
        euler = len(part.vertices) - n_edges + n
        if euler != 1:
            raise AssertionError(f"V - E + F = {euler}, not 1: the regions do not fill a disk")
        _check(part.edge_regions[:, 1] >= -1, "edge {} of a complete partition leads to a region not enumerated")

    bits = pattern_bits(part)
    inner = np.flatnonzero(~outer)
    differ = np.zeros((n_edges, bits.shape[1]), bool)
    differ[inner] = bits[part.edge_regions[inner, 0]] != bits[part.edge_regions[inner, 1]]
    listed = np.zeros_like(differ)
    counts = np.diff(part.edge_breakpoint_offsets)
    listed[np.repeat(np.arange(n_edges), counts), part.edge_breakpoints] = True
    _check((differ == listed).all(1) & (counts == listed.sum(1)), "edge {}: breakpoints are not the bits that differ")


def assert_tiles(part: Partition, rtol: float = 1e-12) -> None:
    """The regions tile the domain; a proof in rational arithmetic while `EXACT_WORK` allows it, else in float64."""
    if not part.complete:
        raise AssertionError(f"the partition is not complete ({part.stop_reason}), so it cannot tile its domain")
    bits = pattern_bits(part)
    if len(np.unique(bits, axis=0)) != len(bits):
        raise AssertionError("two regions have the same pattern")
    domain = part.domain.vertices
    if _work(part) <= EXACT_WORK:
        total = sum((area(exact_polygon(part, k)) for k in range(len(bits))), fmpq(0))
        exact = abs(area([(rational(x), rational(y)) for x, y in domain]))
        if total != exact:
            raise AssertionError(f"the exact areas sum to {total}, the domain has {exact}")
        return
    around = part.vertices - domain.mean(0)
    doubled = _cross(around[part.corner_vertices], around[part.corner_vertices[_next_corners(part)]])
    areas = np.add.reduceat(doubled, part.region_offsets[:-1]) / 2
    corners = domain - domain.mean(0)
    whole = abs(float(_cross(corners, np.roll(corners, -1, 0)).sum())) / 2
    _check(areas >= -rtol * whole, "region {} is clockwise")
    if abs(areas.sum() - whole) > rtol * whole:
        raise AssertionError(f"the areas sum to {areas.sum()!r}, the domain has {whole!r}")


def assert_maps(part: Partition, rtol: float = 1e-12) -> None:
    """Maps are those of the network at interior points, neighbours agree on their edge, singular values fit the maps.

    Errors are relative to the sum of magnitudes that the network adds up somewhere in the domain (`magnitude`).
    """
    maps, offsets = part.affine_maps()
    u = part.interior_points
    size = magnitude(part)
    got = np.einsum("nij,nj->ni", maps, u) + offsets
    error = np.abs(got - part.network(part.slice.origin + u @ part.slice.basis.T))
    _check((error <= rtol * size).all(1), "region {}: A u + b is not the network at its interior point")

    inner = np.flatnonzero(part.edge_regions[:, 1] >= 0)
    left, right = part.edge_regions[inner].T
    for side in (0, 1):
        v = part.vertices[part.edge_vertices[inner, side]]
        jump = np.abs(np.einsum("nij,nj->ni", maps[left] - maps[right], v) + offsets[left] - offsets[right])
        _check((jump <= rtol * size).all(1), "edge {}: the maps of its regions disagree at a vertex", inner)

    if not part.n_regions:
        return
    expected = np.linalg.svd(maps, compute_uv=False)
    expected = np.pad(expected, ((0, 0), (0, 2 - expected.shape[1])))
    extent = (part.domain.vertices.max(0) - part.domain.vertices.min(0)).min()
    error = np.abs(expected - part.singular_values)
    allowed = 10 * rtol * (np.linalg.norm(size) / extent + expected[:, :1])
    _check((error <= allowed).all(1), "region {}: its singular values are not those of its map")


def pattern_bits(part: Partition) -> Array:
    """(N, B) bool, one row per region."""
    count = part.network.n_breakpoints
    return np.unpackbits(part.packed_patterns, axis=1, bitorder="little")[:, :count].astype(bool)


def _bits_of(part: Partition, region: int) -> Array:
    return np.unpackbits(part.packed_patterns[region], bitorder="little")[: part.network.n_breakpoints].astype(bool)


def exact_polygon(part: Partition, region: int) -> list[tuple[fmpq, fmpq]]:
    """The exact vertices of a region, from the breakpoints on its edges, with the proof that its pattern holds there.

    The domain is clipped by the exact lines of the region's edges. If every pre-activation then has the side that the
    pattern names on all vertices, the polygon is exactly the set where the pattern holds.
    """
    bits = _bits_of(part, region)
    try:
        sides = Sides(part.network, part.slice, bits)
    except AssertionError as error:
        raise AssertionError(f"region {region}: {error}") from None
    polygon = [(rational(x), rational(y)) for x, y in part.domain.vertices]
    if area(polygon) < 0:
        polygon.reverse()
    corners = range(part.region_offsets[region], part.region_offsets[region + 1])
    for corner in corners:
        edge = part.corner_edges[corner]
        listed = part.edge_breakpoints[part.edge_breakpoint_offsets[edge] : part.edge_breakpoint_offsets[edge + 1]]
        if len(listed):
            # The first one in graph order sees the same function on both sides, so its line carries the edge; a later
            # one may vanish on the whole region.
            polygon = clip(polygon, sides.towards(int(listed.min()), _bits_of(part, part.corner_neighbors[corner])))
    if len(polygon) != len(corners):
        raise AssertionError(f"region {region} has {len(corners)} corners; its edges bound {len(polygon)}")
    for line, strict, k in sides.limits:
        signs = [value(line, p) for p in polygon]
        if min(signs) < 0 or (strict and max(signs) <= 0):
            raise AssertionError(
                f"region {region}: breakpoint {k} has bit {int(bits[k])}, which asks for values >= 0; "
                f"the exact ones are {signs}"
            )
    if not area(polygon) > 0:
        raise AssertionError(f"region {region} has exact area {area(polygon)}")
    return polygon


def _next_corners(part: Partition) -> Array:
    """(C,) the corner that follows each one around its region."""
    follow = np.arange(1, len(part.corner_vertices) + 1)
    follow[part.region_offsets[1:] - 1] = part.region_offsets[:-1]
    return follow


def _cross(p: Array, q: Array) -> Array:
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]


def _work(part: Partition) -> int:
    weights, compared = 0, 0
    for node in part.network.nodes:
        if isinstance(node, Linear | Sparse | Convolution):
            weights += node.size * linear_maps.terms(node)
        elif isinstance(node, Maximum):
            compared += node.groups.size
    return (len(part.region_offsets) - 1) * (3 * weights + 15 * (part.network.n_breakpoints + compared))


def magnitude(part: Partition) -> Array:
    """(D,) what the outputs could be in the domain if nothing cancelled: the scale of rounding errors."""
    reach = np.abs(part.domain.vertices).max(0)
    z = (np.abs(part.slice.origin) + np.abs(part.slice.basis) @ reach)[None]
    return part.network.magnitudes(z)[part.network.output][0]


def _check(ok: Array, message: str, names: Array | None = None) -> None:
    """Raise with the first offender and how many there are."""
    bad = np.flatnonzero(~np.asarray(ok))
    if len(bad):
        first = bad[0] if names is None else names[bad[0]]
        raise AssertionError(f"{message.format(first)} ({len(bad):,} of {len(ok):,} fail)")


def _strategies() -> Any:
    try:
        from hypothesis import strategies
    except ImportError as error:
        message = "splinegeo.testing.networks, domains and slices need Hypothesis: pip install hypothesis"
        raise ImportError(message) from error
    return strategies


def networks(n_inputs: int = 2, max_width: int = 5, max_depth: int = 3) -> SearchStrategy[SplineNetwork]:
    """Small MLPs whose entries come from few values, so that lines meet, coincide and vanish often."""
    st = _strategies()

    @st.composite
    def build(draw: Any) -> SplineNetwork:
        depth = draw(st.integers(1, max_depth))
        widths = [
            n_inputs,
            *(draw(st.integers(min(3, max_width), max_width)) for _ in range(depth)),
            draw(st.integers(1, 2)),
        ]
        entries = draw(
            st.sampled_from(
                [
                    st.integers(-1, 1).map(float),
                    st.integers(-8, 8).map(lambda k: k / 4),
                    st.sampled_from([0.0, 1.0, -1.0, 0.1, -0.3, 1.0 + 2.0**-52, 1e-30, 1e30]),
                    st.floats(-2, 2, allow_nan=False, width=64),
                ]
            )
        )
        weights, biases = [], []
        for a, b in pairwise(widths):
            flat = draw(st.lists(entries, min_size=(a + 1) * b, max_size=(a + 1) * b))
            weights.append(np.reshape(flat[: a * b], (b, a)))
            biases.append(np.array(flat[a * b :]))
        return mlp(weights, biases, draw(st.sampled_from(sorted(ACTIVATIONS))))

    return build()


def domains() -> SearchStrategy[Box | Polygon]:
    """Boxes and convex polygons with corners on the grid of quarters, counter-clockwise."""
    st = _strategies()
    coordinate = st.integers(-8, 8).map(lambda k: k / 4)
    point = st.tuples(coordinate, coordinate)

    def box(corners: Any) -> Box:
        p, q = np.array(corners)
        return Box(np.minimum(p, q), np.maximum(p, q))

    boxes = st.tuples(point, point).filter(lambda c: c[0][0] != c[1][0] and c[0][1] != c[1][1]).map(box)
    hulls = st.lists(point, min_size=3, max_size=7).map(convex_hull).filter(lambda hull: len(hull) > 2)
    return st.one_of(boxes, hulls.map(Polygon))


def slices(n_inputs: int) -> SearchStrategy[Slice]:
    """Planes through latents with small integer coordinates."""
    st = _strategies()
    entries = st.lists(st.integers(-3, 3).map(float), min_size=n_inputs, max_size=n_inputs).map(np.array)
    triples = st.tuples(entries, entries, entries)
    return triples.filter(lambda t: np.linalg.matrix_rank(np.stack(t[1:])) == 2).map(
        lambda t: Slice(t[0], np.stack(t[1:], 1))
    )


def convex_hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Strictly convex hull, counter-clockwise; exact where the coordinates are short dyadic numbers."""

    def chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for p in ordered:
            while len(out) > 1 and (
                (out[-1][0] - out[-2][0]) * (p[1] - out[-2][1]) <= (out[-1][1] - out[-2][1]) * (p[0] - out[-2][0])
            ):
                out.pop()
            out.append(p)
        return out[:-1]

    ordered = sorted(set(points))
    return chain(ordered) + chain(ordered[::-1])
