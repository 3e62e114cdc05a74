"""Regions of all tasks put together: vertices that they share, facets that they share, who is whose neighbour.

What is written here is most of the memory that a partition takes, and memory that is touched for the first time costs
more than the work on it. So the results are filled in one pass over the tasks, whose arrays are given up on the way.
"""

from __future__ import annotations

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.space.memory import trailing_zeros
from splinegeo.space.problem import Problem

BOUNDARY, MISSING = -1, -2


def join(parts: list[dict[str, Array]], problem: Problem, cap: int, complete: bool) -> dict[str, Array]:
    """The arrays of a `SpacePartition`, from what the tasks found, in order; no more than ``cap`` regions.

    The parts are empty afterwards.

    Raises:
        SplineGeoError: the facets of a complete partition do not come in pairs.
    """
    _cut_off(parts, cap)
    counts = np.concatenate([p.pop("counts") for p in parts])
    region_offsets, facet_offsets = _offsets(counts[:, 0]), _offsets(counts[:, 1])
    packed = problem.patterns(np.concatenate([p.pop("bits") for p in parts]))
    words = (int(counts[:, 1].max(initial=1)) + 63) // 64
    tight = np.zeros((int(region_offsets[-1]), words), np.uint64)
    start = 0
    for p in parts:
        own = p.pop("tight")[:, :words]
        tight[start : start + len(own), : own.shape[1]] = own
        start += len(own)
    vertices, corners = _vertices(parts, int(region_offsets[-1]))
    facets, both, sides = pairs(parts, facet_offsets, complete)
    offsets, breakpoints = differences(packed, both)
    return {
        "vertices": problem.hull.to_slice(vertices),
        "region_offsets": region_offsets,
        "corner_vertices": corners,
        "corner_facets": tight,
        "facet_offsets": facet_offsets,
        "region_facets": facets,
        "facet_regions": both,
        "facet_sides": sides,
        "facet_breakpoint_offsets": offsets,
        "facet_breakpoints": breakpoints,
        "packed_patterns": packed,
    }


def _offsets(counts: Array) -> Array:
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def _cut(array: Array, n: int) -> Array:
    """The first n rows of an array that nobody else holds, in place: the rest goes back without a copy."""
    array.resize((n, *array.shape[1:]), refcheck=False)
    return array


