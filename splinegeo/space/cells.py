"""A cell under hinges: on which side of them it lies, and the two halves into which one cuts it.

A cell is a convex polytope, given by its vertices: coordinates with a bound on their error, and the *tight set*, the
slots whose hyperplanes go through the vertex. A slot stands for a facet of the domain or for a hinge that vanishes at
some vertex of the cell (of proportional hinges for the first). All those that support the cell have one, also where
they only touch, and none that crosses it: so tight sets tell faces apart. A face is the set of vertices whose tight
sets contain a given one, and two vertices share an edge if no third one is tight wherever both are.

A sign is certain where the value exceeds the bound on its error. What that leaves open, all zeros too, is asked of the
judge.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.partition.callback import call
from splinegeo.space.meets import settle
from splinegeo.space.memory import length, popcount, view
from splinegeo.space.state import BASE, DIM, EMPTY, N_VERTICES, ROOM, SP, WORDS
from splinegeo.space.ties import must_vanish

DONE, FULL, ROOM_SHORT, STACK_SHORT, WORDS_SHORT, STOPPED, ERROR = range(7)
SIGNS, POINT = range(2)  # what the judge is asked for
# How well a vertex has to be known. Beyond the first bound it is no longer taken to lie between its neighbours, but
# where its hyperplanes meet; beyond the second it is rounded from its exact position. That only has to be rare.
LOOSE, TOO_LOOSE = 1e-9, 1e-6
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # an odd number of random bits
UNIT = 2.0**-53  # error of a coordinate that is correctly rounded and at most about 1


@kernel(inner=True)
def slots_at(t):
    """Where the slots of the current cell begin."""
    scalars = view(t, "scalars")
    return 64 * scalars[WORDS] if scalars[BASE] > 0 else 0


@kernel(inner=True)
def free_slots(t):
    """Number of slots of the current cell that stand for nothing."""
    slots, at, n = view(t, "slots"), slots_at(t), 64 * view(t, "scalars")[WORDS]
    free = 0
    for s in range(n):
        free += slots[at + s] == EMPTY
    return free


@kernel(inner=True)
def empty_slot(t):
    """A slot of the current cell that stands for nothing; -1 where there is none."""
    slots, at, n = view(t, "slots"), slots_at(t), 64 * view(t, "scalars")[WORDS]
    for s in range(n):
        if slots[at + s] == EMPTY:
            return s
    return -1


@kernel(inner=True)
def ask_vertex(t, ask, vertex, kind, level):
    """Have the judge find a vertex of the current cell, if it has not, and answer a question about it."""
    ids, tight, slots, asked = view(t, "id"), view(t, "tight"), view(t, "slots"), view(t, "asked")
    words, at = view(t, "scalars")[WORDS], slots_at(t)
    n = 0
    if ids[vertex] < 0:
        for s in range(64 * words):
            if (tight[vertex * words + (s >> 6)] >> np.uint64(s & 63)) & np.uint64(1):
                asked[n] = slots[at + s]
                n += 1
    known = call(ask, kind, level, n, 0, ids[vertex])
    if known >= 0:
        ids[vertex] = known
    return known


@kernel(inner=True)
def set_side(t, hinge, side):
    """Set the activations of a representative and of the hinges proportional to it; ``side`` is the first one's."""
    bits, flat = view(t, "bits"), view(t, "flat")
    start, index, sign = view(t, "twin_start"), view(t, "twin_index"), view(t, "twin_sign")
    for k in range(start[hinge], start[hinge + 1]):
        bits[index[k]] = 1 if side * sign[k] > 0 else 0
        flat[index[k]] = 1 if side == 0 else 0


