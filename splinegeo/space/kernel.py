"""The walk in d dimensions: depth first through the levels, a binary split of a convex polytope at a time.

A node of the search tree is a cell, a level, and how far it has come in the list of the level's hinges that cross the
cell on which the level was opened. Past the end of the list the next level is opened on it; past the last level it is a
region. The half that the rows of the next level reflect is taken first. All state lives in arrays, so the kernel can
stop between any two nodes and be called again.
"""

from __future__ import annotations

from splinegeo._jit import kernel
from splinegeo.space.cells import (
    DONE,
    ERROR,
    FULL,
    ROOM_SHORT,
    STACK_SHORT,
    STOPPED,
    WORDS_SHORT,
    classify,
    copy_vertex,
    cut,
    empty_slot,
    find_edges,
    open_level,
    set_side,
    slots_at,
)
from splinegeo.space.emit import emit
from splinegeo.space.memory import length, view
from splinegeo.space.prune import may_vanish
from splinegeo.space.rows import sync
from splinegeo.space.state import (
    BASE,
    C_OUT,
    DEPTH,
    DIM,
    F_OUT,
    HAVE,
    LEVEL,
    N_OUT,
    N_VERTICES,
    POOL,
    POOL_TOP,
    POSITION,
    ROOM,
    SP,
    STARTED,
    V_OUT,
    WORDS,
    ZEROS_ONLY,
)  # fmt: skip


@kernel(inner=True)
def _start(t):
    """The domain as the current cell, with no level opened yet."""
    scalars = view(t, "scalars")
    x, error, tight, ids, slots = view(t, "x"), view(t, "error"), view(t, "tight"), view(t, "id"), view(t, "slots")
    given_x, given_error, given_tight = view(t, "start_x"), view(t, "start_error"), view(t, "start_tight")
    given_slots, stamp, bits = view(t, "start_slots"), view(t, "stamp"), view(t, "bits")
    d, words, n = scalars[DIM], scalars[WORDS], length(t, "start_error")
    for v in range(n):
        for c in range(d):
            x[v * d + c] = given_x[v * d + c]
        for w in range(words):
            tight[v * words + w] = given_tight[v * words + w]
        error[v], ids[v] = given_error[v], -1
    for s in range(64 * words):
        slots[s] = given_slots[s]
    for k in range(length(t, "stamp")):
        stamp[k] = -1  # nothing that a task leaves behind may be built upon by the next, or decide its order
    for k in range(length(t, "bits")):
        bits[k] = 0
    scalars[SP] = scalars[POOL_TOP] = scalars[POSITION] = scalars[DEPTH] = scalars[BASE] = 0
    scalars[LEVEL] = -1
    scalars[N_VERTICES] = n
    scalars[HAVE] = scalars[STARTED] = 1


@kernel(inner=True)
def _pop(t):
    """Make the node on top of the stack the current one."""
    scalars, nodes, slots = view(t, "scalars"), view(t, "nodes"), view(t, "slots")
    scalars[SP] -= 1
    sp, n_slots = scalars[SP], 64 * scalars[WORDS]
    start, nv = nodes[sp, 0], nodes[sp, 1]
    x, error, tight, ids = view(t, "x"), view(t, "error"), view(t, "tight"), view(t, "id")
    d, words, top, base = scalars[DIM], scalars[WORDS], 2 * scalars[ROOM] + start, scalars[BASE]
    for v in range(nv):
        copy_vertex(x, error, tight, ids, d, words, top + v, base + v)
    at = slots_at(t)
    for s in range(n_slots):
        slots[at + s] = slots[(2 + sp) * n_slots + s]
    scalars[POOL_TOP], scalars[N_VERTICES], scalars[LEVEL] = start, nv, nodes[sp, 2]
    scalars[POSITION], scalars[DEPTH] = nodes[sp, 3], nodes[sp, 6]
    set_side(t, nodes[sp, 4], nodes[sp, 5])
    scalars[HAVE] = 1


@kernel(inner=True)
def _hash_level(t, level):
    """The hash of the pattern up to a level that is done."""
    offsets, hashes, twin = view(t, "offsets"), view(t, "hashes"), view(t, "twin")
    side, zero, bits, flat = view(t, "hash_side"), view(t, "hash_zero"), view(t, "bits"), view(t, "flat")
    h = hashes[level]
    for i in range(offsets[level], offsets[level + 1]):
        if twin[i] == i:
            h ^= zero[i] if flat[i] != 0 else side[i, bits[i]]
    hashes[level + 1] = h


