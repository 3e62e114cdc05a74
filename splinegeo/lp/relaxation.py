"""Which hinges may change sides in a domain: bounds from affine functions that run close to every hinge.

As `splinegeo.partition.relaxation` does it on polygons. Over the unit ℓ1 ball an affine function a·v + c takes the
values from c - max|a| to c + max|a|, over a box those up to the sum instead, whatever the dimension; see `spread`.
"""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array
from splinegeo.lp.places import EPS, spread

ROWS = 4096  # units looked at together


class Relaxation:
    """Each live hinge so far as h = M (v, 1) + D delta, every delta within its interval."""

    def __init__(self, dim: int, outer: Array) -> None:
        self.outer = outer  # see `splinegeo.lp.places.Place`
        self.affine = np.zeros((0, dim + 1))  # M
        self.deltas = np.zeros((0, 0))  # D
        self.low, self.high = np.zeros(0), np.zeros(0)  # of each delta
        self.sizes = np.zeros(0)  # no |h| exceeds this in the domain

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return len(self.affine)

    def magnitude(self, affine: Array, hinges: Array) -> Array:
        """(n,) bounds on units over the domain, were nothing to cancel; see `ranges`."""
        return spread(affine[:-1], self.outer) + np.abs(affine[-1]) + self.sizes[: len(hinges)] @ np.abs(hinges)

    def ranges(self, affine: Array, hinges: Array, error: Array) -> tuple[Array, Array, Array]:
        """Rigorous bounds (n,), (n,) on units with coefficients (P + 1, n) of (v, 1) and (live, n) of the hinges.

        ``error`` (n,) bounds how far a unit is from these coefficients anywhere in the domain. The third array is what
        rounding has to do with it: the units lie no further than that from their relaxation.
        """
        parts = [
            self._ranges(affine[:, k : k + ROWS], hinges[:, k : k + ROWS], error[k : k + ROWS])
            for k in range(0, affine.shape[1], ROWS)
        ]
        if not parts:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        low, high, slop = (np.concatenate([p[j] for p in parts]) for j in range(3))
        return low, high, slop

    def _ranges(self, affine: Array, hinges: Array, error: Array) -> tuple[Array, Array, Array]:
        n = len(hinges)
        slop = error + 16 * EPS * self.magnitude(affine, hinges)
        total, centre, around = affine, np.zeros(affine.shape[1]), np.zeros(affine.shape[1])
        if n:
            known, deltas = self.affine[:n], self.deltas[:n]
            total = affine + known.T @ hinges
            through = deltas.T @ hinges
            centre = ((self.low + self.high) / 2) @ through
            around = ((self.high - self.low) / 2) @ np.abs(through)
            reach = np.abs(deltas) @ np.maximum(np.abs(self.low), np.abs(self.high))
            sizes = spread(known[:, :-1].T, self.outer) + np.abs(known[:, -1]) + reach
            # Rounding: products of up to n_live terms, twice, of what cannot exceed this.
            slop = slop + 4 * (self.n_live + 8) * EPS * (sizes @ np.abs(hinges))
        slop = 1.01 * slop
        width = spread(total[:-1], self.outer) * (1 + 2 * len(self.outer) * EPS) + around + slop
        return total[-1] + centre - width, total[-1] + centre + width, slop

    def add(self, affine: Array, hinges: Array, error: Array, low: Array, high: Array, slopes: Array) -> None:
        """Take in live hinges: pre-activations as in `ranges`, their ranges, slopes (n, 2) below and above 0."""
        doubt = self.ranges(affine, hinges, error)[2]
        k, old, n = len(hinges), self.n_live, affine.shape[1]
        rows, deltas = (affine + self.affine[:k].T @ hinges).T, hinges.T @ self.deltas[:k]
        below, above = slopes.T
        chord = (above * high - below * low) / (high - low)
        offset = below * low - chord * low
        # At 0 the hinge is furthest from its chord, whose value there is `offset`.
        gap = -offset * (1 + 1e-9)
        # The unit is not quite what its relaxation is in floating point; what the chord makes of that joins the gap.
        slack = 1.01 * np.abs(chord) * doubt + 1e-12 * (np.abs(above * high) + np.abs(below * low)) + 1e-300
        grown = np.zeros((old + n, old + n))
        grown[:old, :old] = self.deltas
        grown[old:, :old] = chord[:, None] * deltas
        grown[old:, old:] = np.eye(n)
        rows = chord[:, None] * rows
        rows[:, -1] += offset
        self.affine, self.deltas = np.concatenate([self.affine, rows]), grown
        self.low = np.concatenate([self.low, np.minimum(gap, 0) - slack])
        self.high = np.concatenate([self.high, np.maximum(gap, 0) + slack])
        reach = np.maximum(np.abs(above * high), np.abs(below * low)) * (1 + 4 * EPS) + 1e-300
        self.sizes = np.concatenate([self.sizes, reach])