@kernel(inner=True)
def open_level(t, ask, level):
    """On which side of the hinges of a level the current cell lies; those that cross it are listed."""
    scalars, offsets, twin = view(t, "scalars"), view(t, "offsets"), view(t, "twin")
    rows, tilt, noise = view(t, "rows"), view(t, "tilt"), view(t, "noise")
    x, error, tight, slots = view(t, "x"), view(t, "error"), view(t, "tight"), view(t, "slots")
    values, up, down = view(t, "values"), view(t, "up"), view(t, "down")
    zeros, has_zero, answer = view(t, "zeros"), view(t, "has_zero"), view(t, "answer_signs")
    d, words, base, nv = scalars[DIM], scalars[WORDS], scalars[BASE], scalars[N_VERTICES]
    hinges, at = length(t, "tilt"), slots_at(t)
    lo, n = offsets[level], offsets[level + 1] - offsets[level]
    for i in range(n):
        up[i] = down[i] = has_zero[i] = 0
    any_zero = False
    for v in range(nv):
        for i in range(n):
            values[i] = rows[d * hinges + lo + i]
        for c in range(d):
            p = x[(base + v) * d + c]
            for i in range(n):
                values[i] += rows[c * hinges + lo + i] * p
        e = error[base + v]
        doubtful = np.int8(0)
        for i in range(n):
            b = tilt[lo + i] * e + noise[lo + i]
            above, below = np.int8(values[i] > b), np.int8(values[i] < -b)
            up[i] |= above
            down[i] |= below
            doubtful |= np.int8(1) - (above | below)
        if doubtful != 0:
            if not any_zero:
                any_zero = True
                for k in range(nv * n):
                    zeros[k] = 0
            ties, doubtful = -1, np.int8(0)
            for i in range(n):
                b = tilt[lo + i] * e + noise[lo + i]
                if not (values[i] > b or values[i] < -b):
                    vanishes, ties = must_vanish(t, level, lo + i, at, base + v, ties)
                    zeros[v * n + i] = vanishes
                    has_zero[i] |= np.int8(vanishes)
                    doubtful |= np.int8(not vanishes)
            if doubtful == 0:
                continue
            if ask_vertex(t, ask, base + v, SIGNS, level) < 0:
                return ERROR
            for i in range(n):
                # Signs beyond the bound agree with the exact ones, so all of those may be used.
                up[i] |= np.int8(answer[i] > 0)
                down[i] |= np.int8(answer[i] < 0)
                if answer[i] == 0:
                    zeros[v * n + i] = has_zero[i] = 1
    if any_zero:
        wanted = 0
        for i in range(n):
            if twin[lo + i] == lo + i and has_zero[i] != 0 and up[i] != down[i]:
                wanted += 1
        if wanted > free_slots(t):
            return WORDS_SHORT
    crossing, count = view(t, "crossing"), 0
    for i in range(n):
        if twin[lo + i] != lo + i:
            continue
        if up[i] != 0 and down[i] != 0:
            crossing[lo + count] = lo + i  # its activation stays what the rows above reflect
            count += 1
        else:
            set_side(t, lo + i, 1 if up[i] != 0 else -1 if down[i] != 0 else 0)
        if has_zero[i] != 0 and up[i] != down[i]:
            s = empty_slot(t)
            slots[at + s] = lo + i
            for v in range(nv):
                if zeros[v * n + i] != 0:
                    tight[(base + v) * words + (s >> 6)] |= np.uint64(1) << np.uint64(s & 63)
    view(t, "n_crossing")[level] = count
    return DONE


@kernel(inner=True)
def classify(t, ask, level, hinge):
    """Signs of a hinge at the vertices of the current cell: 2 where it crosses, else the side, 0 where there is none.

    -2 and -3 are short of slots and an error. A hinge that vanishes somewhere without crossing gets its slot here; one
    that crosses is given it by `cut`.
    """
    scalars = view(t, "scalars")
    rows, tilt, noise = view(t, "rows"), view(t, "tilt"), view(t, "noise")
    x, error, tight, slots = view(t, "x"), view(t, "error"), view(t, "tight"), view(t, "slots")
    value, doubt, sign, answer = view(t, "value"), view(t, "doubt"), view(t, "sign"), view(t, "answer_signs")
    d, words, base, nv = scalars[DIM], scalars[WORDS], scalars[BASE], scalars[N_VERTICES]
    hinges, first, at = length(t, "tilt"), view(t, "offsets")[level], slots_at(t)
    above = below = touching = False
    steep, least, constant = tilt[hinge], noise[hinge], rows[d * hinges + hinge]
    doubtful = 0
    # Without branches first: signs come in no order that a processor could foresee.
    for v in range(nv):
        p = (base + v) * d
        z = constant
        for c in range(d):
            z += rows[c * hinges + hinge] * x[p + c]
        b = steep * error[base + v] + least
        value[v], doubt[v] = z, b
        up, down = z > b, z < -b
        sign[v] = np.int8(up) - np.int8(down)
        above |= up
        below |= down
        doubtful += not (up or down)
    for v in range(nv if doubtful > 0 else 0):
        if sign[v] == 0:
            s = np.int8(0)
            if not must_vanish(t, level, hinge, at, base + v, -1)[0]:
                if ask_vertex(t, ask, base + v, SIGNS, level) < 0:
                    return -3
                s = answer[hinge - first]
            sign[v] = s
            above |= s > 0
            below |= s < 0
            touching |= s == 0
    if above and below:
        return 2
    if touching and (above or below):
        slot = empty_slot(t)
        if slot < 0:
            return -2
        slots[at + slot] = hinge
        for v in range(nv):
            if sign[v] == 0:
                tight[(base + v) * words + (slot >> 6)] |= np.uint64(1) << np.uint64(slot & 63)
    return 1 if above else -1 if below else 0


