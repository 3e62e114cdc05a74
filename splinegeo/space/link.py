"""Regions of all tasks put together: vertices that they share, facets that they share, who is whose neighbour."""

from __future__ import annotations

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.space.problem import Problem

BOUNDARY, MISSING = -1, -2


def join(parts: list[dict[str, Array]], problem: Problem, cap: int, complete: bool) -> dict[str, Array]:
    """The arrays of a `SpacePartition`, from what the tasks found, in order; no more than ``cap`` regions.

    Raises:
        SplineGeoError: the facets of a complete partition do not come in pairs.
    """
    parts = _first(parts, cap)
    counts = np.concatenate([p["counts"] for p in parts]).astype(np.int64)
    vertices, corners = _vertices(parts, problem)
    words = max(p["tight"].shape[1] for p in parts)
    tight = [np.pad(p["tight"], ((0, 0), (0, words - p["tight"].shape[1]))) for p in parts]
    sides = np.concatenate([p["side"] for p in parts])
    regions = np.repeat(np.arange(len(counts)), counts[:, 1])
    facets, both, where = _pairs(np.concatenate([p["key"] for p in parts]), regions, sides, complete)
    packed = problem.patterns(np.concatenate([p["bits"] for p in parts]))
    offsets, breakpoints = _differences(packed, both)
    most = int(counts[:, 1].max(initial=1))
    return {
        "vertices": vertices,
        "region_offsets": np.r_[0, np.cumsum(counts[:, 0])],
        "corner_vertices": corners.astype(np.int32),
        "corner_facets": np.concatenate(tight)[:, : (most + 63) // 64].copy(),
        "facet_offsets": np.r_[0, np.cumsum(counts[:, 1])],
        "region_facets": facets.astype(np.int32),
        "facet_regions": both.astype(np.int32),
        "facet_sides": sides[where],
        "facet_breakpoint_offsets": offsets,
        "facet_breakpoints": breakpoints,
        "packed_patterns": packed,
    }


def _first(parts: list[dict[str, Array]], cap: int) -> list[dict[str, Array]]:
    """The parts cut off after ``cap`` regions."""
    out, left = [], cap
    for p in parts:
        n = min(left, len(p["counts"]))
        c, f = p["counts"][:n].astype(np.int64).sum(0)
        cut = {"bits": n, "counts": n, "corner": c, "tight": c, "side": f, "key": f}
        out.append({k: a[: cut[k]] if k in cut else a for k, a in p.items()})
        left -= n
    return out


def _vertices(parts: list[dict[str, Array]], problem: Problem) -> tuple[Array, Array]:
    """Distinct vertices (V, d) in slice coordinates, in order of appearance, and the vertex of each corner."""
    starts = np.cumsum([0, *(len(p["x"]) for p in parts)])
    corner = np.concatenate([p["corner"] + np.int64(s) for p, s in zip(parts, starts, strict=False)])
    used = np.zeros(starts[-1], bool)
    used[corner] = True
    keys = np.concatenate([p["key_of_vertex"] for p in parts])[used]
    number = np.cumsum(used) - 1
    first, inverse, _ = _by_appearance(keys)
    x = np.concatenate([p["x"] for p in parts])[used][first]
    return problem.hull.to_slice(x), inverse[number[corner]]


def _by_appearance(keys: Array) -> tuple[Array, Array, Array]:
    """First index of each distinct key, in order, the number (n,) of each entry's key, and how often each occurs."""
    _, first, inverse, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    return first[order], rank[inverse], count[order]


def _pairs(keys: Array, regions: Array, sides: Array, complete: bool) -> tuple[Array, Array, Array]:
    """The facet of each entry, the regions (M, 2) of each facet, and the first entry of each."""
    first, facet, count = _by_appearance(keys)
    both = np.full((len(first), 2), MISSING, np.int64)
    both[sides[first] >= 0, 1] = BOUNDARY
    both[:, 0] = regions[first]
    later = np.ones(len(keys), bool)
    later[first] = False
    both[facet[later], 1] = regions[later]
    outer = sides[first] >= 0
    if (count > 2).any() or (outer & (count > 1)).any() or (complete and (~outer & (count != 2)).any()):
        raise SplineGeoError(
            "partition: the facets of the regions do not come in pairs; this is a bug, please report the network"
        )
    return facet, both, first


def _differences(packed: Array, both: Array) -> tuple[Array, Array]:
    """CSR: the breakpoints on whose sides the two regions of each facet differ."""
    inner = np.flatnonzero(both[:, 1] >= 0)
    counts = np.zeros(len(both), np.int64)
    found = [np.zeros(0, np.int32)]
    for k in range(0, len(inner), 1 << 16):
        here = inner[k : k + (1 << 16)]
        change = packed[both[here, 0]] ^ packed[both[here, 1]]
        row, byte = np.nonzero(change)
        bits = np.unpackbits(change[row, byte][:, None], axis=1, bitorder="little")
        entry, bit = np.nonzero(bits)
        found.append((8 * byte[entry] + bit).astype(np.int32))
        counts[here] = np.bincount(row[entry], minlength=len(here))
    return np.r_[0, np.cumsum(counts)], np.concatenate(found)
