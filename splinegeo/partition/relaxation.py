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
        affine, size = values[:3].T, np.zeros(values.shape[1])
        slop = error * self.largest + 16 * EPS * np.abs(affine).sum(1) * self.largest
        spread = np.zeros(len(affine))
        if self.n_live:
            hinges = np.abs(values[3 : 3 + self.n_live])
            affine = affine + values[3 : 3 + self.n_live].T @ self.affine
            reach = np.abs(self.deltas) @ np.maximum(np.abs(self.low), np.abs(self.high))
            # Rounding, here and below: products of up to n_live terms, twice, of what cannot exceed `size`.
            size = (np.abs(self.affine).sum(1) + reach) @ hinges
            slop = slop + 4 * (self.n_live + 8) * EPS * size
            spread = reach @ hinges
        at = affine @ self.corners.T
        slop = 1.01 * slop + 8 * EPS * np.abs(at).max(1)
        low, high = at.min(1) - spread - slop, at.max(1) + spread + slop
        # Each hinge by itself settles most units; for the others let the deltas cancel.
        rest = np.nonzero((low < 0) & (high > 0))[0] if self.n_live else np.zeros(0, np.int64)
        middle, reach = (self.low + self.high) / 2, (self.high - self.low) / 2
        for k in range(0, len(rest), ROWS):
            here = rest[k : k + ROWS]
            through = values[3 : 3 + self.n_live, here].T @ self.deltas
            centre, spread = at[here] + (through @ middle)[:, None], np.abs(through) @ reach + slop[here]
            low[here] = np.maximum(low[here], centre.min(1) - spread)
            high[here] = np.minimum(high[here], centre.max(1) + spread)
        return low, high, slop

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
