"""A smallest example of what the published estimate misses, to look at and to run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.complexity.api import local_complexity
from splinegeo.complexity.crossing import find_crossing, probe
from splinegeo.complexity.vertices import vertex_bits
from splinegeo.lp import cells
from splinegeo.lp.fold import Folder
from splinegeo.lp.places import Place
from splinegeo.lp.walk import Cells
from splinegeo.networks.graph import SplineNetwork

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False, repr=False)
class Witness:
    """A ball in which a unit changes sign without doing so among the ball's vertices.

    The ball has the fewest dimensions that taking directions out of a frame one by one leads to.
    """

    ball: L1Ball
    unit: str  # as `SplineNetwork.unit_name` has it
    breakpoint: int
    above: Array  # (E,) latents in the ball at which the pre-activation is above and below the breakpoint
    below: Array
    vertices: int  # the estimate in this ball
    crossing: int  # units that cross it

    def rerun(self, net: nn.Module | SplineNetwork) -> tuple[int, int]:
        """The estimate and the exact number of crossing units, counted again."""
        ball = self.ball
        kinds = ("vertices", "crossing")
        found = [local_complexity(net, ball.center, ball.radius, kind=k, frame=ball.frame) for k in kinds]
        return int(found[0]), int(found[1])

    def __repr__(self) -> str:
        return f"<Witness: {self.unit} crosses {self.ball!r}; {self.vertices} of {self.crossing} units are seen>"


def find_witness(net: SplineNetwork, ball: L1Ball, stop: Callable[[], bool] = lambda: False) -> Witness | None:
    """What the estimate misses in a ball, in as few dimensions as possible; None if it misses nothing.

    ``stop()`` ends the search for a smaller one, or with None the search for points on either side.
    """
    folder = Folder(net)
    frame = ball.frame
    missed = _missed(net, folder, ball.center, ball.radius, frame, stop)
    if not len(missed[0]):
        return None
    column = 0
    while column < frame.shape[1] > 1 and not stop():
        smaller = np.delete(frame, column, 1)
        found = _missed(net, folder, ball.center, ball.radius, smaller, stop)
        if len(found[0]):
            frame, missed = smaller, found
        else:
            column += 1
    bits, seen, crossing, walked = missed
    for bit in bits:
        points = _both_sides(walked, int(bit), stop)
        if points is not None:
            above, below = (ball.center + ball.radius * (frame @ v) for v in points)
            unit = net.unit_name(int(net.breakpoint_units[bit]))
            return Witness(L1Ball(ball.center, ball.radius, frame), unit, int(bit), above, below, seen, crossing)
    return None


def _missed(
    net: SplineNetwork, folder: Folder, center: Array, radius: float, frame: Array, stop: Callable[[], bool]
) -> tuple[Array, int, int, Cells]:
    """Breakpoints that cross and are not seen at the vertices, how many are seen, how many cross, and the ball."""
    ball = Cells(folder, Place.ball(center, radius, frame))
    probe(ball, np.random.default_rng(0))
    find_crossing(ball, lambda _: stop())
    crossing = ball.live.breakpoints[ball.seen.all(1)]
    seen = np.nonzero(vertex_bits(net, center, radius, frame))[0]
    return np.setdiff1d(crossing, seen), len(seen), len(crossing), ball


def _both_sides(ball: Cells, bit: int, stop: Callable[[], bool]) -> tuple[Array, Array] | None:
    """Points (P,) of the unit ball on either side of a breakpoint, if floats can tell them apart."""
    hinge = int(np.nonzero(ball.live.breakpoints == bit)[0][0])
    level = ball.live.levels[np.searchsorted(ball.live.levels, hinge, "right") - 1]
    sides: dict[int, Any] = {}
    stack = [ball.start()]
    while stack and not stop():
        batch = stack.pop()
        if batch.k < level:
            stack += ball.pieces(ball.split(batch))
            continue
        found, points = ball.look(ball.with_rows(batch), hinge)
        for side in (0, 1):
            sure = np.nonzero((found[:, side] == cells.YES) & ~np.isnan(points[:, side, 0]))[0]
            if len(sure):
                sides.setdefault(side, points[sure[0], side].copy())
        if len(sides) == 2:
            return sides[1], sides[0]
    return None
