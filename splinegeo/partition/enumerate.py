"""Enumeration: tasks for the kernel, threads for the tasks, and the regions they find in one canonical order.

The search tree is cut after its first few splits into tasks that do not depend on the number of threads; every task
starts afresh, so the same regions come out bit for bit, in the same order, whoever ran it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, SplineGeoError, WrongType
from splinegeo._jit import warm
from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition import kernel
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.callback import Callback
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.frame import Frame
from splinegeo.partition.judge import Judge, Layout
from splinegeo.partition.link import join, link_task
from splinegeo.partition.memory import Table
from splinegeo.partition.normal_form import hinge_levels
from splinegeo.partition.outputs import Outputs
from splinegeo.partition.plan import build
from splinegeo.partition.signs import SIGNS
from splinegeo.partition.state import STARTED, add_output, add_state, grow, take_output

SPLITS_PER_TASK = 6  # 64 tasks: enough to keep threads busy, few enough to cost nothing
CHUNK = 1 << 14  # regions a buffer holds


@dataclass(frozen=True, eq=False)
class Problem:
    """A network over a polygon in a slice, prepared for the kernel; nothing in it changes."""

    network: SplineNetwork
    frame: Frame
    exact: ExactNetwork
    layout: Layout
    plan: dict[str, Array]
    outputs: Outputs
    bits: Array  # (H,) breakpoint of the network for each hinge

    @classmethod
    def of(cls, network: SplineNetwork, origin: Array, basis: Array, corners: Array) -> Problem:
        """Prepare a network; z = origin + basis @ u, corners (k, 2) counter-clockwise in u."""
        frame = Frame.of(corners)
        exact = ExactNetwork(network, origin, basis, frame)
        levels, places = hinge_levels(network, exact.affine_prefix())
        outputs = Outputs.compress(levels)
        plan, exponent = build(levels, frame)
        layout = Layout(exact, places, plan["offsets"])
        bits = np.concatenate([lv.breakpoints for lv in levels[:-1]] or [np.zeros(0, np.int64)])
        return cls(network, frame, exact, layout, plan, outputs.scaled(exponent), bits)

    def judge(self, packed: Array) -> Judge:
        """Exact answers under a fixed pattern, given as packed hinge activations."""
        hinges = len(self.bits)
        return Judge(self.exact, self.layout, np.unpackbits(packed, count=hinges, bitorder="little").astype(np.int8))


class Worker:
    """One thread's kernel state and judge."""

    def __init__(self, problem: Problem, control: Array) -> None:
        self.table = Table(problem.plan)
        add_state(self.table)
        self.table["control"] = control
        self._keep_maps = problem.outputs.keep
        add_output(self.table, CHUNK, 6 * CHUNK, self._keep_maps)
        self.judge = Judge(problem.exact, problem.layout, self.table["bits"])
        self._callback = Callback(self._answer)

    def _answer(self, kind: int, level: int, p: int, q: int, vertex: int) -> int:
        if vertex < 0:
            vertex = self.judge.vertex(p, q)
        if kind == SIGNS:
            signs = self.judge.signs(vertex, level)
            self.table["answer_signs"][: len(signs)] = signs
        else:
            self.table["answer_point"][:] = self.judge.position(vertex)
        return vertex

    def run(self, code: int, limit: int, found: Callable[[int, int], None]) -> tuple[dict[str, Array], bool]:
        """The regions of one task, linked among themselves, and whether they are all there."""
        parts: list[dict[str, Array]] = []
        left = limit
        self.table["scalars"][STARTED] = 0
        while True:
            status = kernel.walk(self.table.address, self._callback.address, code, SPLITS_PER_TASK, left)
            if status == kernel.GROW:
                grow(self.table)
                continue
            if status == kernel.ERROR:
                raise self._callback.error or SplineGeoError("the kernel failed without saying why")
            parts.append(take_output(self.table))
            n = len(parts[-1]["corners"])
            left -= n
            found(n, sum(a.nbytes for a in parts[-1].values()))
            if status == kernel.FULL and left > 0:
                if n == 0:  # one region with more corners than a buffer holds
                    add_output(self.table, CHUNK, 2 * len(self.table["out_xy"]), self._keep_maps)
                continue
            whole = {k: np.concatenate([p[k] for p in parts]) if len(parts) > 1 else parts[0][k] for k in parts[0]}
            whole["twin"] = link_task(whole["key"])
            return whole, status == kernel.DONE


def n_threads(threads: int | None) -> int:
    """The number of threads to use: all cores by default.

    Raises:
        InvalidArgument, WrongType: not a positive whole number.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)):
        raise WrongType(f"partition(threads={threads!r}): a whole number is expected, or None for all cores")
    if threads < 1:
        raise InvalidArgument(f"partition(threads={threads}): at least one thread is needed")
    return int(threads)


def enumerate_regions(
    problem: Problem, budget: Budget, threads: int, progress: Callable[[int], Any]
) -> tuple[dict[str, Array], str]:
    """All regions (see `join` for the arrays) and, where they are not all there, the reason."""
    control = np.zeros(2, np.int64)
    clock = Clock(budget)
    cap = budget.regions or np.iinfo(np.int64).max
    tasks = 1 << SPLITS_PER_TASK if len(problem.layout.places) else 1
    done: dict[int, tuple[dict[str, Array], bool]] = {}
    held = [0, 0]
    reason = ""

    def found(n: int, size: int) -> None:
        held[0] += n
        held[1] += size

    workers = [Worker(problem, control) for _ in range(min(threads, tasks))]
    warm(kernel.walk, 0, 0, 0, 0, 0)
    idle, running, following, reported = list(workers), {}, 0, 0
    with ThreadPoolExecutor(len(workers), "splinegeo") as pool:
        try:
            while running or (following < tasks and not reason):
                while idle and following < tasks and not reason:
                    worker = idle.pop()
                    future: Future[tuple[dict[str, Array], bool]] = pool.submit(worker.run, following, cap, found)
                    running[future] = (following, worker)
                    following += 1
                finished, _ = wait(running, timeout=0.05, return_when=FIRST_COMPLETED)
                for future in finished:
                    task, worker = running.pop(future)
                    idle.append(worker)
                    done[task] = future.result()
                progress(held[0] - reported)
                reported = held[0]
                reason = reason or clock.reason(held[1])
                if reason:
                    control[0] = 1
                elif budget.regions is not None and _prefix(done, cap):
                    reason = f"budget of {budget.regions:,} regions"
                    control[0] = 1
        except KeyboardInterrupt:
            reason = "interrupted"
            control[0] = 1
            for future, (task, _) in running.items():
                done[task] = future.result()
        finally:
            control[0] = 1
    ordered = [done[k] for k in sorted(done)]
    if not ordered:
        ordered = [({**take_output(workers[0].table), "twin": np.zeros(0, np.int64)}, False)]
    complete = len(done) == tasks and all(whole for _, whole in ordered)
    if complete and sum(len(p["corners"]) for p, _ in ordered) <= cap:
        reason = ""
    return join([p for p, _ in ordered], problem, cap, not reason), reason


def _prefix(done: dict[int, tuple[dict[str, Array], bool]], cap: int) -> bool:
    """Whether the tasks finished without a gap hold more regions than the budget."""
    total = task = 0
    while task in done and total <= cap:
        total += len(done[task][0]["corners"])
        task += 1
    return total > cap or (total == cap and not all(done[k][1] for k in range(task)))
