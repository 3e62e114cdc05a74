"""Neighbours, shared vertices and edges, from the keys of the half-edges.

The key of a half-edge is a hash of what both sides agree on: the hinges that vanish on the edge, and the activations
of all others. No other edge has the same set and activations, because together they cut out a convex piece of a line.
Every interior half-edge must find exactly one twin; that is a watertightness check of the whole enumeration.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.partition.unite import unite

if TYPE_CHECKING:
    from splinegeo.partition.enumerate import Problem

UNMATCHED, BOUNDARY = -2, -1


@kernel()
def _match(keys, members, table, twin):
    """Pair equal keys among `members`; the number of keys met more than twice."""
    mask = table.shape[0] - 1
    crowded = 0
    for m in range(members.shape[0]):
        h = members[m]
        key = keys[h]
        slot = np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = h
                break
            if keys[other] == key:
                if twin[other] >= 0:
                    crowded += 1
                else:
                    twin[other] = h
                    twin[h] = other
                break
            slot = (slot + 1) & mask
    return crowded


def match(keys: Array, members: Array, twin: Array) -> None:
    """Fill in the twins of the half-edges `members`.

    Raises:
        SplineGeoError: two different edges have the same 64-bit key (expected once in 10^7 partitions of a million
            edges); the answer would be wrong, so there is none.
    """
    size = 16
    while size < 2 * len(members):
        size *= 2
    if _match(keys, members, np.full(size, -1, np.int64), twin):
        raise SplineGeoError("two edges of the partition share a hash; change the domain slightly and try again")


def link_task(keys: Array) -> Array:
    """Twins (C,) of the half-edges of one task among themselves: index, BOUNDARY or UNMATCHED."""
    twin = np.where(keys == 0, BOUNDARY, UNMATCHED).astype(np.int64)
    match(keys, np.nonzero(keys)[0], twin)
    return twin


@kernel()
def _corner_regions(offsets, out):
    for r in range(offsets.shape[0] - 1):
        for k in range(offsets[r], offsets[r + 1]):
            out[k] = r


@kernel()
def _vertices(offsets, regions, twin, xy, spread, corner_vertex, best):
    """Number the vertices in the order of their first corner; `best` is the corner with the best known position."""
    count = 0
    for first in range(twin.shape[0]):
        if corner_vertex[first] >= 0:
            continue
        corner = first
        top = first
        backwards = False
        while True:
            corner_vertex[corner] = count
            if spread[corner] < spread[top]:
                top = corner
            r = regions[corner]
            if not backwards:
                other = twin[offsets[r + 1] - 1 if corner == offsets[r] else corner - 1]
                if other >= 0:
                    corner = other
                    if corner == first:
                        break
                    continue
                backwards = True  # came to the end of a fan: go round the other way from the first corner
                corner = first
                r = regions[corner]
            other = twin[corner]
            if other < 0:
                break
            r = regions[other]
            corner = offsets[r] if other + 1 == offsets[r + 1] else other + 1
        best[count] = top
        count += 1
    return count


@kernel()
def _edges(offsets, regions, twin, corner_vertex, corner_edge, neighbors, ends, sides):
    count = 0
    for corner in range(twin.shape[0]):
        r = regions[corner]
        other = twin[corner]
        neighbors[corner] = regions[other] if other >= 0 else other
        if other >= 0 and other < corner:
            corner_edge[corner] = corner_edge[other]
            continue
        corner_edge[corner] = count
        after = offsets[r] if corner + 1 == offsets[r + 1] else corner + 1
        ends[count, 0], ends[count, 1] = corner_vertex[corner], corner_vertex[after]
        sides[count, 0], sides[count, 1] = r, neighbors[corner]
        count += 1
    return count


@kernel()
def _count_flips(words, sides, counts):
    for e in range(sides.shape[0]):
        a, b = sides[e, 0], sides[e, 1]
        counts[e + 1] = 0
        if b >= 0:
            for k in range(words.shape[1]):
                x = words[a, k] ^ words[b, k]
                while x != 0:
                    x &= x - np.uint64(1)
                    counts[e + 1] += 1


@kernel()
def _list_flips(words, sides, offsets, flips):
    for e in range(sides.shape[0]):
        a, b = sides[e, 0], sides[e, 1]
        n = offsets[e]
        if b >= 0:
            for k in range(words.shape[1]):
                x = words[a, k] ^ words[b, k]
                while x != 0:
                    rest = x & (x - np.uint64(1))
                    bit = x ^ rest  # the lowest one; its position by halving
                    place = 0
                    for half in (32, 16, 8, 4, 2, 1):
                        if bit >> np.uint64(half) != 0:
                            bit >>= np.uint64(half)
                            place += half
                    flips[n] = 64 * k + place
                    n += 1
                    x = rest


def _flips(words: Array, sides: Array, threads: int) -> tuple[Array, Array]:
    """CSR offsets (M + 1,) and breakpoints (K,) that differ across each edge."""
    counts = np.zeros(len(sides) + 1, np.int64)
    if threads == 1 or len(sides) < 1 << 16:
        _count_flips(words, sides, counts)
        np.cumsum(counts, out=counts)
        breakpoints = np.empty(counts[-1], np.int32)
        _list_flips(words, sides, counts, breakpoints)
        return counts, breakpoints
    cuts = np.linspace(0, len(sides), threads + 1).astype(int)
    spans = list(pairwise(cuts))
    with ThreadPoolExecutor(threads, "splinegeo") as pool:
        list(pool.map(lambda s: _count_flips(words, sides[s[0] : s[1]], counts[s[0] : s[1] + 1]), spans))
        np.cumsum(counts, out=counts)
        breakpoints = np.empty(counts[-1], np.int32)
        list(pool.map(lambda s: _list_flips(words, sides[s[0] : s[1]], counts[s[0] : s[1] + 1], breakpoints), spans))
    return counts, breakpoints


def _as_words(packed: Array) -> Array:
    """Packed little-endian bits (N, .) as 64-bit words; bit i of the row is bit i % 64 of word i // 64."""
    if packed.shape[1] % 8 == 0 and packed.flags.c_contiguous:
        return packed.view("<u8").astype(np.uint64, copy=False)
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def network_bits(bits: Array, hinges: Array, n_breakpoints: int) -> Array:
    """Packed patterns (N, ceil(B / 8)) over the network's breakpoints from those over the engine's hinges."""
    if np.array_equal(hinges, np.arange(n_breakpoints)):
        return bits
    out = np.zeros((len(bits), (n_breakpoints + 7) // 8), np.uint8)
    for start in range(0, len(bits), 4096):
        part = np.unpackbits(bits[start : start + 4096], axis=1, count=len(hinges), bitorder="little")
        wide = np.zeros((len(part), n_breakpoints), np.uint8)
        wide[:, hinges] = part
        out[start : start + 4096] = np.packbits(wide, axis=1, bitorder="little")
    return out


def hinge_bits(packed: Array, hinges: Array, n_breakpoints: int) -> Array:
    """Packed activations over the engine's hinges from patterns over the network's breakpoints."""
    if np.array_equal(hinges, np.arange(n_breakpoints)):
        return packed
    out = np.zeros((len(packed), (len(hinges) + 7) // 8), np.uint8)
    for start in range(0, len(packed), 4096):
        part = np.unpackbits(packed[start : start + 4096], axis=1, count=n_breakpoints, bitorder="little")
        out[start : start + 4096] = np.packbits(part[:, hinges], axis=1, bitorder="little")
    return out


def _region_arrays(parts: list[dict[str, Array]], problem: Problem, n: int) -> tuple[Array, ...]:
    """What is kept of each of the first n regions: singular values, noise, maps, hinge bits, patterns, their words."""
    sigma, noise, maps, bits = (np.concatenate([p[k] for p in parts])[:n] for k in ("sigma", "noise", "maps", "bits"))
    patterns = np.concatenate([p["patterns"] for p in parts])[:n] if problem.part else problem.patterns(bits)
    return sigma, noise, maps, bits, patterns, _as_words(patterns)


def join(
    parts: list[dict[str, Array]], problem: Problem, cap: int, complete: bool, threads: int = 1
) -> dict[str, Array]:
    """One set of arrays from those of all tasks: the fields of a `Partition`, maps, singular values and doubts."""
    if threads == 1:
        return _join(parts, problem, cap, complete, lambda n: _region_arrays(parts, problem, n), 1)
    with ThreadPoolExecutor(1, "splinegeo") as pool:  # what belongs to regions and to corners, side by side
        n = min(sum(len(p["corners"]) for p in parts), cap)
        later = pool.submit(_region_arrays, parts, problem, n)
        return _join(parts, problem, cap, complete, lambda _: later.result(), threads)


def _join(
    parts: list[dict[str, Array]],
    problem: Problem,
    cap: int,
    complete: bool,
    region_arrays: Callable[[int], tuple[Array, ...]],
    threads: int,
) -> dict[str, Array]:
    corners = np.concatenate([p["corners"] for p in parts]).astype(np.int64)
    starts = np.r_[0, np.cumsum([len(p["key"]) for p in parts])]
    twin = np.concatenate(
        [np.where(p["twin"] >= 0, p["twin"] + s, p["twin"]) for p, s in zip(parts, starts, strict=False)]
    )
    n = min(len(corners), cap)
    offsets = np.r_[0, np.cumsum(corners[:n])].astype(np.int64)
    c = int(offsets[-1])
    keys, xy, spread = (np.concatenate([p[k] for p in parts])[:c] for k in ("key", "xy", "spread"))
    twin = twin[:c]
    twin[twin >= c] = UNMATCHED
    match(keys, np.nonzero(twin == UNMATCHED)[0], twin)
    if complete and (twin == UNMATCHED).any():
        where = xy[np.argmax(twin == UNMATCHED)]
        raise SplineGeoError(
            f"internal error: the partition is not watertight near {problem.frame.to_slice(where)}; "
            f"please report the network"
        )
    regions = np.empty(c, np.int32)
    _corner_regions(offsets, regions)
    if problem.has_maxima:
        sigma, noise, maps, bits, patterns, words = region_arrays(n)
        united = unite(words, offsets, regions, twin, np.concatenate([p["label"] for p in parts])[:c])
        offsets, twin, c = united.offsets, united.twin, len(united.corners)
        xy, spread = xy[united.corners], spread[united.corners]
        sigma, noise, bits, patterns, words = (x[united.pieces] for x in (sigma, noise, bits, patterns, words))
        maps = maps[united.pieces] if len(maps) else maps
        regions = np.empty(c, np.int32)
        _corner_regions(offsets, regions)
    corner_vertices, best = np.full(c, -1, np.int32), np.empty(c, np.int64)
    n_vertices = _vertices(offsets, regions, twin, xy, spread, corner_vertices, best)
    vertices = problem.frame.vertices(xy[best[:n_vertices]])
    corner_edges, neighbors = np.empty(c, np.int32), np.empty(c, np.int32)
    ends, sides = np.empty((c, 2), np.int32), np.empty((c, 2), np.int32)
    n_edges = _edges(offsets, regions, twin, corner_vertices, corner_edges, neighbors, ends, sides)
    ends, sides = ends[:n_edges].copy(), sides[:n_edges].copy()
    if not problem.has_maxima:
        sigma, noise, maps, bits, patterns, words = region_arrays(n)
    for p in parts:
        p.clear()
    flips, breakpoints = _flips(words, sides, threads)
    return {
        "vertices": vertices,
        "region_offsets": offsets,
        "corner_vertices": corner_vertices,
        "corner_edges": corner_edges,
        "corner_neighbors": neighbors,
        "edge_vertices": ends,
        "edge_regions": sides,
        "edge_breakpoint_offsets": flips,
        "edge_breakpoints": breakpoints,
        "packed_patterns": patterns,
        "compressed_maps": maps,
        "singular_values": sigma,
        "map_errors": noise,
        "bits": bits,
    }
