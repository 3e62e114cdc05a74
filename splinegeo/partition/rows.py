"""Kernels for the rows of a level: rebuilt from the level below, or updated by what changed there.

Beside its three coefficients a row carries a bound on what its error inherits from the rows that it reads; to that
comes ``rho`` times the level's rounding. An update changes the inherited part by what the flipped hinge inherits, since
the row always equals the sum over its current inputs up to rounding.

Three ways to bring rows up to date, from dear to cheap: a rebuild; a push, when the rows below changed by one or two
rank-one terms (the flips of hinges two levels down) and a few hinges between them changed sides; and flips alone.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.partition.memory import part, view
from splinegeo.partition.state import BIGGEST, CLOCK, DRIFT, N_TERMS, REACH, ROUNDING, TAKEN, TAKEN_SIZE, TERMS_SINCE

UNIT = 2.0**-53  # rounding unit of float64
FLIPS_BETWEEN_REBUILDS = 512  # keeps the error of a chain of updates near that of a rebuild
FLIPS_PER_PUSH = 32  # what a push adds to the error, in flips
MOST_TERMS = 2  # a push of more rank-one terms would cost as much as a rebuild

# Fused multiply-adds and reordered sums obey the same error bounds as the sums written here; nothing else may change.
FAST = {"contract", "reassoc", "nsz"}


@kernel(FAST, inner=True)
def _accumulate(a, b, c, d, g, place, h, used):
    """Add to the rows' columns the weights at place[k] times h[4 k : 4 k + 4], k < used (a multiple of four).

    Unsigned indices spare the check for negative ones, which would keep the loop out of vector registers.
    """
    n = a.shape[0]
    for k in range(0, used, 4):
        p0, p1 = np.uint64(place[k]), np.uint64(place[k + 1])
        p2, p3 = np.uint64(place[k + 2]), np.uint64(place[k + 3])
        f = 4 * k
        x0, y0, z0, e0 = h[f], h[f + 1], h[f + 2], h[f + 3]
        x1, y1, z1, e1 = h[f + 4], h[f + 5], h[f + 6], h[f + 7]
        x2, y2, z2, e2 = h[f + 8], h[f + 9], h[f + 10], h[f + 11]
        x3, y3, z3, e3 = h[f + 12], h[f + 13], h[f + 14], h[f + 15]
        for i in range(n):
            u = np.uint64(i)
            w0, w1, w2, w3 = g[p0 + u], g[p1 + u], g[p2 + u], g[p3 + u]
            a[u] += w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
            b[u] += w0 * y0 + w1 * y1 + w2 * y2 + w3 * y3
            c[u] += w0 * z0 + w1 * z1 + w2 * z2 + w3 * z3
            d[u] += abs(w0) * e0 + abs(w1) * e1 + abs(w2) * e2 + abs(w3) * e3


@kernel(FAST, inner=True)
def _add_one(a, b, c, d, g, x, y, z, e):
    for i in range(a.shape[0]):
        a[i] += g[i] * x
        b[i] += g[i] * y
        c[i] += g[i] * z
        d[i] += abs(g[i]) * e


@kernel(FAST, inner=True)
def _combine(y, g, place, factor, used):
    """Add to y the weights at place[k] times factor[k], k < used (a multiple of four)."""
    for k in range(0, used, 4):
        p0, p1 = np.uint64(place[k]), np.uint64(place[k + 1])
        p2, p3 = np.uint64(place[k + 2]), np.uint64(place[k + 3])
        x0, x1, x2, x3 = factor[k], factor[k + 1], factor[k + 2], factor[k + 3]
        for i in range(y.shape[0]):
            u = np.uint64(i)
            y[u] += g[p0 + u] * x0 + g[p1 + u] * x1 + g[p2 + u] * x2 + g[p3 + u] * x3


@kernel(inner=True)
def _copy(into, from_, lo, hi):
    for k in range(lo, hi):
        into[k] = from_[k]


@kernel(inner=True)
def _set_rounding(t, level, units):
    """Note the rounding of a level: `units` times the largest input's, and what pushes have added."""
    level_f = view(t, "level_f")
    size = level_f[level, BIGGEST]
    level_f[level, ROUNDING] = (units * UNIT * size + level_f[level, DRIFT]) * 1.01


