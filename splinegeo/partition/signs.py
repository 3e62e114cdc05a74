"""Kernels that decide signs: an error bound first, the judge where it does not decide."""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.partition.callback import call
from splinegeo.partition.memory import part, view
from splinegeo.partition.plan import TINY
from splinegeo.partition.rows import FAST, UNIT, refresh
from splinegeo.partition.state import ASKED, BIGGEST, N_VERTICES, NEAR, REACH, ROUNDING

SIGNS, VERTEX = 0, 1  # what a question is about
UNDECIDED, FAILED = 2, 3


@kernel(inner=True)
def row_error(t, level, r):
    """Bound on the error of each coefficient of a row."""
    rows, level_f = view(t, "rows"), view(t, "level_f")
    return 1.01 * (
        max(rows[3 * (rows.shape[0] // 4) + r], 0.0)
        + view(t, "rho")[r] * level_f[level, ROUNDING]
        + view(t, "row_slack")[r] * max(level_f[level, BIGGEST], 1.0)
    )


@kernel(inner=True)
def sign(t, ask, level, p, v, r):
    """Sign (-1, 0, 1) of row r at vertex v of the current polygon, stored in row p; FAILED if the judge failed."""
    s = _filtered(t, level, p, r)
    if s == UNDECIDED and _vanishes(t, level, p, p - 1 if v > 0 else p + view(t, "scalars")[N_VERTICES] - 1, r):
        return 0
    if s == UNDECIDED and not view(t, "has_table")[v] and refresh(t, level):
        s = _filtered(t, level, p, r)
    return _asked(t, ask, level, p, v, r) if s == UNDECIDED else s


@kernel(inner=True)
def _filtered(t, level, p, r):
    """The sign as far as the error bound decides it."""
    rows, poly = view(t, "rows"), view(t, "poly_f")
    total = rows.shape[0] // 4
    x, y, w, e = poly[p, 0], poly[p, 1], poly[p, 2], poly[p, 3]
    a, b, c = rows[r], rows[total + r], rows[2 * total + r]
    z = a * x + b * y + c * w
    if view(t, "exact")[level] and e == 0.0:
        bound = view(t, "grid")[level]
        return 1 if z > bound else (-1 if z < -bound else 0)
    size = abs(a) + abs(b) + abs(c)
    doubt = row_error(t, level, r)
    if size == 0.0 and doubt == 0.0:
        return 0
    largest = max(abs(x), max(abs(y), w))
    bound = 1.01 * (doubt * (abs(x) + abs(y) + w + 3.0 * e) + size * (e + 4.0 * UNIT * largest)) + TINY
    if z > bound:
        return 1
    if z < -bound:
        return -1
    return UNDECIDED


@kernel(inner=True)
def _vanishes(t, level, p, before, r):
    """Whether nothing that row r reads is left at the vertex in row p, that after row ``before``: no bound tells.

    Such are comparisons of rectified entries: of two that are off, or of one that is off and one whose kink the vertex
    lies on; and comparisons of the winners of such.
    """
    constant, g, slopes, bits = view(t, "constant"), view(t, "weights"), view(t, "slopes"), view(t, "bits")
    block_start, block_source, block_offset = view(t, "block_start"), view(t, "block_source"), view(t, "block_offset")
    offsets = view(t, "offsets")
    total = constant.shape[0] // 3
    # With errors in the weights a zero among them may stand for something else.
    if view(t, "row_slack")[r] != 0.0 or constant[r] != 0.0 or constant[total + r] != 0.0:
        return False
    if constant[2 * total + r] != 0.0:
        return False
    lo, n = offsets[level], offsets[level + 1] - offsets[level]
    for block in range(block_start[level], block_start[level + 1]):
        source = block_source[block]
        first, last = offsets[source], offsets[source + 1]
        for j in range(first, last):
            if g[block_offset[block] + (j - first) * n + r - lo] == 0.0 or slopes[j, np.uint64(bits[j])] == 0.0:
                continue
            if not (_on_kink(t, p, before, j) or _vanishes(t, source, p, before, j)):
                return False
    return True


@kernel(inner=True)
def _on_kink(t, p, before, j):
    """Whether the vertex in row p was made on the kink of hinge j, or lies between edges of which one is on it."""
    twin, poly_i = view(t, "twin"), view(t, "poly_i")
    hinges = twin.shape[0]
    for k in range(4):
        line = poly_i[before, 3] if k == 2 else poly_i[p, k]
        if line >= 0 and line < hinges and twin[line] == twin[j]:
            return True
    return False


@kernel(inner=True)
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


@kernel(inner=True)
def _meet(t, level, p, r, k):
    """Float meet of the edge behind the vertex in row p with hinge r's kink, into row k. Whether it is tight enough."""
    rows, f = view(t, "rows"), view(t, "poly_f")
    total = rows.shape[0] // 4
    a, b, c, e1 = f[p, 4], f[p, 5], f[p, 6], f[p, 7]
    d, e, g = rows[r], rows[total + r], rows[2 * total + r]
    x, y, w = b * g - c * e, c * d - a * g, a * e - b * d
    if w < 0.0:
        x, y, w = -x, -y, -w
    doubt = 0.0
    if not view(t, "exact")[level]:
        e2 = row_error(t, level, r)
        m1, m2 = max(abs(a), max(abs(b), abs(c))), max(abs(d), max(abs(e), abs(g)))
        doubt = 1.01 * (2.0 * (m1 * e2 + m2 * e1 + e1 * e2) + 6.0 * UNIT * m1 * m2) + TINY
    f[k, 0], f[k, 1], f[k, 2], f[k, 3] = x, y, w, doubt
    return doubt <= view(t, "loose")[0] * w


@kernel(inner=True)
def meet(t, ask, level, p, r, k):
    """Put the meet of the edge behind the vertex in row p with hinge r's kink into row k. False where it failed."""
    f, i = view(t, "poly_f"), view(t, "poly_i")
    i[k, 0], i[k, 1], i[k, 2] = i[p, 3], r, -1
    if _meet(t, level, p, r, k) or (refresh(t, level) and _meet(t, level, p, r, k)):
        return True
    view(t, "scalars")[ASKED] += 1
    vertex = call(ask, VERTEX, level, i[p, 3], r, -1)
    if vertex < 0:
        return False
    point = view(t, "answer_point")
    i[k, 2] = vertex
    f[k, 0], f[k, 1], f[k, 2] = point[0], point[1], 1.0
    f[k, 3] = UNIT * max(abs(point[0]), abs(point[1])) + TINY
    return True


@kernel(inner=True)
def scale_vertices(t, level, base, nv):
    """Vertices of the current polygon in units of the largest error of a row there, into `near`: beyond one is sure."""
    poly, level_f, near = view(t, "poly_f"), view(t, "level_f"), view(t, "near")
    exact, grid = view(t, "exact")[level], view(t, "grid")[level]
    rho = view(t, "rho_max")[level]
    slack = view(t, "slack")[level] * max(level_f[level, BIGGEST], 1.0)
    doubt = 1.01 * (rho * (level_f[level, REACH] + level_f[level, ROUNDING]) + slack)
    lam = 3.03 * rho * level_f[level, BIGGEST]
    for v in range(nv):
        x, y, w, e = poly[base + v, 0], poly[base + v, 1], poly[base + v, 2], poly[base + v, 3]
        if exact and e == 0.0:
            bound = grid
        else:
            largest = max(abs(x), max(abs(y), w))
            bound = 1.01 * (doubt * (abs(x) + abs(y) + w + 3.0 * e) + lam * (e + 4.0 * UNIT * largest)) + TINY
        scale = 1.0 / bound
        near[v, 0], near[v, 1], near[v, 2] = x * scale, y * scale, w * scale


@kernel(FAST, inner=True)
def _first_two(a, b, c, low, high, x0, y0, w0, x1, y1, w1):
    for i in range(a.shape[0]):
        z0 = a[i] * x0 + b[i] * y0 + c[i] * w0
        z1 = a[i] * x1 + b[i] * y1 + c[i] * w1
        low[i] = z0 if z0 < z1 else z1
        high[i] = z1 if z0 < z1 else z0


@kernel(FAST, inner=True)
def _more(a, b, c, low, high, x0, y0, w0, x1, y1, w1):
    for i in range(a.shape[0]):
        z0 = a[i] * x0 + b[i] * y0 + c[i] * w0
        z1 = a[i] * x1 + b[i] * y1 + c[i] * w1
        least = z0 if z0 < z1 else z1
        most = z1 if z0 < z1 else z0
        low[i] = least if least < low[i] else low[i]
        high[i] = most if most > high[i] else high[i]


@kernel(inner=True)
def _mark(low, high, bits, flag):
    for i in range(low.shape[0]):
        bits[i] = low[i] > 0.0
        flag[i] = (low[i] < 1.0) & (high[i] > -1.0)


@kernel(inner=True)
def classify(t, level, base, nv):
    """Activation of each hinge of a level on the current polygon; the number of those in doubt, listed in `listed`.

    Vertices are divided by a bound on the error of any row there: beyond one a sign is certain. The least and the
    largest such value of each row stay in `scratch`.
    """
    offsets, rows = view(t, "offsets"), view(t, "rows")
    scratch, flag, listed = view(t, "scratch"), view(t, "flag"), view(t, "listed")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    n = hi - lo
    a, b, c = part(rows, lo, hi), part(rows, total + lo, total + hi), part(rows, 2 * total + lo, 2 * total + hi)
    low, high = part(scratch, 0, n), part(scratch, n, 2 * n)
    scale_vertices(t, level, base, nv)
    near = view(t, "near")
    view(t, "scalars")[NEAR] = 1
    _first_two(a, b, c, low, high, near[0, 0], near[0, 1], near[0, 2], near[1, 0], near[1, 1], near[1, 2])
    for v in range(2, nv, 2):
        k = v + 1 if v + 1 < nv else v
        _more(a, b, c, low, high, near[v, 0], near[v, 1], near[v, 2], near[k, 0], near[k, 1], near[k, 2])
    _mark(low, high, part(view(t, "bits"), lo, hi), part(flag, 0, n))
    for i in range(n, n + 8):
        flag[i] = 0
    count = 0
    i = 0
    while i < n:
        if (
            flag[i] | flag[i + 1] | flag[i + 2] | flag[i + 3] | flag[i + 4] | flag[i + 5] | flag[i + 6] | flag[i + 7]
        ) != 0:
            for k in range(i, min(i + 8, n)):
                if flag[k] != 0:
                    listed[count] = k
                    count += 1
        i += 8
    return count
