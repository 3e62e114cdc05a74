"""Numbers that tell affine maps apart, whichever task they come from; exact comparison of those that they do not."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.enumerate import Problem
from splinegeo.partition.flips import different_across, different_within
from splinegeo.partition.maps import unpack
from splinegeo.partition.merging import components, linear_labels, same_by_graph
from splinegeo.partition.setting import Setting
from splinegeo.streaming.regions import TaskRegions

UNIT = 2.0**-53


def setting_of(problem: Problem) -> Setting:
    """What exact questions are put to; the same for all problems of a domain."""
    base = unpack(problem.base[None], problem.network.n_breakpoints)[0]
    known = np.setdiff1d(np.nonzero(base)[0], problem.breakpoints)  # comparisons that nobody enters on the right
    return Setting(problem.network, problem.exact, problem.breakpoints, known)


def linear_within(regions: TaskRegions, sides: Array) -> tuple[Array, int]:
    """Linear regions (N,) of a task's regions, joined through edges with these sides (., 2), and their number."""
    problem = regions.problem
    if not len(regions):
        return np.zeros(0, np.int64), 0
    if len(regions.maps):
        return linear_labels(problem, regions.bits, regions.maps, regions.noise, sides)
    left = sides[~different_within(problem, regions.bits, sides)]
    used, left = np.unique(left, return_inverse=True)  # patterns of large networks are long
    packed = problem.patterns(regions.bits[used])
    sigma, errors = regions.sigma[used], sigma_errors(regions)[used]
    same = same_by_graph(setting_of(problem), packed, sigma, errors, left.reshape(-1, 2))
    return components(used[same], len(regions))


def surely_across(regions: TaskRegions, owners: Array, chosen: Array) -> Array:
    """Whether (n,) the maps on both sides of the chosen half-edges (n,) on a task's outline are known to differ."""
    if not regions.problem.part:
        return np.zeros(len(chosen), np.bool_)
    labels, keys = regions.labels[chosen], regions.keys[chosen]
    return different_across(regions.problem, regions.bits, owners[chosen], labels, keys)


def sigma_errors(regions: TaskRegions) -> Array:
    """Bounds (N,) on the error of the singular values: at most the Frobenius norm of the error of A."""
    if regions.problem.part:
        return regions.noise
    plan = regions.problem.plan
    rows = int(plan["offsets"][-1] - plan["offsets"][-2])
    return regions.noise * (np.sqrt(2.0 * rows) * plan["column_scale"].max())


class Marks:
    """Four random combinations of the outputs where affine maps are kept, else the singular values.

    Marks that agree prove nothing, marks that differ by more than their errors do.
    """

    WIDTHS: ClassVar[tuple[int, int]] = (12, 2)  # of the one and the other

    def __init__(self, n_outputs: int) -> None:
        self.weights = np.random.default_rng(0).choice([-1.0, 1.0], (4, n_outputs))

    def of(self, regions: TaskRegions, chosen: Array) -> tuple[Array, Array]:
        """Marks (n, .) of the chosen regions (n,) and bounds (n,) on the error of each."""
        problem = regions.problem
        if not len(regions.maps):
            sigma = regions.sigma[chosen]
            return sigma, sigma_errors(regions)[chosen] + 1e-13 * sigma.sum(1)
        weights = self.weights if problem.outputs.q is None else self.weights @ problem.outputs.q
        maps, exponent = regions.maps[chosen], problem.outputs.exponent
        with np.errstate(over="ignore", invalid="ignore"):
            out = (weights @ maps).reshape(len(maps), 12)
            size = (np.abs(weights) @ np.abs(maps)).reshape(len(maps), 12).max(1)
            error = 1.01 * (np.abs(weights).sum(1).max() * regions.noise[chosen] + (maps.shape[1] + 8) * UNIT * size)
            # Near the end of the range of float64 numbers lose digits.
            return np.ldexp(out, exponent), np.ldexp(error, exponent) + 2e-323


def may_agree(marks: Array, errors: Array, others: Array, other_errors: Array) -> Array:
    """Whether (n,) the maps with these marks (n, .) and errors (n,) may be the same, pair by pair."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(marks - others).max(1, initial=0.0)
        return np.asarray(~(gap > 1.01 * (errors + other_errors)))


def same_maps(setting: Setting, patterns: Array, others: Array) -> Array:
    """Whether (n,) regions with these packed patterns (n, .) have the same affine maps as the others, pair by pair."""
    n = len(patterns)
    sides = np.stack([np.arange(n), n + np.arange(n)], 1)
    both, none = np.concatenate([patterns, others]), np.zeros(2 * n)
    # Without numbers to tell maps apart by, all is left to the structure and to exact arithmetic.
    same = np.zeros(n, bool)
    same[same_by_graph(setting, both, np.zeros((2 * n, 2)), none, sides)[:, 0]] = True
    return same
