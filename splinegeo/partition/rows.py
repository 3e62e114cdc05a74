"""Kernels for the rows of a level: rebuilt from the level below, or updated by the hinges that flipped.

Beside its three coefficients a row carries a bound on their error: what it inherits from the rows that it reads,
plus ``rho`` times the level's rounding. An update changes the inherited part by what the flipped hinge inherits, since
the row always equals the sum over its current inputs up to rounding.
"""

from __future__ import annotations

from numba import njit

from splinegeo._jit import kernel
from splinegeo.partition.memory import view
from splinegeo.partition.state import BIGGEST, CLOCK, DOUBT, LAM, ROUNDING

UNIT = 2.0**-53  # rounding unit of float64
FLIPS_BETWEEN_REBUILDS = 512  # keeps the error of a chain of updates near that of a rebuild
FLIPS_BETWEEN_MEASURES = 16

# Fused multiply-adds and reordered sums obey the same error bounds as the sums written here; nothing else may change.
FAST = {"contract", "reassoc", "nsz"}


@kernel(FAST)
def _add_four(a, b, c, d, g0, g1, g2, g3, h, k):
    x0, x1, x2, x3 = h[4 * k], h[4 * k + 4], h[4 * k + 8], h[4 * k + 12]
    y0, y1, y2, y3 = h[4 * k + 1], h[4 * k + 5], h[4 * k + 9], h[4 * k + 13]
    z0, z1, z2, z3 = h[4 * k + 2], h[4 * k + 6], h[4 * k + 10], h[4 * k + 14]
    e0, e1, e2, e3 = h[4 * k + 3], h[4 * k + 7], h[4 * k + 11], h[4 * k + 15]
    for i in range(a.shape[0]):
        w0, w1, w2, w3 = g0[i], g1[i], g2[i], g3[i]
        a[i] += w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
        b[i] += w0 * y0 + w1 * y1 + w2 * y2 + w3 * y3
        c[i] += w0 * z0 + w1 * z1 + w2 * z2 + w3 * z3
        d[i] += abs(w0) * e0 + abs(w1) * e1 + abs(w2) * e2 + abs(w3) * e3


@kernel(FAST)
def _add_one(a, b, c, d, g, x, y, z, e):
    for i in range(a.shape[0]):
        a[i] += g[i] * x
        b[i] += g[i] * y
        c[i] += g[i] * z
        d[i] += abs(g[i]) * e


@kernel({"nnan", "reassoc", "nsz"})
def _widest(a, b, c):
    widest = 0.0
    for i in range(a.shape[0]):
        widest = max(widest, abs(a[i]) + abs(b[i]) + abs(c[i]))
    return widest


@kernel({"nnan", "reassoc", "nsz"})
def _largest(d):
    largest = 0.0
    for i in range(d.shape[0]):
        largest = max(largest, d[i])
    return largest


@njit(nogil=True, inline="always")
def measure(t, level):
    """Note the widest row of a level and the largest error."""
    offsets, rows, level_f = view(t, "offsets"), view(t, "rows"), view(t, "level_f")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    level_f[level, LAM] = _widest(rows[lo:hi], rows[total + lo : total + hi], rows[2 * total + lo : 2 * total + hi])
    level_f[level, DOUBT] = _largest(rows[3 * total + lo : 3 * total + hi])
    view(t, "flips")[level, 1] = 0


