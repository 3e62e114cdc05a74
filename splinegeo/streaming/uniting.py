"""Regions of networks with maxima, put together from the pieces that one task found.

The walk cuts along every comparison of a maximum's tournament; pieces that only undecisive comparisons tell apart are
one region (`splinegeo.partition.unite`). Each region is convex, and so is its part in a task, so its pieces there are
connected. A region that does not touch the task's outline is complete. Of the others the outline is kept, until the
tasks beyond it are done: see `splinegeo.streaming.pending`.

A side of a region may be several half-edges long, seen from pieces. Both sides of an edge have the same half-edges, so
the exclusive or of their keys is a key for the whole edge, the same from both sides. The walk's keys are themselves
made in this way, of what vanishes and what is active, and much would cancel: they are scrambled first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.partition.enumerate import Task
from splinegeo.partition.link import BOUNDARY, UNMATCHED, hinge_bits
from splinegeo.partition.unite import CHUNK_BYTES, label_pieces, walk_outlines
from splinegeo.streaming.mapping import Marks, surely_across
from splinegeo.streaming.regions import TaskRegions, placed

SIDE, KNOWN, OPEN = range(3)  # what is across a half-edge: the domain's outside, a region that is named, another task
FAR = 1 << 40  # beyond all numbers of the domain's sides


@dataclass(frozen=True, eq=False)
class OpenRegions:
    """The n regions of a task that reach its outline, as far as they lie in it; F half-edges, counter-clockwise."""

    task: Task
    names: Array  # (n,) uint64 digests of the patterns
    offsets: Array  # (n + 1,) half-edges of region k are offsets[k]:offsets[k + 1]
    keys: Array  # (F,) uint64
    xy: Array  # (F, 2) where each half-edge begins, in the frame
    spread: Array  # (F,) bound on the doubt in that
    kind: Array  # (F,) uint8 SIDE, KNOWN or OPEN
    across: Array  # (F,) uint64 the name of the region across; the number of the domain's side
    sure: Array  # (F,) bool: the maps on both sides are known to be different
    sigma: Array  # (n, 2) singular values
    marks: Array  # (n, .) of the maps, see `Marks`; (n, 0) where linear regions are not counted
    errors: Array  # (n,) bounds on the errors of marks; (0,) as above
    patterns: Array  # (n, ceil(B / 8)) packed; (n, 0) where nobody asks for them
    pixel_offsets: Array  # (n + 1,) pixels of region k are pixel_offsets[k]:pixel_offsets[k + 1]
    pixels: Array  # pixels whose centres lie in them

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Gathered:
    """The regions of a task, whole or as far as they lie in it."""

    regions: TaskRegions  # in the order of their first pieces; half-edges on the outline are as they were
    names: Array  # (N,) uint64
    sources: Array  # (C,) the half-edge of the pieces that each half-edge begins with

    @property
    def open(self) -> Array:
        """(N,) whether a region reaches the task's outline."""
        out = np.zeros(len(self.regions), bool)
        out[self.regions.owners()[self.regions.twin == UNMATCHED]] = True
        return out


def gather(pieces: TaskRegions) -> Gathered:
    """Join the pieces of a task; each region has the numbers of its first piece."""
    owners, twin = pieces.owners().astype(np.int32), pieces.twin
    names, bits = _decisive(pieces)
    labels = np.empty(len(pieces), np.int64)
    label_pieces(names[:, None], owners, twin, labels)
    own = labels[owners]
    tags = np.where(twin >= 0, own[np.maximum(twin, 0)], np.minimum(pieces.labels, 0) - 2)
    # What is across the outline is not known, so that nothing there is one edge yet.
    tags = np.where(twin == UNMATCHED, -FAR - np.arange(len(twin)), tags)
    sides = Sides.of(pieces.offsets, owners, own, twin, tags)
    first = np.unique(labels, return_index=True)[1]
    corners = sides.corners
    there = twin[corners]
    corner_points, volumes = placed(pieces.problem.frame, pieces.xy[corners], sides.offsets)
    regions = replace(
        pieces,
        offsets=sides.offsets,
        xy=pieces.xy[corners],
        spread=pieces.spread[corners],
        corners=corner_points,
        labels=pieces.labels[corners],
        keys=sides.combined(_scrambled(pieces.keys)),
        twin=np.where(there >= 0, sides.side_of[np.maximum(there, 0)], there),
        sigma=pieces.sigma[first],
        noise=pieces.noise[first],
        maps=pieces.maps[first] if len(pieces.maps) else pieces.maps,
        bits=bits[first],
        volumes=volumes,
    )
    return Gathered(regions, names[first], corners)


