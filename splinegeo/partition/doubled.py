"""Numbers as unevaluated sums hi + lo of two floats: some 100 bits, for the few columns where digits cancel.

Sums and products are Knuth's and Dekker's. Errors are relative to `ROUNDING` times what would be there, were nothing to
cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.partition.limbs import LIMB, Pieces

ROUNDING = 2.0**-97  # of one operation here, with room to spare
CUTS = 7  # pieces that a number is cut into for `mapped`


@dataclass(frozen=True, eq=False)
class Doubled:
    """hi + lo, arrays of the same shape with |lo| <= 2**-53 |hi|."""

    hi: Array
    lo: Array

    def __getitem__(self, index: Any) -> Doubled:
        return Doubled(self.hi[index], self.lo[index])

    def plus(self, other: Doubled) -> Doubled:
        """The sum."""
        s, e = _two_sum(self.hi, other.hi)
        return _tidy(s, e + (self.lo + other.lo))

    def times(self, factor: Array) -> Doubled:
        """The product with floats."""
        p = self.hi * factor
        return _tidy(p, _product_error(self.hi, factor, p) + self.lo * factor)


def exactly(values: Array) -> Doubled:
    """Floats as they are."""
    return Doubled(values, np.zeros_like(values))


def nearest(rows: Sequence[Sequence[Fraction]]) -> Doubled:
    """Rationals, to the nearest."""
    hi = [[float(v) for v in row] for row in rows]
    lo = [[float(v - Fraction(h)) for v, h in zip(*pair, strict=True)] for pair in zip(rows, hi, strict=True)]
    return Doubled(np.array(hi), np.array(lo))


def mapped(layer: Pieces, x: Doubled) -> Doubled:
    """The layer without bias on rows of numbers (m, n_in).

    Every row is cut into pieces of 16 bits, whose products with the layer's pieces float64 sums up exactly.
    """
    _, scale = np.frexp(np.abs(x.hi).max(1, keepdims=True))
    rest, low = np.ldexp(x.hi, -scale), np.ldexp(x.lo, -scale)
    cuts = []
    for k in range(CUTS):
        if k == 3:  # what is left is below 2**-48, and the low part joins it
            rest = rest + low
        whole = np.trunc(np.ldexp(rest, LIMB * (k + 1)))
        rest = rest - np.ldexp(whole, -LIMB * (k + 1))
        cuts.append(whole)
    batch = np.concatenate(cuts)
    total: Doubled | None = None
    parts = [(linear_maps.apply(part, batch), e) for part, e in zip(layer.layers, layer.exponents, strict=True)]
    for k in reversed(range(CUTS)):
        for sums, exponent in reversed(parts):
            here = np.ldexp(sums[k * len(rest) : (k + 1) * len(rest)], scale + exponent - LIMB * (k + 1))
            total = exactly(here) if total is None else total.plus(exactly(here))
    assert total is not None
    return total


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    s = a + b
    back = s - a
    return s, (a - (s - back)) + (b - back)


def _tidy(a: Array, b: Array) -> Doubled:
    s = a + b
    return Doubled(s, b - (s - a))


def _product_error(a: Array, b: Array, p: Array) -> Array:
    """a b - p for p = fl(a b), exactly, unless the factors are huge or the product tiny."""
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _split(a: Array) -> tuple[Array, Array]:
    t = 134217729.0 * a  # 2**27 + 1
    high = t - (t - a)
    return high, a - high
