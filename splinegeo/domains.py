"""Where to look: boxes and convex polygons in slice coordinates, and slices of the latent space.

All of them are values: immutable, equal and hashed by their numbers, picklable. Questions that decide something
(is this polygon convex, is this basis of full rank, does the polygon contain this point) are answered exactly for
the float64 numbers that are stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array

Point = tuple[Fraction, Fraction]


class _Value:
    """Equality, hash and pickling by the arrays of a frozen dataclass."""

    def _arrays(self) -> tuple[Array, ...]:
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True))

    def __hash__(self) -> int:
        return hash((type(self), *((a.shape, a.tobytes()) for a in self._arrays())))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arrays()


@dataclass(frozen=True, eq=False, repr=False)
class Box(_Value):
    """The box ``lower <= x <= upper`` in R^d.

    Args:
        lower: (d,) lower corner.
        upper: (d,) upper corner, above ``lower`` in every coordinate.

    Raises:
        InvalidArgument: an entry is NaN or infinite, or the box is empty or flat.
        ShapeMismatch: the corners are not vectors of one length.
        WrongType: the entries are not real numbers.

    Example:
        >>> Box([-1, 0], [1, 3]).volume
        6.0
    """

    lower: Array
    upper: Array

    def __init__(self, lower: Any, upper: Any) -> None:
        low, high = float_array(lower, "Box lower", ndim=1), float_array(upper, "Box upper", ndim=1)
        if low.shape != high.shape:
            raise ShapeMismatch(f"Box lower and upper must have one length; got {len(low)} and {len(high)}.")
        if len(low) == 0:
            raise ShapeMismatch("Box needs at least one dimension; got lower = upper = [].")
        if not (low < high).all():
            i = int(np.argmin(low < high))
            raise InvalidArgument(
                f"Box lower must be below upper in every coordinate; "
                f"coordinate {i} has lower {low[i]} and upper {high[i]}."
            )
        object.__setattr__(self, "lower", low)
        object.__setattr__(self, "upper", high)

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.lower)

    @property
    def volume(self) -> float:
        """Volume (area in the plane); infinite where float64 overflows."""
        return math.prod(float(b) - float(a) for a, b in zip(self.lower, self.upper, strict=True))

    @property
    def vertices(self) -> Array:
        """(4, 2) corners of a box in the plane, counter-clockwise from ``lower``."""
        if self.dim != 2:
            raise InvalidArgument(f"Box.vertices are listed in the plane only; this box has dimension {self.dim}.")
        (a, b), (c, d) = self.lower, self.upper
        return _read_only(np.array([[a, b], [c, b], [c, d], [a, d]]))

    def contains(self, points: Any) -> Array:
        """(...) booleans: whether points (..., d) lie in the box, boundary included."""
        points = _points(points, self.dim, "Box")
        return ((points >= self.lower) & (points <= self.upper)).all(-1)

    def __repr__(self) -> str:
        try:
            if self.dim <= 4:
                return f"Box({_short(self.lower)}, {_short(self.upper)})"
            return f"<Box in R^{self.dim}>"
        except AttributeError:  # half-made
            return "<Box>"


@dataclass(frozen=True, eq=False, repr=False)
class Polygon(_Value):
    """A convex polygon in the plane.

    The vertices may be given in either orientation. They are stored counter-clockwise, from the lexicographically
    smallest one, without repetitions and without vertices on a straight edge, so that equal polygons compare equal.
    Convexity is decided in rational arithmetic: there is no tolerance.

    Args:
        vertices: (n, 2) vertices in order, n >= 3.

    Raises:
        InvalidArgument: fewer than three vertices, zero area, a reflex vertex, a spike or a self-intersection, or a
            NaN or infinite entry; the message names the vertex.
        ShapeMismatch: the array is not (n, 2).
        WrongType: the entries are not real numbers.

    Example:
        >>> Polygon([[0, 0], [0, 1], [1, 0]]).vertices.tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    vertices: Array

    def __init__(self, vertices: Any) -> None:
        given = float_array(vertices, "Polygon vertices", ndim=2)
        if given.shape[1] != 2:
            raise ShapeMismatch(f"Polygon vertices must have shape (n, 2); got {given.shape}.")
        if len(given) < 3:
            raise InvalidArgument(f"Polygon needs at least 3 vertices; got {len(given)}.")
        object.__setattr__(self, "vertices", _read_only(given[_convex_order(given)]))

    @property
    def dim(self) -> int:
        """2: polygons live in the plane."""
        return 2

    @property
    def volume(self) -> float:
        """The area, correctly rounded from the exact one."""
        first, *rest = _exact(self.vertices)
        twice = sum((_turn(first, p, q) for p, q in pairwise(rest)), Fraction(0))
        return _to_float(twice / 2)

    def contains(self, points: Any) -> Array:
        """(...) booleans: whether points (..., 2) lie in the polygon, boundary included; decided exactly."""
        points = _points(points, 2, "Polygon")
        flat = points.reshape(-1, 2)
        inside = np.ones(len(flat), bool)
        for p, q in zip(self.vertices, np.roll(self.vertices, -1, 0), strict=True):
            inside[inside] &= _left_of(p, q, flat[inside])
        return inside.reshape(points.shape[:-1])

    def __repr__(self) -> str:
        try:
            return f"<Polygon of {len(self.vertices)} vertices>"
        except AttributeError:  # half-made
            return "<Polygon>"


