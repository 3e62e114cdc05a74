"""What is left of a reduction over a smaller polygon."""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.live import Columns, Pass, Reduced, whole
from splinegeo.partition.longs import exactly
from splinegeo.partition.normal_form import Level
from splinegeo.partition.outline import Outline
from splinegeo.partition.relaxation import EPS
from splinegeo.partition.stopping import checkpoint
from splinegeo.partition.windows import Windows


def refold(given: Reduced, outline: Outline) -> Reduced:
    """What is left of ``given`` over a smaller outline."""
    state = Pass(outline)
    carried, _ = state.add_probes(np.array(given.probes, np.int64))
    hinges: dict[int, Columns] = {}
    for index, level in enumerate(given.levels):
        checkpoint()
        x, largest = _combined(level, hinges, carried, state.n_live)
        if index + 1 == len(given.levels):
            break
        above, live, low, high = state.sides(x, np.arange(level.n), np.zeros(level.n), level.breakpoints)
        slope = np.where(live, 0.0, np.where(above, level.slopes[:, 1], level.slopes[:, 0]))
        kept = np.nonzero(live)[0]
        probed, probes = state.add_probes(level.breakpoints)
        names = level.breakpoints[kept], *(v[kept] for v in given.names[index])
        places = state.add(index, x.only(kept), level.slopes[kept], names, low[kept], high[kept])
        folded = np.zeros((state.n_live, level.n))
        np.multiply(x.hinges.dense(), slope, out=folded[: x.hinges.live])
        folded[places, kept] = 1.0
        folded[probes, probed] = 1.0
        error = np.abs(slope) * (x.error + 2 * EPS * x.magnitude())
        hinges[index] = Columns(exactly(x.affine.hi * slope), Windows.whole(folded), error)
    state.active.append(given.folded.active)
    state.flat.append(given.folded.flat)
    constant, rest = given.levels[-1].shared
    return state.finish(x, np.array([constant, 0.0]) + largest * rest)


def _combined(level: Level, hinges: dict[int, Columns], carried: Array, live: int) -> tuple[Columns, Array]:
    """The rows of a level, its inputs put in; the first places are those of ``carried`` of its probes.

    And (2,) the largest of the inputs: their affine parts, and what hinges add, relative to the largest hinge.
    """
    affine, through = level.constant.T.copy(), np.zeros((live, level.n))
    size = np.stack([np.abs(level.constant).sum(1), np.zeros(level.n)])
    error, largest = np.stack([level.constant_slack, np.zeros(level.n)]), np.zeros(2)
    terms = 0
    exact = np.all([whole(level.probes), *(whole(block) for block in level.blocks.values())], 0)
    if len(carried):
        through[: len(carried)] = level.probes[:, carried].T
        size[1] = np.abs(through).sum(0)
        largest[1] = 1.0
    for k, block in level.blocks.items():
        h = hinges[k]
        affine += h.affine.hi @ block.T
        through[: h.hinges.live] += h.hinges.dense() @ block.T
        weight, reach = np.abs(block).T, h.magnitude()
        size += reach @ weight
        error += h.error @ weight
        largest = np.maximum(largest, (reach + h.error).max(1, initial=0.0))
        terms += block.shape[1]
        exact &= ~(block[:, ~whole(h.hinges.dense().T)] != 0).any(1)
    # Sums of whole numbers are exact: where one is zero, it is certain that nothing is left.
    size[1, exact] = 0.0
    rounding = (terms + 8) * EPS if level.blocks else 0.0
    # The level's own error is relative to the largest of its inputs, each part of which is at most this.
    error += largest[:, None] * level.slack + rounding * size * (1 + 2 * rounding)
    return Columns(exactly(affine), Windows.whole(through), error), largest
