"""What holds on a region by its activation pattern, in rational arithmetic, from nothing but the network's graph.

The engine is not asked: `splinegeo.testing` proves with this that what the engine found is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from flint import fmpq, fmpq_mat

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Maximum, Node, Select, Sparse
from splinegeo.networks.tournament import schedule

if TYPE_CHECKING:
    from splinegeo.domains import Slice
    from splinegeo.networks import SplineNetwork

Line: TypeAlias = tuple[fmpq, fmpq, fmpq]  # a, b, c: the function a u + b v + c of slice coordinates
Point: TypeAlias = tuple[fmpq, fmpq]


class Limit(NamedTuple):
    """A function that is nowhere negative on a region, and positive somewhere if it is ``strict``."""

    line: Line
    strict: bool
    breakpoint: int  # whose bit says so


class _Unit(NamedTuple):
    """A unit of a maximum: its first breakpoint, its entries, the entry that wins."""

    first: int
    entries: list[Line]
    winner: int


class Sides:
    """The limits that a pattern (B,) sets, by which it names exactly one region.

    Raises:
        AssertionError: no region has this pattern, because a bit is set that never is.
    """

    def __init__(self, network: SplineNetwork, plane: Slice, bits: Array) -> None:
        self.limits: list[Limit] = []
        self._lines: dict[int, Line] = {}  # of breakpoints of knots, positive on the region
        self._units: list[_Unit] = []
        self._bits, self._first = bits, 0
        values: list[list[Line]] = []
        for node in network.nodes:
            x = [values[i] for i in node.inputs]
            match node:
                case Input():
                    out = _rows(np.column_stack([plane.basis, plane.origin]))
                case Linear() | Sparse() | Convolution():
                    out = _mapped(node, x[0])
                case Combine():
                    out = _combined(node, x)
                case Select():
                    rows = [row for value in x for row in value]
                    out = [rows[i] for i in node.index]
                case Knot():
                    out = self._bent(node, x[0])
                case Maximum():
                    out = self._largest(node, x[0])
                case _:
                    raise AssertionError(f"unknown node {node!r}")
            values.append(out)

    def towards(self, breakpoint: int, others: Array) -> Line:
        """The line that a unit draws between the region and a neighbour with bits ``others`` (B,), positive here."""
        if breakpoint in self._lines:
            return self._lines[breakpoint]
        here = [u for u in self._units if 0 <= breakpoint - u.first < len(u.entries) - 1]
        if not here:
            raise AssertionError(f"breakpoint {breakpoint} draws no line: the slopes there do not differ")
        first, entries, winner = here[0]
        rival, _ = _winner(others[first : first + len(entries) - 1])
        return _minus(entries[winner], entries[rival])

    def _bent(self, node: Knot, x: list[Line]) -> list[Line]:
        out = []
        for (a, b, c), t, s, height in zip(x, *_numbers(node), strict=True):
            for k in range(len(t)):
                up = bool(self._bits[self._first + k])
                if s[k] != s[k + 1]:
                    line = (a, b, c - t[k]) if up else (-a, -b, t[k] - c)
                    self._lines[self._first + k] = line
                    self.limits.append(Limit(line, up, self._first + k))
                elif up:
                    raise AssertionError(f"bit {self._first + k} is set, but the slopes there do not differ")
            above = [k for k in range(len(t)) if self._bits[self._first + k]]
            piece = above[-1] + 1 if above else 0
            at = sum((s[k] * (t[k] - t[k - 1]) for k in range(1, piece)), height)
            out.append((s[piece] * a, s[piece] * b, s[piece] * (c - t[max(piece - 1, 0)]) + at))
            self._first += len(t)
        return out

    def _largest(self, node: Maximum, x: list[Line]) -> list[Line]:
        out = []
        for group in node.groups.tolist():
            entries, here = [x[k] for k in group], self._bits[self._first : self._first + len(group) - 1]
            winner, losers = _winner(here)
            for c in range(len(group) - 1):
                if here[c] and not any(c == by for by, _ in losers.values()):
                    raise AssertionError(f"bit {self._first + c} is set, but its winner loses later")
            for entry, (c, from_left) in losers.items():
                # Who comes from the left wins only where it is larger; a repeated entry never is.
                line = _minus(entries[winner], entries[entry])
                self.limits.append(Limit(line, from_left, self._first + c))
            self._units.append(_Unit(self._first, entries, winner))
            out.append(entries[winner])
            self._first += len(group) - 1
        return out


def _winner(bits: Array) -> tuple[int, dict[int, tuple[int, bool]]]:
    """Who wins a tournament (`splinegeo.networks.tournament`) under the bits (k - 1,) of its comparisons.

    And for each other entry the comparison in which the winner beat it, or whoever beat it before, and whether the
    winner came from the left.
    """
    k = len(bits) + 1
    pairs = schedule(k).pairs
    below: list[list[int]] = [[entry] for entry in range(k)]
    for left, right in pairs:
        below.append(below[left] + below[right])
    place = 2 * k - 2
    losers: dict[int, tuple[int, bool]] = {}
    while place >= k:
        c = place - k
        left, right = pairs[c]
        won, lost = (left, right) if bits[c] else (right, left)
        losers |= dict.fromkeys(below[lost], (c, won == left))
        place = won
    return place, losers


def _minus(p: Line, q: Line) -> Line:
    return p[0] - q[0], p[1] - q[1], p[2] - q[2]


def _mapped(node: Linear | Sparse | Convolution, x: list[Line]) -> list[Line]:
    weight, bias = _numbers(node)
    if isinstance(node, Linear):
        out = (weight * fmpq_mat(x)).table()
    else:
        out = [[sum((w * x[j][c] for j, w in row), fmpq(0)) for c in range(3)] for row in weight]
    return [(a, b, c + d) for (a, b, c), d in zip(out, bias, strict=True)]


def _combined(node: Combine, x: list[list[Line]]) -> list[Line]:
    *scales, bias = _numbers(node)
    out = []
    for unit, constant in enumerate(bias):
        a, b, c = (sum((s[unit] * v[unit][k] for s, v in zip(scales, x, strict=True)), fmpq(0)) for k in range(3))
        out.append((a, b, c + constant))
    return out


@lru_cache(maxsize=256)
def _numbers(node: Node) -> tuple[Any, ...]:
    """The numbers in a node as rationals, once for all regions (nodes are compared by identity)."""
    match node:
        case Linear():
            return fmpq_mat(_table(node.weight)), _vector(node.bias)
        case Sparse() | Convolution():
            weights = linear_maps.rows(node, np.arange(node.size))
            ends = weights.indptr.tolist()
            data, indices = _vector(weights.data), weights.indices.tolist()
            rows = [list(zip(indices[i:j], data[i:j], strict=True)) for i, j in pairwise(ends)]
            return rows, _vector(linear_maps.bias(node))
        case Combine():
            return *(_vector(scale) for scale in node.scales), _vector(node.bias)
        case Knot():
            return _table(node.breakpoints), _table(node.slopes), _vector(node.value)
    return ()


def clip(polygon: Sequence[Point], line: Line) -> list[Point]:
    """The part of a convex polygon on which a function is not negative."""
    signs = [value(line, p) for p in polygon]
    out: list[Point] = []
    for i, (p, s) in enumerate(zip(polygon, signs, strict=True)):
        q, r = polygon[i - 1], signs[i - 1]
        if (r < 0 < s) or (s < 0 < r):
            w = r / (r - s)
            out.append((q[0] + w * (p[0] - q[0]), q[1] + w * (p[1] - q[1])))
        if s >= 0:
            out.append(p)
    return out


def value(line: Line, p: Point) -> fmpq:
    """A function at a point."""
    return line[0] * p[0] + line[1] * p[1] + line[2]


def area(polygon: Sequence[Point]) -> fmpq:
    """Area of a polygon, negative if it is clockwise."""
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return sum((px * qy - qx * py for (px, py), (qx, qy) in pairs), fmpq(0)) / 2


def rational(x: Any) -> fmpq:
    """A float as the number that it is."""
    return fmpq(*float(x).as_integer_ratio())


def _vector(values: Array) -> list[fmpq]:
    return [rational(x) for x in values.tolist()]


def _table(values: Array) -> list[list[fmpq]]:
    return [_vector(row) for row in values]


def _rows(values: Array) -> list[Line]:
    return [(rational(a), rational(b), rational(c)) for a, b, c in values]
