"""Regions in a ball of a network with maxima, whose tournaments cut more than there is to cut.

The engine finds pieces of regions. Where each maximum has its winner and each unit its side the region is convex, so
pieces with the same decisive pattern are one region, and different patterns are what there is to count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.lp.enumerate import patterns_of
from splinegeo.lp.walk import Cells
from splinegeo.networks.graph import Knot, Maximum, SplineNetwork
from splinegeo.partition.lowering import Lowered, lower


class Pooled:
    """Counts the regions of one network by their patterns."""

    def __init__(self, network: SplineNetwork, kind: str) -> None:
        if kind != "regions":
            name = next(node.name for node in network.nodes if isinstance(node, Maximum))
            raise UnsupportedOperation(
                f"local_complexity: '{name}' takes maxima of several entries (max-pooling, Maxout), where no single "
                f"unit changes sign; kind='regions' counts its regions, and kind='vertices' takes it, too"
            )
        self.network = network
        self.lowered: Lowered = lower(network)
        self.layers = tuple(network.nodes[i].name for i in network.knots)

    def count(self, ball: Cells, stop: Callable[[int, int], bool]) -> tuple[int, bool, Array]:
        """The regions that meet the ball, whether that is all, and by layer (L,) the units that differ among them.

        A unit that differs has both signs in the ball, or different winners. ``stop(regions so far, bytes)`` ends the
        count early, with a lower bound.
        """
        seen: dict[bytes, None] = {}
        stack, complete = [ball.start()], True
        while stack and complete:
            batch = stack.pop()
            if batch.k < ball.live.n:
                stack += ball.pieces(ball.split(batch))
            else:
                bits = np.packbits(batch.state > 0, axis=1, bitorder="little")
                packed = patterns_of(bits, ball, self.lowered, self.network)
                seen.update((row.tobytes(), None) for row in packed)
            complete = not (stack and stop(len(seen), len(seen) * (100 + len(next(iter(seen), b"")))))
        return max(1, len(seen)), complete, self._differing(list(seen))

    def _differing(self, patterns: list[bytes]) -> Array:
        if not patterns:
            return np.zeros(len(self.layers), np.int64)
        rows = np.frombuffer(b"".join(patterns), np.uint8).reshape(len(patterns), -1)
        some, all_ = np.bitwise_or.reduce(rows, axis=0), np.bitwise_and.reduce(rows, axis=0)
        bits = np.unpackbits(some ^ all_, count=self.network.n_breakpoints, bitorder="little").astype(bool)
        counts, first = [], 0
        for node in (self.network.nodes[i] for i in self.network.knots):
            assert isinstance(node, Knot | Maximum)
            here = bits[first : first + node.size * node.breakpoints_per_unit]
            first += len(here)
            # As many comparisons as a maximum takes, it is one unit.
            counts.append(here.sum() if isinstance(node, Knot) else here.reshape(node.size, -1).any(1).sum())
        return np.array(counts, np.int64)