def _decisive(pieces: TaskRegions) -> tuple[Array, Array]:
    """Names (P,) of the pieces' regions, and activations of hinges (P, .) without those of undecisive comparisons."""
    problem, breakpoints = pieces.problem, pieces.problem.network.n_breakpoints
    names, bits = np.empty(len(pieces), np.uint64), np.empty_like(pieces.bits)
    step = max(1, CHUNK_BYTES // max(1, breakpoints))
    for start in range(0, len(pieces), step):
        rows = slice(start, start + step)
        packed = problem.patterns(pieces.bits[rows])
        bits[rows] = hinge_bits(packed, problem.bits, breakpoints)
        digests = b"".join(blake2b(row, digest_size=8).digest() for row in packed)
        names[rows] = np.frombuffer(digests, np.uint64)
    return names, bits


def _scrambled(keys: Array) -> Array:
    """Other keys, each for one: the finaliser of MurmurHash3, which leaves 0 as it is."""
    keys = keys ^ (keys >> np.uint64(33))
    keys = keys * np.uint64(0xFF51AFD7ED558CCD)
    keys ^= keys >> np.uint64(33)
    keys *= np.uint64(0xC4CEB9FE1A85EC53)
    return keys ^ (keys >> np.uint64(33))


@dataclass(frozen=True, eq=False)
class Sides:
    """The outlines of regions, a side for each run of half-edges that have the same thing across."""

    offsets: Array  # (N + 1,)
    corners: Array  # (C,) the half-edge that each side begins with
    side_of: Array  # (H,) the side that a half-edge is on; UNMATCHED inside a region

    @classmethod
    def of(cls, offsets: Array, pieces: Array, own: Array, twin: Array, tags: Array) -> Sides:
        """Walk around the regions.

        Args:
            offsets: (P + 1,) first half-edge of each piece.
            pieces: (H,) int32 the piece of each half-edge.
            own: (H,) its region; all numbers below the greatest are there.
            twin: (H,) the half-edge on the other side.
            tags: (H,) what is across: the region's own number within it, else anything.
        """
        outline = np.nonzero(tags != own)[0]
        owners, first = np.unique(own[outline], return_index=True)
        kept, side_of = np.empty(len(outline), np.int64), np.full(len(own), UNMATCHED)
        counts = np.zeros(len(owners), np.int64)
        walk_outlines(offsets, pieces, twin, tags, outline[first], kept, side_of, counts)
        if (side_of[outline] < 0).any():
            raise SplineGeoError("internal error: a region has two outlines; please report the network")
        return cls(np.concatenate([[0], np.cumsum(counts)]), kept[: counts.sum()], side_of)

    def combined(self, keys: Array) -> Array:
        """(C,) the exclusive or of the keys (H,) of each side."""
        out, on = np.zeros(len(self.corners), np.uint64), self.side_of >= 0
        np.bitwise_xor.at(out, self.side_of[on], keys[on])
        return out

    def any(self, flags: Array) -> Array:
        """(C,) whether a half-edge of each side has its flag (H,) set."""
        out = np.zeros(len(self.corners), bool)
        out[self.side_of[flags & (self.side_of >= 0)]] = True
        return out


def opened(
    gathered: Gathered,
    pieces: TaskRegions,
    linear: Array | None,
    marks: Marks | None,
    keep_patterns: bool,
    pixels: Array,
    owners: Array,
) -> OpenRegions:
    """What is kept of the regions that reach the outline.

    Args:
        gathered: all regions of the task.
        pieces: what they were made of.
        linear: (N,) labels that are equal for neighbours with equal maps; None where linear regions are not counted.
        marks: what tells maps apart, None as above.
        keep_patterns: whether patterns will be asked for.
        pixels: pixels whose centres lie in the task's regions.
        owners: the regions that these lie in.
    """
    regions, chosen = gathered.regions, np.nonzero(gathered.open)[0]
    behind = regions.owners()
    here = np.nonzero(gathered.open[behind])[0]  # half-edges
    twin = regions.twin[here]
    kind = np.select([twin == BOUNDARY, twin == UNMATCHED], [SIDE, OPEN], KNOWN).astype(np.uint8)
    across = behind[np.maximum(twin, 0)]
    beyond = np.where(kind == KNOWN, gathered.names[across], 0).astype(np.uint64)
    beyond[kind == SIDE] = (-regions.labels[here[kind == SIDE]]).astype(np.uint64)
    sure, edge = np.zeros(len(here), bool), kind == OPEN
    none = np.zeros(0)
    values, errors = np.zeros((len(chosen), 0)), none
    if linear is not None and marks is not None:
        sure = (kind == KNOWN) & (linear[behind[here]] != linear[across])
        sure[edge] = surely_across(pieces, pieces.owners(), gathered.sources[here[edge]])
        values, errors = marks.of(regions, chosen)
    order = np.argsort(owners, kind="stable")
    pixels, owners = pixels[order], owners[order]
    mine = gathered.open[owners]
    sizes = np.diff(regions.offsets)[chosen]
    return OpenRegions(
        task=regions.task,
        names=gathered.names[chosen],
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        keys=regions.keys[here],
        xy=regions.xy[here],
        spread=regions.spread[here],
        kind=kind,
        across=beyond,
        sure=sure,
        sigma=regions.sigma[chosen],
        marks=values,
        errors=errors,
        patterns=regions.patterns(chosen) if keep_patterns else np.zeros((len(chosen), 0), np.uint8),
        pixel_offsets=np.concatenate([[0], np.cumsum(np.bincount(owners[mine], minlength=len(regions))[chosen])]),
        pixels=pixels[mine],
    )