@kernel(inner=True)
def _lonely(t, p, q, nv):
    """Whether no third vertex is tight wherever vertices p and q of the current cell are."""
    scalars, tight = view(t, "scalars"), view(t, "tight")
    words, base = scalars[WORDS], scalars[BASE]
    for r in range(nv):
        if r != p and r != q:
            inside = True
            for w in range(words):
                both = tight[(base + p) * words + w] & tight[(base + q) * words + w]
                inside &= tight[(base + r) * words + w] & both == both
            if inside:
                return False
    return True


@kernel(inner=True)
def _matched_edges(t, na, nb):
    """`find_edges` for many vertices, all of them with d hyperplanes, in one word: edges matched by d - 1 of them."""
    tight, above, below, pairs = view(t, "tight"), view(t, "above"), view(t, "below"), view(t, "pairs")
    table, keys, base = view(t, "edge_table"), view(t, "edge_key"), view(t, "scalars")[BASE]
    room = view(t, "scalars")[ROOM]
    places = 64
    while places < 2 * na * view(t, "scalars")[DIM]:
        places *= 2
    mask = places - 1
    for k in range(places):
        table[k] = 0
    for a in range(na):
        rest = whole = tight[base + above[a]]
        while rest != 0:
            key = whole ^ (rest & (~rest + np.uint64(1)))
            rest &= rest - np.uint64(1)
            place = np.int64((key * _SPREAD) >> np.uint64(32)) & mask
            while table[place] != 0:
                place = (place + 1) & mask
            table[place], keys[place] = above[a] + 1, key
    n = 0
    for b in range(nb):
        rest = whole = tight[base + below[b]]
        while rest != 0:
            key = whole ^ (rest & (~rest + np.uint64(1)))
            rest &= rest - np.uint64(1)
            place = np.int64((key * _SPREAD) >> np.uint64(32)) & mask
            while table[place] != 0 and keys[place] != key:
                place = (place + 1) & mask
            if table[place] != 0:
                if n == room:
                    return -1
                pairs[2 * n], pairs[2 * n + 1] = table[place] - 1, below[b]
                n += 1
    return n


@kernel(inner=True)
def find_edges(t, nv):
    """List the edges of the current cell that the hinge of `classify` crosses; -1 where there is no room for them."""
    scalars, tight, sign = view(t, "scalars"), view(t, "tight"), view(t, "sign")
    above, below, pairs, counts = view(t, "above"), view(t, "below"), view(t, "pairs"), view(t, "n_tight")
    d, words, base = scalars[DIM], scalars[WORDS], scalars[BASE]
    na = nb = 0
    simple = words == 1
    for v in range(nv):
        if sign[v] > 0:
            above[na] = v
            na += 1
        elif sign[v] < 0:
            below[nb] = v
            nb += 1
        k = 0
        for w in range(words):
            k += popcount(tight[(base + v) * words + w])
        counts[v] = k
        simple &= k == d
    if simple and na * nb > 2 * d * nv:
        return _matched_edges(t, na, nb)
    n, room = 0, scalars[ROOM]
    if simple:
        for a in range(na):
            first = tight[base + above[a]]
            for b in range(nb):
                # Written for every pair, kept for edges: a branch would be taken in no foreseeable order.
                pairs[2 * n], pairs[2 * n + 1] = above[a], below[b]
                n += popcount(first & tight[base + below[b]]) == d - 1
                if n > room:
                    return -1
        return n
    for a in range(na):
        p = above[a]
        first = tight[(base + p) * words]
        for b in range(nb):
            q = below[b]
            shared = popcount(first & tight[(base + q) * words])
            for w in range(1, words):
                shared += popcount(tight[(base + p) * words + w] & tight[(base + q) * words + w])
            if shared < d - 1:
                continue
            # At a vertex with only d hyperplanes these are independent, and d - 1 of them meet in a line.
            plain = shared == d - 1 and (counts[p] == d or counts[q] == d)
            if plain or _lonely(t, p, q, nv):
                if n == room:
                    return -1
                pairs[2 * n], pairs[2 * n + 1] = p, q
                n += 1
    return n


