"""Regions of all tasks put together: vertices that they share, facets that they share, who is whose neighbour."""

from __future__ import annotations

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._jit import kernel
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
    facets, both, where = pairs(np.concatenate([p["key"] for p in parts]), regions, sides, complete)
    packed = problem.patterns(np.concatenate([p["bits"] for p in parts]))
    offsets, breakpoints = differences(packed, both)
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
    first, inverse = _by_appearance(keys)
    x = np.concatenate([p["x"] for p in parts])[used][first]
    return problem.hull.to_slice(x), inverse[number[corner]]


@kernel()
def _number(keys, table, number, first):
    """Number keys in order of appearance through a hash table of zeros; how many different ones there are."""
    mask = table.shape[0] - 1
    n = 0
    for k in range(keys.shape[0]):
        place = np.int64(keys[k]) & mask
        while table[place] != 0 and keys[first[table[place] - 1]] != keys[k]:
            place = (place + 1) & mask
        if table[place] == 0:
            first[n] = k
            n += 1
            table[place] = n
        number[k] = table[place] - 1
    return n


def _by_appearance(keys: Array) -> tuple[Array, Array]:
    """First index of each distinct key, in order, and the number (n,) of each entry's key. Keys are hashes already."""
    first, number = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    n = _number(keys, np.zeros(1 << (2 * len(keys) + 1).bit_length(), np.int64), number, first)
    return first[:n].copy(), number


def pairs(keys: Array, regions: Array, sides: Array, complete: bool) -> tuple[Array, Array, Array]:
    """The facet of each entry, the regions (M, 2) of each facet, and the first entry of each."""
    first, facet = _by_appearance(keys)
    count = np.bincount(facet, minlength=len(first))
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


@kernel()
def _flips(packed, both, counts, out):
    """The bits in which two patterns differ, pair by pair; only counted where there is no room for them."""
    n = 0
    for f in range(both.shape[0]):
        if both[f, 1] < 0:
            continue
        before = n
        for byte in range(packed.shape[1]):
            change = packed[both[f, 0], byte] ^ packed[both[f, 1], byte]
            for bit in range(8 if change else 0):
                if (change >> bit) & 1:
                    if out.shape[0] > 0:
                        out[n] = 8 * byte + bit
                    n += 1
        counts[f] = n - before
    return n


def differences(packed: Array, both: Array) -> tuple[Array, Array]:
    """CSR: the breakpoints on whose sides the two regions of each facet differ."""
    counts, found = np.zeros(len(both), np.int64), np.zeros(0, np.int32)
    n = _flips(packed, both, counts, found)
    if n:
        found = np.empty(n, np.int32)
        _flips(packed, both, counts, found)
    return np.r_[0, np.cumsum(counts)], found
