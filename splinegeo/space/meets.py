"""A vertex as the meet of its hyperplanes: a position, and a bound on its error that owes nothing to how it was found.

For rows M x + b of d hyperplanes with an approximate inverse Y of M, a point x with residual r is off by no more than
max |Y r| / (1 - |1 - Y M|) (Rump, "Verification methods", Acta Numerica 19, 2010, section 10), all of it with bounds on
rounding and on the errors of the rows.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.space.memory import length, trailing_zeros, view
from splinegeo.space.rows import EPS
from splinegeo.space.state import DIM, WORDS

NOWHERE = 1e300  # a bound that says nothing


@kernel(inner=True)
def _gather(t, vertex, at):
    """Rows of what is tight at a vertex, scaled to a largest slope of one, with bounds on their entries' errors."""
    tight, slots, matrix, errors = view(t, "tight"), view(t, "slots"), view(t, "matrix"), view(t, "matrix_error")
    rows, row_error, facets = view(t, "rows"), view(t, "row_error"), view(t, "facet_rows")
    d, words, hinges = view(t, "scalars")[DIM], view(t, "scalars")[WORDS], length(t, "tilt")
    n = 0
    for w in range(words):
        rest = tight[vertex * words + w]
        while rest != 0:
            s = trailing_zeros(rest)
            rest &= rest - np.uint64(1)
            label = slots[at + 64 * w + s]
            top, place = 0.0, n * (d + 1)
            for c in range(d + 1):
                a = facets[(-1 - label) * (d + 2) + c] if label < 0 else rows[c * hinges + label]
                matrix[place + c] = a
                if c < d:
                    top = max(top, abs(a))
            e = facets[(-1 - label) * (d + 2) + d + 1] if label < 0 else row_error[label]
            if top > 1e-200:
                for c in range(d + 1):
                    matrix[place + c] /= top
                errors[n] = 1.01 * e / top + 2 * EPS * max(1.0, abs(matrix[place + d]))
                n += 1
    return n


@kernel(inner=True)
def _independent(t, n):
    """Move d rows that are as independent as elimination finds them to the front, in order."""
    matrix, errors, work = view(t, "matrix"), view(t, "matrix_error"), view(t, "work")
    d = view(t, "scalars")[DIM]
    for i in range(n):
        for c in range(d):
            work[i * d + c] = matrix[i * (d + 1) + c]
    for k in range(d):
        best, column, size = k, 0, -1.0
        for i in range(k, n):
            for c in range(d):
                if abs(work[i * d + c]) > size:
                    best, column, size = i, c, abs(work[i * d + c])
        if not size > 0.0:
            return False
        for c in range(d + 1):
            matrix[k * (d + 1) + c], matrix[best * (d + 1) + c] = matrix[best * (d + 1) + c], matrix[k * (d + 1) + c]
        for c in range(d):
            work[k * d + c], work[best * d + c] = work[best * d + c], work[k * d + c]
        errors[k], errors[best] = errors[best], errors[k]
        for i in range(k + 1, n):
            f = work[i * d + column] / work[k * d + column]
            for c in range(d):
                work[i * d + c] -= f * work[k * d + c]
            work[i * d + column] = 0.0
    return True


@kernel(inner=True)
def _invert(t):
    """An approximate inverse of the first d rows, by Gauss and Jordan with pivots; False where there is none."""
    matrix, work, inverse = view(t, "matrix"), view(t, "work"), view(t, "inverse")
    d = view(t, "scalars")[DIM]
    for i in range(d):
        for c in range(d):
            work[i * d + c] = matrix[i * (d + 1) + c]
            inverse[i * d + c] = 1.0 if i == c else 0.0
    for k in range(d):
        best = k
        for i in range(k + 1, d):
            if abs(work[i * d + k]) > abs(work[best * d + k]):
                best = i
        pivot = work[best * d + k]
        if not abs(pivot) > 1e-200:
            return False
        for c in range(d):
            work[k * d + c], work[best * d + c] = work[best * d + c], work[k * d + c]
            inverse[k * d + c], inverse[best * d + c] = inverse[best * d + c], inverse[k * d + c]
        for c in range(d):
            work[k * d + c] /= pivot
            inverse[k * d + c] /= pivot
        for i in range(d):
            f = work[i * d + k]
            if i != k and f != 0.0:
                for c in range(d):
                    work[i * d + c] -= f * work[k * d + c]
                    inverse[i * d + c] -= f * inverse[k * d + c]
    return True


@kernel(inner=True)
def _residual(t, x, place, i):
    """Value of row i at a point, and a bound on its error, that of the row included."""
    matrix, d = view(t, "matrix"), view(t, "scalars")[DIM]
    r, size, reach = matrix[i * (d + 1) + d], abs(matrix[i * (d + 1) + d]), 1.0
    for c in range(d):
        p = matrix[i * (d + 1) + c] * x[place + c]
        r += p
        size += abs(p)
        reach += abs(x[place + c])
    return r, 1.01 * ((d + 3) * EPS * size + reach * view(t, "matrix_error")[i]) + 1e-300


@kernel(inner=True)
def settle(t, vertex, at):
    """Improve the position of a vertex of the cell whose slots begin at ``at``; a bound on its error, or NOWHERE."""
    x, matrix, inverse, values = view(t, "x"), view(t, "matrix"), view(t, "inverse"), view(t, "step")
    errors, d = view(t, "matrix_error"), view(t, "scalars")[DIM]
    place = vertex * d
    n = _gather(t, vertex, at)
    if n < d or (n > d and not _independent(t, n)) or not _invert(t):
        return NOWHERE
    off = 0.0
    for i in range(d):
        # Row i of 1 - Y M, for M as stored and for any M within its error.
        total, size, doubt = 0.0, 0.0, 0.0
        for c in range(d):
            s, m = (1.0 if i == c else 0.0), 0.0
            for j in range(d):
                p = inverse[i * d + j] * matrix[j * (d + 1) + c]
                s -= p
                m += abs(p)
            total += abs(s)
            size += m
        for j in range(d):
            doubt += abs(inverse[i * d + j]) * errors[j]
        off = max(off, 1.01 * (total + (d + 3) * EPS * (1.0 + size) + d * doubt))
    if not off < 0.25:
        return NOWHERE
    for i in range(d):
        values[i], _ = _residual(t, x, place, i)
    for c in range(d):
        step = 0.0
        for i in range(d):
            step += inverse[c * d + i] * values[i]
        x[place + c] -= step
    bound = 0.0
    for i in range(d):
        r, e = _residual(t, x, place, i)
        values[i] = abs(r) + e
    for c in range(d):
        total = 0.0
        for i in range(d):
            total += abs(inverse[c * d + i]) * values[i]
        bound = max(bound, total)
    return 1.01 * bound / (1.0 - off)