@dataclass(frozen=True, eq=False, repr=False)
class Slice(_Value):
    """The affine plane z = origin + basis @ u in the latent space R^E, with coordinates u in R^d.

    Nothing is normalised: lengths and areas in u are those of the latent space only if the columns of ``basis`` are
    orthonormal (see ``Slice.through(..., orthonormal=True)``).

    Args:
        origin: (E,) latent at u = 0.
        basis: (E, d) directions as columns, 1 <= d <= E, linearly independent (decided exactly).

    Raises:
        InvalidArgument: an entry is NaN or infinite, or the columns are linearly dependent.
        ShapeMismatch: the shapes do not fit together.
        WrongType: the entries are not real numbers.
    """

    origin: Array
    basis: Array

    def __init__(self, origin: Any, basis: Any) -> None:
        z, directions = float_array(origin, "Slice origin", ndim=1), float_array(basis, "Slice basis", ndim=2)
        if len(z) != len(directions):
            raise ShapeMismatch(
                f"Slice basis must have one row per entry of origin, shape ({len(z)}, d); got {directions.shape}"
                + (": transpose it." if len(z) == directions.shape[1] else ".")
            )
        if not 1 <= directions.shape[1] <= len(z):
            raise ShapeMismatch(f"Slice basis must have shape (E, d) with 1 <= d <= E; got {directions.shape}.")
        dependent = _dependent_column(directions)
        if dependent is not None:
            raise InvalidArgument(
                f"Slice basis must have linearly independent columns; column {dependent} is zero or a combination "
                f"of the columns before it. Choose another direction, or points that are not on one line."
            )
        object.__setattr__(self, "origin", z)
        object.__setattr__(self, "basis", directions)

    @classmethod
    def identity(cls, dim: int) -> Slice:
        """The whole space R^dim as its own slice: u = z."""
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
            raise InvalidArgument(f"Slice.identity takes a dimension >= 1; got {dim!r}.")
        return cls(np.zeros(dim), np.eye(dim))

    @classmethod
    def through(cls, z0: Any, z1: Any, z2: Any, *, orthonormal: bool = False) -> Slice:
        """The plane through three latents, each (E,).

        By default u = (0, 0), (1, 0), (0, 1) are z0, z1, z2, so that u interpolates between them; the basis holds
        the differences z1 - z0 and z2 - z0. With ``orthonormal=True`` u measures latent distance: z0 stays at the
        origin, z1 lies on the positive first axis and z2 above it (``coordinates`` says where). Regions are the same
        up to that change of coordinates; areas, psi and nu on the slice are not, because they are relative to u.

        Raises:
            InvalidArgument: the three latents lie on one line.
        """
        names = ("z0", "z1", "z2")
        points = [float_array(z, f"Slice.through {n}", ndim=1) for n, z in zip(names, (z0, z1, z2), strict=True)]
        if len({len(p) for p in points}) != 1:
            raise ShapeMismatch(f"Slice.through takes latents of one length; got {[len(p) for p in points]}.")
        with np.errstate(over="ignore"):
            basis = np.stack([points[1] - points[0], points[2] - points[0]], 1)
        if not np.isfinite(basis).all():
            raise InvalidArgument("Slice.through: the latents are so far apart that their difference overflows.")
        if len(points[0]) >= 2 and orthonormal:
            cls(points[0], basis)  # dependent directions are refused before rounding hides them
            basis = _orthonormal(basis)
        return cls(points[0], basis)

    @property
    def dim(self) -> int:
        """d, the dimension of the slice."""
        return self.basis.shape[1]

    @property
    def ambient_dim(self) -> int:
        """E, the dimension of the latent space."""
        return self.basis.shape[0]

    def embed(self, u: Any) -> Array:
        """Latents (..., E) at slice coordinates u (..., d)."""
        return self.origin + _points(u, self.dim, "Slice") @ self.basis.T

    def coordinates(self, z: Any) -> Array:
        """Slice coordinates (..., d) of the points of the slice nearest to latents z (..., E)."""
        offset = _points(z, self.ambient_dim, "Slice") - self.origin
        scale = _column_scale(self.basis)
        q, r = np.linalg.qr(self.basis / scale)
        solved = np.linalg.solve(r, (offset.reshape(-1, self.ambient_dim) @ q).T).T / scale
        return solved.reshape(*offset.shape[:-1], self.dim)

    def __repr__(self) -> str:
        try:
            return f"<Slice of dimension {self.dim} in R^{self.ambient_dim}>"
        except AttributeError:  # half-made
            return "<Slice>"


