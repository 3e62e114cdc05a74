"""Singular values of many tall, thin matrices, with relative accuracy of the small ones.

For two columns x, y the product of the singular values is |x| times the distance of y from the line of x, which a
shear y -> y - c x leaves alone: computed with c in float64 and the subtraction in twice the precision, that distance
keeps its digits however close the columns are to parallel. Squaring (a Gram matrix) is used only while the angle
between the columns is wide enough for it to cost nothing. Three columns and more: Householder QR, then one-sided
Jacobi, whose relative accuracy depends on the condition of the *normalised* columns only (Demmel, Veselić, "Jacobi's
method is more accurate than QR", SIAM J. Matrix Anal. Appl. 13, 1992).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from splinegeo._errors import ShapeMismatch, WrongType
from splinegeo._types import Array

# Squares of numbers within these bounds neither overflow nor lose digits to underflow, with room for the sums and for
# residuals 2^-106 below the column; outside, columns are first scaled by powers of two.
_SMALLEST_SQUARE, _LARGEST_SQUARE = 1e-200, 1e200

# Below this sin^2 of the angle between the columns the Gram route would lose more than four bits of it.
_WIDE_ANGLE = 1 / 16

_SPLIT = 134217729.0  # 2^27 + 1: Dekker's constant, cuts a double into two halves of 26 bits


# Sums may be reordered, so that they run in vector registers; nothing else may.
@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def _gram(x: Array, y: Array, sx: float, sy: float) -> tuple[float, float, float]:
    """The sums of squares and the inner product of sx * x and sy * y."""
    xx, xy, yy = 0.0, 0.0, 0.0
    for i in range(x.shape[0]):
        a, b = x[i] * sx, y[i] * sy
        xx += a * a
        xy += a * b
        yy += b * b
    return xx, xy, yy


@njit(nogil=True, cache=True, inline="always")
def _minus_product(b: float, c: float, a: float) -> float:
    """``b - c * a`` as if with one rounding or two: Dekker's product, and the rest in float64."""
    p = c * a
    t = _SPLIT * c
    c_high = t - (t - c)
    c_low = c - c_high
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    error = ((c_high * a_high - p) + c_high * a_low + c_low * a_high) + c_low * a_low
    # b and p agree in their leading bits wherever this matters, so b - p is exact there (Sterbenz); elsewhere the
    # rounding of b - p is relative to the result.
    return (b - p) - error


@njit(nogil=True, cache=True)
def _power_of_two(x: Array) -> int:
    """The exponent that brings the largest |x_i| into [1/2, 1), or as near as a finite factor can."""
    largest = 0.0
    for i in range(x.shape[0]):
        largest = max(largest, abs(x[i]))
    return max(-1022, min(1000, -math.frexp(largest)[1]))


@njit(nogil=True, cache=True)
def _distance(x: Array, y: Array, sx: float, sy: float, xx: float, xy: float) -> float:
    """Norm of the part of sy * y that is orthogonal to sx * x, with doubled precision where it cancels."""
    c = xy / xx
    rx = 0.0
    for i in range(x.shape[0]):
        a = x[i] * sx
        rx += _minus_product(y[i] * sy, c, a) * a
    # c carries the rounding of two sums; the second projection takes out what that left along x.
    c2 = rx / xx
    square = 0.0
    for i in range(x.shape[0]):
        a = x[i] * sx
        r = _minus_product(_minus_product(y[i] * sy, c, a), c2, a)
        square += r * r
    return math.sqrt(square)


@njit(nogil=True, cache=True)
def column_pair_singular_values(x: Array, y: Array) -> tuple[float, float]:
    """Singular values (s1, s2), s1 >= s2, of the matrix with the columns x and y, both (D,) float64.

    A Numba kernel for use in other kernels: it allocates nothing and takes strided columns. Both values are accurate to
    a few units in the last place, times sqrt(D), for angles between the columns down to 1e-16 and for every scale,
    subnormal and near overflow included. Non-finite entries give (nan, nan).
    """
    sx, sy, ex, ey = 1.0, 1.0, 0, 0
    xx, xy, yy = _gram(x, y, 1.0, 1.0)
    if not (_SMALLEST_SQUARE < xx < _LARGEST_SQUARE and _SMALLEST_SQUARE < yy < _LARGEST_SQUARE):
        if not (math.isfinite(xx) and math.isfinite(yy)):
            for i in range(x.shape[0]):
                if not (math.isfinite(x[i]) and math.isfinite(y[i])):
                    return math.nan, math.nan
        ex, ey = _power_of_two(x), _power_of_two(y)
        sx, sy = math.ldexp(1.0, ex), math.ldexp(1.0, ey)
        xx, xy, yy = _gram(x, y, sx, sy)
        if xx == 0.0 and yy == 0.0:
            return 0.0, 0.0
        if yy == 0.0:
            return math.ldexp(math.sqrt(xx), -ex), 0.0
        if xx == 0.0:
            return math.ldexp(math.sqrt(yy), -ey), 0.0

    # |x| >= |y| from here on, so that neither the factor c nor the ratio of the scales can overflow.
    swap = math.ldexp(math.sqrt(xx), max(-2000, min(0, ey - ex))) < math.ldexp(
        math.sqrt(yy), max(-2000, min(0, ex - ey))
    )
    if swap:
        xx, yy, ex, ey = yy, xx, ey, ex

    if x.shape[0] == 1:
        h = 0.0
    elif xx * yy - xy * xy > _WIDE_ANGLE * (xx * yy):
        h = math.sqrt(yy - xy / xx * xy)
    elif swap:
        h = _distance(y, x, sy, sx, xx, xy)
    else:
        h = _distance(x, y, sx, sy, xx, xy)

    # [x y] = Q [[f, g t], [0, h t]] in units of 2^-ex, with t the scale of y in these units. Every term of s1 is
    # positive or small beside the others, and s1 s2 = f h t, so nothing cancels.
    f = math.sqrt(xx)
    t = math.ldexp(1.0, max(-1080, ex - ey))
    gt, ht = xy / f * t, h * t
    s1 = 0.5 * (math.sqrt((f + ht) ** 2 + gt * gt) + math.sqrt((f - ht) ** 2 + gt * gt))
    return math.ldexp(s1, -ex), math.ldexp(f / s1 * h, -ey)


