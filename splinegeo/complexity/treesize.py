"""How many regions a ball has, from a random sample of its splitting tree.

The regions are the leaves of a tree that splits on one hinge after the other. From a sample of its cells at one depth,
all their children are found, and of these a sample of limited size is drawn: the mean number of children, multiplied
over all depths, is an unbiased estimate of the number of leaves (stochastic enumeration: R. Rubinstein, "Stochastic
enumeration method for counting NP-hard problems", Methodology and Computing in Applied Probability 15, 2013; with a
sample of one it is D. Knuth, "Estimating the efficiency of backtrack programs", Mathematics of Computation 29, 1975).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import t as student

from splinegeo.lp.walk import Cells

CELLS = 64  # in a sample, at most
WORK = 200_000  # cells in a sample times the square of the hinges, which is what a run takes
RUNS = 24  # independent ones
CONFIDENCE = 0.95


def one_run(ball: Cells, rng: np.random.Generator, most: int | None = None) -> float:
    """An unbiased estimate of the number of regions, from samples of ``most`` cells."""
    if most is None:
        most = int(np.clip(WORK // max(1, ball.live.n**2), 4, CELLS))
    batch, total = ball.start(), 1.0
    while batch.k < ball.live.n:
        before = len(batch)
        batch = ball.split(batch)
        total *= len(batch) / before
        if len(batch) > most:
            batch = batch.only(np.sort(rng.choice(len(batch), most, replace=False)))
    return total


def estimate(
    ball: Cells, rng: np.random.Generator, stop: Callable[[], bool] = lambda: False, runs: int = RUNS
) -> tuple[float, float, float]:
    """An unbiased estimate and a 95 % confidence interval, by Student's t over independent runs.

    Fewer runs than two, because ``stop()`` came first, leave NaN for the interval.
    """
    found: list[float] = []
    for _ in range(runs):
        found.append(one_run(ball, rng))
        if stop():
            break
    mean = float(np.mean(found))
    if len(found) < 2:
        return mean, math.nan, math.nan
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * np.std(found, ddof=1) / math.sqrt(len(found)))
    return mean, mean - half, mean + half
