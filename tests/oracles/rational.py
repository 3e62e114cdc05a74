"""An exact oracle of the planar partition: convex polygons split one breakpoint at a time, in integers only.

It shares nothing with the engine but the network's graph. Weights, breakpoints and the slice are dyadic rationals, so
the affine map of every node over a region is an integer matrix times a power of two; vertices are homogeneous integer
points (X, Y, W) with W > 0 in lowest terms. Every sign is the sign of an integer, and equal points are equal tuples.
A maximum is not a tournament here: each of the different functions in a group has the cell where it is the largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from math import gcd
from typing import TypeAlias

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    SplineNetwork,
)
from tests.oracles.dense import dense

Point: TypeAlias = tuple[int, int, int]
Pattern: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Dyadic:
    """An array of exact numbers ``ints * 2**exponent``; ints is an object array of Python integers."""

    ints: Array
    exponent: int

    @staticmethod
    def of(values: Array) -> Dyadic:
        """Float64 values, without rounding."""
        mantissa, exponent = np.frexp(np.asarray(values, np.float64))
        low = int(exponent[mantissa != 0].min()) if np.any(mantissa) else 0
        ints = np.zeros(mantissa.shape, object)
        for i in np.ndindex(mantissa.shape):
            ints[i] = int(mantissa[i] * 2.0**53) << (int(exponent[i]) - low) if mantissa[i] else 0
        return Dyadic(ints, low - 53).reduced()

    def reduced(self) -> Dyadic:
        """The same numbers with the common powers of two moved into the exponent: a canonical form."""
        bits = 0
        for value in self.ints.flat:
            bits |= value
        if bits == 0:
            return Dyadic(self.ints, 0)
        shift = (bits & -bits).bit_length() - 1
        return Dyadic(self.ints >> shift, self.exponent + shift) if shift else self

    def at(self, exponent: int) -> Array:
        """The integers for a smaller exponent."""
        return self.ints << (self.exponent - exponent) if self.exponent > exponent else self.ints

    def __add__(self, other: Dyadic) -> Dyadic:
        low = min(self.exponent, other.exponent)
        return Dyadic(self.at(low) + other.at(low), low)

    def __mul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.ints * other.ints, self.exponent + other.exponent)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.ints @ other.ints, self.exponent + other.exponent)

    def __getitem__(self, index: object) -> Dyadic:
        return Dyadic(self.ints[index], self.exponent)

    def fractions(self) -> Array:
        """Object array of `Fraction`."""
        scale = Fraction(2) ** self.exponent
        return np.array([scale * v for v in self.ints.flat], object).reshape(self.ints.shape)


def _constant(values: Dyadic) -> Dyadic:
    """(size,) numbers as affine maps (size, 3) in the homogeneous (X, Y, W)."""
    rows = np.zeros((len(values.ints), 3), object)
    rows[:, 2] = values.ints
    return Dyadic(rows, values.exponent)


@dataclass(frozen=True)
class _ExactKnot:
    """A knot with exact tables: piece i of a unit is ``slopes[:, i] * x + offsets[:, i]``."""

    breakpoints: Dyadic
    slopes: Dyadic
    offsets: Dyadic
    live: Array  # (size, k) whether the slopes on both sides differ

    @staticmethod
    def of(knot: Knot) -> _ExactKnot:
        t, s, value = (Dyadic.of(x) for x in (knot.breakpoints, knot.slopes, knot.value))
        minus = Dyadic(np.array(-1, object), 0)
        offsets, height = [value + minus * s[:, 0] * t[:, 0]], value
        for i in range(t.ints.shape[1]):
            if i:
                height = height + s[:, i] * (t[:, i] + minus * t[:, i - 1])
            offsets.append(height + minus * s[:, i + 1] * t[:, i])
        low = min(o.exponent for o in offsets)
        table = Dyadic(np.stack([o.at(low) for o in offsets], 1), low)
        return _ExactKnot(t, s, table, knot.slopes[:, 1:] != knot.slopes[:, :-1])


@dataclass(frozen=True)
class ExactRegion:
    """One region: counter-clockwise homogeneous vertices, pattern bits, output map (D, 3) on (X, Y, W)."""

    polygon: tuple[Point, ...]
    pattern: Pattern
    output: Dyadic

    @cached_property
    def vertices(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """Vertices as pairs of fractions."""
        return tuple((Fraction(x, w), Fraction(y, w)) for x, y, w in self.polygon)

    @cached_property
    def area(self) -> Fraction:
        """Exact area."""
        return polygon_area(self.vertices)

    @cached_property
    def affine_map(self) -> tuple[Array, Array]:
        """Exact A (D, 2) and b (D,) in slice coordinates, as object arrays of fractions."""
        rows = self.output.fractions()
        return rows[:, :2], rows[:, 2]

    @cached_property
    def map_key(self) -> tuple[int, tuple[int, ...]]:
        """Equal for two regions exactly when their output maps are equal."""
        canonical = self.output.reduced()
        return canonical.exponent, tuple(canonical.ints.flat)


@dataclass(frozen=True)
class ExactPartition:
    """The regions of a network over a convex polygon, exactly."""

    domain: tuple[Point, ...]
    regions: tuple[ExactRegion, ...]

    @cached_property
    def index(self) -> dict[Pattern, int]:
        """Region of each pattern; patterns are distinct because every split sets one bit differently."""
        found = {region.pattern: i for i, region in enumerate(self.regions)}
        assert len(found) == len(self.regions), "two regions with one pattern"
        return found

    @cached_property
    def edges(self) -> dict[tuple[Point, Point], tuple[int, ...]]:
        """Regions on each edge (vertices sorted): two inside, one on the domain's boundary, which is verified."""
        sides: dict[tuple[Point, Point], list[int]] = {}
        for i, region in enumerate(self.regions):
            for p, q in _sides(region.polygon):
                sides.setdefault((min(p, q), max(p, q)), []).append(i)
        for (p, q), found in sides.items():
            assert len(found) <= 2, f"edge {p} {q} has {len(found)} regions"
            if len(found) == 1:
                lines = [_cross(a, b) for a, b in _sides(self.domain)]
                assert any(_dot(n, p) == 0 and _dot(n, q) == 0 for n in lines), f"inner edge {p} {q} has one region"
        return {edge: tuple(found) for edge, found in sides.items()}

    @cached_property
    def adjacency(self) -> set[frozenset[Pattern]]:
        """Pairs of patterns of regions that share an edge."""
        pairs = (found for found in self.edges.values() if len(found) == 2)
        return {frozenset((self.regions[i].pattern, self.regions[j].pattern)) for i, j in pairs}

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """V, E, F."""
        return len({p for edge in self.edges for p in edge}), len(self.edges), len(self.regions)

    @cached_property
    def n_linear_regions(self) -> int:
        """Number of maximal unions of regions, connected through edges, with one output map."""
        parent = list(range(len(self.regions)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for found in self.edges.values():
            if len(found) == 2 and self.regions[found[0]].map_key == self.regions[found[1]].map_key:
                parent[root(found[0])] = root(found[1])
        return len({root(i) for i in range(len(parent))})

    @cached_property
    def area(self) -> Fraction:
        """Exact sum of the areas of the regions."""
        return sum((region.area for region in self.regions), Fraction(0))


def exact_partition(
    network: SplineNetwork,
    vertices: Sequence[Sequence[float | Fraction]],
    origin: Array | None = None,
    basis: Array | None = None,
) -> ExactPartition:
    """Partition of a convex polygon (rational vertices, either orientation) in the plane z = origin + basis @ u."""
    origin = np.zeros(network.n_inputs) if origin is None else origin
    basis = np.eye(network.n_inputs) if basis is None else basis
    domain = _domain(vertices)
    latent = Dyadic.of(np.column_stack([basis, origin]))
    tables = {i: _ExactKnot.of(node) for i, node in enumerate(network.nodes) if isinstance(node, Knot)}
    return ExactPartition(domain, tuple(_visit(network, tables, [latent], domain, ())))


def _visit(
    network: SplineNetwork,
    tables: dict[int, _ExactKnot],
    values: list[Dyadic],
    polygon: tuple[Point, ...],
    bits: Pattern,
) -> Iterator[ExactRegion]:
    """Depth first over the nodes; `values` holds the affine maps of the nodes done so far on this polygon."""
    while len(values) < len(network.nodes):
        node = network.nodes[len(values)]
        if isinstance(node, Knot):
            table, x = tables[len(values)], values[node.inputs[0]]
            for piece, added in _pieces(table, x, polygon):
                yield from _visit(network, tables, [*values, _through(table, x, added)], piece, bits + added)
            return
        if isinstance(node, Maximum):
            x = values[node.inputs[0]]
            for piece, added, members in cells(node.groups, x, polygon):
                yield from _visit(network, tables, [*values, x[np.array(members)].reduced()], piece, bits + added)
            return
        values = [*values, affine_node(node, [values[i] for i in node.inputs])]
    yield ExactRegion(polygon, bits, values[network.output])


def affine_node(node: object, x: list[Dyadic]) -> Dyadic:
    """The affine map of a node that is no knot."""
    match node:
        case Linear() | Sparse() | Convolution():
            weight, bias = _exact_weights(node)
            return (weight @ x[0] + bias).reduced()
        case Combine():
            total = _constant(Dyadic.of(node.bias))
            for scale, value in zip(node.scales, x, strict=True):
                total = total + Dyadic.of(scale)[:, None] * value
            return total.reduced()
        case Select():
            low = min(value.exponent for value in x)
            return Dyadic(np.concatenate([value.at(low) for value in x])[node.index], low)
        case Input():
            raise AssertionError("the input is node 0")
    raise AssertionError(f"unknown node {node!r}")


@lru_cache(maxsize=512)
def _exact_weights(node: Linear | Sparse | Convolution) -> tuple[Dyadic, Dyadic]:
    weight, bias = dense(node)
    return Dyadic.of(weight), _constant(Dyadic.of(bias))


def cells(
    groups: Array, x: Dyadic, polygon: tuple[Point, ...]
) -> Iterator[tuple[tuple[Point, ...], Pattern, tuple[int, ...]]]:
    """The polygon cut into sets where one function of each group is the largest: cells, bits, the winning members."""
    pieces: list[tuple[tuple[Point, ...], Pattern, tuple[int, ...]]] = [(polygon, (), ())]
    for members in groups.tolist():
        tied: dict[Point, set[int]] = {}
        for entry, member in enumerate(members):
            tied.setdefault(tuple(x.ints[member]), set()).add(entry)
        found = []
        for piece, bits, chosen in pieces:
            for row, entries in tied.items():
                cell = piece
                for other in tied:
                    if cell and other != row:
                        cell = split(cell, (row[0] - other[0], row[1] - other[1], row[2] - other[2]))[1]
                if cell:
                    winner = first_seed(len(members), entries)
                    beaten = tuple(int(winner in left) for left, _ in matches(len(members)))
                    found.append((cell, bits + beaten, (*chosen, members[winner])))
        pieces = found
    return iter(pieces)


@cache
def matches(k: int) -> list[tuple[frozenset[int], frozenset[int]]]:
    """The two sides of each comparison of a tournament, as all the entries that may come to stand there."""
    matches: list[tuple[frozenset[int], frozenset[int]]] = []
    standing = [frozenset({entry}) for entry in range(k)]
    while len(standing) > 1:
        after = []
        while len(standing) > 1:
            left, right, *standing = standing
            matches.append((left, right))
            after.append(left | right)
        standing = after + standing
    return matches


def first_seed(k: int, tied: set[int]) -> int:
    """Of entries that are the same function the one that counts as the winner: ties go to the right, in every match."""
    among = frozenset(range(k))
    while len(among) > 1:
        left, right = next((a, b) for a, b in matches(k) if a | b == among)
        among = right if right & tied else left
    return next(iter(among))


def _pieces(table: _ExactKnot, x: Dyadic, polygon: tuple[Point, ...]) -> list[tuple[tuple[Point, ...], Pattern]]:
    """The polygon cut by every live breakpoint of a knot, with the bits of each piece."""
    low = min(x.exponent, table.breakpoints.exponent)
    rows, t = x.at(low), table.breakpoints.at(low)
    pieces: list[tuple[tuple[Point, ...], Pattern]] = [(polygon, ())]
    for unit, k in np.ndindex(t.shape):
        if not table.live[unit, k]:
            pieces = [(piece, (*bits, 0)) for piece, bits in pieces]
            continue
        line = (rows[unit, 0], rows[unit, 1], rows[unit, 2] - t[unit, k])
        cut: list[tuple[tuple[Point, ...], Pattern]] = []
        for piece, bits in pieces:
            below, above = split(piece, line)
            cut += [(part, (*bits, bit)) for part, bit in ((below, 0), (above, 1)) if part]
        pieces = cut
    return pieces


def _through(table: _ExactKnot, x: Dyadic, bits: Pattern) -> Dyadic:
    """Affine maps after the knot on a piece with these bits."""
    shape = table.live.shape
    above = np.array(bits, int).reshape(shape)
    # The highest breakpoint passed names the piece; past a breakpoint that is no knot the function is the same.
    piece = (above * np.arange(1, shape[1] + 1)).max(1)
    rows = np.arange(shape[0])
    return (table.slopes[rows, piece][:, None] * x + _constant(table.offsets[rows, piece])).reduced()


def split(polygon: tuple[Point, ...], line: Point) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """The parts below and above a line; split only where both strict signs occur, zero everywhere is below."""
    signs = [_dot(line, p) for p in polygon]
    if max(signs) <= 0:
        return polygon, ()
    if min(signs) >= 0:
        return (), polygon
    below: list[Point] = []
    above: list[Point] = []
    for i, (p, s) in enumerate(zip(polygon, signs, strict=True)):
        q, r = polygon[i - 1], signs[i - 1]
        if (r < 0 < s) or (s < 0 < r):
            meet = _lowest((p[0] * r - q[0] * s, p[1] * r - q[1] * s, p[2] * r - q[2] * s))
            below.append(meet)
            above.append(meet)
        if s <= 0:
            below.append(p)
        if s >= 0:
            above.append(p)
    return tuple(below), tuple(above)


def polygon_area(vertices: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """Signed area, positive when counter-clockwise."""
    pairs = zip(vertices, [*vertices[1:], vertices[0]], strict=True)
    return sum((px * qy - qx * py for (px, py), (qx, qy) in pairs), Fraction(0)) / 2


def _domain(vertices: Sequence[Sequence[float | Fraction]]) -> tuple[Point, ...]:
    exact = [(Fraction(x), Fraction(y)) for x, y in vertices]
    if polygon_area(exact) < 0:
        exact.reverse()
    points = []
    for x, y in exact:
        w = x.denominator * y.denominator
        points.append(_lowest((x.numerator * y.denominator, y.numerator * x.denominator, w)))
    return tuple(points)


def _lowest(p: Point) -> Point:
    divisor = gcd(*p) if p[2] > 0 else -gcd(*p)
    return p[0] // divisor, p[1] // divisor, p[2] // divisor


def _dot(a: Point, b: Point) -> int:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Point, b: Point) -> Point:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _sides(polygon: tuple[Point, ...]) -> Iterator[tuple[Point, Point]]:
    return zip(polygon, polygon[1:] + polygon[:1], strict=True)
