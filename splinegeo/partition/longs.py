"""Numbers as unevaluated sums of two or three floats: 100 or 150 bits, for columns where digits cancel.

Sums and products are Knuth's and Dekker's. Errors are relative to `rounding` times what would be there, were nothing to
cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.partition.limbs import LIMB, Pieces


def rounding(parts: int) -> float:
    """Of one operation on numbers of so many floats, with room to spare."""
    return float(2.0 ** (9 - 53 * parts))


def cut_error(limbs: int, terms: int) -> float:
    """Of `mapped` with so many limbs, relative to the largest number of a row times a row's absolute sum of weights."""
    return float((terms + 4) * 2.0 ** -(LIMB * limbs + 52))


@dataclass(frozen=True, eq=False)
class Long:
    """Numbers parts[0] + parts[1] + ..., each part at most half a unit in the last place of the one before."""

    parts: Array  # (k, ...)

    def __getitem__(self, index: Any) -> Long:
        return Long(self.parts[(slice(None), *index)])

    @property
    def hi(self) -> Array:
        """The numbers, rounded."""
        return np.asarray(self.parts[0])

    def plus(self, other: Long) -> Long:
        """The sum, as long as the longer one."""
        return total([*other.parts[::-1], *self.parts[::-1]], max(len(self.parts), len(other.parts)))

    def times(self, factor: Array) -> Long:
        """The product with floats."""
        products = self.parts * factor
        if len(self.parts) == 1:
            return Long(products)
        errors = _product_error(self.parts[:-1], np.broadcast_to(factor, self.parts[0].shape), products[:-1])
        terms = [products[-1]]
        for p, e in zip(products[-2::-1], errors[::-1], strict=True):
            terms += [e, p]
        return total(terms, len(self.parts))


def exactly(values: Array) -> Long:
    """Floats as they are."""
    return Long(values[None])


def nearest(rows: Sequence[Sequence[Fraction]], parts: int) -> Long:
    """Rationals, to the nearest."""
    out = np.zeros((parts, len(rows), len(rows[0])))
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            rest = value
            for k in range(parts):
                out[k, i, j] = float(rest)
                rest -= Fraction(float(out[k, i, j]))
    return Long(out)


def total(terms: list[Array], parts: int) -> Long:
    """The sum of arrays of one shape; the small ones should come first."""
    shape = terms[0].shape
    out = np.empty((parts, terms[0].size))
    _sum(np.stack([t.ravel() for t in terms]), out)
    return Long(out.reshape(parts, *shape))


def mapped(layer: Pieces, node: Any, x: Long, limbs: int, apply: Callable[[Any, Array], Array]) -> Long:
    """A layer without bias on rows of numbers (m, n_in): ``node``, and the same in pieces; see `cut_error`.

    Every row is cut into limbs of 16 bits, whose products with the layer's pieces float64 sums up exactly; what is left
    goes through the layer as it is.
    """
    _, scale = np.frexp(np.abs(x.hi).max(1, keepdims=True))
    rest, *low = (np.ldexp(part, -scale) for part in x.parts)
    cuts, late = [], np.zeros_like(rest)
    for k in range(limbs):
        if k % 3 == 0 and k and low:  # what is left has no more than five bits: the next part joins it
            more, lost = _two_sum(low.pop(0), late)
            rest, late = _two_sum(rest, more)
            late = late + lost
        whole = np.trunc(np.ldexp(rest, LIMB * (k + 1)))
        rest = rest - np.ldexp(whole, -LIMB * (k + 1))
        cuts.append(whole)
    for part in (late, *low):
        rest = rest + part
    terms = [np.ldexp(apply(node, rest), scale)]
    batch, m = np.concatenate(cuts), len(rest)
    parts = [(apply(part, batch), e) for part, e in zip(layer.layers, layer.exponents, strict=True)]
    for k in reversed(range(limbs)):
        for sums, exponent in reversed(parts):
            terms.append(np.ldexp(sums[k * m : (k + 1) * m], scale + exponent - LIMB * (k + 1)))
    return total(terms, len(x.parts))


@kernel()
def _sum(terms, out):
    """Sums (parts, n) of terms (., n)."""
    parts = out.shape[0]
    for i in range(out.shape[1]):
        for j in range(parts):
            out[j, i] = 0.0
        for t in range(terms.shape[0]):
            x = terms[t, i]
            for j in range(parts - 1):
                a = out[j, i]
                s = a + x
                back = s - a
                x = (a - (s - back)) + (x - back)
                out[j, i] = s
            out[parts - 1, i] += x
        for _ in range(2):
            for j in range(parts - 2, -1, -1):
                a, b = out[j, i], out[j + 1, i]
                s = a + b
                back = s - a
                out[j, i], out[j + 1, i] = s, (a - (s - back)) + (b - back)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    s = a + b
    back = s - a
    return s, (a - (s - back)) + (b - back)


def _product_error(a: Array, b: Array, p: Array) -> Array:
    """a b - p for p = fl(a b), exactly, unless the factors are huge or the product tiny."""
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _split(a: Array) -> tuple[Array, Array]:
    t = 134217729.0 * a  # 2**27 + 1
    high = t - (t - a)
    return high, a - high
