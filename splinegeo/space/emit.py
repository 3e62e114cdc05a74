"""A cell that is a region of the network, written to the output: its corners, its facets, and what identifies them.

A face of the whole partition is identified by the units that vanish on it and the activations of the others: by a hash
of both. The pattern's hash, with the activations of what vanishes taken out again, is the same from every region
around.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.space.cells import slots_at
from splinegeo.space.memory import length, popcount, trailing_zeros, view
from splinegeo.space.state import BASE, C_OUT, DIM, EMPTY, F_OUT, N_OUT, N_VERTICES, V_OUT, WORDS


@kernel(inner=True)
def _vertex(t, v, key):
    """The number of the vertex with this key, which is vertex v of the cells' arrays if it was not met before."""
    table, out = view(t, "hash_table"), view(t, "vertex_x")
    scalars, x = view(t, "scalars"), view(t, "x")
    d, mask = scalars[DIM], length(t, "hash_table") - 1
    place = 2 * np.int64(key) & mask
    while table[place] != 0:
        if table[place + 1] == key:
            return np.int64(table[place]) - 1
        place = (place + 2) & mask
    n = scalars[V_OUT]
    table[place], table[place + 1] = n + 1, key
    view(t, "vertex_key")[n] = key
    for c in range(d):
        out[n * d + c] = x[v * d + c]
    scalars[V_OUT] = n + 1
    return n


@kernel()
def rehash(t):
    """Enter all vertices into an empty table."""
    table, keys = view(t, "hash_table"), view(t, "vertex_key")
    mask = length(t, "hash_table") - 1
    for n in range(view(t, "scalars")[V_OUT]):
        place = 2 * np.int64(keys[n]) & mask
        while table[place] != 0:
            place = (place + 2) & mask
        table[place], table[place + 1] = n + 1, keys[n]


@kernel(inner=True)
def _slot_hash(t, label):
    if label < 0:
        return view(t, "hash_domain")[-1 - label]
    return view(t, "hash_zero")[label] ^ view(t, "hash_side")[label, view(t, "bits")[label]]


@kernel(inner=True)
def _facets(t, own):
    """Write the facets of the current cell; returns their number. ``counts`` says which facet a slot is.

    A slot is a facet if no other one holds on more vertices, among them all of this one's. Of slots that hold on the
    same vertices, coincident hyperplanes, the first stands for all.
    """
    scalars, tight, slots = view(t, "scalars"), view(t, "tight"), view(t, "slots")
    meets, counts = view(t, "meets"), view(t, "counts")
    out_side, out_key, mark = view(t, "out_side"), view(t, "out_key"), view(t, "asked")
    d, words, base, nv = scalars[DIM], scalars[WORDS], scalars[BASE], scalars[N_VERTICES]
    at, n_slots, hashed = slots_at(t), 64 * words, view(t, "slot_hash")
    simple = True
    for s in range(n_slots):
        counts[s] = 0
        if slots[at + s] != EMPTY:
            hashed[s] = _slot_hash(t, slots[at + s])
    for v in range(nv):
        total = 0
        for w in range(words):
            rest = tight[(base + v) * words + w]
            total += popcount(rest)
        simple &= total == d
    first = f = scalars[F_OUT]
    if simple:
        for s in range(n_slots):
            label = slots[at + s]
            if label != EMPTY:
                out_side[f], out_key[f] = -1 - label if label < 0 else -1, own ^ hashed[s]
                f += 1
                counts[s] = f - first
    else:
        for s in range(n_slots):
            for w in range(words):
                meets[s * words + w] = ~np.uint64(0)
            if slots[at + s] == EMPTY:
                continue
            for v in range(nv):
                if (tight[(base + v) * words + (s >> 6)] >> np.uint64(s & 63)) & np.uint64(1):
                    counts[s] += 1
                    for w in range(words):
                        meets[s * words + w] &= tight[(base + v) * words + w]
        for s in range(n_slots):
            mark[s] = 0
            if slots[at + s] == EMPTY:
                continue
            whole, key, side = True, own, np.int64(-1)
            for r in range(n_slots):
                if (meets[s * words + (r >> 6)] >> np.uint64(r & 63)) & np.uint64(1):
                    whole &= counts[r] == counts[s] and r >= s
                    key ^= hashed[r]
                    if slots[at + r] < 0:
                        side = -1 - slots[at + r]
            if whole:
                out_side[f], out_key[f] = side, key
                f += 1
                mark[s] = f - first
        for s in range(n_slots):
            counts[s] = mark[s]
    scalars[F_OUT] = f
    return f - first


@kernel(inner=True)
def emit(t, own):
    """Write the current cell, whose pattern has the hash ``own``; there has to be room for it."""
    scalars, tight, hashed = view(t, "scalars"), view(t, "tight"), view(t, "slot_hash")
    counts, out_counts = view(t, "counts"), view(t, "out_counts")
    out_corner, out_tight = view(t, "out_corner"), view(t, "out_tight")
    out_bits, bit_words = view(t, "out_bits"), view(t, "bits_words")
    words, base, nv = scalars[WORDS], scalars[BASE], scalars[N_VERTICES]
    keys, met, table, mask = view(t, "edge_key"), view(t, "met"), view(t, "hash_table"), length(t, "hash_table") - 1
    n, c = scalars[N_OUT], scalars[C_OUT]
    width = (length(t, "tilt") + 7) // 8
    # Eight bytes of 0 or 1 into the bits of one: the factor carries byte i to bit 56 + i, and no sum carries over.
    for k in range(width):
        out_bits[n * width + k] = (bit_words[k] * np.uint64(0x0102040810204080)) >> np.uint64(56)
    out_counts[n, 0] = nv
    out_counts[n, 1] = _facets(t, own)
    for v in range(nv):
        key = own
        for w in range(words):
            out_tight[(c + v) * words + w] = 0
        for w in range(words):
            rest = tight[(base + v) * words + w]
            while rest != 0:
                s = trailing_zeros(rest)
                rest &= rest - np.uint64(1)
                key ^= hashed[64 * w + s]
                facet = counts[64 * w + s] - 1
                if facet >= 0:
                    out_tight[(c + v) * words + (facet >> 6)] |= np.uint64(1) << np.uint64(facet & 63)
        keys[v] = key
    # All places are read before the first is waited for: they lie far apart in memory.
    for v in range(nv):
        met[v] = table[2 * np.int64(keys[v]) & mask]
    for v in range(nv):
        place = 2 * np.int64(keys[v]) & mask
        known = met[v] != 0 and table[place + 1] == keys[v]
        out_corner[c + v] = np.int64(met[v]) - 1 if known else _vertex(t, base + v, keys[v])
    scalars[N_OUT] = n + 1
    scalars[C_OUT] = c + nv