def _points(points: Any, dim: int, owner: str) -> Array:
    array = float_array(points, f"{owner} points")
    if array.ndim == 0 or array.shape[-1] != dim:
        raise ShapeMismatch(f"{owner} of dimension {dim} takes points of shape (..., {dim}); got {array.shape}.")
    return array


def _read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array


def _short(vector: Array) -> str:
    return "[" + ", ".join(f"{x:g}" for x in vector) + "]"


def _exact(points: Array) -> list[Point]:
    return [(Fraction(x), Fraction(y)) for x, y in points.tolist()]


def _to_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _turn(p: Point, q: Point, r: Point) -> Fraction:
    """Twice the signed area of the triangle p, q, r."""
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])


def _convex_order(given: Array) -> list[int]:
    """Rows of ``given`` that are the corners of a convex polygon, in canonical order; raises if it is not one."""
    points = _exact(given)
    n = len(points)
    kept = [i for i in range(n) if points[i] != points[i - 1]]  # a vertex repeated in place says nothing new
    if len(set(points)) < 3 or all(_turn(points[kept[0]], points[kept[1]], points[i]) == 0 for i in kept):
        raise InvalidArgument("Polygon has zero area: all its vertices lie on one line. Give three that do not.")
    corners, turns = [], []
    for before, i, after in zip([kept[-1], *kept[:-1]], kept, [*kept[1:], kept[0]], strict=True):
        p, q, r = points[before], points[i], points[after]
        turn = _turn(p, q, r)
        if turn != 0:
            corners.append(i)
            turns.append(turn)
        elif (q[0] - p[0]) * (r[0] - q[0]) + (q[1] - p[1]) * (r[1] - q[1]) < 0:
            raise InvalidArgument(f"Polygon {_where(given, i)}: the boundary turns back on itself; drop it.")
    left = sum(turn > 0 for turn in turns)
    if 0 < left < len(turns):
        # With a few turns of the other sign these are the reflex ones, whichever way round the polygon was given.
        odd = next(i for i, turn in zip(corners, turns, strict=True) if (turn > 0) == (2 * left <= len(turns)))
        raise InvalidArgument(
            f"Polygon is not convex: it turns the other way at {_where(given, odd)}. "
            f"Drop that vertex, sort the vertices around the boundary, or partition convex pieces one by one."
        )
    if not left:
        corners.reverse()
    loop = [points[i] for i in corners]
    if _revolutions(loop) != 1:
        seen: dict[Point, int] = {}
        twice = next((i for i in corners if seen.setdefault(points[i], i) != i), corners[-1])
        raise InvalidArgument(
            f"Polygon intersects itself: its boundary goes around more than once, the last time through "
            f"{_where(given, twice)}. Sort the vertices around the boundary."
        )
    start = min(range(len(loop)), key=loop.__getitem__)
    return corners[start:] + corners[:start]


