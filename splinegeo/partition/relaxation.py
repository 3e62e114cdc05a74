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
from splinegeo.partition.windows import Windows

EPS = 2.0**-53
ROWS = 4096  # rows of a layer looked at together


class Relaxation:
    """Affine parts and deltas of the live hinges so far, over one polygon."""

    def __init__(self, corners: Array) -> None:
        self.corners = corners  # (k, 3) homogeneous, last column 1
        self.affine = np.zeros((0, 3))  # M
        self.deltas = np.zeros((0, 0))  # D
        self.low, self.high = np.zeros(0), np.zeros(0)  # of each delta
        self.largest = 0.0  # no |h| on the polygon exceeds this

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return len(self.affine)

    def ranges(self, affine: Array, hinges: Windows, error: Array) -> tuple[Array, Array, Array]:
        """Rigorous bounds (n,), (n,) on units with coefficients (3, n) of (x, y, 1) and (live, n) of the hinges.

        ``error`` (2, n) bounds the errors of a unit's coefficients, those of hinges relative to the largest hinge. The
        third array is what rounding has to do with it: the units lie no further than that from their relaxation.
        """
        affine = affine.T
        slop = error[0] + error[1] * self.largest + 16 * EPS * np.abs(affine).sum(1)
        spread = np.zeros(len(affine))
        n = hinges.live
        if n:
            affine = affine + hinges.combined(self.affine[:n]).T
            reach = np.abs(self.deltas[:n]) @ np.maximum(np.abs(self.low), np.abs(self.high))
            sizes = np.stack([np.abs(self.affine[:n]).sum(1) + reach, reach])
            size, spread = hinges.combined(sizes.T, absolute=True)
            # Rounding, here and below: products of up to n_live terms, twice, of what cannot exceed `size`.
            slop += 4 * (self.n_live + 8) * EPS * size
        at = affine @ self.corners.T
        slop = 1.01 * slop + 8 * EPS * np.abs(at).max(1)
        low, high = at.min(1) - spread - slop, at.max(1) + spread + slop
        # Each hinge by itself settles most units; for the others let the deltas cancel.
        rest = np.nonzero((low < 0) & (high > 0))[0] if n else np.zeros(0, np.int64)
        middle, reach = (self.low + self.high) / 2, (self.high - self.low) / 2
        for k in range(0, len(rest), ROWS):
            here = rest[k : k + ROWS]
            through = hinges.only(here).T @ self.deltas[:n]
            centre, spread = at[here] + (through @ middle)[:, None], np.abs(through) @ reach + slop[here]
            low[here] = np.maximum(low[here], centre.min(1) - spread)
            high[here] = np.minimum(high[here], centre.max(1) + spread)
        return low, high, slop

    def add_known(self, count: int) -> None:
        """Take in hinges whose sides are fixed and that are part of the affine parts: nothing is left of them."""
        n = self.n_live + count
        grown = np.zeros((n, n))
        grown[: self.n_live, : self.n_live] = self.deltas
        self.affine, self.deltas = np.concatenate([self.affine, np.zeros((count, 3))]), grown
        self.low, self.high = (np.concatenate([v, np.zeros(count)]) for v in (self.low, self.high))

    def add(self, affine: Array, hinges: Windows, error: Array, low: Array, high: Array, slopes: Array) -> None:
        """Take in live hinges: pre-activations as in `ranges`, their ranges, slopes (n, 2) below and above 0."""
        doubt = self.ranges(affine, hinges, error)[2]
        matrix, known = hinges.dense(), hinges.live
        affine, deltas = affine.T + matrix.T @ self.affine[:known], matrix.T @ self.deltas[:known]
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
