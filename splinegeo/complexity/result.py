"""What `local_complexity` returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array

KINDS = ("regions", "crossing", "vertices")


@dataclass(frozen=True, eq=False, repr=False)
class LocalComplexity:
    """δ of latents, in one of its three forms; arrays have the shape (...) of the batch of latents.

    Of regions and of crossing units ``values`` are exact where ``complete``; elsewhere they are certified lower
    bounds. ``upper`` is a certified upper bound everywhere. ``estimate`` and ``interval`` are statistics, not
    certainties: where the count of regions is not complete, an unbiased estimate from random samples of the splitting
    tree and a 95 % confidence interval for it, elsewhere the value itself. Vertex sign changes (``kind="vertices"``)
    are what they are: a lower bound on the crossing units, up to rounding.
    """

    kind: str  # "regions", "crossing" or "vertices"
    values: Array  # (...) int64
    complete: Array  # (...) bool
    upper: Array  # (...) float64, rounded up where float64 does not hold it, infinite where nothing is known
    estimate: Array  # (...) float64, NaN where there is none
    interval: Array  # (..., 2) float64, NaN where there is none
    crossing: Array  # (...) int64, units seen to change sign: all of them where complete
    per_layer: Array  # (..., L) int64, the same by layer
    layers: tuple[str, ...]  # names of the L layers
    radius: float
    frame: Array  # (E, P), or (..., E, P)
    stop_reason: str  # empty if all is complete

    @property
    def dim(self) -> int:
        """P, the dimension of the balls."""
        return self.frame.shape[-1]

    @property
    def exact(self) -> bool:
        """Whether all values are exact counts of what ``kind`` names; never of vertex sign changes."""
        return self.kind != "vertices" and bool(self.complete.all())

    def __len__(self) -> int:
        return len(self.values)

    def __int__(self) -> int:
        return int(self.values)

    def __float__(self) -> float:
        return float(self.values)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        try:
            shape, n = self.values.shape, self.values.size
            what = {"regions": "regions", "crossing": "crossing units", "vertices": "vertex sign changes"}[self.kind]
            where = f"in an l1 ball of radius {self.radius:g} and dimension {self.dim}"
            if n == 1:
                least = "" if self.complete.all() else "at least "
                return f"<LocalComplexity: {least}{int(self.values.reshape(-1)[0]):,} {what} {where}>"
            missing = int(n - self.complete.sum())
            state = f", {missing:,} incomplete" if missing else ""
            return f"<LocalComplexity of {'x'.join(map(str, shape))} latents: {what} {where}{state}>"
        except (AttributeError, KeyError):  # half-made
            return "<LocalComplexity>"
