"""Volumes of regions, from the volumes of their faces, each measured once.

The volume of a face is the sum, over its facets that do not contain its first corner, of height times volume, over its
dimension (Lasserre 1983). Flags of faces, of which there are about d! for a cube, share what is below them.
"""

from __future__ import annotations

import math

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.space.faces import SPREAD, facets_of, is_simple
from splinegeo.space.memory import popcount, trailing_zeros

_CORNERS = 1 << 14  # of the regions that are measured in one go: a fraction of a second


@kernel(inner=True)
def _longer(array, n):
    """The same entries with room for n more than there is room for now."""
    longer = np.zeros((2 * array.shape[0] + n, *array.shape[1:]), array.dtype)
    longer[: array.shape[0]] = array
    return longer


@kernel(inner=True)
def _order(tight, first, last, heads, members):
    """Write the corners of a region: one that lies on most facets, then those that share most facets with it.

    Each face is a cone from the first of its corners. In this order neighbouring faces often begin with the same
    corner, and few faces are left to be cones over: 2^d of the 3^d faces of a cube.
    """
    top, most = first, 0
    for v in range(first, last):
        on = 0
        for w in range(tight.shape[1]):
            on += popcount(tight[v, w])
        if on > most:
            top, most = v, on
    heads[: most + 2] = 0
    for v in range(first, last):
        heads[most - _shared(tight, v, top) + 1] += 1
    for k in range(most + 1):
        heads[k + 1] += heads[k]
    for v in range(first, last):
        k = most - _shared(tight, v, top)
        members[heads[k]] = v
        heads[k] += 1


@kernel(inner=True)
def _shared(tight, v, u):
    total = 0
    for w in range(tight.shape[1]):
        total += popcount(tight[v, w] & tight[u, w])
    return total


@kernel(inner=True)
def _place(table, names, f):
    """Where the table has the face of this name, as its number and one; a zero if it does not have it yet."""
    mask = table.shape[0] - 1
    mixed = np.uint64(0)
    for w in range(names.shape[1]):
        mixed = (mixed ^ names[f, w]) * SPREAD
        mixed ^= mixed >> np.uint64(32)
    place = np.int64(mixed & np.uint64(mask))
    while table[place] != 0:
        same = True
        for w in range(names.shape[1]):
            same &= names[table[place] - 1, w] == names[f, w]
        if same:
            break
        place = (place + 1) & mask
    return place


@kernel(inner=True)
def _cones(tight, first, last, d, n_facets, found, room):
    """List the faces of a region that its volume is made of, from the region itself to edges, each once.

    Asked for are of each face the facets that do not contain its first corner. ``found`` holds, for each face: the
    facets of the region that contain it; its dimension; where its corners begin; where the numbers of its facets begin;
    and the corners, the numbers, and a table to find faces. ``room`` holds what `facets_of` writes. Returns ``found``,
    of which arrays may be longer now, and the number of faces.
    """
    names, dims, begin, below, members, facets, table = found
    chosen, counts, meets, out, heads = room
    words = tight.shape[1]
    simple = is_simple(tight, first, last, d)
    if members.shape[0] < last - first:
        members = _longer(members, last - first)
    _order(tight, first, last, heads, members)
    table[:] = 0
    names[0] = 0
    dims[0], begin[0], begin[1], below[0] = d, 0, last - first, 0
    n, n_pairs, f = 1, 0, 0
    while f < n and dims[f] > 1:
        size = begin[f + 1] - begin[f]
        if names.shape[0] <= n + n_facets:
            names, dims = _longer(names, n_facets), _longer(dims, n_facets)
            begin, below = _longer(begin, n_facets), _longer(below, n_facets)
            n_places = table.shape[0]
            while n_places < 2 * names.shape[0]:
                n_places *= 2
            table = np.zeros(n_places, np.int64)
            for g in range(n):
                table[_place(table, names, g)] = g + 1
        if facets.shape[0] < n_pairs + n_facets:
            facets = _longer(facets, n_facets)
        if members.shape[0] < begin[n] + size * n_facets:
            members = _longer(members, size * n_facets)
        apex = members[begin[f]]
        out[:] = 0
        if simple:
            for v in range(begin[f], begin[f + 1]):
                for w in range(words):
                    out[w] |= tight[members[v], w]
        else:
            corners = members[begin[f] : begin[f + 1]]
            facets_of(tight, corners, size, n_facets, False, chosen, counts, meets, out)
            out[:] = 0
            for j in range(n_facets):
                if chosen[j]:
                    out[j >> 6] |= np.uint64(1) << np.uint64(j & 63)
        for word in range(words):
            left = out[word] & ~tight[apex, word]
            while left != 0:
                j = trailing_zeros(left)
                bit = np.uint64(1) << np.uint64(j)
                left ^= bit
                for w in range(words):
                    names[n, w] = names[f, w] if simple else meets[64 * word + j, w]
                names[n, word] |= bit
                place = _place(table, names, n)
                if table[place] == 0:
                    end = begin[n]
                    for v in range(begin[f], begin[f + 1]):
                        if tight[members[v], word] & bit != 0:
                            members[end] = members[v]
                            end += 1
                    dims[n], begin[n + 1] = dims[f] - 1, end
                    n += 1
                    table[place] = n
                facets[n_pairs] = table[place] - 1
                n_pairs += 1
        f += 1
        below[f] = n_pairs
    return (names, dims, begin, below, members, facets, table), n