@kernel(inner=True)
def copy_vertex(x, error, tight, ids, d, words, source, target):
    """Copy all that is known of a vertex from one place of the arrays to another, which lie apart."""
    p, q = source * d, target * d
    for _ in range(d >> 2):
        a, b, e, f = x[p], x[p + 1], x[p + 2], x[p + 3]
        x[q], x[q + 1], x[q + 2], x[q + 3] = a, b, e, f
        p += 4
        q += 4
    for c in range(d & 3):
        x[q + c] = x[p + c]
    tight[target * words] = tight[source * words]
    for w in range(1, words):
        tight[target * words + w] = tight[source * words + w]
    error[target], ids[target] = error[source], ids[source]


@kernel(inner=True)
def _free(t, start, n, at):
    """Empty the slots on which none of the vertices start, ..., start + n - 1 lies."""
    tight, slots, words = view(t, "tight"), view(t, "slots"), view(t, "scalars")[WORDS]
    for w in range(words):
        used = np.uint64(0)
        for v in range(start, start + n):
            used |= tight[v * words + w]
        for s in range(64):
            if (used >> np.uint64(s)) & np.uint64(1) == 0:
                slots[at + 64 * w + s] = EMPTY


@kernel(inner=True)
def cut(t, ask, level, hinge, slot, n_pairs, side, stack):
    """Replace the current cell by its half on ``side`` of a hinge, and write the other half from vertex ``stack`` on.

    ``slot`` is the hinge's; the edges are those of `find_edges`.

    The other half's slots go to the top of the stack; it is left out for stack < 0. Returns its number of vertices, -1
    if the judge failed.
    """
    scalars = view(t, "scalars")
    x, error, tight, ids = view(t, "x"), view(t, "error"), view(t, "tight"), view(t, "id")
    slots, sign, pairs = view(t, "slots"), view(t, "sign"), view(t, "pairs")
    value, doubt, point = view(t, "value"), view(t, "doubt"), view(t, "answer_point")
    d, words, base, room, nv = scalars[DIM], scalars[WORDS], scalars[BASE], scalars[ROOM], scalars[N_VERTICES]
    other = room - base
    n_slots = 64 * words
    at, to = slots_at(t), n_slots if other > 0 else 0
    up = (2 + scalars[SP]) * n_slots
    word, bit = slot >> 6, np.uint64(1) << np.uint64(slot & 63)
    for s in range(n_slots):
        slots[to + s] = slots[at + s]
    slots[to + slot] = hinge
    # New vertices are made in the successor, behind which the others are then copied.
    scalars[BASE] = other
    for k in range(n_pairs):
        p, q, v = pairs[2 * k], pairs[2 * k + 1], other + k
        for w in range(words):
            tight[v * words + w] = tight[(base + p) * words + w] & tight[(base + q) * words + w]
        tight[v * words + word] |= bit
        ids[v] = -1
        gap = abs(value[p] - value[q])
        r = abs(value[p]) / gap if gap > 0.0 else 0.5
        far = 0.0
        for c in range(d):
            a, b = x[(base + p) * d + c], x[(base + q) * d + c]
            far = max(far, abs(b - a))
            x[v * d + c] = a + r * (b - a)
        safe = gap - 1.01 * (doubt[p] + doubt[q])
        e = 1.0
        # Values of the wrong sign, or not sure of it, are no ground to interpolate on.
        if safe > 0.0 and value[p] > 0.0 and value[q] < 0.0:
            lean = (doubt[p] * (1.0 - r) + doubt[q] * r) / safe + 4 * UNIT
            spread = max(error[base + p], error[base + q])
            e = 1.01 * (spread + lean * (far + 2 * spread)) + 8 * UNIT
        if not e <= LOOSE:
            e = settle(t, v, to)
        if not e <= TOO_LOOSE:
            if ask_vertex(t, ask, v, POINT, level) < 0:
                return -1
            for c in range(d):
                x[v * d + c] = point[c]
            e = UNIT
        error[v] = e
    here = there = 0
    top = 2 * room  # the stack begins here
    for k in range(n_pairs if stack >= 0 else 0):
        copy_vertex(x, error, tight, ids, d, words, other + k, top + stack + there)
        there += 1
    here = n_pairs
    for v in range(nv):
        if sign[v] == 0:
            tight[(base + v) * words + word] |= bit
        if sign[v] * side >= 0:
            copy_vertex(x, error, tight, ids, d, words, base + v, other + here)
            here += 1
        if sign[v] * side <= 0 and stack >= 0:
            copy_vertex(x, error, tight, ids, d, words, base + v, top + stack + there)
            there += 1
    if stack >= 0:
        for s in range(n_slots):
            slots[up + s] = slots[to + s]
        _free(t, top + stack, there, up)
    _free(t, other, here, to)
    scalars[N_VERTICES] = here
    return there
