"""Kernels that classify the hinges of a level on a polygon, and cut the polygon along one of them."""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.partition.memory import part, view
from splinegeo.partition.signs import FAILED, classify, meet, row_error, scale_vertices, sign
from splinegeo.partition.state import ACTIVE, FLAT, NEAR, ROOM


@kernel(inner=True)
def set_bits(t, r, side):
    """Activate, or not, representative r and its twins for the given side of r's kink (0: on it)."""
    twin_start, twin_index, twin_sign = view(t, "twin_start"), view(t, "twin_index"), view(t, "twin_sign")
    bits = view(t, "bits")
    for k in range(twin_start[r], twin_start[r + 1]):
        bits[twin_index[k]] = 1 if side * twin_sign[k] > 0 else 0


@kernel(inner=True)
def _decide(t, level, base, nv, r, signs):
    """Note that representative r does not cross the current polygon, on which it has these vertex signs."""
    poly_u, hash_side = view(t, "poly_u"), view(t, "hash_side")
    zero = view(t, "hash_zero")[r]
    side = 0
    for v in range(nv):
        if signs[v] != 0:
            side = signs[v]
            break
    set_bits(t, r, side)
    for v in range(nv):
        if signs[v] == 0 and signs[v + 1 if v + 1 < nv else 0] == 0:
            poly_u[base + v, 0] ^= zero
            if side != 0:
                poly_u[base + v, 1] ^= hash_side[r, 1 if side > 0 else 0]
    if side == 0:
        view(t, "hashes")[level + 1, FLAT] ^= zero


@kernel(inner=True)
def _signs(t, ask, level, base, nv, r, signs):
    """Signs of row r at all vertices: 0 one side only, 1 both sides, 2 failed."""
    positive = negative = False
    for v in range(nv):
        s = sign(t, ask, level, base + v, v, r)
        if s == FAILED:
            return 2
        signs[v] = s
        positive |= s > 0
        negative |= s < 0
    return 1 if positive and negative else 0


@kernel(inner=True)
def expand(t, ask, level, base, nv):
    """Classify a level's hinges on the current polygon; those that cross it become the frame. Their number, or -1."""
    twin, twin_start, twin_index, twin_sign = (
        view(t, "twin"),
        view(t, "twin_start"),
        view(t, "twin_index"),
        view(t, "twin_sign"),
    )
    frame_list, listed, scratch, flag = view(t, "frame_list"), view(t, "listed"), view(t, "scratch"), view(t, "flag")
    has_table, signs, bits, hashes = view(t, "has_table"), view(t, "signs"), view(t, "bits"), view(t, "hashes")
    offsets = view(t, "offsets")
    lo, n = offsets[level], offsets[level + 1] - offsets[level]
    hashes[level + 1, FLAT] = hashes[level, FLAT]
    doubtful = classify(t, level, base, nv)
    crossing = 0
    late = 0
    if doubtful:
        for v in range(nv):
            has_table[v] = 0
    for k in range(doubtful):
        i = listed[k]
        r = lo + i
        if twin[r] != r:
            listed[late] = i  # entries up to k have been read
            late += 1
            continue
        cuts = 1 if scratch[i] < -1.0 and scratch[n + i] > 1.0 else _signs(t, ask, level, base, nv, r, signs)
        if cuts == 2:
            return -1
        if cuts == 1:
            frame_list[lo + crossing] = r
            crossing += 1
        else:
            _decide(t, level, base, nv, r, signs)
    # Twins whose own float sign is in doubt follow their representative, unless it was decided above or crosses.
    for k in range(late):
        i = listed[k]
        r = twin[lo + i]
        if flag[r - lo] == 0:
            for m in range(twin_start[r], twin_start[r + 1]):
                if twin_index[m] == lo + i:
                    bits[lo + i] = bits[r] if twin_sign[m] > 0 else 1 - bits[r]
    view(t, "frame_n")[level] = crossing
    return crossing


