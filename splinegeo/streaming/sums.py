"""Weighted moments that do not lose digits: sums are kept in two float64 each, products enter them without rounding.

A sum of millions of terms is then as good as if it had been made with twice the precision and rounded once, and the
variance can be taken from plain sums of w, w x and w x^2 without the loss that makes this a bad idea in float64.
Tasks are added up in their order, so the result does not depend on who computed them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array

_SPLIT = 134217729.0  # 2^27 + 1: Dekker's constant, cuts a double into two halves of 26 bits
LARGEST = 1e150  # beyond this a square overflows; such values are left out, and counted


@kernel(inner=True)
def _add(sums, row, k, x):
    """Add x to a pair (high, low): Knuth's two-sum."""
    high = sums[row, k, 0]
    total = high + x
    rest = total - high
    sums[row, k, 0] = total
    sums[row, k, 1] += (high - (total - rest)) + (x - rest)


@kernel(inner=True)
def _product_error(a, b, p):
    """a * b - p where p is the rounded product: Dekker."""
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    return ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@kernel()
def _accumulate(values, weights, counts, extremes, sums):
    for q in range(values.shape[0]):
        for k in range(values.shape[1]):
            x, w = values[q, k], weights[k]
            if not abs(x) <= LARGEST:
                counts[q, 1] += 1
                continue
            counts[q, 0] += 1
            extremes[q, 0] = min(extremes[q, 0], x)
            extremes[q, 1] = max(extremes[q, 1], x)
            _add(sums, q, 0, w)
            p = w * x
            p_error = _product_error(w, x, p)
            _add(sums, q, 1, p)
            _add(sums, q, 1, p_error)
            s = p * x
            _add(sums, q, 2, s)
            _add(sums, q, 2, _product_error(p, x, s) + p_error * x)


@kernel()
def _merge(sums, more):
    for q in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            _add(sums, q, k, more[q, k, 0])
            sums[q, k, 1] += more[q, k, 1]


@dataclass(frozen=True)
class Moments:
    """Area-weighted statistics of one quantity over all regions."""

    count: int  # regions with a finite value
    omitted: int  # regions left out: their value is infinite or nan
    mean: float
    std: float
    min: float
    max: float


class MomentSums:
    """Running sums of Q quantities: weights, first and second moments, extremes."""

    def __init__(self, n: int) -> None:
        self.counts = np.zeros((n, 2), np.int64)  # used, omitted
        self.extremes = np.tile([math.inf, -math.inf], (n, 1))  # least, largest
        self.sums = np.zeros((n, 3, 2))  # of w, w x, w x^2; high and low part

    def add(self, values: Array, weights: Array) -> None:
        """Take in the values (Q, N) of N regions with these weights (N,), of ordinary size."""
        _accumulate(values, weights, self.counts, self.extremes, self.sums)

    def merge(self, more: MomentSums) -> None:
        """Take in what another one has added up."""
        self.counts += more.counts
        self.extremes[:, 0] = np.minimum(self.extremes[:, 0], more.extremes[:, 0])
        self.extremes[:, 1] = np.maximum(self.extremes[:, 1], more.extremes[:, 1])
        _merge(self.sums, more.sums)

    def total(self, q: int = 0) -> Fraction:
        """The sum of the weights of the regions that count for quantity q."""
        return self._sum(q, 0)

    def moments(self, q: int) -> Moments:
        """Mean, standard deviation and extremes; nan where there is nothing to weigh."""
        count, omitted = (int(n) for n in self.counts[q])
        low, high = (float(x) for x in self.extremes[q])
        weight = self._sum(q, 0)
        if count == 0:
            return Moments(0, omitted, math.nan, math.nan, math.nan, math.nan)
        if weight <= 0:
            return Moments(count, omitted, math.nan, math.nan, low, high)
        mean = self._sum(q, 1) / weight
        variance = self._sum(q, 2) / weight - mean**2
        if low == high:  # a constant is its own mean, to the last bit
            mean, variance = Fraction(low), Fraction(0)
        return Moments(count, omitted, float(mean), math.sqrt(max(variance, Fraction(0))), low, high)

    def _sum(self, q: int, k: int) -> Fraction:
        return Fraction(float(self.sums[q, k, 0])) + Fraction(float(self.sums[q, k, 1]))
