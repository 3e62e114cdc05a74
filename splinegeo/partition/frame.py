"""Frame coordinates: the domain shifted and scaled, exactly, to size about one.

u = centre + scale * t per axis, with a float64 centre and a power of two for scale. The engine computes in t, so that
a domain of size 1e-30, or one far from the origin, is no harder than the unit square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import frexp, gcd, lcm, ldexp

import numpy as np

from splinegeo._types import Array


def nearest_float(x: Fraction) -> float:
    """The float64 nearest to a rational (infinite beyond the range)."""
    try:
        return x.numerator / x.denominator
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def error_bound(near: float, true: Fraction) -> float:
    """A bound on |near - true|: zero if exact, else never so small that later scaling could round it to zero."""
    gap = abs(Fraction(near) - true)
    return max(nearest_float(gap) * 1.01, abs(near) * 2.0**-100, 1e-300) if gap else 0.0


def point_rows(points: Sequence[tuple[Fraction, Fraction]]) -> tuple[Array, Array]:
    """Homogeneous float rows (k, 3) of points and a bound (k,) on their error."""
    rows, errors = [], []
    for x, y in points:
        row = [nearest_float(x), nearest_float(y), 1.0]
        rows.append(row)
        errors.append(max(error_bound(row[0], x), error_bound(row[1], y)))
    return np.array(rows), np.array(errors)


def line_rows(lines: Sequence[tuple[int, int, int]]) -> tuple[Array, Array]:
    """Float rows (k, 3) of lines, largest entry in [1/2, 1], and a bound (k,) on the entries' error."""
    rows, errors = [], []
    for line in lines:
        size = 1 << max(abs(v) for v in line).bit_length()
        true = [Fraction(v, size) for v in line]
        row = [nearest_float(v) for v in true]
        rows.append(row)
        errors.append(max(error_bound(r, v) for r, v in zip(row, true, strict=True)))
    return np.array(rows), np.array(errors)


@dataclass(frozen=True, eq=False)
class Frame:
    """The frame of a convex set, given by its corners in slice coordinates (k, d).

    What speaks of edges is for the plane, where corners are counter-clockwise.
    """

    corners: Array
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, corners: Array) -> Frame:
        """The frame in which the corners' bounding box is about [-1, 1]^d."""
        lower, upper = corners.min(0), corners.max(0)
        centre = lower / 2 + upper / 2
        # A centre that is not worth its rounding (a box around 0, give or take an ulp) is left out.
        half = np.maximum(upper / 2 - lower / 2, np.maximum(np.abs(upper), np.abs(lower)) * 2.0**-60)
        centre = np.where(np.abs(centre) <= half * 2.0**-20, 0.0, centre)
        # Powers of two below 2^-1000 would leave the range of float64 when the maps are scaled back.
        scale = [ldexp(1.0, max(-1000, min(1000, frexp(h)[1] - (frexp(h)[0] == 0.5)))) for h in half]
        return cls(corners, tuple(centre.tolist()), tuple(scale))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.centre)

    @cached_property
    def exact_corners(self) -> list[tuple[Fraction, Fraction]]:
        """The corners in frame coordinates, as rationals."""
        (cx, cy), (sx, sy) = map(Fraction, self.centre), map(Fraction, self.scale)
        return [((Fraction(float(u)) - cx) / sx, (Fraction(float(v)) - cy) / sy) for u, v in self.corners]

    @cached_property
    def exact_edges(self) -> list[tuple[int, int, int]]:
        """Integers (a, b, c) of the line a x + b y + c = 0 of each edge, positive inside; edge k starts at corner k."""
        corners, lines = self.exact_corners, []
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            line = (y0 - y1, x1 - x0, x0 * y1 - x1 * y0)
            m = lcm(*(v.denominator for v in line))
            whole = [int(v * m) for v in line]
            g = gcd(*whole) or 1
            lines.append((whole[0] // g, whole[1] // g, whole[2] // g))
        return lines

    @cached_property
    def corner_rows(self) -> tuple[Array, Array]:
        """Homogeneous float corners (k, 3) and a bound (k,) on their error."""
        return point_rows(self.exact_corners)

    def to_slice(self, t: Array) -> Array:
        """Slice coordinates of points (..., 2) in the frame."""
        return np.asarray(self.centre) + np.asarray(self.scale) * t

    def vertices(self, t: Array) -> Array:
        """`to_slice`, but a coordinate that is a corner's own comes back as the corner's, to the last bit."""
        u = self.to_slice(t)
        corners, _ = self.corner_rows
        back = self.to_slice(corners[:, :2])
        for axis in range(2):
            for own, given, near in set(
                zip(corners[:, axis].tolist(), self.corners[:, axis].tolist(), back[:, axis].tolist(), strict=True)
            ):
                if given != near:
                    u[t[:, axis] == own, axis] = given
        return u

    def to_frame(self, u: Array) -> Array:
        """Frame coordinates of points (..., 2) in the slice."""
        return (u - np.asarray(self.centre)) / np.asarray(self.scale)
