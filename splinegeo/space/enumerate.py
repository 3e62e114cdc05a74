"""Enumeration in d dimensions: tasks for the kernel, threads for the tasks, the regions in one canonical order.

As in the plane (`splinegeo.partition.enumerate`), the search tree is cut after its first few splits into tasks that do
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.partition import job as jobs
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.callback import Callback
from splinegeo.partition.memory import Table
from splinegeo.space import cells, emit, kernel
from splinegeo.space.judge import SpaceJudge
from splinegeo.space.memory import FIELDS
from splinegeo.space.problem import Problem
from splinegeo.space.state import (
    N_OUT,
    N_VERTICES,
    STARTED,
    V_OUT,
    WORDS,
    add_output,
    add_state,
    add_vertices,
    grow_room,
    grow_stack,
    grow_words,
    take_regions,
    take_vertices,
)  # fmt: skip

CHUNK = 1 << 13  # regions a buffer holds
_GROW = {cells.ROOM_SHORT: grow_room, cells.STACK_SHORT: grow_stack, cells.WORDS_SHORT: grow_words}


class Worker:
    """One thread's arrays and judge."""

    def __init__(self, problem: Problem, control: Array) -> None:
        self.problem = problem
        self.table = Table(dict(problem.plan), FIELDS)
        self.dim = problem.hull.frame.dim
        add_state(self.table, self.dim, problem.words, problem.zeros_only)
        self.table["control"] = control
        add_output(self.table, CHUNK, CHUNK << min(self.dim, 5), CHUNK * 4 * self.dim)
        add_vertices(self.table, CHUNK << 1)
        facets = problem.hull.facets
        self.judge = SpaceJudge(problem.exact, problem.layout, self.table["bits"], facets)
        self._callback = Callback(self._answer)

    def _answer(self, kind: int, level: int, n: int, _: int, vertex: int) -> int:
        if vertex < 0:
            vertex = self.judge.vertex(self.table["asked"][:n].tolist())
        if kind == cells.SIGNS:
            signs = self.judge.signs(vertex, level)
            self.table["answer_signs"][: len(signs)] = signs
        else:
            self.table["answer_point"][:] = self.judge.point(vertex)
        return vertex

    def compile(self) -> None:
        """Have the kernels compiled, or loaded, by a walk that stops at once."""
        control, self.table["control"] = self.table["control"], np.ones(2, np.int64)
        kernel.walk(self.table.address, self._callback.address, 0, 0, 0)
        emit.rehash(self.table.address)
        self.table["control"] = control
        self.table["scalars"][STARTED] = 0

    def run(self, code: int, limit: int, found: Callable[[int, int], None]) -> tuple[dict[str, Array], bool]:
        """The regions of one task, and whether they are all there."""
        parts: list[dict[str, Array]] = []
        scalars = self.table["scalars"]
        left, known = limit, 0
        scalars[STARTED] = 0
        while True:
            status = kernel.walk(self.table.address, self._callback.address, code, self.problem.splits, left)
            if status in _GROW:
                _GROW[status](self.table)
                continue
            if status == cells.ERROR:
                raise self._callback.error or SplineGeoError("the kernel failed without saying why")
            if status == cells.FULL and scalars[V_OUT] + scalars[N_VERTICES] > len(self.table["vertex_error"]):
                add_vertices(self.table, 2 * len(self.table["vertex_error"]) + int(scalars[N_VERTICES]))
                emit.rehash(self.table.address)
                continue
            n = int(scalars[N_OUT])
            parts.append(take_regions(self.table))
            left -= n
            new, known = int(scalars[V_OUT]) - known, int(scalars[V_OUT])
            found(n, sum(a.nbytes for a in parts[-1].values()) + 8 * (self.dim + 2) * new)
            if status == cells.FULL and left > 0:
                if n == 0:  # one region that is larger than a buffer
                    words = int(scalars[WORDS])
                    add_output(
                        self.table, CHUNK, 2 * int(scalars[N_VERTICES]) + CHUNK, CHUNK * 4 * self.dim + 64 * words
                    )
                continue
            whole = _joined(parts)
            return {**whole, **take_vertices(self.table)}, status == cells.DONE

    def nothing(self) -> dict[str, Array]:
        """What `run` returns where no region was found."""
        return {**take_regions(self.table), **take_vertices(self.table)}


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    widest = max(p["tight"].shape[1] for p in parts)
    for p in parts:
        p["tight"] = np.pad(p["tight"], ((0, 0), (0, widest - p["tight"].shape[1])))
    return {k: np.concatenate([p[k] for p in parts]) if len(parts) > 1 else parts[0][k] for k in parts[0]}


class Job(jobs.Job[int, Worker]):
    """An enumeration in d dimensions; tasks are the subtrees of one problem, by their codes."""

    _kernel = kernel.walk

    def __init__(self, problem: Problem, budget: Budget, threads: int) -> None:
        control, n_tasks, clock = np.zeros(2, np.int64), 1 << problem.splits, Clock(budget)
        workers = [Worker(problem, control) for _ in range(min(threads, n_tasks))]
        super().__init__(iter(range(n_tasks)), workers, control, budget, clock)

    def _do(self, worker: Worker, task: int) -> tuple[dict[str, Array], bool]:
        return worker.run(task, self.cap + 1, self._found)

    def _count(self, arrays: dict[str, Array]) -> int:
        return len(arrays["counts"])