@kernel(inner=True)
def keep_crossing(t, ask, level, base, nv, first, count, top):
    """Copy the candidates that cross the current polygon to `top`; `signs` are those of the first. Number, or -1."""
    candidates, signs, has_table = view(t, "candidates"), view(t, "signs"), view(t, "has_table")
    rows, near = view(t, "rows"), view(t, "near")
    total = rows.shape[0] // 4
    spare = part(signs, signs.shape[0] // 2, signs.shape[0])
    scalars = view(t, "scalars")
    if scalars[NEAR] == 0:  # else the level was entered just now, on this very polygon
        scale_vertices(t, level, base, nv)
    scalars[NEAR] = 0
    for v in range(nv):
        has_table[v] = 0
    kept = 0
    for k in range(count):
        r = candidates[first + k]
        here = signs if kept == 0 else spare
        a, b, c = rows[r], rows[total + r], rows[2 * total + r]
        positive = negative = False
        for v in range(nv):
            z = a * near[v, 0] + b * near[v, 1] + c * near[v, 2]
            if z > 1.0:
                s = 1
            elif z < -1.0:
                s = -1
            else:
                s = sign(t, ask, level, base + v, v, r)
                if s == FAILED:
                    return -1
            here[v] = s
            positive |= s > 0
            negative |= s < 0
        if positive and negative:
            candidates[top + kept] = r
            kept += 1
        else:
            _decide(t, level, base, nv, r, here)
    return kept


@kernel(inner=True)
def cut(t, ask, level, base, nv, r):
    """Compute the (at most two) new vertices of a split, in the order of their edges. False where it failed."""
    signs = view(t, "signs")
    k = 2 * view(t, "scalars")[ROOM]
    for v in range(nv):
        if signs[v] * signs[v + 1 if v + 1 < nv else 0] < 0:
            if not meet(t, ask, level, base + v, r, k):
                return False
            k += 1
    return True


@kernel(inner=True)
def half(t, level, base, nv, r, side, into):
    """Write the half of the current polygon on one side of hinge r to rows from `into` on. Its number of vertices."""
    f, i, u, signs = view(t, "poly_f"), view(t, "poly_i"), view(t, "poly_u"), view(t, "signs")
    fresh = 2 * view(t, "scalars")[ROOM]
    k = into
    for v in range(nv):
        after = v + 1 if v + 1 < nv else 0
        s, next_s = signs[v] * side, signs[after] * side
        p = base + v
        if s >= 0:
            for j in range(8):
                f[k, j] = f[p, j]
            i[k, 0], i[k, 1], i[k, 2], i[k, 3] = i[p, 0], i[p, 1], i[p, 2], i[p, 3]
            u[k, 0], u[k, 1] = u[p, 0], u[p, 1]
            k += 1
            if next_s < 0:
                if s > 0:
                    for j in range(4):
                        f[k, j] = f[fresh, j]
                    i[k, 0], i[k, 1], i[k, 2] = i[fresh, 0], i[fresh, 1], i[fresh, 2]
                    fresh += 1
                    k += 1
                _lay_edge(t, level, r, side, k - 1)
        elif next_s > 0:
            for j in range(4):
                f[k, j] = f[fresh, j]
                f[k, 4 + j] = f[p, 4 + j]
            i[k, 0], i[k, 1], i[k, 2], i[k, 3] = i[fresh, 0], i[fresh, 1], i[fresh, 2], i[p, 3]
            u[k, 0], u[k, 1] = u[p, 0], u[p, 1]
            fresh += 1
            k += 1
    return k - into


@kernel(inner=True)
def _lay_edge(t, level, r, side, k):
    """Make the edge behind the vertex in row k the kink of hinge r."""
    from_rows, f, u = view(t, "rows"), view(t, "poly_f"), view(t, "poly_u")
    total = from_rows.shape[0] // 4
    f[k, 4], f[k, 5], f[k, 6] = from_rows[r], from_rows[total + r], from_rows[2 * total + r]
    f[k, 7] = 0.0 if view(t, "exact")[level] else row_error(t, level, r)
    view(t, "poly_i")[k, 3] = r
    u[k, 0] = view(t, "hash_zero")[r] ^ view(t, "hashes")[level + 1, FLAT]
    u[k, 1] = view(t, "hash_side")[r, 1 if side > 0 else 0]


@kernel(inner=True)
def hash_level(t, level):
    """Hash of the activations up to this level, from that of the level below."""
    offsets, hashes = view(t, "offsets"), view(t, "hashes")
    lo, hi = offsets[level], offsets[level + 1]
    keys, bits = part(view(t, "hash_bit"), lo, hi), part(view(t, "bits"), lo, hi)
    h = np.uint64(0)
    for i in range(hi - lo):
        h ^= keys[i] & (np.uint64(0) - np.uint64(bits[i]))
    hashes[level + 1, ACTIVE] = h ^ hashes[level, ACTIVE]
