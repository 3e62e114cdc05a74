"""Convex polytopes in any dimension, given by halfspaces; their vertices are found exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import Any

import numpy as np
from flint import fmpz_mat

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.domains import _to_float, _Value

Row = tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Polytope(_Value):
    """The bounded set of points x in R^d with a . x + b <= 0 for each row [a, b].

    Args:
        halfspaces: (m, d + 1) rows [a, b], SciPy's convention: normals point out. Redundant ones do no harm.

    Raises:
        InvalidArgument: an entry is NaN or infinite, a normal is zero, or the set is unbounded, empty or flat. All of
            that is decided in exact arithmetic.
        ShapeMismatch: the array is not (m, d + 1) with d >= 1.

    Example:
        >>> Polytope([[-1, 0, 0], [0, -1, 0], [1, 1, -1]]).vertices.tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    halfspaces: Array

    def __init__(self, halfspaces: Any) -> None:
        rows = float_array(halfspaces, "Polytope halfspaces", ndim=2)
        if rows.shape[1] < 2 or len(rows) == 0:
            raise ShapeMismatch(f"Polytope halfspaces must have shape (m, d + 1) with d >= 1; got {rows.shape}.")
        if not rows[:, :-1].any(1).all():
            k = int(np.argmin(rows[:, :-1].any(1)))
            raise InvalidArgument(f"Polytope halfspace {k} has the normal 0; drop it.")
        object.__setattr__(self, "halfspaces", rows)
        _ = self.exact_vertices

    def _arrays(self) -> tuple[Array, ...]:
        return (self.halfspaces,)

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.halfspaces.shape[1] - 1

    @cached_property
    def exact_vertices(self) -> list[tuple[Fraction, ...]]:
        """The vertices in ascending order."""
        return _vertices([tuple(Fraction(v) for v in row) for row in self.halfspaces.tolist()])

    @property
    def vertices(self) -> Array:
        """(V, d) vertices, correctly rounded, in ascending order."""
        return np.array([[float(v) for v in point] for point in self.exact_vertices])

    @cached_property
    def volume(self) -> float:
        """Volume, by exact triangulation into simplices from the vertices; correctly rounded."""
        tight = [{k for k, row in enumerate(self._exact_rows) if _at(row, p) == 0} for p in self.exact_vertices]
        total = sum((abs(_determinant(s)) for s in _simplices(self.exact_vertices, tight, self.dim)), Fraction(0))
        return _to_float(total / math.factorial(self.dim))

    @cached_property
    def _exact_rows(self) -> list[tuple[Fraction, ...]]:
        return [tuple(Fraction(v) for v in row) for row in self.halfspaces.tolist()]

    def contains(self, points: Any) -> Array:
        """(...) booleans: whether points (..., d) lie in the polytope, boundary included; decided exactly."""
        points = float_array(points, "Polytope points")
        if points.ndim == 0 or points.shape[-1] != self.dim:
            raise ShapeMismatch(
                f"Polytope of dimension {self.dim} takes points of shape (..., {self.dim}); got {points.shape}."
            )
        flat = points.reshape(-1, self.dim)
        a, b = self.halfspaces[:, :-1], self.halfspaces[:, -1]
        value = flat @ a.T + b
        doubt = (self.dim + 3) * 2.0**-52 * (np.abs(flat) @ np.abs(a).T + np.abs(b)) + 1e-300
        inside = (value <= 0).all(1)
        for k in np.flatnonzero((np.abs(value) <= doubt).any(1) & ~(value > doubt).any(1)):
            point = tuple(Fraction(v) for v in flat[k].tolist())
            inside[k] = all(_at(row, point) <= 0 for row in self._exact_rows)
        return inside.reshape(points.shape[:-1])

    def __getstate__(self) -> dict[str, Any]:
        return {"halfspaces": self.halfspaces}

    def __repr__(self) -> str:
        try:
            return f"<Polytope of {len(self.halfspaces)} halfspaces in R^{self.dim}>"
        except AttributeError:  # half-made
            return "<Polytope>"


def _at(row: tuple[Fraction, ...], point: tuple[Fraction, ...]) -> Fraction:
    return sum((a * x for a, x in zip(row, point, strict=False)), row[-1])


