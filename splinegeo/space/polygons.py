"""Facets of regions in three dimensions as polygons: their corners in order, all of them turned the same way.

The order follows from which corners share a second facet of the region, not from where they lie: it is right for
slivers, too.
"""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array


def cycles(found: dict[str, Array], facets: Array) -> list[Array]:
    """The vertices of each of these facets in order; ``found`` holds the arrays of a partition in 3 dimensions."""
    loops = []
    for facet in facets.tolist():
        r = int(found["facet_regions"][facet, 0])
        lo, hi = found["facet_offsets"][r : r + 2]
        place = int(np.flatnonzero(found["region_facets"][lo:hi] == facet)[0])
        here = slice(found["region_offsets"][r], found["region_offsets"][r + 1])
        bits = np.unpackbits(found["corner_facets"][here].view(np.uint8), axis=1, bitorder="little").astype(bool)
        on = np.flatnonzero(bits[:, place])
        others = bits[on]
        others[:, place] = False
        edges = [np.flatnonzero(others[:, k]) for k in np.flatnonzero(others.sum(0) == 2)]
        loops.append(found["corner_vertices"][here][on][_around(edges, len(on))].astype(np.int64))
    return loops


def _around(edges: list[Array], n: int) -> list[int]:
    """The corners 0, ..., n - 1 along a closed chain of edges."""
    ends: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        ends[a].append(int(b))
        ends[b].append(int(a))
    loop, before = [0], -1
    while len(loop) < n:
        here = loop[-1]
        after = ends[here][0] if ends[here][0] != before else ends[here][1]
        before = here
        loop.append(after)
    return loop


def oriented(points: Array, corner: Array, offsets: Array, towards: Array) -> Array:
    """The corners of polygons, reversed where needed, so that all are counter-clockwise seen from ``towards`` (F, 3).

    Neighbours across an edge of two polygons are turned alike, and the larger polygons decide for all: coordinates say
    little about a sliver.
    """
    n = len(offsets) - 1
    normals = face_normals(points, corner, offsets)
    centres = points[corner[offsets[:-1]]] if n else np.zeros((0, 3))
    vote = (normals * (towards - centres)).sum(1)
    flip, label = _turned_alike(corner, offsets)
    decided = np.zeros(label.max(initial=-1) + 1)
    np.add.at(decided, label, np.where(flip, -vote, vote))
    flip = flip ^ (decided[label] < 0)
    out = corner.copy()
    for k in np.flatnonzero(flip).tolist():
        out[offsets[k] : offsets[k + 1]] = out[offsets[k] : offsets[k + 1]][::-1]
    return out


def face_normals(points: Array, corner: Array, offsets: Array) -> Array:
    """(F, 3) twice the area of each polygon along its normal."""
    if len(offsets) == 1:
        return np.zeros((0, 3))
    end = np.roll(corner, -1)
    end[offsets[1:] - 1] = corner[offsets[:-1]]
    origin = np.repeat(points[corner[offsets[:-1]]], np.diff(offsets), 0)
    return np.asarray(np.add.reduceat(np.cross(points[corner] - origin, points[end] - origin), offsets[:-1], 0))


def _turned_alike(corner: Array, offsets: Array) -> tuple[Array, Array]:
    """For each polygon whether to reverse it, for neighbours to be turned alike, and its component."""
    n = len(offsets) - 1
    sides: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    for k in range(n):
        loop = corner[offsets[k] : offsets[k + 1]].tolist()
        for a, b in zip(loop, [*loop[1:], loop[0]], strict=True):
            sides.setdefault((min(a, b), max(a, b)), []).append((k, a < b))
    near: list[list[tuple[int, bool]]] = [[] for _ in range(n)]
    for pair in sides.values():
        if len(pair) == 2:
            (p, up), (q, down) = pair
            near[p].append((q, up == down))
            near[q].append((p, up == down))
    flip, label = np.zeros(n, bool), np.full(n, -1, np.int64)
    for start in range(n):
        if label[start] >= 0:
            continue
        label[start] = label.max() + 1
        todo = [start]
        while todo:
            p = todo.pop()
            for q, against in near[p]:
                if label[q] < 0:
                    label[q], flip[q] = label[start], bool(flip[p]) ^ against
                    todo.append(q)
    return flip, label