def _revolutions(loop: Sequence[Point]) -> int:
    """How often the edges of a loop that only turns left go through all directions."""
    edges = [(q[0] - p[0], q[1] - p[1]) for p, q in zip(loop, [*loop[1:], loop[0]], strict=True)]
    upper = [dy > 0 or (dy == 0 and dx > 0) for dx, dy in edges]
    return sum(now and not before for before, now in zip([upper[-1], *upper[:-1]], upper, strict=True))


def _where(given: Array, i: int) -> str:
    return f"vertex {i}, ({given[i, 0]:g}, {given[i, 1]:g})"


def _left_of(p: Array, q: Array, points: Array) -> Array:
    """Whether points (n, 2) lie on or to the left of the line from p to q: float64 where it decides, else exact."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        left = (q[0] - p[0]) * (points[:, 1] - p[1])
        right = (q[1] - p[1]) * (points[:, 0] - p[0])
        turn, size = left - right, np.abs(left) + np.abs(right)
        # Shewchuk's bound for the sign of a 2 x 2 orientation is (3 + 16 eps) eps; products that underflow add the
        # smallest normal number, and overflow leaves inf or NaN, which no comparison below calls decided.
        decided = (np.abs(turn) > 4 * np.finfo(float).eps * size + np.finfo(float).tiny) & np.isfinite(size)
    result = turn >= 0
    ends = _exact(np.stack([p, q]))
    for i in np.flatnonzero(~decided):
        result[i] = _turn(ends[0], ends[1], _exact(points[i : i + 1])[0]) >= 0
    return result


def _column_scale(basis: Array) -> Array:
    """(d,) powers of two that bring the largest entry of each column near 1 (1 for a zero column)."""
    largest = np.abs(basis).max(0)
    return np.ldexp(1.0, np.where(largest > 0, np.frexp(largest)[1], 0).clip(-1000, 1000))


def _dependent_column(basis: Array) -> int | None:
    """The first column that is a combination of those before it, or None; exact."""
    scaled = basis / _column_scale(basis)
    if np.abs(scaled).max() > 0:
        singular = np.linalg.svd(scaled, compute_uv=False)
        # Singular values are computed to a few eps of the largest one; well above that, full rank is certain.
        if singular[-1] > 16 * max(scaled.shape) * np.finfo(float).eps * singular[0]:
            return None
    columns = [[Fraction(x) for x in column] for column in basis.T.tolist()]
    reduced: list[tuple[int, list[Fraction]]] = []
    for k, column in enumerate(columns):
        for pivot, other in reduced:
            if factor := column[pivot] / other[pivot]:
                column = [x - factor * y for x, y in zip(column, other, strict=True)]
        row = next((i for i, x in enumerate(column) if x), None)
        if row is None:
            return k
        reduced.append((row, column))
    return None


def _orthonormal(basis: Array) -> Array:
    """Orthonormal columns with the same span, flag and orientation as those of ``basis``."""
    q, r = np.linalg.qr(basis / _column_scale(basis))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)
