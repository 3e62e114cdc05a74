"""Kernels that decide signs: an error bound first, the judge where it does not decide."""

from __future__ import annotations

from numba import njit

from splinegeo._jit import kernel
from splinegeo.partition.callback import call
from splinegeo.partition.memory import view
from splinegeo.partition.plan import TINY
from splinegeo.partition.rows import FAST, UNIT
from splinegeo.partition.state import ASKED, DOUBT, LAM, ROUNDING

SIGNS, VERTEX = 0, 1  # what a question is about
UNDECIDED, FAILED = 2, 3

# A vertex whose coordinates are in doubt by more than this (two lines that are almost parallel) is rounded from its
# exact position; it only has to be rare and to leave room for the predicates' own error.
LOOSE = 1e-7


@njit(nogil=True, inline="always")
def row_error(t, rows, level_f, level, r):
    """Bound on the error of each coefficient of a row."""
    return 1.01 * (max(rows[3 * (rows.shape[0] // 4) + r], 0.0) + view(t, "rho")[r] * level_f[level, ROUNDING])


@kernel()
def sign(t, ask, level, p, v, r):
    """Sign (-1, 0, 1) of row r at vertex v of the current polygon, stored in row p; FAILED if the judge failed."""
    rows, poly = view(t, "rows"), view(t, "poly_f")
    total = rows.shape[0] // 4
    x, y, w, e = poly[p, 0], poly[p, 1], poly[p, 2], poly[p, 3]
    a, b, c = rows[r], rows[total + r], rows[2 * total + r]
    z = a * x + b * y + c * w
    if view(t, "exact")[level] and e == 0.0:
        bound = view(t, "grid")[level]
        return 1 if z > bound else (-1 if z < -bound else 0)
    size = abs(a) + abs(b) + abs(c)
    doubt = row_error(t, rows, view(t, "level_f"), level, r)
    if size == 0.0 and doubt == 0.0:
        return 0
    largest = max(abs(x), max(abs(y), w))
    bound = 1.01 * (doubt * (abs(x) + abs(y) + w + 3.0 * e) + size * (e + 4.0 * UNIT * largest)) + TINY
    if z > bound:
        return 1
    if z < -bound:
        return -1
    return _asked(t, ask, level, p, v, r)


@kernel()
def _asked(t, ask, level, p, v, r):
    """The same from the judge, who answers for all rows of the level at once."""
    offsets, has_table, table = view(t, "offsets"), view(t, "has_table"), view(t, "table")
    answers, poly_i = view(t, "answer_signs"), view(t, "poly_i")
    wide = answers.shape[0]
    lo = offsets[level]
    if not has_table[v]:
        view(t, "scalars")[ASKED] += 1
        vertex = call(ask, SIGNS, level, poly_i[p, 0], poly_i[p, 1], poly_i[p, 2])
        if vertex < 0:
            return FAILED
        poly_i[p, 2] = vertex
        for i in range(offsets[level + 1] - lo):
            table[v * wide + i] = answers[i]
        has_table[v] = 1
    return table[v * wide + r - lo]


@kernel()
def meet(t, ask, level, p, r, k):
    """Put the meet of the edge behind the vertex in row p with hinge r's kink into row k. False where it failed."""
    rows, f, i = view(t, "rows"), view(t, "poly_f"), view(t, "poly_i")
    total = rows.shape[0] // 4
    a, b, c, e1 = f[p, 4], f[p, 5], f[p, 6], f[p, 7]
    d, e, g = rows[r], rows[total + r], rows[2 * total + r]
    exact = view(t, "exact")[level]
    x, y, w = b * g - c * e, c * d - a * g, a * e - b * d
    if w < 0.0:
        x, y, w = -x, -y, -w
    i[k, 0], i[k, 1], i[k, 2] = i[p, 3], r, -1
    doubt = 0.0
    if not exact:
        e2 = row_error(t, rows, view(t, "level_f"), level, r)
        m1, m2 = max(abs(a), max(abs(b), abs(c))), max(abs(d), max(abs(e), abs(g)))
        doubt = 1.01 * (2.0 * (m1 * e2 + m2 * e1 + e1 * e2) + 6.0 * UNIT * m1 * m2) + TINY
        if not doubt <= LOOSE * w:
            view(t, "scalars")[ASKED] += 1
            vertex = call(ask, VERTEX, level, i[p, 3], r, -1)
            if vertex < 0:
                return False
            i[k, 2] = vertex
            point = view(t, "answer_point")
            x, y, w = point[0], point[1], 1.0
            doubt = UNIT * max(abs(x), abs(y)) + TINY
    f[k, 0], f[k, 1], f[k, 2], f[k, 3] = x, y, w, doubt
    return True


@kernel(FAST)
def _first(a, b, c, low, high, x, y, w):
    for i in range(a.shape[0]):
        z = a[i] * x + b[i] * y + c[i] * w
        low[i] = z
        high[i] = z


@kernel(FAST)
def _more(a, b, c, low, high, x0, y0, w0, x1, y1, w1):
    for i in range(a.shape[0]):
        z0 = a[i] * x0 + b[i] * y0 + c[i] * w0
        z1 = a[i] * x1 + b[i] * y1 + c[i] * w1
        least = z0 if z0 < z1 else z1
        most = z1 if z0 < z1 else z0
        low[i] = least if least < low[i] else low[i]
        high[i] = most if most > high[i] else high[i]


@kernel()
def _mark(low, high, bits, flag):
    for i in range(low.shape[0]):
        bits[i] = low[i] > 0.0
        flag[i] = (low[i] < 1.0) & (high[i] > -1.0)


@kernel()
def classify(t, level, base, nv):
    """Activation of each hinge of a level on the current polygon; the number of those in doubt, listed in `listed`.

    Vertices are divided by a bound on the error of any row there: beyond one a sign is certain. The least and the
    largest such value of each row stay in `scratch`.
    """
    offsets, rows, poly = view(t, "offsets"), view(t, "rows"), view(t, "poly_f")
    level_f, scratch, flag, listed = view(t, "level_f"), view(t, "scratch"), view(t, "flag"), view(t, "listed")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    n = hi - lo
    a, b, c = rows[lo:hi], rows[total + lo : total + hi], rows[2 * total + lo : 2 * total + hi]
    low, high = scratch[:n], scratch[n : 2 * n]
    doubt = 1.01 * (level_f[level, DOUBT] + view(t, "rho_max")[level] * level_f[level, ROUNDING])
    lam = level_f[level, LAM] * 1.0001
    exact, grid = view(t, "exact")[level], view(t, "grid")[level]
    x1 = y1 = w1 = 0.0
    for v in range(nv):
        x, y, w, e = poly[base + v, 0], poly[base + v, 1], poly[base + v, 2], poly[base + v, 3]
        if exact and e == 0.0:
            bound = grid
        else:
            largest = max(abs(x), max(abs(y), w))
            bound = 1.01 * (doubt * (abs(x) + abs(y) + w + 3.0 * e) + lam * (e + 4.0 * UNIT * largest)) + TINY
        scale = 1.0 / bound
        x, y, w = x * scale, y * scale, w * scale
        if v == 0:
            _first(a, b, c, low, high, x, y, w)
        elif v & 1:
            x1, y1, w1 = x, y, w
            if v == nv - 1:
                _more(a, b, c, low, high, x, y, w, x, y, w)
        else:
            _more(a, b, c, low, high, x1, y1, w1, x, y, w)
    _mark(low, high, view(t, "bits")[lo:hi], flag[:n])
    for i in range(n, n + 8):
        flag[i] = 0
    count = 0
    i = 0
    while i < n:
        if (flag[i] | flag[i + 1] | flag[i + 2] | flag[i + 3] | flag[i + 4] | flag[i + 5] | flag[i + 6] | flag[i + 7]) != 0:
            for k in range(i, min(i + 8, n)):
                if flag[k] != 0:
                    listed[count] = k
                    count += 1
        i += 8
    return count
