"""All regions over a domain, by linear programmes: their patterns and a point of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.domains import Box, Slice
from splinegeo.lp import cells
from splinegeo.lp.fold import Folder, TooLarge
from splinegeo.lp.places import Place
from splinegeo.lp.walk import Batch, Cells
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition import job as jobs
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.interrupts import first_interrupt_waits
from splinegeo.partition.lowering import Lowered, lower
from splinegeo.partition.stopping import GivenUp, gives_up
from splinegeo.partition.unite import decisive_patterns

TASKS = 64  # cells at which the tree is cut into tasks


@dataclass(frozen=True, eq=False)
class Found:
    """N regions, in canonical order."""

    packed_patterns: Array  # (N, ceil(B / 8)) uint8
    points: Array  # (N, d) a point of each, in slice coordinates
    reason: str  # why they are not all there, if so


def enumerate_regions(
    network: SplineNetwork, place: Place, budget: Budget, threads: int, progress: Callable[[int], Any]
) -> Found:
    """The regions of a network over a domain.

    A budget of regions counts those that are found; of a network with maxima, the pieces that they are found in.

    Raises:
        UnsupportedOperation: so many units may change sides over the domain that memory does not suffice.
    """
    clock = Clock(budget)
    whole, lowered = prepared(network, place)
    job = Job(whole, budget, clock, threads)
    reason = job.run(progress)
    with first_interrupt_waits():
        parts = job.parts()
        bits, points = (np.concatenate([p[name] for p in parts])[: job.cap] for name in ("bits", "points"))
        packed = patterns_of(bits, whole, lowered, network)
        if lowered.network is not network:
            # Where each maximum has its winner a region is convex: one pattern is one region, in however many pieces.
            kept = np.sort(np.unique(_as_scalars(packed), return_index=True)[1])
            packed, points = packed[kept], points[kept]
    return Found(packed, place.to_slice(points), reason)


def _as_scalars(rows: Array) -> Array:
    """Rows of bytes (n, w) as an array (n,) that can be sorted."""
    rows = np.ascontiguousarray(rows)
    return rows.view(np.dtype((np.void, rows.shape[1]))).ravel() if rows.shape[1] else np.zeros(len(rows), np.uint8)


def prepared(network: SplineNetwork, place: Place) -> tuple[Cells, Lowered]:
    """The network without maxima, and its cells.

    Raises:
        UnsupportedOperation: so many units may change sides over the domain that memory does not suffice.
    """
    lowered = lower(network, place.origin, place.basis)
    try:
        return Cells(Folder(lowered.network), place), lowered
    except TooLarge as error:
        raise UnsupportedOperation(
            "partition: so many units may change sides over the domain that their columns do not fit into 2 GB; "
            "partition smaller domains, or 2-dimensional slices"
        ) from error


def patterns_of(bits: Array, whole: Cells, lowered: Lowered, network: SplineNetwork) -> Array:
    """Packed patterns (N, ceil(B / 8)) over the network's breakpoints from those over the live hinges."""
    live, n = whole.live, network.n_breakpoints
    above = np.zeros(n, np.uint8)
    above[lowered.breakpoints[live.active]] = above[lowered.active] = 1
    where = lowered.breakpoints[live.breakpoints]
    out = np.empty((len(bits), (n + 7) // 8), np.uint8)
    step = max(1, (1 << 26) // max(n, 1))
    for start in range(0, len(bits), step):
        some = np.unpackbits(bits[start : start + step], axis=1, count=live.n, bitorder="little")
        wide = np.repeat(above[None], len(some), 0)
        wide[:, where] = some
        out[start : start + step] = np.packbits(wide, axis=1, bitorder="little")
    return out if lowered.network is network else decisive_patterns(network, out)


class Worker:
    """One thread's cells, with an exact judge of its own."""

    def __init__(self, whole: Cells, control: Array) -> None:
        self.cells, self.control = whole.twin(), control

    def compile(self) -> None:
        """Have the kernels compiled, or loaded, by a box with two regions."""
        fold = SplineNetwork.from_layers([[[1.0]], [[1.0]]], [[0.0], [0.0]])
        small = Cells(Folder(fold), Place.box(Box([-1.0], [1.0]), Slice.identity(1)))
        small.split(small.start())

    def nothing(self) -> dict[str, Array]:
        """What `run` returns where nothing was found."""
        return self._leaves(self.cells.start().only(slice(0, 0)))

    def run(self, batch: Batch, limit: int, found: Callable[[int, int], None]) -> tuple[dict[str, Array], bool]:
        """The regions in a batch of cells, and whether they are all there."""
        parts, stack, left = [self.nothing()], [batch], limit
        try:
            with gives_up(lambda: self.control[0]):
                while stack and left > 0 and not self.control[0]:
                    batch = stack.pop()
                    if batch.k < self.cells.live.n:
                        stack += self.cells.pieces(self.cells.split(batch))
                        continue
                    parts.append(self._leaves(batch))
                    left -= len(batch)
                    found(len(batch), sum(a.nbytes for a in parts[-1].values()))
        except GivenUp:  # in exact arithmetic on one batch: what was found before stands
            stack.append(batch)
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}, not stack

    def _leaves(self, batch: Batch) -> dict[str, Array]:
        bits = np.packbits(batch.state > 0, axis=1, bitorder="little")
        points = batch.witness.copy()
        for i in np.flatnonzero(np.isnan(points).any(1)):
            points[i] = self.cells.judge.point(batch.state[i])
        return {"bits": bits, "points": points}


class Job(jobs.Job[Batch, Worker]):
    """An enumeration by linear programmes; tasks are the cells after the first few cuts, one each."""

    _kernel = cells.look
    worker: type[Worker] = Worker

    def __init__(self, whole: Cells, budget: Budget, clock: Clock, threads: int) -> None:
        control = np.zeros(2, np.int64)
        workers = [self.worker(whole, control) for _ in range(threads)]
        super().__init__(self._cells(whole), workers, control, budget, clock)

    def _cells(self, whole: Cells) -> Iterator[Batch]:
        batch = whole.start()
        while len(batch) < TASKS and batch.k < whole.live.n:
            batch = whole.split(batch)
        yield from (batch.only(slice(i, i + 1)) for i in range(len(batch)))

    def _do(self, worker: Worker, task: Batch) -> jobs.Found:
        return worker.run(task, self.cap + 1, self._found)

    def _count(self, arrays: dict[str, Array]) -> int:
        return len(arrays["bits"])