@kernel(inner=True)
def rebuild(t, level):
    """Make the rows of a level from the activations below it."""
    offsets, rows, level_f = view(t, "offsets"), view(t, "rows"), view(t, "level_f")
    slopes, bits, h = view(t, "slopes"), view(t, "bits"), view(t, "products")
    block_start, block_source, block_offset = view(t, "block_start"), view(t, "block_source"), view(t, "block_offset")
    constant, g, place = view(t, "constant"), view(t, "weights"), view(t, "place")
    rho, slack = view(t, "rho"), view(t, "row_slack")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    n = hi - lo
    a, b, c = part(rows, lo, hi), part(rows, total + lo, total + hi), part(rows, 2 * total + lo, 2 * total + hi)
    d = part(rows, 3 * total + lo, 3 * total + hi)
    for i in range(n):
        d[i] = 0.0
        a[i] = constant[lo + i]
        b[i] = constant[total + lo + i]
        c[i] = constant[2 * total + lo + i]
    terms = 0
    reach = 0.0
    biggest = 1.0 if view(t, "has_constant")[level] else 0.0
    for block in range(block_start[level], block_start[level + 1]):
        source = block_source[block]
        first, last = offsets[source], offsets[source + 1]
        rounding = level_f[source, ROUNDING]
        size = max(level_f[source, BIGGEST], 1.0)
        # Of the level below, the only source where pushes are made.
        level_f[level, TAKEN], level_f[level, TAKEN_SIZE] = rounding, size
        used = 0
        start = block_offset[block]
        xs, ys, zs = (
            part(rows, first, last),
            part(rows, total + first, total + last),
            part(rows, 2 * total + first, 2 * total + last),
        )
        es, rhos = part(rows, 3 * total + first, 3 * total + last), part(rho, first, last)
        slacks = part(slack, first, last)
        on, steep = part(bits, first, last), part(slopes, first, last)
        for j in range(last - first):
            # Activations are random to a branch predictor: write always, advance only past what counts.
            slope = steep[j, np.uint64(on[j])]
            x, y, z = xs[j] * slope, ys[j] * slope, zs[j] * slope
            k = np.uint64(used)
            f = np.uint64(4) * k
            place[k] = start + j * n
            h[f], h[f + np.uint64(1)], h[f + np.uint64(2)] = x, y, z
            e = (es[j] + rhos[j] * rounding + slacks[j] * size) * abs(slope)
            h[f + np.uint64(3)] = e
            reach = max(reach, e)
            used += slope != 0.0
            biggest = max(biggest, max(abs(x), max(abs(y), abs(z))))
        terms += used
        while used & 3:  # whole groups of four: the rest counts for nothing
            place[used] = start
            h[4 * used] = h[4 * used + 1] = h[4 * used + 2] = h[4 * used + 3] = 0.0
            used += 1
        _accumulate(a, b, c, d, g, place, h, used)
    level_f[level, BIGGEST] = biggest
    level_f[level, DRIFT] = 0.0
    view(t, "flips")[level] = 0
    level_f[level, REACH] = reach
    _set_rounding(t, level, terms + 4.0 if terms > 0 else 0.0)


@kernel(inner=True)
def _flip(t, level, block, j):
    """Add what hinge j of the level below contributes differently now that it changed sides."""
    offsets, rows, level_f = view(t, "offsets"), view(t, "rows"), view(t, "level_f")
    slopes = view(t, "slopes")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    n = hi - lo
    now = view(t, "bits")[j]
    after, before = slopes[j, now], slopes[j, 1 - now]
    change = after - before
    x, y, z = rows[j] * change, rows[total + j] * change, rows[2 * total + j] * change
    e = (
        rows[3 * total + j]
        + view(t, "rho")[j] * level_f[level - 1, ROUNDING]
        + view(t, "row_slack")[j] * max(level_f[level - 1, BIGGEST], 1.0)
    ) * (abs(after) - abs(before))
    p = view(t, "block_offset")[block] + (j - offsets[level - 1]) * n
    _add_one(
        part(rows, lo, hi), part(rows, total + lo, total + hi), part(rows, 2 * total + lo, 2 * total + hi),
        part(rows, 3 * total + lo, 3 * total + hi), part(view(t, "weights"), p, p + n), x, y, z, e,
    )  # fmt: skip
    size = max(abs(rows[j]), max(abs(rows[total + j]), abs(rows[2 * total + j])))
    level_f[level, BIGGEST] = max(level_f[level, BIGGEST], size * max(abs(after), max(abs(before), abs(change))))
    level_f[level, REACH] = max(level_f[level, REACH], e)
    flips, history, history_f = view(t, "flips"), view(t, "history"), view(t, "history_f")
    flips[level] += 1
    # The rows of this level changed by part(weights, p, p + n) times (x, y, z): what a push to the next level needs.
    k = history[level, N_TERMS]
    if k < MOST_TERMS:
        history[level, 2 + k] = p
        f = 4 * k
        history_f[level, f], history_f[level, f + 1], history_f[level, f + 2], history_f[level, f + 3] = (
            x,
            y,
            z,
            max(e, 0.0),
        )
    history[level, N_TERMS] = k + 1


