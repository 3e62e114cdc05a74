"""The parts of an enumeration that need nothing from each other, in canonical order.

A small network is one problem, whose search tree is cut into subtrees. A large one is reduced to what is live on the
domain; where that is still much, the domain is cut in two along the kink of a unit of the first level, which is a
straight line, and each part is reduced again. Parts come out depth first, the same whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition.arguments import Reduction
from splinegeo.partition.enumerate import LARGE, Problem, Task, subtrees
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.frame import Frame
from splinegeo.partition.live import Reduced
from splinegeo.partition.lowering import Lowered, lower
from splinegeo.partition.normal_form import Level
from splinegeo.partition.outline import Outline
from splinegeo.partition.outputs import Outputs
from splinegeo.partition.reduce import Reducer, TooLarge
from splinegeo.partition.refold import refold

REROOT = 3  # times fewer live hinges before a reduction is reduced further
LEAF = 320  # live hinges that the walk is given at a time


def tasks(
    network: SplineNetwork,
    origin: Array,
    basis: Array,
    corners: Array,
    start: int = 0,
    *,
    reduction: Reduction | None = None,
) -> Iterator[Task]:
    """All tasks from number ``start`` on; together they cover the polygon with these corners (k, 2), each part once.

    z = origin + basis @ u. The list depends on ``reduction``, neither on the number of threads nor on ``start``.
    """
    options = reduction or Reduction()
    if network.n_breakpoints <= LARGE:
        yield from subtrees(Problem.of(network, origin, basis, corners), start)
        return
    frame = Frame.of(corners)
    lowered = lower(network, origin, basis)
    exact = ExactNetwork(lowered.network, origin, basis, frame)
    cutter = _Cutter(
        network, lowered, exact, Reducer(exact, memory=options.memory, device=options.device), ThreadpoolController()
    )
    for index, leaf in enumerate(cutter.leaves(Outline.of(frame))):
        if index >= start:
            yield Task(index, cutter.problem(*leaf), 0)


@dataclass(frozen=True, eq=False)
class _Cutter:
    """Cuts an outline into parts that are small enough for the walk."""

    network: SplineNetwork
    lowered: Lowered
    exact: ExactNetwork
    reducer: Reducer
    blas: ThreadpoolController

    def leaves(self, outline: Outline, given: Reduced | None = None) -> Iterator[tuple[Outline, Reduced]]:
        """The parts of ``outline`` and what is left on each of the network, or of ``given``, a reduction of it."""
        # Matrices are small, and a BLAS that spreads them over busy cores takes a hundred times as long.
        with self.blas.limit(limits=1, user_api="blas"):
            reduced = refold(given, outline) if given is not None else self._reduced(outline)
        # Errors grow with every reduction of a reduction, so there are few: parts go back to an ancestor's until theirs
        # is much smaller.
        source = reduced if given is None or (reduced and REROOT * reduced.n_live < given.n_live) else given
        first = self.reducer.first_level(outline) if reduced is None else reduced
        parts = None if reduced is not None and reduced.n_live <= LEAF else self._halves(outline, first)
        if parts is not None:
            for part in parts:
                yield from self.leaves(part, source)
        elif reduced is not None:
            yield outline, reduced
        else:  # nothing to cut along: as much memory as it takes
            with self.blas.limit(limits=1, user_api="blas"):
                reduced = self._outputs_rotated(self.reducer.reduce(outline, limited=False))
            yield outline, reduced

    def _reduced(self, outline: Outline) -> Reduced | None:
        """The network over ``outline``; None if that takes too much memory."""
        if not self.reducer.promising(self.reducer.first_level(outline)):
            return None
        try:
            return self._outputs_rotated(self.reducer.reduce(outline))
        except TooLarge:
            return None

    def problem(self, outline: Outline, reduced: Reduced) -> Problem:
        """What the walk is given."""
        with self.blas.limit(limits=1, user_api="blas"):
            outputs = Outputs.rotate(reduced.levels)
        return Problem.assemble(
            self.network,
            self.lowered,
            self.exact,
            reduced.levels,
            reduced.places,
            outline,
            reduced.folded,
            outputs,
            reduced.probes,
        )

    @staticmethod
    def _outputs_rotated(reduced: Reduced) -> Reduced:
        Outputs.rotate(reduced.levels)
        return reduced

    def _halves(self, outline: Outline, reduced: Reduced) -> tuple[Outline, Outline] | None:
        """The outline cut along the kink of a live hinge of the first level; None where none crosses."""
        if len(reduced.levels) < 2 or reduced.levels[0].blocks:
            return None
        level, names = reduced.levels[0], reduced.names[0]
        if any(self.reducer.depth[self.exact.network.nodes[i].inputs[0]] for i in set(names[0].tolist())):
            return None
        # A good cut is across the longer way, and in the middle.
        at = level.constant @ outline.rows()[:, :3].T
        steep = np.hypot(level.constant[:, 0], level.constant[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.minimum(at.max(1), -at.min(1)) / steep
        score = np.where(np.isfinite(score) & (score > 0), score, -1.0)
        for k in np.argsort(-score, kind="stable"):
            if score[k] < 0:
                break
            line = self._kink(names, k)
            parts = outline.cut(line, self._coincident(level, names, k, line))
            if parts is not None:
                return parts
        return None

    def _kink(self, names: tuple[Array, Array, Array], k: int) -> tuple[int, int, int]:
        node, unit, which = (int(v[k]) for v in names)
        return self.exact.kink(node, unit, which)

    def _coincident(
        self, level: Level, names: tuple[Array, Array, Array], k: int, line: tuple[int, int, int]
    ) -> dict[int, int]:
        """The hinges of the first level that vanish on the kink of hinge k, and the signs of their factors."""
        rows = level.constant / np.maximum(np.linalg.norm(level.constant, axis=1), 1e-300)[:, None]
        near = np.abs(np.abs(rows @ rows[k]) - 1) < 1e-9
        found = {}
        for j in np.nonzero(near)[0]:
            a, b, c = self._kink(names, int(j))
            d, e, f = line
            if a * e == b * d and b * f == c * e and a * f == c * d:
                found[int(level.breakpoints[j])] = 1 if a * d + b * e + c * f > 0 else -1
        return found
