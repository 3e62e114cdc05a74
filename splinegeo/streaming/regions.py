"""The regions of one task: what the walk wrote down, with singular values settled and corners in slice coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.enumerate import Problem, Task
from splinegeo.partition.frame import Frame
from splinegeo.partition.geometry import areas
from splinegeo.partition.link import UNMATCHED, hinge_bits
from splinegeo.partition.ranks import Patterns, settle_parts

# Doubtful singular values are settled for this many unpacked pattern bits at a time.
SETTLE_BITS = 1 << 25


@dataclass(frozen=True, eq=False)
class TaskRegions:
    """N regions with C corners, found under one problem; each corner is as precise as its own region knows it."""

    task: Task
    offsets: Array  # (N + 1,) corners of region k are offsets[k]:offsets[k + 1], counter-clockwise
    xy: Array  # (C, 2) in the problem's frame
    spread: Array  # (C,) bound on the doubt in a corner, relative to the frame
    corners: Array  # (C, 2) in slice coordinates
    labels: Array  # (C,) of the edge behind each corner in parts of a larger problem, see `memory`; else (0,)
    keys: Array  # (C,) uint64 of the half-edge behind each corner; 0 on the domain's boundary
    twin: Array  # (C,) the half-edge on the other side; -1 on the domain's boundary, -2 in another task
    sigma: Array  # (N, 2) singular values in slice coordinates
    noise: Array  # (N,) bound on the error of an entry of maps; in parts on that of the singular values
    maps: Array  # (N, rows, 3) engine rows; (0, rows, 3) where they are not kept
    bits: Array  # (N, .) packed activations of the problem's hinges
    volumes: Array  # (N,) areas in slice coordinates, never negative
    packed: Array | None = None  # (N, ceil(B / 8)) patterns, where no bits tell them

    @property
    def problem(self) -> Problem:
        """The problem that numbers hinges and compresses outputs."""
        return self.task.problem

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, task: Task, arrays: dict[str, Array]) -> TaskRegions:
        """From the arrays of `Worker.run`; singular values are replaced in place."""
        problem = task.problem
        offsets = np.concatenate([[0], np.cumsum(arrays["corners"], dtype=np.int64)])
        bits = _settled(problem, arrays)
        corners, volumes = placed(problem.frame, arrays["xy"], offsets)
        return cls(
            task,
            offsets,
            arrays["xy"],
            arrays["spread"],
            corners,
            arrays["label"],
            arrays["key"],
            arrays["twin"],
            arrays["sigma"],
            arrays["noise"],
            arrays["maps"],
            bits,
            volumes,
        )

    def patterns(self, rows: slice | Array) -> Array:
        """Packed patterns (n, ceil(B / 8)) of some regions."""
        return self.problem.patterns(self.bits[rows]) if self.packed is None else self.packed[rows]

    def only(self, chosen: Array) -> TaskRegions:
        """The chosen regions (n,), ascending; half-edges that lead to others count as those of another task."""
        sizes = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        kept = np.repeat(self.offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])
        place = np.full(len(self.keys), UNMATCHED)
        place[kept] = np.arange(len(kept))
        twin = self.twin[kept]
        return replace(
            self,
            offsets=offsets,
            xy=self.xy[kept],
            spread=self.spread[kept],
            corners=self.corners[kept],
            labels=self.labels[kept] if len(self.labels) else self.labels,
            keys=self.keys[kept],
            twin=np.where(twin >= 0, place[np.maximum(twin, 0)], twin),
            sigma=self.sigma[chosen],
            noise=self.noise[chosen],
            maps=self.maps[chosen] if len(self.maps) else self.maps,
            bits=self.bits[chosen],
            volumes=self.volumes[chosen],
            packed=None if self.packed is None else self.packed[chosen],
        )

    def owners(self) -> Array:
        """The region (C,) of each corner."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def placed(frame: Frame, xy: Array, offsets: Array) -> tuple[Array, Array]:
    """Corners (C, 2) in slice coordinates and areas (N,) of polygons with corners xy (C, 2) in the frame."""
    corners = frame.vertices(xy)
    volumes = areas(corners, offsets, np.arange(len(corners)))
    np.maximum(volumes, 0.0, out=volumes)  # the corners of a sliver may be rounded past each other
    return corners, volumes


def _settled(problem: Problem, arrays: dict[str, Array]) -> Array:
    """Settle the singular values, where the walk did not, and return the packed activations of the hinges (N, .)."""
    n, breakpoints = len(arrays["corners"]), problem.network.n_breakpoints
    if "patterns" in arrays:
        return hinge_bits(arrays["patterns"], problem.bits, breakpoints)
    if problem.part:  # the walk did
        return arrays["bits"]
    step = max(64, SETTLE_BITS // max(1, breakpoints))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        bits = arrays["bits"][rows]
        lazy = Patterns(problem, bits)
        settle_parts(problem, arrays["sigma"][rows], arrays["maps"][rows], arrays["noise"][rows], bits, lazy)
    return arrays["bits"]
