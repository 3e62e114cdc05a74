"""Depth first through the cells of a domain, in batches: every region once, or what a budget allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splinegeo._types import Array
from splinegeo.lp import cells
from splinegeo.lp.fold import Folder, Live
from splinegeo.lp.judge import Judge
from splinegeo.lp.places import Place

BATCH_BYTES = 1 << 23  # of the rows of a batch
MOST_CELLS = 512  # in a batch


@dataclass
class Batch:
    """Cells that have got past the first k hinges."""

    k: int
    rows: Array  # (B, N, d + 1) of lower levels and of the level that hinge k - 1 is on
    errors: Array  # (B, N)
    scales: Array  # (B, N)
    copies: Array  # (B, N)
    block: Array  # (n,) which of the rows a cell has
    state: Array  # (n, N), see `splinegeo.lp.cells`
    witness: Array  # (n, d) a point of each cell, or NaN

    def __len__(self) -> int:
        return len(self.block)

    def only(self, chosen: Array | slice) -> Batch:
        """Some of the cells."""
        return replace(self, block=self.block[chosen], state=self.state[chosen], witness=self.witness[chosen])


class Cells:
    """A network over one domain, ready to be walked through."""

    def __init__(self, folder: Folder, place: Place, live: Live | None = None) -> None:
        self.live: Live = live or folder.fold(place)
        self.folder, self.place = folder, place
        n, d = self.live.n, self.live.dim
        self.most = int(np.clip(BATCH_BYTES // (8 * (n + 1) * (d + 1)), 4, MOST_CELLS))
        self.seen = np.zeros((n, 2), bool)  # on which sides of each hinge there are points of the domain

    @cached_property
    def judge(self) -> Judge:
        """Made when first asked, which most domains never do."""
        return Judge(self.folder, self.live, self.place)

    def twin(self) -> Cells:
        """The same cells with a judge and a memory of their own, for another thread."""
        return Cells(self.folder, self.place, self.live)

    def start(self) -> Batch:
        """The domain as a single cell."""
        n, d = self.live.n, self.live.dim
        return Batch(
            0,
            np.zeros((1, n, d + 1)),
            np.zeros((1, n)),
            np.ones((1, n)),
            np.zeros((1, n), np.int64),
            np.zeros(1, np.int64),
            np.zeros((1, n), np.int8),
            np.zeros((1, d)),
        )

    def with_rows(self, batch: Batch) -> Batch:
        """The batch with the rows of hinge k and of all others on its level."""
        live = self.live
        level = int(np.searchsorted(live.levels, batch.k))
        if level == len(live.levels) or live.levels[level] != batch.k:
            return batch
        n, d = live.n, live.dim
        rows, errors, scales = np.zeros((len(batch), n, d + 1)), np.zeros((len(batch), n)), np.ones((len(batch), n))
        copies = np.zeros((len(batch), n), np.int64)
        cells.fill_rows(
            batch.k,
            int(live.levels[level + 1]),
            live.constant,
            live.hinges,
            live.slopes,
            live.error,
            batch.state,
            batch.block,
            batch.rows,
            batch.errors,
            batch.scales,
            batch.copies,
            rows,
            errors,
            scales,
            copies,
            self.place.outer,
        )
        return replace(batch, rows=rows, errors=errors, scales=scales, copies=copies, block=np.arange(len(batch)))

    def look(self, batch: Batch, k: int) -> tuple[Array, Array]:
        """On which sides of hinge k each cell has points: found (n, 2), YES or NO, and points (n, 2, d) or NaN."""
        n, d = batch.witness.shape
        found, points = np.empty((n, 2), np.int8), np.empty((n, 2, d))
        rows = batch.rows, batch.errors, batch.scales, batch.copies, batch.block
        cells.look(k, *rows, batch.state, batch.witness, found, points, self.place.inner, self.place.outer)
        for i in np.nonzero((found == cells.OPEN).any(1))[0]:
            b = batch.block[i]
            self.judge.settle(k, batch.state[i], batch.rows[b], batch.errors[b], batch.scales[b], found[i])
        self.seen[k] |= (found == cells.YES).any(0)
        return found, points

    def split(self, batch: Batch) -> Batch:
        """The cells cut by hinge k."""
        batch = self.with_rows(batch)
        found, points = self.look(batch, batch.k)
        n, d = batch.witness.shape
        block, state = np.empty(2 * n, np.int64), np.zeros((2 * n, batch.state.shape[1]), np.int8)
        witness = np.empty((2 * n, d))
        size = cells.branch(batch.k, found, points, batch.block, batch.state, batch.witness, block, state, witness)
        return replace(batch, k=batch.k + 1, block=block[:size], state=state[:size], witness=witness[:size])

    def pieces(self, batch: Batch) -> list[Batch]:
        """The batch in parts that are not too large, the first last, as a stack wants them."""
        return [batch.only(slice(k, k + self.most)) for k in reversed(range(0, len(batch), self.most))]


def count_regions(ball: Cells, stop: Callable[[int], bool]) -> tuple[int, bool]:
    """The number of regions that meet the open domain, and whether that is all of them.

    ``stop(regions so far)`` ends the count early. Cells not yet split up hold at least a region each, and count for
    one.
    """
    found, stack = 0, [ball.start()]
    while stack:
        batch = stack.pop()
        if batch.k == ball.live.n:
            found += len(batch)
        else:
            stack += ball.pieces(ball.split(batch))
        waiting = sum(map(len, stack))
        if stack and stop(found + waiting):
            return found + waiting, False
    return found, True
