"""Regions that only undecisive comparisons tell apart, joined in d dimensions; for the plane see `partition.unite`.

A region is where one entry of each maximum is the largest. That is convex, so it is all pieces with one decisive
pattern. Any two regions meet in a face of both, so what a region shares with another one, or with a side of the domain,
is a single facet of it, or less. A point lies on those facets on which it lies in any piece, and it is a vertex if no
other point lies on all of these: else the smallest face around it has a vertex that does, and lies on more.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.space.link import MISSING, differences, pairs
from splinegeo.space.memory import popcount, trailing_zeros


@kernel()
def _number_rows(rows, table, number, first):
    """Number equal rows of bytes in order of appearance through a hash table of zeros; how many different ones."""
    mask = table.shape[0] - 1
    n = 0
    for k in range(rows.shape[0]):
        h = np.uint64(0xCBF29CE484222325)  # Fowler, Noll and Vo
        for c in range(rows.shape[1]):
            h = (h ^ np.uint64(rows[k, c])) * np.uint64(0x100000001B3)
        place = np.int64(h ^ (h >> np.uint64(32))) & mask
        while table[place] != 0:
            other = first[table[place] - 1]
            same = True
            for c in range(rows.shape[1]):
                same &= rows[k, c] == rows[other, c]
            if same:
                break
            place = (place + 1) & mask
        if table[place] == 0:
            first[n] = k
            n += 1
            table[place] = n
        number[k] = table[place] - 1
    return n


@kernel()
def _find_facets(starts, pieces, labels, n_labels, offsets, region_facets, both, sides, part_of, tags, counts):
    """The tags of each region's facets: the label of the region across, or behind all labels the side of the domain.

    ``part_of`` says of each facet of a piece which one of its region's it is part of, -1 between pieces of a region.
    """
    n_tags = n_labels
    for f in range(sides.shape[0]):
        n_tags = max(n_tags, n_labels + sides[f] + 1)
    seen, place = np.full(n_tags, -1, np.int64), np.empty(n_tags, np.int64)
    total = 0
    for r in range(starts.shape[0] - 1):
        own, first = labels[pieces[starts[r]]], total
        for piece in pieces[starts[r] : starts[r + 1]]:
            for k in range(offsets[piece], offsets[piece + 1]):
                f = region_facets[k]
                other = both[f, 1] if both[f, 0] == piece else both[f, 0]
                tag = labels[other] if other >= 0 else n_labels + sides[f]
                if tag == own:
                    part_of[k] = -1
                    continue
                if seen[tag] != r:
                    seen[tag], place[tag] = r, total - first
                    tags[total] = tag
                    total += 1
                part_of[k] = place[tag]
        counts[r] = total - first
    return total


@kernel(inner=True)
def _is_vertex(on, size, n, p, top):
    """Whether no point lies on all facets that point p lies on, and on more."""
    if size[p] < top:
        for q in range(n):
            if size[q] > size[p]:
                holds = True
                for w in range(on.shape[1]):
                    holds &= on[p, w] & ~on[q, w] == 0
                if holds:
                    return False
    return True


@kernel()
def _find_vertices(starts, pieces, offsets, corner, tight, facet_offsets, part_of, n_vertices, d, out, out_on, counts):
    """The corners of pieces that are vertices of their regions, and on which of the regions' facets they lie."""
    most = 0
    for r in range(starts.shape[0] - 1):
        n = 0
        for piece in pieces[starts[r] : starts[r + 1]]:
            n += offsets[piece + 1] - offsets[piece]
        most = max(most, n)
    seen, place = np.full(n_vertices, -1, np.int64), np.empty(n_vertices, np.int64)
    points, size, on = np.empty(most, np.int64), np.empty(most, np.int64), np.empty((most, out_on.shape[1]), np.uint64)
    total = 0
    for r in range(starts.shape[0] - 1):
        n, first = 0, total
        for piece in pieces[starts[r] : starts[r + 1]]:
            for c in range(offsets[piece], offsets[piece + 1]):
                v = corner[c]
                if seen[v] != r:
                    seen[v], place[v] = r, n
                    points[n] = v
                    on[n] = 0
                    n += 1
                p = place[v]
                for w in range(tight.shape[1]):
                    rest = tight[c, w]
                    while rest != 0:
                        f = part_of[facet_offsets[piece] + 64 * w + trailing_zeros(rest)]
                        rest &= rest - np.uint64(1)
                        if f >= 0:
                            on[p, f >> 6] |= np.uint64(1) << np.uint64(f & 63)
        top = 0
        for p in range(n):
            size[p] = 0
            for w in range(on.shape[1]):
                size[p] += popcount(on[p, w])
            top = max(top, size[p])
        for p in range(n):
            if size[p] >= d and _is_vertex(on, size, n, p, top):  # a vertex lies on d facets at least
                out[total] = points[p]
                out_on[total] = on[p]
                total += 1
        counts[r] = total - first
    return total


