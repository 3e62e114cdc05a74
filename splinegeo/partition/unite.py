"""Regions that only undecisive comparisons tell apart, joined: what over-cutting a maximum costs, paid back.

The engine cuts along every comparison of a maximum's tournament (`lowering`). A comparison decides something only if
its winner goes on to win the final; the bits of the others are set to 0, pieces with equal bits are one region, which
is convex, being where one entry of each maximum is the largest. The edges between its pieces vanish, and so do the
vertices that only they met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.networks.graph import Knot, Maximum, SplineNetwork
from splinegeo.networks.tournament import decisive

CHUNK_BYTES = 1 << 26
UNMATCHED = -2  # as in `link`


def decisive_patterns(network: SplineNetwork, packed: Array) -> Array:
    """Packed patterns (N, ceil(B / 8)) with the bits of undecisive comparisons set to 0."""
    out = np.empty_like(packed)
    step = max(1, CHUNK_BYTES // max(1, network.n_breakpoints))
    for start in range(0, len(packed), step):
        rows = slice(start, start + step)
        bits = np.unpackbits(packed[rows], axis=1, count=network.n_breakpoints, bitorder="little")
        first = 0
        for node in (network.nodes[i] for i in network.knots):
            assert isinstance(node, Knot | Maximum)
            width = node.size * node.breakpoints_per_unit
            if isinstance(node, Maximum):
                here = bits[:, first : first + width]
                here &= decisive(here.reshape(len(bits), node.size, -1)).reshape(here.shape)
            first += width
        out[rows] = np.packbits(bits, axis=1, bitorder="little")
    return out


@kernel()
def _find(parents, k):
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


@kernel()
def label_pieces(words, regions, twin, labels):
    """Label pieces (P,) by the region they are part of, in order of appearance; the number of regions."""
    parents = np.arange(labels.shape[0])
    for h in range(twin.shape[0]):
        if twin[h] < h:
            continue
        a, b = np.int64(regions[h]), np.int64(regions[twin[h]])
        same = True
        for k in range(words.shape[1]):
            same &= words[a, k] == words[b, k]
        if same:
            a, b = _find(parents, a), _find(parents, b)
            parents[max(a, b)] = min(a, b)
    count = 0
    for k in range(labels.shape[0]):
        root = _find(parents, k)
        if root == k:
            labels[k] = count
            count += 1
        else:
            labels[k] = labels[root]  # the root is the first piece
    return count


@kernel()
def _after(corner, offsets, regions):
    r = regions[corner]
    return offsets[r] if corner + 1 == offsets[r + 1] else corner + 1


@kernel()
def walk_outlines(offsets, regions, twin, tags, starts, kept, edge_of, counts):
    """List in `kept` the corners that remain, region by region, counter-clockwise.

    `tags` of the edge behind a corner: the region across it (the same one between pieces), or a negative number for
    each side of the domain. Edges with the same tag that follow each other are one; `edge_of` numbers them for all
    half-edges of the pieces. `starts` holds a half-edge of each region's outline.
    """
    total = 0
    for region in range(starts.shape[0]):
        start, before = starts[region], total
        corner = start
        while True:
            after = _after(corner, offsets, regions)
            while tags[after] == region:
                after = _after(twin[after], offsets, regions)
            if tags[after] != tags[corner]:
                kept[total] = after
                total += 1
            edge_of[after] = total - 1
            corner = after
            if corner == start:
                break
        # What came before the first corner belongs to the last edge.
        corner = start
        while corner != kept[before]:
            edge_of[corner] = total - 1
            corner = _after(corner, offsets, regions)
            while tags[corner] == region:
                corner = _after(twin[corner], offsets, regions)
        counts[region] = total - before


@dataclass(frozen=True, eq=False)
class United:
    """Half-edges of regions made from those of their pieces."""

    pieces: Array  # (N,) the first piece of each region
    offsets: Array  # (N + 1,)
    corners: Array  # (C,) the piece's corner that each corner is
    twin: Array  # (C,)


def unite(words: Array, offsets: Array, regions: Array, twin: Array, edge_labels: Array) -> United:
    """Join pieces with equal patterns.

    Args:
        words: (P, w) decisive patterns as words.
        offsets: (P + 1,) first half-edge of each piece.
        regions: (H,) the piece of each half-edge.
        twin: (H,) the half-edge on the other side; -1 on the domain's boundary, -2 where that was not enumerated.
        edge_labels: (H,) negative on the domain's boundary, another number for each side of it.

    A region that borders on what was not enumerated may lack a piece, and is left out.
    """
    labels = np.empty(len(words), np.int64)
    count = label_pieces(words, regions, twin, labels)
    # Labels of what is neither matched nor on the boundary are the walk's own and mean nothing here.
    tags = np.where(twin >= 0, labels[regions[np.maximum(twin, 0)]], np.minimum(edge_labels, 0) - 2)
    whole = np.ones(count, bool)
    whole[labels[regions[twin == UNMATCHED]]] = False
    outline = np.nonzero((tags != labels[regions]) & whole[labels[regions]])[0]
    owners, first = np.unique(labels[regions[outline]], return_index=True)
    # Regions that are left out have tags of their own: where two of them meet there is a corner.
    renumber = len(owners) + np.arange(count)
    renumber[owners] = np.arange(len(owners))
    tags = np.where(twin >= 0, renumber[np.maximum(tags, 0)], tags)
    kept, edge_of = np.empty(len(outline), np.int64), np.full(len(twin), UNMATCHED)
    counts = np.zeros(len(owners), np.int64)
    walk_outlines(offsets, regions, twin, tags, outline[first], kept, edge_of, counts)
    corners = kept[: counts.sum()]
    across = np.where(twin[corners] >= 0, edge_of[np.maximum(twin[corners], 0)], twin[corners])
    pieces = np.unique(labels, return_index=True)[1][owners]
    return United(pieces, np.r_[0, np.cumsum(counts)], corners, across)