def _places(entries: int) -> int:
    """Size of a hash table for so many entries: a power of two that they fill by two thirds at most."""
    return 1 << (entries + entries // 2).bit_length()


def _cut_off(parts: list[dict[str, Array]], cap: int) -> None:
    """Cut the parts off after ``cap`` regions; those of whose vertices some are then no corners say so in "used"."""
    left = cap
    for p in parts:
        n = len(p["counts"])
        if n > left:
            n = left
            c, f = p["counts"][:n].sum(0, dtype=np.int64)
            for name, end in {"bits": n, "counts": n, "corner": c, "tight": c, "side": f, "key": f}.items():
                p[name] = p[name][:end]
            p["used"] = np.zeros(len(p["x"]), np.bool_)
            p["used"][p["corner"]] = True
        left -= n


@kernel()
def _enter_vertices(keys, used, points, own, table, seen, found, count, corners):
    """Number a task's vertices after the ``count`` known ones, in order of appearance; how many are known then.

    seen and found hold the keys and the positions of the known ones, ``table`` 1 + their numbers at their hashes;
    ``own`` says which vertex of its task each corner is, in corners it is written which of all.
    """
    mask = table.shape[0] - 1
    number = np.empty(keys.shape[0], np.int32)
    for k in range(keys.shape[0]):
        if used.shape[0] > 0 and not used[k]:
            continue
        place = np.int64(keys[k]) & mask
        while table[place] != 0 and seen[table[place] - 1] != keys[k]:
            place = (place + 1) & mask
        if table[place] == 0:
            seen[count] = keys[k]
            for c in range(points.shape[1]):
                found[count, c] = points[k, c]
            count += 1
            table[place] = count
        number[k] = table[place] - 1
    for k in range(own.shape[0]):
        corners[k] = number[own[k]]
    return count


def _vertices(parts: list[dict[str, Array]], n_corners: int) -> tuple[Array, Array]:
    """Distinct vertices (V, d) in order of appearance, and the vertex of each corner."""
    most, d = sum(len(p["x"]) for p in parts), parts[0]["x"].shape[1]
    table, seen, found = np.zeros(_places(most), np.int32), np.empty(most, np.uint64), np.empty((most, d))
    corners = np.empty(n_corners, np.int32)
    count = start = 0
    everything = np.zeros(0, np.bool_)
    for p in parts:
        own, keys = p.pop("corner"), p.pop("key_of_vertex")
        used, x = p.pop("used", everything), p.pop("x")
        count = _enter_vertices(keys, used, x, own, table, seen, found, count, corners[start:])
        start += len(own)
    return found[:count], corners


@kernel()
def _match_own(keys, table, twin):
    """Pair equal keys of one task: the other's index, or -1. Returns how many have none, -1 where three are equal."""
    n = keys.shape[0]
    places = 1
    while 2 * places < 3 * n:
        places *= 2
    for k in range(places):
        table[k] = 0
    alone = 0
    for k in range(n):
        place = np.int64(keys[k]) & (places - 1)
        while table[place] != 0 and keys[table[place] - 1] != keys[k]:
            place = (place + 1) & (places - 1)
        if table[place] == 0:
            table[place] = k + 1
            twin[k] = -1
            alone += 1
        else:
            other = table[place] - 1
            if twin[other] >= 0:
                return -1
            twin[k], twin[other] = other, k
            alone -= 1
    return alone


@kernel()
def _number_facets(keys, sides, offsets, region, table, lone, facets, both, side, count):
    """Number a task's facets after the ``count`` known ones, in order of appearance; how many are known then.

    facets holds what `_match_own` found, and the facets' numbers afterwards. What has no twin in its own task is looked
    for among those of the others, which ``table`` holds: 1 + the number of a facet whose key is in ``lone``. Returns
    -1 where a facet has more than two sides, or two on the domain's boundary.
    """
    mask = table.shape[0] - 1
    first = offsets[region]
    k = 0
    while k < keys.shape[0]:
        while offsets[region + 1] <= first + k:
            region += 1
        twin, facet = facets[k], np.int64(-1)
        if 0 <= twin < k:
            facet = np.int64(facets[twin])
        elif twin < 0:
            place = np.int64(keys[k]) & mask
            while table[place] != 0 and lone[place] != keys[k]:
                place = (place + 1) & mask
            if table[place] == 0:
                table[place], lone[place] = count + 1, keys[k]
            else:
                facet = np.int64(table[place] - 1)
        if facet < 0:
            facet = count
            count += 1
            both[facet, 0], both[facet, 1] = region, BOUNDARY if sides[k] >= 0 else MISSING
            side[facet] = sides[k]
        elif both[facet, 1] != MISSING or sides[k] >= 0:
            return -1
        else:
            both[facet, 1] = region
        facets[k] = facet
        k += 1
    return count


def pairs(parts: list[dict[str, Array]], offsets: Array, complete: bool) -> tuple[Array, Array, Array]:
    """The facet of each entry, the regions (M, 2) of each facet, and the side of the domain on which it lies, or -1."""
    total = int(offsets[-1])
    starts = np.cumsum([0, *(len(p["key"]) for p in parts)]).tolist()
    facets = np.empty(total, np.int32)
    table = np.zeros(_places(max(len(p["key"]) for p in parts)), np.int32)
    alone = [_match_own(p["key"], table, facets[s:]) for p, s in zip(parts, starts, strict=False)]
    lone = min(alone) < 0
    count = region = 0
    if not lone:
        matched = (total - sum(alone)) // 2
        most = matched + sum(alone)
        table = np.zeros(_places(sum(alone)), np.int32)
        keys = np.empty(len(table), np.uint64)
        both, side = np.empty((most, 2), np.int32), np.empty(most, np.int32)
        for p, s in zip(parts, starts, strict=False):
            own = p.pop("key")
            region = int(np.searchsorted(offsets, s, "right")) - 1
            count = _number_facets(own, p.pop("side"), offsets, region, table, keys, facets[s:], both, side, count)
            if count < 0:
                break
    if lone or count < 0 or (complete and (both[:count, 1] == MISSING).any()):
        raise SplineGeoError(
            "partition: the facets of the regions do not come in pairs; this is a bug, please report the network"
        )
    return facets, _cut(both, count), _cut(side, count)


@kernel()
def _flips(patterns, both, offsets, out):
    """The bits in which two patterns differ, pair by pair; those for which there is no room are only counted."""
    n = 0
    for f in range(both.shape[0]):
        if both[f, 1] >= 0:
            for w in range(patterns.shape[1]):
                change = patterns[both[f, 0], w] ^ patterns[both[f, 1], w]
                while change != 0:
                    if n < out.shape[0]:
                        out[n] = 64 * w + trailing_zeros(change)
                    change &= change - np.uint64(1)
                    n += 1
        offsets[f + 1] = n
    return n


def differences(packed: Array, both: Array) -> tuple[Array, Array]:
    """CSR: the breakpoints on whose sides the two regions of each facet differ."""
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    words[:, : packed.shape[1]] = packed
    patterns = words.view("<u8").astype(np.uint64, copy=False)
    offsets, found = np.zeros(len(both) + 1, np.int64), np.empty(len(both), np.int32)
    n = _flips(patterns, both, offsets, found)
    if n > len(found):
        found = np.empty(n, np.int32)
        _flips(patterns, both, offsets, found)
    return offsets, _cut(found, n)