@kernel(inner=True)
def _height(points, apex, root, basis, depth, rest):
    """Length of what is left of apex - root without the first directions of a basis; ``rest`` is what is left."""
    d = points.shape[1]
    for c in range(d):
        rest[c] = points[apex, c] - points[root, c]
    return _without(basis, depth, rest)


@kernel(inner=True)
def _without(basis, depth, rest):
    d = rest.shape[0]
    for k in range(depth):
        dot = 0.0
        for c in range(d):
            dot += basis[k, c] * rest[c]
        for c in range(d):
            rest[c] -= dot * basis[k, c]
    total = 0.0
    for c in range(d):
        total += rest[c] * rest[c]
    return np.sqrt(total)


@kernel(inner=True)
def _measured(points, corner, found, n, measure, bases, rest):
    """Volume of the first of n faces times the factorial of its dimension.

    No term of a sum is negative, so nothing cancels. The facet with the largest term lends a face its directions, and
    the corner above that facet the last one: they are as well known as the face is thick.
    """
    _, dims, begin, below, members, facets, _ = found
    for f in range(n - 1, -1, -1):
        k = dims[f]
        apex = corner[members[begin[f]]]
        if k == 1:
            height = _height(points, apex, corner[members[begin[f + 1] - 1]], bases[f], 0, rest)
            measure[f] = height
        else:
            total, most, widest = 0.0, -1.0, -1
            for p in range(below[f], below[f + 1]):
                g = facets[p]
                term = measure[g] * _height(points, apex, corner[members[begin[g]]], bases[g], k - 1, rest)
                total += term
                if term > most:
                    most, widest = term, g
            measure[f] = total
            if f == 0 or widest < 0:
                continue
            bases[f, : k - 1] = bases[widest, : k - 1]
            _height(points, apex, corner[members[begin[widest]]], bases[f], k - 1, rest)
            height = _without(bases[f], k - 1, rest)  # once more for what cancellation left behind
        for c in range(points.shape[1]):
            bases[f, k - 1, c] = rest[c] / height if height > 0.0 else 0.0
    return measure[0]


@kernel()
def _volumes(points, corner, tight, offsets, n_facets, start, stop, out):
    """Volumes of some regions times d!."""
    d, words = points.shape[1], tight.shape[1]
    most = 1
    for r in range(start, stop):
        most = max(most, n_facets[r])
    found = (
        np.zeros((64, words), np.uint64),
        np.zeros(64, np.int64),
        np.zeros(65, np.int64),
        np.zeros(65, np.int64),
        np.zeros(256, np.int64),
        np.zeros(256, np.int64),
        np.zeros(128, np.int64),
    )
    room = (
        np.zeros(most, np.bool_),
        np.zeros(most, np.int64),
        np.zeros((most, words), np.uint64),
        np.zeros(words, np.uint64),
        np.zeros(64 * words + 2, np.int64),
    )
    measure, bases, rest = np.zeros(64), np.zeros((64, d, d)), np.zeros(d)
    for r in range(start, stop):
        found, n = _cones(tight, offsets[r], offsets[r + 1], d, n_facets[r], found, room)
        if measure.shape[0] < n:
            measure, bases = np.zeros(2 * n), np.zeros((2 * n, d, d))
        out[r] = _measured(points, corner, found, n, measure, bases, rest)


def volumes(points: Array, corner: Array, tight: Array, offsets: Array, n_facets: Array) -> Array:
    """Volumes (N,) of regions with corners ``corner[offsets[k]:offsets[k + 1]]`` among points (V, d).

    tight (C, W) says on which of its region's facets a corner lies; n_facets (N,) is their number. Ctrl-C takes effect
    between groups of regions.
    """
    out = np.zeros(len(offsets) - 1)
    start = 0
    while start < len(out):
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + _CORNERS, "right")) - 1)
        _volumes(points, corner, tight, offsets, n_facets, start, stop, out)
        start = stop
    return out / math.factorial(points.shape[1])