@kernel()
def rebuild(t, level):
    """Make the rows of a level from the activations below it."""
    offsets, rows, level_f = view(t, "offsets"), view(t, "rows"), view(t, "level_f")
    slopes, bits, h = view(t, "slopes"), view(t, "bits"), view(t, "scratch")
    block_start, block_source, block_offset = view(t, "block_start"), view(t, "block_source"), view(t, "block_offset")
    constant, g, place, rho = view(t, "constant"), view(t, "weights"), view(t, "listed"), view(t, "rho")
    total = rows.shape[0] // 4
    lo, hi = offsets[level], offsets[level + 1]
    n = hi - lo
    a, b, c = rows[lo:hi], rows[total + lo : total + hi], rows[2 * total + lo : 2 * total + hi]
    d = rows[3 * total + lo : 3 * total + hi]
    for i in range(n):
        a[i] = constant[lo + i]
        b[i] = constant[total + lo + i]
        c[i] = constant[2 * total + lo + i]
        d[i] = 0.0
    terms = 0
    biggest = 1.0 if view(t, "has_constant")[level] else 0.0
    for block in range(block_start[level], block_start[level + 1]):
        source = block_source[block]
        first, last = offsets[source], offsets[source + 1]
        rounding = level_f[source, ROUNDING]
        used = 0
        for j in range(first, last):
            slope = slopes[j, bits[j]]
            if slope != 0.0:
                x, y, z = rows[j] * slope, rows[total + j] * slope, rows[2 * total + j] * slope
                place[used] = block_offset[block] + (j - first) * n
                h[4 * used], h[4 * used + 1], h[4 * used + 2] = x, y, z
                h[4 * used + 3] = (rows[3 * total + j] + rho[j] * rounding) * abs(slope)
                used += 1
                biggest = max(biggest, max(abs(x), max(abs(y), abs(z))))
        k = 0
        while k + 4 <= used:
            p0, p1, p2, p3 = place[k], place[k + 1], place[k + 2], place[k + 3]
            _add_four(a, b, c, d, g[p0 : p0 + n], g[p1 : p1 + n], g[p2 : p2 + n], g[p3 : p3 + n], h, k)
            k += 4
        while k < used:
            p0 = place[k]
            _add_one(a, b, c, d, g[p0 : p0 + n], h[4 * k], h[4 * k + 1], h[4 * k + 2], h[4 * k + 3])
            k += 1
        terms += used
    level_f[level, BIGGEST] = biggest
    rounding = (terms + 4) * UNIT * biggest if terms > 0 else 0.0
    level_f[level, ROUNDING] = (rounding + view(t, "slack")[level] * max(biggest, 1.0)) * 1.01
    view(t, "flips")[level, 0] = 0
    measure(t, level)


@kernel()
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
    e = (rows[3 * total + j] + view(t, "rho")[j] * level_f[level - 1, ROUNDING]) * (abs(after) - abs(before))
    p = view(t, "block_offset")[block] + (j - offsets[level - 1]) * n
    _add_one(
        rows[lo:hi], rows[total + lo : total + hi], rows[2 * total + lo : 2 * total + hi],
        rows[3 * total + lo : 3 * total + hi], view(t, "weights")[p : p + n], x, y, z, e,
    )  # fmt: skip
    size = max(abs(rows[j]), max(abs(rows[total + j]), abs(rows[2 * total + j])))
    level_f[level, BIGGEST] = max(level_f[level, BIGGEST], size * max(abs(after), max(abs(before), abs(change))))
    level_f[level, LAM] += abs(x) + abs(y) + abs(z)
    level_f[level, DOUBT] += max(e, 0.0)
    flips = view(t, "flips")
    flips[level, 0] += 1
    flips[level, 1] += 1


@kernel()
def sync(t, level):
    """Bring the rows of a level (>= 1) up to date with the activations below it."""
    offsets, bits, map_bits = view(t, "offsets"), view(t, "bits"), view(t, "map_bits")
    stamp, version, scalars = view(t, "stamp"), view(t, "version"), view(t, "scalars")
    frame_list, frame_n, flips = view(t, "frame_list"), view(t, "frame_n"), view(t, "flips")
    twin_start, twin_index = view(t, "twin_start"), view(t, "twin_index")
    below = level - 1
    lo, hi = offsets[below], offsets[below + 1]
    stale = stamp[level] != version[below]
    if not stale:
        count = 0
        for k in range(frame_n[below]):
            j = frame_list[lo + k]
            if bits[j] != map_bits[j]:
                count += twin_start[j + 1] - twin_start[j]
        if count == 0:
            return
        stale = flips[level, 0] + count > FLIPS_BETWEEN_REBUILDS or 2 * count > hi - lo
    scalars[CLOCK] += 1
    version[level] = scalars[CLOCK]
    if stale:
        map_bits[lo:hi] = bits[lo:hi]
        rebuild(t, level)
        stamp[level] = version[below]
        return
    block_start = view(t, "block_start")
    block = block_start[level + 1] - 1
    linked = block >= block_start[level] and view(t, "block_source")[block] == below
    for k in range(frame_n[below]):
        j = frame_list[lo + k]
        if bits[j] != map_bits[j]:
            for m in range(twin_start[j], twin_start[j + 1]):
                i = twin_index[m]
                map_bits[i] = bits[i]
                if linked:
                    _flip(t, level, block, i)
    if linked:
        level_f = view(t, "level_f")
        size = max(level_f[level, BIGGEST], 1.0)
        rounding = (view(t, "inputs")[level] + 8 + 4 * flips[level, 0]) * UNIT * size
        level_f[level, ROUNDING] = (rounding + view(t, "slack")[level] * size) * 1.01
        if flips[level, 1] > FLIPS_BETWEEN_MEASURES:
            measure(t, level)