@njit(nogil=True, cache=True)
def _pairs(a: Array, out: Array) -> None:
    for k in range(a.shape[0]):
        out[k, 0], out[k, 1] = column_pair_singular_values(a[k, :, 0], a[k, :, 1])


@njit(nogil=True, cache=True)
def _jacobi(r: Array, out: Array) -> None:
    """Norms of the columns of each r[k] after one-sided Jacobi; r (N, m, d) is overwritten."""
    n, m, d = r.shape
    for k in range(n):
        for _ in range(60):  # converges quadratically, in about ten sweeps
            rotated = False
            for i in range(d - 1):
                for j in range(i + 1, d):
                    aa, ab, bb = 0.0, 0.0, 0.0
                    for p in range(m):
                        aa += r[k, p, i] * r[k, p, i]
                        ab += r[k, p, i] * r[k, p, j]
                        bb += r[k, p, j] * r[k, p, j]
                    if not abs(ab) > 1e-16 * math.sqrt(aa) * math.sqrt(bb):
                        continue
                    rotated = True
                    zeta = (bb - aa) / (2 * ab)
                    tangent = math.copysign(1.0, zeta) / (abs(zeta) + math.hypot(1.0, zeta))
                    cosine = 1 / math.sqrt(1 + tangent * tangent)
                    sine = cosine * tangent
                    for p in range(m):
                        u, v = r[k, p, i], r[k, p, j]
                        r[k, p, i], r[k, p, j] = cosine * u - sine * v, sine * u + cosine * v
            if not rotated:
                break
        for i in range(d):
            square = 0.0
            for p in range(m):
                square += r[k, p, i] * r[k, p, i]
            out[k, i] = math.sqrt(square)


def singular_values(a: Array) -> Array:
    """Singular values (..., d), descending, of matrices ``a`` (..., D, d): one value for each of the d columns.

    Where D < d the last d - D are zero. Meant for few columns: for d = 2 small values are as accurate, relative to
    themselves, as large ones, at any scale; for d >= 3 this holds as far as the columns are well conditioned after
    normalisation. Matrices with non-finite entries give nan.

    Raises:
        ShapeMismatch: fewer than two dimensions.
        WrongType: the entries are not real numbers.
    """
    a = np.asarray(a)
    if a.dtype.kind not in "fiub":
        raise WrongType(f"singular_values: a must hold real numbers; its dtype is {a.dtype}")
    if a.ndim < 2:
        raise ShapeMismatch(f"singular_values: a must have shape (..., D, d); it has shape {a.shape}")
    lead, (n_rows, d) = a.shape[:-2], a.shape[-2:]
    a = np.asarray(a, np.float64).reshape(math.prod(lead), n_rows, d)
    out = np.zeros((len(a), d))
    if min(len(a), n_rows, d) > 0:
        if d == 1:
            a = np.concatenate([a, np.zeros_like(a)], 2)
        if d <= 2:
            pairs = np.empty((len(a), 2))
            _pairs(a, pairs)
            out = pairs[:, :d]
        else:
            out = _many_columns(a)
    return np.ascontiguousarray(out).reshape(*lead, d)


def _many_columns(a: Array) -> Array:
    finite: Array = np.asarray(np.isfinite(a).all((1, 2)))
    largest = np.where(finite, np.abs(a).max((1, 2), initial=0.0, where=finite[:, None, None]), 0.0)
    # |entries| <= 1/2 by a power of two: exact, except for entries 2^-1074 below the largest one
    exponent = np.where(largest > 0, np.clip(-np.frexp(largest)[1] - 1, -1022, 1022), 0)
    scaled = np.ldexp(np.where(finite[:, None, None], a, 0.0), exponent[:, None, None])
    if a.shape[1] < a.shape[2]:
        scaled = scaled.transpose(0, 2, 1)
    if scaled.shape[1] > scaled.shape[2]:
        scaled = np.asarray(np.linalg.qr(scaled, mode="r"))
    norms = np.empty((len(a), scaled.shape[2]))
    _jacobi(np.array(scaled, order="C"), norms)
    out = np.zeros((len(a), a.shape[2]))
    out[:, : norms.shape[1]] = np.sort(np.ldexp(norms, -exponent[:, None]), axis=1)[:, ::-1]
    out[~finite] = np.nan
    return out
