"""Where the engine of linear programmes looks: an ℓ1 ball or a box in a slice, in coordinates v of size about one.

z = origin + basis @ (centre + scale * v), with v in the open unit ball |v_1| + ... + |v_d| < 1, or in the open box
low < v < high, which is about [-1, 1]^d. Linear functions are easy to bound on both, and neither needs its facets or
vertices listed, of which one or the other has 2^d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinegeo._types import Array
from splinegeo.domains import Box, Slice
from splinegeo.partition.frame import Frame, error_bound, nearest_float

EPS = 2.0**-53


class Scaling(NamedTuple):
    """What `partition.exact.ExactNetwork` reads of a frame."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def dim(self) -> int:
        """d."""
        return len(self.centre)


@dataclass(frozen=True, eq=False)
class Place:
    """A domain in a slice; a ball where there are no ``bounds``."""

    origin: Array  # (E,)
    basis: Array  # (E, d)
    scaling: Scaling
    bounds: tuple[tuple[Fraction, Fraction], ...] = ()  # (low, high) of each coordinate of a box

    @classmethod
    def ball(cls, center: Array, radius: float, frame: Array) -> Place:
        """The ℓ1 ball around ``center`` (E,) in the plane of ``frame`` (E, d)."""
        d = frame.shape[1]
        return cls(center, frame, Scaling((0.0,) * d, (radius,) * d))

    @classmethod
    def box(cls, box: Box, plane: Slice) -> Place:
        """A box of slice coordinates."""
        frame = Frame.of(np.stack([box.lower, box.upper]))
        ends = zip(box.lower.tolist(), box.upper.tolist(), frame.centre, frame.scale, strict=True)
        bounds = tuple(
            ((Fraction(low) - Fraction(c)) / Fraction(s), (Fraction(high) - Fraction(c)) / Fraction(s))
            for low, high, c, s in ends
        )
        return cls(plane.origin, plane.basis, Scaling(frame.centre, frame.scale), bounds)

    @property
    def dim(self) -> int:
        """d."""
        return self.basis.shape[1]

    @cached_property
    def inner(self) -> Array:
        """(d,) half-widths of a box around v = 0 inside the domain, if it is a box; else none."""
        return np.array([_rounded(min(-low, high), -1) for low, high in self.bounds])

    @cached_property
    def outer(self) -> Array:
        """(d,) half-widths of a box around v = 0 that holds the domain, if it is a box; else none."""
        return np.array([_rounded(max(-low, high), 1) for low, high in self.bounds])

    def columns(self) -> tuple[Array, Array]:
        """The latents as functions of (v, 1): rows (d + 1, E), and how far they may be off anywhere in the domain."""
        scale = np.array(self.scaling.scale)
        columns = (scale * self.basis).T
        power_of_two = np.frexp(scale)[0] == 0.5
        simple = (np.frexp(np.abs(self.basis.T))[0] == 0.5) | (self.basis.T == 0) | power_of_two[:, None]
        simple &= (np.abs(columns) > 1e-290) | (self.basis.T == 0)
        rounding = np.where(simple, 0.0, EPS * np.abs(columns) * (1 + EPS) + 1e-300)
        constant, error = self._constant()
        return np.concatenate([columns, constant[None]]), spread(rounding, self.outer) + error

    def _constant(self) -> tuple[Array, Array]:
        if not any(self.scaling.centre):
            return self.origin, np.zeros(len(self.origin))
        near, error = np.empty(len(self.origin)), np.empty(len(self.origin))
        for i, (o, row) in enumerate(zip(self.origin.tolist(), self.basis.tolist(), strict=True)):
            true = Fraction(o) + _dot(row, self.scaling.centre)
            near[i] = nearest_float(true)
            error[i] = error_bound(near[i], true)
        return near, error

    def to_slice(self, v: Array) -> Array:
        """Slice coordinates (..., d) of v (..., d)."""
        return np.asarray(self.scaling.centre) + np.asarray(self.scaling.scale) * v


def spread(rows: Array, outer: Array) -> Array:
    """(...,) bounds on |a·v| over the domain for coefficients a (d, ...); see `Place.outer`, empty for the ball."""
    if len(outer):
        return np.tensordot(outer, np.abs(rows), 1)
    return np.abs(rows).max(0)


def _dot(row: Sequence[float], centre: Sequence[float]) -> Fraction:
    return sum((Fraction(b) * Fraction(c) for b, c in zip(row, centre, strict=True) if b and c), Fraction(0))


def _rounded(x: Fraction, up: int) -> float:
    """A float64 near x, and not below it (``up`` = 1) or not above it (-1)."""
    near = nearest_float(x)
    if Fraction(near) == x or (Fraction(near) > x) == (up > 0):
        return near
    return float(np.nextafter(near, up * np.inf))