def unite(found: dict[str, Array], *, complete: bool) -> dict[str, Array]:
    """The arrays of a `SpacePartition` from those that `link.join` gives of its pieces; both have the same names.

    Regions are in the order of their first pieces. Of an incomplete partition those that border on what was not
    enumerated may lack a piece, and are left out.

    Raises:
        SplineGeoError: the facets of a complete partition do not come in pairs.
    """
    packed, offsets = found["packed_patterns"], found["region_offsets"]
    both, sides = found["facet_regions"], found["facet_sides"]
    labels, first_pieces = _labels(packed)
    whole = np.ones(len(first_pieces), bool)
    whole[labels[both[both[:, 1] == MISSING, 0]]] = False
    pieces = np.argsort(labels, kind="stable")
    pieces = pieces[whole[labels[pieces]]]
    n_regions = int(whole.sum())
    starts = np.r_[0, np.cumsum(np.bincount(labels, minlength=len(whole))[whole])]

    part_of = np.empty(len(found["region_facets"]), np.int32)
    tags, n_facets = np.empty(len(part_of), np.int64), np.zeros(n_regions, np.int64)
    total = _find_facets(
        *(starts, pieces, labels, len(whole), found["facet_offsets"], found["region_facets"], both, sides),
        *(part_of, tags, n_facets),
    )
    tags, owners = tags[:total], np.repeat(np.arange(n_regions), n_facets)
    across = np.maximum(tags - len(whole), -1).astype(np.int32)  # the side of the domain, -1 inside
    facet_offsets = np.r_[0, np.cumsum(n_facets)]
    entries = {"key": _keys(np.flatnonzero(whole)[owners], tags), "side": across}
    facets, joined, sides = pairs([entries], facet_offsets, complete)

    n_vertices, d = found["vertices"].shape
    room, words = int(np.diff(offsets)[pieces].sum()), (int(n_facets.max(initial=1)) + 63) // 64
    corners, on, n_corners = np.empty(room, np.int32), np.empty((room, words), np.uint64), np.zeros(n_regions, np.int64)
    kept = _find_vertices(
        *(starts, pieces, offsets, found["corner_vertices"], found["corner_facets"], found["facet_offsets"], part_of),
        *(n_vertices, d, corners, on, n_corners),
    )
    corners = corners[:kept]
    number = np.full(n_vertices, kept)
    number[corners[::-1]] = np.arange(kept)[::-1]  # the first corner of each vertex
    used = np.flatnonzero(number < kept)
    used = used[np.argsort(number[used])]
    number[used] = np.arange(len(used))

    patterns = packed[first_pieces[whole]]
    flip_offsets, flips = differences(patterns, joined)
    return {
        "vertices": found["vertices"][used],
        "region_offsets": np.r_[0, np.cumsum(n_corners)],
        "corner_vertices": number[corners].astype(np.int32),
        "corner_facets": on[:kept].copy(),
        "facet_offsets": facet_offsets,
        "region_facets": facets,
        "facet_regions": joined,
        "facet_sides": sides,
        "facet_breakpoint_offsets": flip_offsets,
        "facet_breakpoints": flips,
        "packed_patterns": patterns,
    }


def _labels(packed: Array) -> tuple[Array, Array]:
    """The region (P,) of each piece, numbered in order of appearance, and the first piece of each."""
    labels, first = np.empty(len(packed), np.int64), np.empty(len(packed), np.int64)
    n = _number_rows(packed, np.zeros(1 << (2 * len(packed) + 1).bit_length(), np.int64), labels, first)
    return labels, first[:n]


def _keys(owners: Array, tags: Array) -> Array:
    """A hash of each pair of tags, the same from both sides; different pairs have different ones."""
    lower, upper = np.minimum(owners, tags).astype(np.uint64), np.maximum(owners, tags).astype(np.uint64)
    keys = (lower << np.uint64(32) | upper) * np.uint64(0x9E3779B97F4A7C15)
    return keys ^ (keys >> np.uint64(32))
