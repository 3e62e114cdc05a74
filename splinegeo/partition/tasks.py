"""The parts of an enumeration that need nothing from each other, in canonical order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition.enumerate import Problem


@dataclass(frozen=True, eq=False)
class Task:
    """One subtree of a problem's search tree; a `Worker` of the problem runs it."""

    index: int  # position in the canonical order
    problem: Problem
    code: int


def tasks(network: SplineNetwork, origin: Array, basis: Array, corners: Array, start: int = 0) -> Iterator[Task]:
    """All tasks from number ``start`` on; together they cover the polygon with these corners (k, 2), each part once.

    z = origin + basis @ u. The list does not depend on the number of threads nor on ``start``.
    """
    problem = Problem.of(network, origin, basis, corners)
    for code in range(start, 1 << problem.splits):
        yield Task(code, problem, code)