@kernel(inner=True)
def _split(t, ask, level, hinge, code, depth):
    """Cut the current cell along a hinge: one half becomes current, the other goes on the stack."""
    scalars, nodes = view(t, "scalars"), view(t, "nodes")
    nv, start, sp = scalars[N_VERTICES], scalars[POOL_TOP], scalars[SP]
    slot = empty_slot(t)
    if slot < 0:
        return WORDS_SHORT
    n = find_edges(t, nv)
    if n < 0 or nv + n > scalars[ROOM]:
        return ROOM_SHORT
    if start + nv + n > scalars[POOL] or sp == length(t, "nodes"):
        return STACK_SHORT
    # Stay on the side that the rows above reflect; the first splits of a task are fixed.
    side = 1 if view(t, "bits")[hinge] != 0 else -1
    if level == 0 and scalars[DEPTH] < depth:
        side = 1 if (code >> scalars[DEPTH]) & 1 == 0 else -1
        if cut(t, ask, level, hinge, slot, n, side, -1) < 0:
            return ERROR
    else:
        there = cut(t, ask, level, hinge, slot, n, side, start)
        if there < 0:
            return ERROR
        nodes[sp, 0], nodes[sp, 1], nodes[sp, 2] = start, there, level
        nodes[sp, 3], nodes[sp, 4], nodes[sp, 5] = scalars[POSITION] + 1, hinge, -side
        nodes[sp, 6] = scalars[DEPTH] + 1
        scalars[POOL_TOP] = start + there
        scalars[SP] = sp + 1
    set_side(t, hinge, side)
    scalars[POSITION] += 1
    scalars[DEPTH] += 1
    return DONE


@kernel(inner=True)
def _is_full(t):
    """Whether the current cell might not fit the output."""
    scalars = view(t, "scalars")
    nv = scalars[N_VERTICES]
    return (
        scalars[N_OUT] == length(t, "out_counts")
        or scalars[C_OUT] + nv > length(t, "out_corner")
        or scalars[F_OUT] + 64 * scalars[WORDS] > length(t, "out_side")
        or scalars[V_OUT] + nv > length(t, "vertex_error")
    )


@kernel(inner=True)
def _touches(t, hinge):
    """Whether a hinge vanishes somewhere on the current cell."""
    slots, at = view(t, "slots"), slots_at(t)
    found = False
    for s in range(64 * view(t, "scalars")[WORDS]):
        found |= slots[at + s] == hinge
    return found


@kernel()
def walk(t, ask, code, depth, limit):
    """Enumerate the regions of one task: those under the node that ``code`` names among the first ``depth`` splits.

    Returns one of the states of `cells`; after FULL and the SHORT ones it is to be called again. ``ask`` is the address
    of the judge's callback, ``limit`` the number of regions in the output at which to stop.
    """
    scalars, control, offsets = view(t, "scalars"), view(t, "control"), view(t, "offsets")
    crossing, n_crossing = view(t, "crossing"), view(t, "n_crossing")
    n_levels = length(t, "offsets") - 2
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
        level = scalars[LEVEL]
        if level >= 0 and scalars[POSITION] < n_crossing[level]:
            hinge = crossing[offsets[level] + scalars[POSITION]]
            side = classify(t, ask, level, hinge)
            if side == -2:
                return WORDS_SHORT
            if side == -3:
                return ERROR
            if side == 2:
                status = _split(t, ask, level, hinge, code, depth)
                if status != DONE:
                    return status
            else:
                set_side(t, hinge, side)
                scalars[POSITION] += 1
            continue
        if level == 0 and scalars[DEPTH] < depth and (code >> scalars[DEPTH]) != 0:
            scalars[HAVE] = 0  # this cell was reached with fewer splits: it belongs to another task
            continue
        if level + 1 == n_levels:
            if _is_full(t):
                return FULL
            if level >= 0:
                _hash_level(t, level)
            if scalars[ZEROS_ONLY] == 0 or _touches(t, offsets[n_levels] - 1):
                emit(t, view(t, "hashes")[n_levels])
            scalars[HAVE] = 0
            continue
        if level >= 0:
            _hash_level(t, level)
        sync(t, level + 1)
        status = open_level(t, ask, level + 1)
        if status != DONE:
            return status
        scalars[LEVEL] = level + 1
        scalars[POSITION] = 0
        if scalars[ZEROS_ONLY] != 0 and not may_vanish(t, level + 1):
            scalars[HAVE] = 0
