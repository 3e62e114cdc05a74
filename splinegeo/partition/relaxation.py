"""Which hinges may change sides on a polygon: bounds from affine functions that run close to every hinge.

On a polygon a hinge h(z) with z in [lo, hi], lo < 0 < hi, stays within a known distance of its chord,
h = slope * z + offset + delta with delta in an interval. Put into one another, layer by layer, the live hinges become

    h = M (x, y, 1) + D delta,

and a unit z = P (x, y, 1) + C h lies between the values at the polygon's corners of its affine part, give or take
what the deltas can do. Deltas keep their identity through all layers, so that what they do to a unit along several
paths cancels where it should; bounding layer by layer would blow up with depth.
"""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array

EPS = 2.0**-53
ROWS = 4096  # rows of a layer looked at together


class Relaxation:
    """Affine parts and deltas of the live hinges so far, over one polygon."""

    def __init__(self, corners: Array) -> None:
        self.corners = corners  # (k, 3) homogeneous, last column 1
        self.affine = np.zeros((0, 3))  # M
        self.deltas = np.zeros((0, 0))  # D
        self.low, self.high = np.zeros(0), np.zeros(0)  # of each delta
        self.largest = 1.0  # no |x|, |y|, |h| on the polygon exceeds this

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return len(self.affine)

    def ranges(self, values: Array, error: Array) -> tuple[Array, Array, Array]:
        """Rigorous bounds (n,), (n,) on units with coefficients ``values`` (3 + live, n) of (x, y, 1) and hinges.

        The third is what rounding has to do with it: the units lie no further than that from their relaxation.

        ``error`` (n,) bounds the error of a unit relative to max(1, |x|, |y|, |h|).
        """
        n = values.shape[1]
        low, high, doubt = np.empty(n), np.empty(n), np.empty(n)
        middle, reach = (self.low + self.high) / 2, (self.high - self.low) / 2
        for k in range(0, n, ROWS):
            part = values[:, k : k + ROWS].T
            affine, slop = part[:, :3], error[k : k + ROWS] * self.largest
            spread = np.zeros(len(part))
            if self.n_live:
                hinges = part[:, 3 : 3 + self.n_live]
                affine = affine + hinges @ self.affine
                through = hinges @ self.deltas
                offset, spread = through @ middle, np.abs(through) @ reach
                # Rounding in here: products of up to n_live terms, twice, of what cannot exceed `size`.
                size = np.abs(hinges) @ (np.abs(self.affine).sum(1) + np.abs(self.deltas) @ (np.abs(middle) + reach))
                slop = slop + 4 * (self.n_live + 8) * EPS * size
                affine = affine + offset[:, None] * np.array([0.0, 0.0, 1.0])
            slop = slop + 16 * EPS * np.abs(part[:, :3]).sum(1) * self.largest
            at = affine @ self.corners.T
            slop = 1.01 * slop + 8 * EPS * np.abs(at).max(1)
            low[k : k + ROWS] = at.min(1) - spread - slop
            high[k : k + ROWS] = at.max(1) + spread + slop
            doubt[k : k + ROWS] = slop
        return low, high, doubt

    def add(self, values: Array, error: Array, low: Array, high: Array, slopes: Array) -> None:
        """Take in live hinges: pre-activations (3 + live, n) as in `ranges`, slopes (n, 2) below and above 0."""
        doubt = self.ranges(values, error)[2]
        hinges = values[3 : 3 + self.n_live].T
        affine, deltas = values[:3].T + hinges @ self.affine, hinges @ self.deltas
        below, above = slopes.T
        width = high - low
        chord = (above * high - below * low) / width
        offset = below * low - chord * low
        # At 0 the hinge is furthest from its chord, whose value there is `offset`.
        gap = -offset * (1 + 1e-9)
        # The unit is not quite what its relaxation is in floating point; what the chord makes of that joins the gap.
        slack = 1.01 * np.abs(chord) * doubt + 1e-12 * (np.abs(above * high) + np.abs(below * low)) + 1e-300
        n, old = len(chord), self.n_live
        grown = np.zeros((old + n, old + n))
        grown[:old, :old] = self.deltas
        grown[old:, :old] = chord[:, None] * deltas
        grown[old:, old:] = np.eye(n)
        affine = chord[:, None] * affine
        affine[:, 2] += offset
        self.affine, self.deltas = np.concatenate([self.affine, affine]), grown
        self.low = np.concatenate([self.low, np.minimum(gap, 0) - slack])
        self.high = np.concatenate([self.high, np.maximum(gap, 0) + slack])
        reach = np.maximum(np.abs(above * high), np.abs(below * low))
        self.largest = max(self.largest, float(reach.max(initial=0.0)))