@kernel(inner=True)
def _push(t, level, block, p, x, y, z, e):
    """Add what the rows of the level below contribute differently after a change by weights[p:] times (x, y, z).

    The change has added up to |weights[p:]| e to the errors that those rows inherit.
    """
    offsets, rows, level_f = view(t, "offsets"), view(t, "rows"), view(t, "level_f")
    slopes, map_bits, g, place = view(t, "slopes"), view(t, "map_bits"), view(t, "weights"), view(t, "place")
    scratch = view(t, "products")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    first, last = offsets[level - 1], offsets[level]
    n = hi - lo
    column, factor = part(scratch, 0, n), scratch[n : n + last - first]
    used = 0
    start = view(t, "block_offset")[block]
    on, steep, change = part(map_bits, first, last), part(slopes, first, last), g[p : p + last - first]
    for j in range(last - first):
        f = steep[j, np.uint64(on[j])] * change[j]
        place[np.uint64(used)] = start + j * n
        factor[np.uint64(used)] = f
        used += f != 0.0
    while used & 3:  # whole groups of four: the rest counts for nothing
        place[used] = start
        factor[used] = 0.0
        used += 1
    for i in range(n):
        column[i] = 0.0
    _combine(column, g, place, factor, used)
    a, b, c = part(rows, lo, hi), part(rows, total + lo, total + hi), part(rows, 2 * total + lo, 2 * total + hi)
    for i in range(n):
        a[i] += column[i] * x
        b[i] += column[i] * y
        c[i] += column[i] * z
    # Rounding of the column and of the product, relative to rho times the steepest slope; the residues of the rows
    # below (their own rounding when they changed) come to a few units of the largest of them, as does the sum here.
    size = view(t, "steep_max")[level - 1] * max(abs(x), max(abs(y), abs(z)))
    level_f[level, BIGGEST] += size  # weights are at most one
    units = (last - first + 6.0) * size + 6.0 * level_f[level, BIGGEST]
    level_f[level, DRIFT] += units * UNIT + 1.01 * view(t, "steep_max")[level - 1] * e


@kernel(inner=True)
def _pushed(t, level, block):
    """Try to bring the rows of a level up to date by pushes and flips. False where a rebuild is cheaper."""
    offsets, bits, map_bits = view(t, "offsets"), view(t, "bits"), view(t, "map_bits")
    history, history_f, flips = view(t, "history"), view(t, "history_f"), view(t, "flips")
    below = level - 1
    lo, hi = offsets[below], offsets[below + 1]
    terms = history[below, N_TERMS]
    if view(t, "stamp")[level] != history[below, TERMS_SINCE] or terms > MOST_TERMS:
        return False
    changed = 0
    now, before = part(bits, lo, hi), part(map_bits, lo, hi)
    for j in range(hi - lo):
        changed += np.int64(now[j] ^ before[j])
    if 12 * changed > hi - lo or flips[level] + changed + FLIPS_PER_PUSH * terms > FLIPS_BETWEEN_REBUILDS:
        return False
    # What the rows below round by has grown since this level took it over.
    level_f = view(t, "level_f")
    size = max(level_f[below, BIGGEST], 1.0)
    grown = view(t, "rho_max")[below] * max(0.0, level_f[below, ROUNDING] - level_f[level, TAKEN])
    grown += view(t, "slack")[below] * max(0.0, size - level_f[level, TAKEN_SIZE])
    level_f[level, DRIFT] += 1.01 * view(t, "steep_max")[below] * grown
    level_f[level, TAKEN] = max(level_f[level, TAKEN], level_f[below, ROUNDING])
    level_f[level, TAKEN_SIZE] = max(level_f[level, TAKEN_SIZE], size)
    for k in range(terms):
        f = 4 * k
        x, y, z, e = history_f[below, f], history_f[below, f + 1], history_f[below, f + 2], history_f[below, f + 3]
        _push(t, level, block, history[below, 2 + k], x, y, z, e)
    flips[level] += FLIPS_PER_PUSH * terms
    for j in range(lo, hi):
        if bits[j] != map_bits[j]:
            map_bits[j] = bits[j]
            _flip(t, level, block, j)
    view(t, "history")[level, N_TERMS] = MOST_TERMS + 1  # more than a few terms: no push from here
    return True


