"""The exact counts of one ball after the other, by threads, under one budget."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import ThreadpoolController

from splinegeo._jit import announce
from splinegeo._types import Array
from splinegeo.complexity.arguments import Balls
from splinegeo.complexity.bounds import most_regions
from splinegeo.complexity.crossing import find_crossing, probe
from splinegeo.complexity.pooled import Pooled
from splinegeo.complexity.treesize import estimate
from splinegeo.lp import cells
from splinegeo.lp.fold import Folder, TooLarge
from splinegeo.lp.places import Place
from splinegeo.lp.walk import Cells, count_regions
from splinegeo.networks.graph import Maximum, SplineNetwork
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.crew import work_together

MANY = 30  # crossing units beyond which counting regions may take for ever
_log = logging.getLogger("splinegeo")


@dataclass
class Count:
    """What is known about one ball; nothing, to begin with."""

    value: int
    upper: float
    complete: bool
    estimate: float
    interval: tuple[float, float]
    crossing: Array  # (L,) by layer
    reason: str

    @classmethod
    def nothing(cls, kind: str, layers: int, reason: str) -> Count:
        """Of a ball that was not looked at."""
        least = int(kind == "regions")
        return cls(least, math.inf, False, math.nan, (math.nan, math.nan), np.zeros(layers, np.int64), reason)


class Counter:
    """Counts regions or crossing units in balls of one network."""

    def __init__(self, network: SplineNetwork, kind: str, budget: Budget) -> None:
        self.pooled = Pooled(network, kind) if any(isinstance(n, Maximum) for n in network.nodes) else None
        plain = network if self.pooled is None else self.pooled.lowered.network
        self.folder, self.kind, self.budget = Folder(plain, budget.memory), kind, budget
        self.knots = list(network.knots)
        self.layers = tuple(network.nodes[i].name for i in self.knots)
        self._clock = Clock(budget)
        self._stopped = ""
        self._warned = False

    def run(
        self, balls: Balls, rng: np.random.Generator, threads: int, advance: Callable[[int], object]
    ) -> list[Count]:
        """What is known about each ball, in order."""
        before = time.monotonic()
        self._compile()
        self._clock.excuse(before)  # compiling is not what a budget is for
        generators = rng.spawn(len(balls))  # the same for each ball, whoever counts it
        out = [Count.nothing(self.kind, len(self.layers), "interrupted") for _ in range(len(balls))]

        def one(i: int) -> None:
            out[i] = self._one(balls.centers[i], balls.radius, balls.frame(i), generators[i])

        count = min(threads, max(1, len(balls)))
        # Products are small: what BLAS would gain by threads of its own, ours have already.
        alone = ThreadpoolController().limit(limits=1, user_api="blas") if count > 1 else nullcontext()
        with alone:
            work_together([partial(one, i) for i in range(len(balls))], count, advance, self._stop)
        return out

    def _stop(self) -> None:
        self._stopped = "interrupted"  # what is running returns what it has

    def _compile(self) -> None:
        """Have the kernels compiled, or loaded, by a ball with two regions."""
        announce(cells.look)
        fold = SplineNetwork.from_layers([[[1.0]], [[1.0]]], [[0.0], [0.0]])
        count_regions(Cells(Folder(fold), Place.ball(np.zeros(1), 1.0, np.eye(1))), lambda found: False)

    def _one(self, center: Array, radius: float, frame: Array, rng: np.random.Generator) -> Count:
        reason = self._reason(0)
        if reason:
            return Count.nothing(self.kind, len(self.layers), reason)
        try:
            ball = Cells(self.folder, Place.ball(center, radius, frame))
        except TooLarge:
            reason = "too many units may cross a ball for the memory that the budget allows, or 2 GB"
            return Count.nothing(self.kind, len(self.layers), reason)
        reasons: list[str] = []

        def stop(found: int, held: int = 0) -> bool:
            reasons[:] = [r for r in (self._reason(found, held),) if r]
            return bool(reasons)

        if self.pooled is not None:
            found, complete, layers = self.pooled.count(ball, stop)
            value = float(found) if complete else math.nan
            upper = value if complete else self._most(ball, np.arange(ball.live.n))
            return Count(found, upper, complete, value, (value, value), layers, "" if complete else reasons[0])
        if self.kind == "crossing":
            probe(ball, rng)
            complete = find_crossing(ball, stop)
            known = int(ball.seen.all(1).sum())
            upper = float(known if complete else ball.live.n)
            both = (float(known),) * 2 if complete else (math.nan,) * 2
            return Count(known, upper, complete, both[0], both, self._by_layer(ball), "" if complete else reasons[0])
        if ball.live.n > MANY and self.budget == Budget() and not self._warned:
            self._warn(ball, rng)
        found, complete = count_regions(ball, stop)
        if complete:
            value = float(found)
            return Count(found, value, True, value, (value, value), self._by_layer(ball), "")
        return self._beyond(ball, found, reasons[0], rng)

    def _warn(self, ball: Cells, rng: np.random.Generator) -> None:
        """Say, once a call, that a count may take for ever, where it may."""
        probe(ball, rng)
        known = int(ball.seen.all(1).sum())
        if known > MANY:
            self._warned = True
            _log.warning("%d units cross a ball, whose regions may be too many to count; consider a budget", known)

    def _beyond(self, ball: Cells, found: int, reason: str, rng: np.random.Generator) -> Count:
        """Bounds and an estimate for a ball with more regions than were counted."""
        interrupted = bool(self._stopped)
        probe(ball, rng)
        settled = not interrupted and find_crossing(ball, lambda cells_so_far: cells_so_far > max(found, 1000))
        may = np.nonzero(ball.seen.all(1))[0] if settled else np.arange(ball.live.n)
        upper = self._most(ball, may)
        mean, interval = math.nan, (math.nan, math.nan)
        if not interrupted:
            mean, low, high = estimate(ball, rng, lambda: bool(self._stopped))
            interval = (max(low, float(found)), min(high, upper)) if low == low else (math.nan, math.nan)
        return Count(found, upper, False, mean, interval, self._by_layer(ball), reason)

    def _most(self, ball: Cells, may: Array) -> float:
        """An upper bound on the regions where only the hinges ``may`` change sides."""
        return _rounded_up(most_regions(np.histogram(may, ball.live.levels)[0].tolist(), ball.live.dim))

    def _by_layer(self, ball: Cells) -> Array:
        """(L,) units of which both signs were seen."""
        nodes = ball.live.places[ball.seen.all(1), 0]
        return np.array([int((nodes == i).sum()) for i in self.knots], np.int64)

    def _reason(self, found: int, held: int = 0) -> str:
        if self._stopped:
            return self._stopped
        if self.budget.regions is not None and found > self.budget.regions:
            return f"budget of {self.budget.regions:,} regions in a ball"
        return self._clock.reason(held)


def _rounded_up(n: int) -> float:
    try:
        return float(n) if int(float(n)) >= n else float(np.nextafter(float(n), math.inf))
    except OverflowError:
        return math.inf