def _vertices(rows: list[tuple[Fraction, ...]]) -> list[tuple[Fraction, ...]]:
    """The vertices of what rows (d + 1) with a . x + b <= 0 enclose: double description (Motzkin et al., 1953).

    The cone of (x, t) with a . x + b t <= 0 and t >= 0 is grown from d + 1 independent constraints, one ray for each; a
    further constraint keeps the rays on its side, and makes one between two adjacent rays on different sides.
    """
    d = len(rows[0]) - 1
    whole = [(0,) * d + (-1,)] + [_whole(row) for row in rows]
    base = _independent(whole)
    if len(base) < d + 1:
        raise InvalidArgument("Polytope is unbounded: its halfspaces leave a line free. Add those that close it.")
    inverse = fmpz_mat(d + 1, d + 1, [v for k in base for v in whole[k]]).inv()
    rays: list[tuple[Row, frozenset[int]]] = []
    for j in range(d + 1):
        column = [inverse[i, j] for i in range(d + 1)]  # 1 on constraint j, 0 on the others
        rays.append((_whole(tuple(Fraction(-int(v.p), int(v.q)) for v in column)), frozenset(base) - {base[j]}))
    for k, row in enumerate(whole):
        if k not in base:
            rays = _cut(rays, row, k)
    if not rays or all(ray[-1] == 0 for ray, _ in rays):
        raise InvalidArgument("Polytope is empty: no point satisfies all halfspaces.")
    if any(ray[-1] == 0 for ray, _ in rays):
        raise InvalidArgument("Polytope is unbounded. Add the halfspaces that close it.")
    points = sorted(tuple(Fraction(v, ray[-1]) for v in ray[:-1]) for ray, _ in rays)
    if any(all(_at(row, p) == 0 for p in points) for row in rows):
        raise InvalidArgument("Polytope is flat: all its points lie on one of its hyperplanes. Use a slice instead.")
    return points


def _whole(row: tuple[Fraction, ...]) -> Row:
    m = lcm(*(v.denominator for v in row))
    return _lowest(tuple(int(v * m) for v in row))


def _lowest(row: Row) -> Row:
    g = gcd(*row) or 1
    return tuple(v // g for v in row)


def _independent(rows: list[Row]) -> list[int]:
    """The first rows that are independent of those before them."""
    chosen: list[int] = []
    for k in range(len(rows)):
        candidate = [*chosen, k]
        if fmpz_mat(len(candidate), len(rows[0]), [v for i in candidate for v in rows[i]]).rank() == len(candidate):
            chosen = candidate
    return chosen


def _cut(rays: list[tuple[Row, frozenset[int]]], row: Row, name: int) -> list[tuple[Row, frozenset[int]]]:
    values = [sum(a * x for a, x in zip(row, ray, strict=True)) for ray, _ in rays]
    kept = [(ray, on | {name} if v == 0 else on) for (ray, on), v in zip(rays, values, strict=True) if v <= 0]
    for i, (p, on_p) in enumerate(rays):
        for j, (q, on_q) in enumerate(rays):
            if not values[i] < 0 < values[j]:
                continue
            both = on_p & on_q
            if any(both <= on for k, (_, on) in enumerate(rays) if k not in (i, j)):
                continue
            new = _lowest(tuple(values[j] * a - values[i] * b for a, b in zip(p, q, strict=True)))
            kept.append((new, both | {name}))
    return kept


def _simplices(points: list[tuple[Fraction, ...]], tight: list[set[int]], dim: int) -> list[list[tuple[Fraction, ...]]]:
    """A pulling triangulation: every face is a cone from its first vertex over its facets that do not hold it."""
    done: list[list[tuple[Fraction, ...]]] = []

    def visit(members: list[int], dim: int, apexes: list[int]) -> None:
        if dim == 0:
            done.append([points[k] for k in [*apexes, members[0]]])
            return
        here = [tight[k] for k in members]
        others = set().union(*here) - here[0].intersection(*here)
        parts = {frozenset(k for k in members if f in tight[k]) for f in others}
        for part in parts:
            if members[0] not in part and not any(part < other for other in parts):
                visit(sorted(part), dim - 1, [*apexes, members[0]])

    visit(list(range(len(points))), dim, [])
    return done


def _determinant(simplex: list[tuple[Fraction, ...]]) -> Fraction:
    from flint import fmpq, fmpq_mat

    first, *rest = simplex
    entries = [fmpq(a.numerator * b.denominator - b.numerator * a.denominator, a.denominator * b.denominator)
               for p in rest for a, b in zip(p, first, strict=True)]  # fmt: skip
    value = fmpq_mat(len(rest), len(rest), entries).det()
    return Fraction(int(value.p), int(value.q))