@kernel(inner=True)
def _updated(t, level):
    _set_rounding(t, level, view(t, "inputs")[level] + 8.0 + 4.0 * view(t, "flips")[level])


@kernel(inner=True)
def sync(t, level):
    """Bring the rows of a level up to date with the activations below it."""
    if level == 0:
        rebuild(t, level)
        return
    offsets, bits, map_bits = view(t, "offsets"), view(t, "bits"), view(t, "map_bits")
    stamp, version, scalars, history = view(t, "stamp"), view(t, "version"), view(t, "scalars"), view(t, "history")
    frame_list, frame_n, flips = view(t, "frame_list"), view(t, "frame_n"), view(t, "flips")
    twin_start, twin_index = view(t, "twin_start"), view(t, "twin_index")
    block_start, block_source = view(t, "block_start"), view(t, "block_source")
    below = level - 1
    lo, hi = offsets[below], offsets[below + 1]
    block = block_start[level + 1] - 1
    linked = block >= block_start[level] and block_source[block] == below
    alone = linked and block == block_start[level]
    if stamp[level] == version[below]:
        count = 0
        for k in range(frame_n[below]):
            j = frame_list[lo + k]
            if bits[j] != map_bits[j]:
                count += twin_start[j + 1] - twin_start[j]
        if count == 0:
            return
        if flips[level] + count <= FLIPS_BETWEEN_REBUILDS and 2 * count <= hi - lo:
            for k in range(frame_n[below]):
                j = frame_list[lo + k]
                if bits[j] != map_bits[j]:
                    for m in range(twin_start[j], twin_start[j + 1]):
                        i = twin_index[m]
                        map_bits[i] = bits[i]
                        if linked:
                            _flip(t, level, block, i)
            if linked:
                _updated(t, level)
            scalars[CLOCK] += 1
            version[level] = scalars[CLOCK]
            return
    elif alone and _pushed(t, level, block):
        _updated(t, level)
        stamp[level] = version[below]
        history[below, N_TERMS], history[below, TERMS_SINCE] = 0, version[below]
        scalars[CLOCK] += 1
        version[level] = scalars[CLOCK]
        return
    _copy(map_bits, bits, lo, hi)
    rebuild(t, level)
    stamp[level] = version[below]
    history[below, N_TERMS], history[below, TERMS_SINCE] = 0, version[below]
    history[level, N_TERMS] = MOST_TERMS + 1
    scalars[CLOCK] += 1
    version[level] = scalars[CLOCK]


@kernel(inner=True)
def refresh(t, level):
    """Rebuild the rows of a level and of those below, whose errors updates have let grow. False where none has."""
    flips, version, stamp, history = view(t, "flips"), view(t, "version"), view(t, "stamp"), view(t, "history")
    offsets, bits, map_bits, scalars = view(t, "offsets"), view(t, "bits"), view(t, "map_bits"), view(t, "scalars")
    updates = 0
    for k in range(1, level + 1):
        updates += flips[k]
    if updates == 0:
        return False
    for k in range(1, level + 1):
        lo, hi = offsets[k - 1], offsets[k]
        _copy(map_bits, bits, lo, hi)
        rebuild(t, k)
        stamp[k] = version[k - 1]
        history[k, N_TERMS] = MOST_TERMS + 1
        scalars[CLOCK] += 1
        version[k] = scalars[CLOCK]
    return True
