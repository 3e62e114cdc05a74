"""The walk: depth first through the levels, a binary split of a convex polygon at a time.

A node of the search tree is a polygon, a level, and the hinges of the level that may still cross it. A node without
such hinges is a region of its level: the rows of the next level are brought up to date there and its hinges are
classified; past the last level it is a region of the network. The two halves of a split are taken in the order that
leaves the rows at hand valid for longer.

All state lives in arrays, so the kernel can stop between any two nodes and be called again: when the output is full,
when scratch must grow, or when it is told to stop.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.descriptors.singular import column_pair_singular_values
from splinegeo.partition.memory import part, view
from splinegeo.partition.rows import MOST_TERMS, refresh, sync
from splinegeo.partition.signs import row_error
from splinegeo.partition.split import cut, expand, half, hash_level, keep_crossing, set_bits
from splinegeo.partition.state import (
    ACTIVE,
    BASE,
    BIGGEST,
    C0,
    C_OUT,
    CAND_TOP,
    CN,
    DEPTH,
    FLAT,
    HAVE,
    LEVEL,
    N_OUT,
    N_TERMS,
    N_VERTICES,
    NEAR,
    POOL_TOP,
    ROOM,
    SP,
    STARTED,
)  # fmt: skip

DONE, FULL, GROW, STOPPED, ERROR = range(5)


@kernel(inner=True)
def _describe(t, level, lo, m):
    """Singular values of the outputs on the slice, and a bound on the error of an entry of the maps."""
    rows, scale, scratch = view(t, "rows"), view(t, "column_scale"), view(t, "scratch")
    total = rows.shape[0] // 4
    noise = 0.0
    for i in range(m):
        scratch[i] = rows[lo + i] * scale[0]
        scratch[m + i] = rows[total + lo + i] * scale[1]
        noise = max(noise, row_error(t, level, lo + i))
    # A norm shared by all rows: as if every entry had its part.
    noise += view(t, "shared")[1] * max(view(t, "level_f")[level, BIGGEST], 1.0) / np.sqrt(max(m, 1))
    s1, s2 = column_pair_singular_values(part(scratch, 0, m), part(scratch, m, 2 * m))
    return s1, s2, noise


@kernel(inner=True)
def _emit(t, base, nv):
    """Write the current region."""
    offsets, scalars, rows, poly = view(t, "offsets"), view(t, "scalars"), view(t, "rows"), view(t, "poly_f")
    poly_i, poly_u = view(t, "poly_i"), view(t, "poly_u")
    n_levels = offsets.shape[0] - 2
    n, c = scalars[N_OUT], scalars[C_OUT]
    lo, m = offsets[n_levels], offsets[n_levels + 1] - offsets[n_levels]
    h = view(t, "hashes")[n_levels, ACTIVE]
    view(t, "out_corners")[n] = nv
    out_bits, width = view(t, "out_bits"), (lo + 7) // 8
    # Eight bytes of 0 or 1 into the bits of one: the factor carries byte i to bit 56 + i, and no sum carries over.
    words = view(t, "bits_words")
    for k in range(width):
        out_bits[n * width + k] = (words[k] * np.uint64(0x0102040810204080)) >> np.uint64(56)
    total = rows.shape[0] // 4
    s1, s2, noise = _describe(t, n_levels, lo, m)
    if not min(s1, s2 if m > 1 else s1) > view(t, "sure")[0] * noise and refresh(t, n_levels):
        s1, s2, noise = _describe(t, n_levels, lo, m)
    sigma = view(t, "out_sigma")
    sigma[n, 0], sigma[n, 1] = s1, s2
    view(t, "out_noise")[n] = noise
    maps = view(t, "out_maps")
    if maps.shape[0] > 0:
        for i in range(m):
            k = 3 * (n * m + i)
            maps[k], maps[k + 1], maps[k + 2] = rows[lo + i], rows[total + lo + i], rows[2 * total + lo + i]
    xy, spread, key, label = view(t, "out_xy"), view(t, "out_spread"), view(t, "out_key"), view(t, "out_label")
    for v in range(nv):
        w = poly[base + v, 2]
        xy[c + v, 0] = poly[base + v, 0] / w
        xy[c + v, 1] = poly[base + v, 1] / w
        spread[c + v] = poly[base + v, 3] / w
        boundary = poly_i[base + v, 3] < 0
        if label.shape[0] > 0:
            label[c + v] = poly_i[base + v, 3]
        key[c + v] = np.uint64(0) if boundary else h ^ poly_u[base + v, 0] ^ poly_u[base + v, 1]
    scalars[N_OUT] = n + 1
    scalars[C_OUT] = c + nv


@kernel(inner=True)
def _start(t):
    """The domain as the current polygon, with no level entered yet."""
    corners, scalars = view(t, "corners"), view(t, "scalars")
    labels, own, hashes, base = (
        view(t, "corner_labels"),
        view(t, "corner_hashes"),
        view(t, "hashes"),
        view(t, "base_hash"),
    )
    f, i, u = view(t, "poly_f"), view(t, "poly_i"), view(t, "poly_u")
    nv = corners.shape[0]
    for v in range(nv):
        for j in range(8):
            f[v, j] = corners[v, j]
        for j in range(4):
            i[v, j] = labels[v, j]
        u[v, 0], u[v, 1] = own[v, 0], own[v, 1]
    hashes[0, FLAT], hashes[0, ACTIVE] = base[FLAT], base[ACTIVE]
    scalars[SP] = scalars[CAND_TOP] = scalars[POOL_TOP] = scalars[DEPTH] = 0
    scalars[LEVEL] = -1
    scalars[C0] = scalars[CN] = scalars[BASE] = scalars[NEAR] = 0
    scalars[N_VERTICES] = nv
    scalars[HAVE] = scalars[STARTED] = 1
    stamp, version, history = view(t, "stamp"), view(t, "version"), view(t, "history")
    for k in range(stamp.shape[0]):
        stamp[k], version[k] = -1, 0
    for k in range(history.shape[0]):
        history[k, N_TERMS] = MOST_TERMS + 1  # nothing that a task leaves behind may be built upon by the next


@kernel(inner=True)
def _pop(t):
    """Make the node on top of the stack the current one."""
    scalars, nodes = view(t, "scalars"), view(t, "nodes")
    f, i, u = view(t, "poly_f"), view(t, "poly_i"), view(t, "poly_u")
    scalars[SP] -= 1
    sp = scalars[SP]
    start, nv = nodes[sp, 0], nodes[sp, 1]
    pool, base = 2 * scalars[ROOM] + 2, scalars[BASE]
    for k in range(nv):
        for j in range(8):
            f[base + k, j] = f[pool + start + k, j]
        for j in range(4):
            i[base + k, j] = i[pool + start + k, j]
        u[base + k, 0], u[base + k, 1] = u[pool + start + k, 0], u[pool + start + k, 1]
    scalars[POOL_TOP], scalars[N_VERTICES], scalars[LEVEL] = start, nv, nodes[sp, 2]
    scalars[C0], scalars[CN], scalars[DEPTH] = nodes[sp, 3], nodes[sp, 4], nodes[sp, 7]
    scalars[CAND_TOP] = nodes[sp, 3] + nodes[sp, 4]
    set_bits(t, nodes[sp, 5], nodes[sp, 6])
    scalars[HAVE] = 1


@kernel(inner=True)
def _split(t, ask, level, base, nv, kept, code, depth):
    """Cut the current polygon along its first candidate: one half becomes current, the other goes on the stack."""
    scalars, nodes = view(t, "scalars"), view(t, "nodes")
    top = scalars[CAND_TOP]
    r = view(t, "candidates")[top]
    if not cut(t, ask, level, base, nv, r):
        return False
    # Stay on the side that the rows of the next level reflect; the first splits of a task are fixed.
    side = 1 if view(t, "stamp")[level + 1] != view(t, "version")[level] or view(t, "map_bits")[r] != 0 else -1
    if level == 0 and scalars[DEPTH] < depth:
        side = 1 if (code >> scalars[DEPTH]) & 1 == 0 else -1
    else:
        start, sp = scalars[POOL_TOP], scalars[SP]
        n = half(t, level, base, nv, r, -side, 2 * scalars[ROOM] + 2 + start)
        nodes[sp, 0], nodes[sp, 1], nodes[sp, 2], nodes[sp, 3] = start, n, level, top + 1
        nodes[sp, 4], nodes[sp, 5], nodes[sp, 6], nodes[sp, 7] = kept - 1, r, -side, scalars[DEPTH] + 1
        scalars[POOL_TOP] = start + n
        scalars[SP] = sp + 1
    other = scalars[ROOM] - base
    scalars[N_VERTICES] = half(t, level, base, nv, r, side, other)
    scalars[BASE] = other
    set_bits(t, r, side)
    scalars[C0], scalars[CN], scalars[CAND_TOP] = top + 1, kept - 1, top + kept
    scalars[DEPTH] += 1
    return True


@kernel()
def walk(t, ask, code, depth, limit):
    """Enumerate the regions of one task: those under the node that ``code`` names among the first ``depth`` splits.

    Returns DONE, FULL, GROW, STOPPED or ERROR; after FULL and GROW it is to be called again. ``ask`` is the address of
    the judge's callback, ``limit`` the number of regions in the output at which to stop.
    """
    scalars, control, offsets = view(t, "scalars"), view(t, "control"), view(t, "offsets")
    candidates, frame_list = view(t, "candidates"), view(t, "frame_list")
    n_levels = offsets.shape[0] - 2
    wide = view(t, "answer_signs").shape[0]
    if scalars[STARTED] == 0:
        _start(t)
    while True:
        if control[0] != 0 or scalars[N_OUT] >= limit:
            return STOPPED
        if scalars[HAVE] == 0:
            if scalars[SP] == 0:
                scalars[STARTED] = 0
                return DONE
            _pop(t)
        nv, level, base = scalars[N_VERTICES], scalars[LEVEL], scalars[BASE]
        if (
            nv + 3 > scalars[ROOM]
            or 2 * scalars[ROOM] + 2 + scalars[POOL_TOP] + nv + 3 > view(t, "poly_f").shape[0]
            or scalars[SP] + 1 > view(t, "nodes").shape[0]
            or scalars[CAND_TOP] + scalars[CN] + wide > candidates.shape[0]
        ):
            return GROW
        if scalars[N_OUT] + 1 > view(t, "out_corners").shape[0] or scalars[C_OUT] + nv > view(t, "out_xy").shape[0]:
            return FULL
        kept = 0
        if scalars[CN] == 0:
            scalars[NEAR] = 0
        else:
            kept = keep_crossing(t, ask, level, base, nv, scalars[C0], scalars[CN], scalars[CAND_TOP])
        if kept < 0 or (kept > 0 and not _split(t, ask, level, base, nv, kept, code, depth)):
            return ERROR
        if kept > 0:
            continue
        if level == 0 and scalars[DEPTH] < depth and (code >> scalars[DEPTH]) != 0:
            scalars[HAVE] = 0  # this region was reached with fewer splits: it belongs to another task
            continue
        if level >= 0:
            hash_level(t, level)
        sync(t, level + 1)
        level += 1
        if level == n_levels:
            _emit(t, base, nv)
            scalars[HAVE] = 0
            continue
        # Open the next level on the current polygon: the hinges of it that cross become the candidates.
        count = expand(t, ask, level, base, nv)
        if count < 0:
            return ERROR
        top, lo = scalars[CAND_TOP], offsets[level]
        for k in range(count):
            candidates[top + k] = frame_list[lo + k]
        scalars[C0], scalars[CN], scalars[LEVEL] = top, count, level
        scalars[CAND_TOP] = top + count
