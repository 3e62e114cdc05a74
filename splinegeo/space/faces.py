"""Faces of all dimensions of the regions, and what follows from them: f-vectors.

A face of a region is known by the facets of the region that contain it. Its own facets are its parts on one more facet
of the region, of those the ones that are not contained in a larger one.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.space.memory import popcount, trailing_zeros

SPREAD = np.uint64(0x9E3779B97F4A7C15)  # an odd number of random bits
_FACES = 1 << 16  # listed in one go


@kernel(inner=True)
def is_simple(tight, first, last, d):
    """Whether d facets meet in every corner."""
    for v in range(first, last):
        total = 0
        for w in range(tight.shape[1]):
            total += popcount(tight[v, w])
        if total != d:
            return False
    return True


@kernel(inner=True)
def _on(mask, j):
    return (mask[j >> 6] >> np.uint64(j & 63)) & np.uint64(1) != 0


@kernel(inner=True)
def _meet(tight, members, n, j, meet):
    """The facets on which all members on facet j lie (those on all members for j < 0); the number of these members."""
    words = tight.shape[1]
    for w in range(words):
        meet[w] = ~np.uint64(0)
    count = 0
    for k in range(n):
        if j < 0 or _on(tight[members[k]], j):
            count += 1
            for w in range(words):
                meet[w] &= tight[members[k], w]
    return count


@kernel(inner=True)
def facets_of(tight, members, n, n_facets, simple, chosen, counts, meets, closure):
    """Mark in ``chosen`` a facet of the region for each facet of the face with these corners."""
    _meet(tight, members, n, -1, closure)
    for j in range(n_facets):
        counts[j] = 0
        chosen[j] = 0
        if not _on(closure, j):
            counts[j] = _meet(tight, members, n, j, meets[j])
            chosen[j] = counts[j] > 0
    if simple:
        return
    for j in range(n_facets):
        if counts[j] > 0:
            for i in range(n_facets):
                # Facet i holds on all that j holds on, and on more, or it stands for both.
                if i != j and counts[i] > 0 and _on(meets[j], i) and (counts[i] > counts[j] or i < j):
                    chosen[j] = 0


@kernel(inner=True)
def _known(masks, n, mask):
    for k in range(n):
        same = True
        for w in range(mask.shape[0]):
            same &= masks[k, w] == mask[w]
        if same:
            return True
    return False


@kernel(inner=True)
def _simple_faces(corner, tight, first, last, choices, marks, names, sums, places):
    """The faces of a region in whose corners d facets meet: each choice of some of these is one. Returns their number.

    choices (n, k) are to be made in every corner. A face is named by the bits of its facets, the first of them highest,
    so that falling names are the order in which `_faces` finds them elsewhere. names and sums, of the marks of its
    vertices, come in this order; ``places`` has at least twice as many rows as there are choices, all of them zero
    before and after.
    """
    bits = np.zeros(64, np.uint64)
    mask = places.shape[0] - 1
    n = 0
    for v in range(first, last):
        rest, m = tight[v, 0], 0
        while rest != 0:
            bits[m] = np.uint64(1) << np.uint64(63 - trailing_zeros(rest))
            rest &= rest - np.uint64(1)
            m += 1
        for i in range(choices.shape[0]):
            name = np.uint64(0)
            for j in range(choices.shape[1]):
                name |= bits[choices[i, j]]
            place = np.int64((name * SPREAD) >> np.uint64(32)) & mask
            while places[place] != 0 and names[places[place] - 1] != name:
                place = (place + 1) & mask
            if places[place] == 0:
                names[n], sums[n] = name, 0
                n += 1
                places[place] = n
            sums[places[place] - 1] += marks[corner[v]]
    for k in range(places.shape[0]):
        places[k] = 0
    gap = n // 2
    while gap > 0:  # Shell's sort, in place
        for k in range(gap, n):
            name, total = names[k], sums[k]
            j = k
            while j >= gap and names[j - gap] < name:
                names[j], sums[j] = names[j - gap], sums[j - gap]
                j -= gap
            names[j], sums[j] = name, total
        gap //= 2
    return n


@kernel()
def _faces(corner, tight, offsets, n_facets, d, dim, start, choices, marks, keys, region, closures, room):
    """Faces of one dimension of the regions from ``start`` on, while there is room; the next region and their number.

    A face's key is the sum of the marks of its vertices.
    """
    words = tight.shape[1]
    total = 0
    most = 1
    for r in range(start, offsets.shape[0] - 1):
        most = max(most, (offsets[r + 1] - offsets[r]) * choices.shape[0])
    n_places = 1
    while n_places < 2 * most:
        n_places *= 2
    names, sums, places = np.zeros(most, np.uint64), np.zeros(most, np.uint64), np.zeros(n_places, np.int32)
    for r in range(start, offsets.shape[0] - 1):
        first, last, nf = offsets[r], offsets[r + 1], n_facets[r]
        simple = is_simple(tight, first, last, d)
        if simple and words == 1 and dim < d:
            n = _simple_faces(corner, tight, first, last, choices, marks, names, sums, places)
            if total + n > room:
                return r, total
            for f in range(n):
                keys[total], region[total], closures[total, 0] = sums[f], r, 0
                rest = names[f]
                while rest != 0:
                    closures[total, 0] |= np.uint64(1) << np.uint64(63 - trailing_zeros(rest))
                    rest &= rest - np.uint64(1)
                total += 1
            continue
        members = np.zeros(last - first, np.int64)
        chosen, counts = np.zeros(nf, np.bool_), np.zeros(nf, np.int64)
        meets, closure = np.zeros((nf, words), np.uint64), np.zeros(words, np.uint64)
        now, n_now = np.zeros((1, words), np.uint64), 1
        for _ in range(d - dim):
            after, n_after = np.zeros((max(16, n_now * nf), words), np.uint64), 0
            for f in range(n_now):
                n = 0
                for v in range(first, last):
                    inside = True
                    for w in range(words):
                        inside &= tight[v, w] & now[f, w] == now[f, w]
                    if inside:
                        members[n] = v
                        n += 1
                facets_of(tight, members, n, nf, simple, chosen, counts, meets, closure)
                for j in range(nf):
                    if chosen[j] and not _known(after, n_after, meets[j]):
                        after[n_after] = meets[j]
                        n_after += 1
            now, n_now = after, n_after
        if total + n_now > room:
            return r, total
        for f in range(n_now):
            key = np.uint64(0)
            for v in range(first, last):
                inside = True
                for w in range(words):
                    inside &= tight[v, w] & now[f, w] == now[f, w]
                if inside:
                    key += marks[corner[v]]
            keys[total], region[total] = key, r
            for w in range(words):
                closures[total, w] = now[f, w]
            total += 1
    return offsets.shape[0] - 1, total


@kernel()
def _first_of_each(keys, table, first):
    """Write where each distinct key comes first, in order; their number. The table of a power of two is all zeros."""
    mask = table.shape[0] - 1
    n = 0
    for k in range(keys.shape[0]):
        place = np.int64((keys[k] * SPREAD) >> np.uint64(16)) & mask
        while table[place] != 0 and keys[table[place] - 1] != keys[k]:
            place = (place + 1) & mask
        if table[place] == 0:
            table[place] = k + 1
            first[n] = k
            n += 1
    return n


def faces(
    corner: Array, tight: Array, offsets: Array, n_facets: Array, n_vertices: int, d: int, dim: int
) -> tuple[Array, Array]:
    """A region (n,) that has it and the facets (n, W) of the region that contain it, for each face of one dimension."""
    marks = np.random.default_rng(0).integers(0, 1 << 64, n_vertices, np.uint64)
    choices = np.array(list(combinations(range(d), d - dim)), np.int64)
    room = 1 << 20
    found: list[tuple[Array, Array, Array]] = []
    start = 0
    while start < len(offsets) - 1:
        keys, region = np.empty(room, np.uint64), np.empty(room, np.int64)
        closures = np.empty((room, tight.shape[1]), np.uint64)
        before = start
        start, n = _faces(corner, tight, offsets, n_facets, d, dim, start, choices, marks, keys, region, closures, room)
        if start == before:
            room *= 4
            continue
        found.append((keys[:n], region[:n], closures[:n]))
    if not found:
        return np.zeros(0, np.int64), np.zeros((0, tight.shape[1]), np.uint64)
    keys, region, closures = (np.concatenate(column) for column in zip(*found, strict=True))
    first = np.empty(len(keys), np.int64)
    first = first[: _first_of_each(keys, np.zeros(1 << (2 * len(keys)).bit_length(), np.int64), first)]
    return region[first], closures[first]


@kernel()
def _sizes_of_faces(tight, offsets, region, closures, sizes):
    for f in range(region.shape[0]):
        for v in range(offsets[region[f]], offsets[region[f] + 1]):
            inside = True
            for w in range(tight.shape[1]):
                inside &= tight[v, w] & closures[f, w] == closures[f, w]
            sizes[f] += inside


@kernel()
def _corners_of_faces(corner, tight, offsets, region, closures, out):
    n = 0
    for f in range(region.shape[0]):
        for v in range(offsets[region[f]], offsets[region[f] + 1]):
            inside = True
            for w in range(tight.shape[1]):
                inside &= tight[v, w] & closures[f, w] == closures[f, w]
            if inside:
                out[n] = corner[v]
                n += 1


def vertices_of_faces(
    corner: Array, tight: Array, offsets: Array, region: Array, closures: Array
) -> tuple[Array, Array]:
    """The vertices of n faces as `faces` gives them, one face after the other, and where each begins (n + 1,)."""
    sizes = np.zeros(len(region), np.int64)
    found = [np.zeros(0, corner.dtype)]
    for start in range(0, len(region), _FACES):
        now = slice(start, start + _FACES)
        _sizes_of_faces(tight, offsets, region[now], closures[now], sizes[now])
        found.append(np.empty(sizes[now].sum(), corner.dtype))
        _corners_of_faces(corner, tight, offsets, region[now], closures[now], found[-1])
    return np.concatenate(found), np.r_[0, np.cumsum(sizes)]
