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
def _add_row(work, target, source, factor, width):
    """Add a multiple of one row to another. A vector register holds four entries; rows are filled up to that."""
    for c in range(0, width, 4):
        a, b, p, q = work[source + c], work[source + c + 1], work[source + c + 2], work[source + c + 3]
        e, f, g, h = work[target + c], work[target + c + 1], work[target + c + 2], work[target + c + 3]
        work[target + c], work[target + c + 1] = e + factor * a, f + factor * b
        work[target + c + 2], work[target + c + 3] = g + factor * p, h + factor * q


@kernel(inner=True)
def _invert(t):
    """An approximate inverse of the first d rows, by Gauss and Jordan with pivots; False where there is none.

    It takes the place of the matrix column by column.
    """
    matrix, inverse, swapped = view(t, "matrix"), view(t, "inverse"), view(t, "swapped")
    d = view(t, "scalars")[DIM]
    width = (d + 3) & ~3
    for i in range(d):
        for c in range(width):
            inverse[i * width + c] = matrix[i * (d + 1) + c] if c < d else 0.0
    for k in range(d):
        best = k
        for i in range(k + 1, d):
            if abs(inverse[i * width + k]) > abs(inverse[best * width + k]):
                best = i
        swapped[k] = best
        pivot = inverse[best * width + k]
        if not abs(pivot) > 1e-200:
            return False
        if best != k:
            for c in range(d):
                one, other = k * width + c, best * width + c
                inverse[one], inverse[other] = inverse[other], inverse[one]
        inverse[k * width + k] = 1.0
        for c in range(0, width, 4):
            at = k * width + c
            a, b, p, q = inverse[at], inverse[at + 1], inverse[at + 2], inverse[at + 3]
            inverse[at], inverse[at + 1] = a / pivot, b / pivot
            inverse[at + 2], inverse[at + 3] = p / pivot, q / pivot
        for i in range(d):
            f = inverse[i * width + k]
            if i != k and f != 0.0:
                inverse[i * width + k] = 0.0
                _add_row(inverse, i * width, k * width, -f, width)
    for k in range(d - 1, -1, -1):
        other = swapped[k]
        if other != k:
            for i in range(d):
                at = i * width
                inverse[at + k], inverse[at + other] = inverse[at + other], inverse[at + k]
    return True


@kernel(inner=True)
def _distance(t):
    """A bound on |1 - Y M| for the approximate inverse Y, and M as stored or any within its error."""
    matrix, inverse, errors, d = view(t, "matrix"), view(t, "inverse"), view(t, "matrix_error"), view(t, "scalars")[DIM]
    width = (d + 3) & ~3
    off = 0.0
    for i in range(d):
        total, size, doubt = 0.0, 0.0, 0.0
        # Four columns at once; what is computed for those beyond the last is not used.
        for c in range(0, d, 4):
            s0, s1 = (1.0 if i == c else 0.0), (1.0 if i == c + 1 else 0.0)
            s2, s3 = (1.0 if i == c + 2 else 0.0), (1.0 if i == c + 3 else 0.0)
            m0 = m1 = m2 = m3 = 0.0
            for j in range(d):
                f, at = inverse[i * width + j], j * (d + 1) + c
                p0, p1, p2, p3 = f * matrix[at], f * matrix[at + 1], f * matrix[at + 2], f * matrix[at + 3]
                s0, s1, s2, s3 = s0 - p0, s1 - p1, s2 - p2, s3 - p3
                m0, m1, m2, m3 = m0 + abs(p0), m1 + abs(p1), m2 + abs(p2), m3 + abs(p3)
            total, size = total + abs(s0), size + m0
            if c + 1 < d:
                total, size = total + abs(s1), size + m1
            if c + 2 < d:
                total, size = total + abs(s2), size + m2
            if c + 3 < d:
                total, size = total + abs(s3), size + m3
        for j in range(d):
            doubt += abs(inverse[i * width + j]) * errors[j]
        off = max(off, 1.01 * (total + (d + 3) * EPS * (1.0 + size) + d * doubt))
    return off


@kernel(inner=True)
def settle(t, vertex, at):
    """Improve the position of a vertex of the cell whose slots begin at ``at``; a bound on its error, or NOWHERE."""
    x, matrix, inverse, values = view(t, "x"), view(t, "matrix"), view(t, "inverse"), view(t, "step")
    errors, d = view(t, "matrix_error"), view(t, "scalars")[DIM]
    place, width = vertex * d, (d + 3) & ~3
    n = _gather(t, vertex, at)
    if n < d or (n > d and not _independent(t, n)) or not _invert(t):
        return NOWHERE
    off = _distance(t)
    if not off < 0.25:
        return NOWHERE
    for i in range(d):
        r = matrix[i * (d + 1) + d]
        for c in range(d):
            r += matrix[i * (d + 1) + c] * x[place + c]
        values[i] = r
    reach = 1.0
    for c in range(d):
        step = 0.0
        for i in range(d):
            step += inverse[c * width + i] * values[i]
        x[place + c] -= step
        reach += abs(x[place + c])
    for i in range(d):
        # The value of row i, and a bound on its error, that of the row included.
        r, size = matrix[i * (d + 1) + d], abs(matrix[i * (d + 1) + d])
        for c in range(d):
            p = matrix[i * (d + 1) + c] * x[place + c]
            r += p
            size += abs(p)
        values[i] = abs(r) + (1.01 * ((d + 3) * EPS * size + reach * errors[i]) + 1e-300)
    bound = 0.0
    for c in range(d):
        total = 0.0
        for i in range(d):
            total += abs(inverse[c * width + i]) * values[i]
        bound = max(bound, total)
    return 1.01 * bound / (1.0 - off)
