"""Which regions share a facet, by linear programmes: for domains whose vertices are too many to be listed.

Both sides of a facet have the same walls and the same sides of all hinges, but for the wall that the facet lies on and
for later hinges that vanish all over it. A region asks about the walls that it lies above; whoever is across asks about
the others.
"""

from __future__ import annotations

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.lp import cells, facets
from splinegeo.lp.enumerate import Job, Worker, patterns_of, prepared
from splinegeo.lp.places import Place
from splinegeo.lp.walk import Batch
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition.budget import Budget, Clock


def neighbouring(network: SplineNetwork, place: Place, packed: Array, threads: int) -> Array:
    """Pairs (M, 2) of regions, the lower number first, that share a facet.

    packed (N, ceil(B / 8)) are the patterns of all regions over the domain, in the order of the numbers.
    """
    whole, lowered = prepared(network, place)
    job = _Job(whole, Budget(), Clock(Budget()), threads)
    reason = job.run(lambda _: None)
    if reason == "interrupted":
        raise KeyboardInterrupt
    parts = job.parts()
    bits, across, counts = (np.concatenate([p[name] for p in parts]) for name in ("bits", "across", "counts"))
    owner = np.repeat(np.arange(len(bits)), counts)
    number = {row.tobytes(): k for k, row in enumerate(packed)}
    # Pieces that only undecisive comparisons tell apart have the pattern, and so the number, of their region.
    mine, theirs = (patterns_of(rows, whole, lowered, network) for rows in (bits, across))
    try:
        first = np.array([number[row.tobytes()] for row in mine], np.int64)[owner]
        second = np.array([number[row.tobytes()] for row in theirs], np.int64)
    except KeyError as error:
        raise SplineGeoError(
            "partition: nothing lies across a facet; this is a bug, please report the network"
        ) from error
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second)], 1)
    return np.unique(pairs[first != second], axis=0)


class _Worker(Worker):
    """Finds with each region what lies across those of its facets that it lies above."""

    def _leaves(self, batch: Batch) -> dict[str, Array]:
        found, place = np.empty(batch.state.shape, np.int8), self.cells.place
        shared = batch.rows, batch.errors, batch.scales, batch.block, batch.state, found
        facets.look_across(*shared, place.inner, place.outer)
        for i in np.flatnonzero((found == cells.OPEN).any(1)).tolist():
            self.cells.judge.settle_across(batch.state[i], *self._rows(batch, i), found[i])
        doubtful = np.empty(found.shape, np.int8)
        facets.proportional_rows(*shared, doubtful)
        owner, wall = np.nonzero(found == cells.YES)
        states = batch.state[owner] > 0
        states[np.arange(len(owner)), wall] = False
        for f in np.flatnonzero(doubtful[owner, wall]).tolist():
            states[f] = self.cells.judge.across(batch.state[owner[f]], int(wall[f]))
        return {
            "bits": np.packbits(batch.state > 0, axis=1, bitorder="little"),
            "counts": np.bincount(owner, minlength=len(batch)),
            "across": np.packbits(states, axis=1, bitorder="little"),
        }

    def _rows(self, batch: Batch, i: int) -> tuple[Array, Array, Array]:
        b = batch.block[i]
        return batch.rows[b], batch.errors[b], batch.scales[b]


class _Job(Job):
    worker = _Worker
