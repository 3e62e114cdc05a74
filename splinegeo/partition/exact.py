"""Exact arithmetic on the graph: the judge of every sign that floating point leaves open.

Weights are dyadic rationals, so a value is an integer matrix times a power of two: no fractions, no gcd. A value has
either one column, its value at a rational point (times the point's homogeneous coordinate), or d + 1 of them, the
coefficients of the affine function that it is under a given activation pattern: (a, b, c) in the plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm, ldexp
from operator import mul

import numpy as np
from flint import fmpz_mat

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Select, Sparse, SplineNetwork
from splinegeo.partition.frame import Frame, error_bound, nearest_float
from splinegeo.partition.limbs import Pieces, pieces, product
from splinegeo.partition.stopping import checkpoint


def integers(x: Array) -> tuple[list[int], int]:
    """Integers n and an exponent e with x = n * 2**-e, entry by entry (flat)."""
    pairs = [float(v).as_integer_ratio() for v in np.ravel(x)]
    e = max((d.bit_length() - 1 for _, d in pairs), default=0)
    return [n << (e - (d.bit_length() - 1)) for n, d in pairs], e


class Value:
    """Rows of integers times 2**-e. ``rows`` is a list of row tuples, all with the same number of columns."""

    __slots__ = ("e", "rows")

    def __init__(self, rows: list[tuple[int, ...]], e: int) -> None:
        self.rows = rows
        self.e = e


class ExactNetwork:
    """A network behind a slice and a frame, with integer weights. Immutable; shared by all threads."""

    def __init__(self, network: SplineNetwork, origin: Array, basis: Array, frame: Frame) -> None:
        self.network = network
        self.frame = frame
        self.origin, self.basis = origin, basis
        self._weights: dict[int, tuple[fmpz_mat, int]] = {}
        self._pieces: dict[int, Pieces] = {}
        self._rows: dict[tuple[int, int], tuple[Fraction, ...]] = {}
        self._latent_rows: list[tuple[Fraction, ...]] = []
        self._vectors: dict[tuple[int, str], tuple[list[int], int]] = {}

    # -- the two kinds of column ---------------------------------------------------------------------------------------

    def identity(self) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
        """Coordinates and the constant one as affine functions, (a, b, c) in the plane."""
        n = self.frame.dim + 1
        *coordinates, one = (tuple(int(k == j) for k in range(n)) for j in range(n))
        return coordinates, one

    @staticmethod
    def at(point: tuple[int, ...]) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
        """Coordinates and the constant one at a homogeneous point, times its last coordinate."""
        return [(v,) for v in point[:-1]], (point[-1],)

    # -- operations ----------------------------------------------------------------------------------------------------

    def _vector(self, i: int, name: str, x: Array) -> tuple[list[int], int]:
        key = (i, name)
        if key not in self._vectors:
            self._vectors[key] = integers(x)
        return self._vectors[key]

    def _weight(self, i: int, x: Array) -> tuple[fmpz_mat, int]:
        if i not in self._weights:
            n, e = integers(x)
            self._weights[i] = (fmpz_mat(x.shape[0], x.shape[1], n), e)
        return self._weights[i]

    def pieces(self, i: int) -> Pieces:
        """The weights of affine node i in pieces."""
        node = self.network.nodes[i]
        assert isinstance(node, Linear | Sparse | Convolution)
        if i not in self._pieces:
            self._pieces[i] = pieces(node)
        return self._pieces[i]

    def latent(self, coordinates: list[tuple[int, ...]], one: tuple[int, ...]) -> Value:
        """z = origin + basis @ (centre + scale * t), exactly."""
        rows, e = self._embedding
        columns = list(zip(*coordinates, one, strict=True))
        return Value([tuple(sum(map(mul, row, column)) for column in columns) for row in rows], e)

    @cached_property
    def _embedding(self) -> tuple[list[tuple[int, ...]], int]:
        """Coefficients (E, d + 1) of the latents in the frame's coordinates and one, times 2**e."""
        f = self.frame
        basis = [[Fraction(float(v)) for v in row] for row in self.basis]
        rows = []
        for o, row in zip(self.origin, basis, strict=True):
            c = Fraction(float(o)) + sum(b * Fraction(m) for b, m in zip(row, f.centre, strict=True))
            rows.append([*(b * Fraction(s) for b, s in zip(row, f.scale, strict=True)), c])
        e = max((v.denominator.bit_length() - 1 for row in rows for v in row), default=0)
        return [tuple(int(v * (1 << e)) for v in row) for row in rows], e

    def apply(self, i: int, x: list[Value], one: tuple[int, ...]) -> Value:
        """The value of node i (no knot, not the input) from those of its inputs."""
        checkpoint()
        node = self.network.nodes[i]
        match node:
            case Linear():
                matrix, e = self._weight(i, node.weight)
                stacked = fmpz_mat(len(x[0].rows), len(one), [v for row in x[0].rows for v in row])
                found = (matrix * stacked).tolist()
                return _add_constant(
                    Value([tuple(map(int, row)) for row in found], e + x[0].e), *self._vector(i, "b", node.bias), one
                )
            case Sparse() | Convolution():
                columns, e = product(self.pieces(i), [list(column) for column in zip(*x[0].rows, strict=True)])
                n, eb = self._vector(i, "b", linear_maps.bias(node))
                return _add_constant(Value(list(zip(*columns, strict=True)), x[0].e - e), n, eb, one)
            case Combine():
                parts = []
                for k, (v, scale) in enumerate(zip(x, node.scales, strict=True)):
                    n, e = self._vector(i, f"s{k}", scale)
                    parts.append(Value([tuple(m * a for a in row) for m, row in zip(n, v.rows, strict=True)], v.e + e))
                total = _align(parts)
                rows: list[tuple[int, ...]] = [
                    tuple(map(sum, zip(*group, strict=True))) for group in zip(*(p.rows for p in total), strict=True)
                ]
                return _add_constant(Value(rows, total[0].e), *self._vector(i, "b", node.bias), one)
            case Select():
                whole = [row for v in _align(x) for row in v.rows]
                return Value([whole[k] for k in node.index.tolist()], max(v.e for v in x))
            case _:
                raise AssertionError(f"exact arithmetic does not know {type(node).__name__}")

    def knot(self, i: int, x: Value, pieces: Sequence[int], one: tuple[int, ...]) -> Value:
        """The value of knot i whose unit u is on piece pieces[u]."""
        node = self.network.nodes[i]
        assert isinstance(node, Knot)
        k = node.slopes.shape[1]
        slopes, es = self._vector(i, "slopes", node.slopes)
        if (i, "offsets") not in self._vectors:
            self._vectors[i, "offsets"] = integers_of(
                [o for row in zip(node.breakpoints, node.slopes, node.value, strict=True) for o in _offsets(*row)]
            )
        offsets, eo = self._vectors[i, "offsets"]
        e = max(x.e + es, eo)
        up, uo = e - x.e - es, e - eo
        rows = []
        for u, (row, p) in enumerate(zip(x.rows, pieces, strict=True)):
            s, o = slopes[u * k + p] << up, offsets[u * k + p] << uo
            rows.append(tuple(s * v + o * w for v, w in zip(row, one, strict=True)) if o else tuple(s * v for v in row))
        return Value(rows, e)

    def above(self, i: int, x: Value, one: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
        """For each unit of knot i and each breakpoint t, the integers of (z - t), up to a positive factor."""
        k = self.network.nodes[i].breakpoints.shape[1]  # type: ignore[attr-defined]
        return [[self._shifted(i, u * k + j, row, x.e, one) for j in range(k)] for u, row in enumerate(x.rows)]

    def above_one(self, i: int, unit: int, which: int, x: Value, one: tuple[int, ...]) -> tuple[int, ...]:
        """The same for a single breakpoint; x holds the unit's row only."""
        k = self.network.nodes[i].breakpoints.shape[1]  # type: ignore[attr-defined]
        return self._shifted(i, unit * k + which, x.rows[0], x.e, one)

    def _shifted(self, i: int, entry: int, row: tuple[int, ...], ex: int, one: tuple[int, ...]) -> tuple[int, ...]:
        t, et = self._vector(i, "t", self.network.nodes[i].breakpoints)  # type: ignore[attr-defined]
        if t[entry] == 0:
            return row
        e = max(ex, et)
        return tuple((v << (e - ex)) - (t[entry] << (e - et)) * w for v, w in zip(row, one, strict=True))

    def row(self, i: int, unit: int) -> tuple[Fraction, ...]:
        """Coefficients of (x, ..., 1) of one unit of a node that no knot precedes."""
        key = (i, unit)
        if key in self._rows:
            return self._rows[key]
        node = self.network.nodes[i]
        if isinstance(node, Input):
            if not self._latent_rows:
                coordinates, one = self.identity()
                latent = self.latent(coordinates, one)
                self._latent_rows += [tuple(Fraction(v, 1 << latent.e) for v in row) for row in latent.rows]
            return self._latent_rows[unit]
        zero = Fraction(0)
        terms: list[tuple[float, tuple[Fraction, ...]]] = []
        bias = 0.0
        match node:
            case Linear() | Sparse() | Convolution():
                weights = linear_maps.rows(node, [unit])
                terms = [
                    (w, self.row(node.inputs[0], int(k))) for w, k in zip(weights.data, weights.indices, strict=True)
                ]
                bias = float(linear_maps.bias(node)[unit])
            case Combine():
                terms = [(s[unit], self.row(k, unit)) for s, k in zip(node.scales, node.inputs, strict=True)]
                bias = float(node.bias[unit])
            case Select():
                place = int(node.index[unit])
                for k in node.inputs:
                    if place < self.network.nodes[k].size:
                        return self.row(k, place)
                    place -= self.network.nodes[k].size
            case _:
                raise AssertionError(f"a knot precedes node {i}")
        columns = range(self.frame.dim + 1)
        total = [sum((Fraction(float(w)) * row[c] for w, row in terms), zero) for c in columns]
        total[-1] += Fraction(bias)
        self._rows[key] = tuple(total)
        return self._rows[key]

    def kink(self, i: int, unit: int, which: int) -> tuple[int, int, int]:
        """The line where a unit of knot i crosses a breakpoint, as integers, positive above; no knot precedes it."""
        node = self.network.nodes[i]
        assert isinstance(node, Knot)
        a, b, c = self.row(node.inputs[0], unit)
        c -= Fraction(float(node.breakpoints[unit, which]))
        m = lcm(a.denominator, b.denominator, c.denominator)
        whole = int(a * m), int(b * m), int(c * m)
        g = gcd(*whole) or 1
        return whole[0] // g, whole[1] // g, whole[2] // g

    def affine_prefix(self) -> dict[int, tuple[Array, Array]]:
        """Float coefficients (size, d + 1) and their error for each node that no knot precedes."""
        nodes = self.network.nodes
        coordinates, one = self.identity()
        values = {0: self.latent(coordinates, one)}
        out = {0: floats(values[0])}

        def value(i: int) -> Value:
            if i not in values:
                values[i] = self.apply(i, [value(k) for k in nodes[i].inputs], one)
            return values[i]

        for i, node in enumerate(nodes):
            if i == 0 or isinstance(node, Knot) or not all(k in out for k in node.inputs):
                continue
            plain = isinstance(node, Linear) and node.inputs == (0,) and _plain_product(node, *out[0])
            out[i] = plain or floats(value(i))
        return out


def _plain_product(node: Linear, latent: Array, error: Array) -> tuple[Array, Array] | None:
    """The coefficients of a layer on a latent that is the frame's coordinates up to powers of two: nothing rounds."""
    linear = latent[:, :-1]
    if error.any() or latent[:, -1].any() or (np.count_nonzero(linear, 0) > 1).any():
        return None
    if not (np.frexp(np.abs(linear[linear != 0]))[0] == 0.5).all():
        return None
    value = np.concatenate([node.weight @ linear, node.bias[:, None]], 1)
    size = np.abs(value[value != 0])
    exact = size.size == 0 or (size.min() > 1e-290 and size.max() < 1e290)
    return (value, np.zeros_like(value)) if exact else None


def integers_of(x: list[Fraction]) -> tuple[list[int], int]:
    """`integers` of dyadic rationals."""
    e = max((v.denominator.bit_length() - 1 for v in x), default=0)
    return [int(v * (1 << e)) for v in x], e


def floats(v: Value) -> tuple[Array, Array]:
    """The nearest floats of a value, (n, columns), and bounds on their error (finite only where the values are)."""
    width = len(v.rows[0]) if v.rows else 3
    pairs = [_float(a, v.e) for row in v.rows for a in row]
    near, error = np.array(pairs).reshape(-1, width, 2).transpose(2, 0, 1)
    return near.copy(), error.copy()


def _float(a: int, e: int) -> tuple[float, float]:
    if a == 0:
        return 0.0, 0.0
    zeros = (a & -a).bit_length() - 1
    if a.bit_length() - zeros <= 53 and -1000 < a.bit_length() - e < 1000:
        return ldexp(float(a >> zeros), zeros - e), 0.0  # 53 bits hold it
    true = Fraction(a, 1 << e) if e >= 0 else Fraction(a << -e)
    near = nearest_float(true)
    return near, error_bound(near, true)


def _offsets(t: Array, s: Array, value: float) -> list[Fraction]:
    """Intercept of each piece of a unit's function."""
    out = (
        [Fraction(float(value)) - Fraction(float(s[0])) * Fraction(float(t[0]))] if len(t) else [Fraction(float(value))]
    )
    for k in range(len(t)):
        out.append(out[-1] + (Fraction(float(s[k])) - Fraction(float(s[k + 1]))) * Fraction(float(t[k])))
    return out


def _align(values: list[Value]) -> list[Value]:
    e = max(v.e for v in values)
    return [v if v.e == e else Value([tuple(a << (e - v.e) for a in row) for row in v.rows], e) for v in values]


def _add_constant(x: Value, n: list[int], e: int, one: tuple[int, ...]) -> Value:
    top = max(x.e, e)
    up, uc = top - x.e, top - e
    return Value(
        [
            tuple((a << up) + (c << uc) * w for a, w in zip(row, one, strict=True))
            for row, c in zip(x.rows, n, strict=True)
        ],
        top,
    )
