"""Enumeration: tasks for the kernel, threads for the tasks, and the regions they find in one canonical order.

The search tree is cut after its first few splits into tasks that do not depend on the number of threads; every task
starts afresh, so the same regions come out bit for bit, in the same order, whoever ran it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, SplineGeoError, WrongType
from splinegeo._types import Array
from splinegeo.networks.graph import Maximum, SplineNetwork
from splinegeo.partition import job as jobs
from splinegeo.partition import kernel
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.callback import Callback
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.flips import Derivatives
from splinegeo.partition.frame import Frame
from splinegeo.partition.interrupts import first_interrupt_waits
from splinegeo.partition.judge import Judge, Layout
from splinegeo.partition.link import join, link_task, network_bits
from splinegeo.partition.lowering import Lowered, lower
from splinegeo.partition.memory import Table
from splinegeo.partition.normal_form import Level, Places, hinge_levels
from splinegeo.partition.outline import Outline
from splinegeo.partition.outputs import Outputs
from splinegeo.partition.plan import Folded, build
from splinegeo.partition.ranks import Patterns, settle, settle_parts
from splinegeo.partition.signs import SIGNS
from splinegeo.partition.state import STARTED, add_output, add_state, grow, take_output
from splinegeo.partition.stopping import gives_up
from splinegeo.partition.unite import decisive_patterns

# Tasks: enough of them to keep threads busy, few enough to cost nothing; fewer for networks that take milliseconds.
SPLITS_PER_TASK, SPLITS_PER_SMALL_TASK, SMALL = 7, 4, 512  # the last in hinges
LARGE = 2048  # breakpoints above which a network is reduced before it is walked
CHUNK = 1 << 14  # regions a buffer holds


@dataclass(frozen=True, eq=False)
class Problem:
    """A network over a polygon in a slice, prepared for the kernel; nothing in it changes."""

    network: SplineNetwork
    origin: Array  # (E,) the slice
    basis: Array  # (E, 2)
    frame: Frame
    exact: ExactNetwork
    layout: Layout
    plan: dict[str, Array]
    outputs: Outputs
    derivatives: Derivatives | None  # where maps are not kept to be compared
    bits: Array  # (H,) breakpoint of the network for each hinge
    breakpoints: Array  # (B,) breakpoint of the network for each of the lowered one
    base: Array  # (ceil(B / 8),) packed activations of what is folded away
    part: bool  # of a larger problem: its search tree is a single task

    @classmethod
    def of(cls, network: SplineNetwork, origin: Array, basis: Array, corners: Array) -> Problem:
        """Prepare a network; z = origin + basis @ u, corners (k, 2) counter-clockwise in u."""
        frame = Frame.of(corners)
        lowered = lower(network, origin, basis)
        exact = ExactNetwork(lowered.network, origin, basis, frame)
        levels, places = hinge_levels(lowered.network, exact.affine_prefix())
        none = np.zeros(0, np.int64)
        outputs = Outputs.compress(levels)
        folded = Folded(none, none, part=False)
        return cls.assemble(network, lowered, exact, levels, places, Outline.of(frame), folded, outputs)

    @classmethod
    def assemble(
        cls,
        network: SplineNetwork,
        lowered: Lowered,
        exact: ExactNetwork,
        levels: list[Level],
        places: Places,
        outline: Outline,
        folded: Folded,
        outputs: Outputs,
        probes: tuple[int, ...] = (),
    ) -> Problem:
        """The problem of the levels on an outline; ``levels`` are used up, ``probes`` are what theirs belong to."""
        plan, exponent = build(levels, exact.frame, outline, folded)
        derivatives = None if outputs.keep else Derivatives.of(levels, plan, outline, probes)
        layout = Layout(exact, places, plan["offsets"], outline, folded.active)
        hinges = np.concatenate([lv.breakpoints for lv in levels[:-1]] or [np.zeros(0, np.int64)])
        base = np.zeros(network.n_breakpoints, np.uint8)
        base[lowered.breakpoints[folded.active]] = base[lowered.active] = 1
        return cls(
            network,
            exact.origin,
            exact.basis,
            exact.frame,
            exact,
            layout,
            plan,
            outputs.scaled(exponent),
            derivatives,
            lowered.breakpoints[hinges],
            lowered.breakpoints,
            np.packbits(base, bitorder="little"),
            folded.part,
        )

    def patterns(self, bits: Array) -> Array:
        """Packed patterns (N, ceil(B / 8)) over the network's breakpoints from those over the hinges, (N, .)."""
        packed = network_bits(bits, self.bits, self.network.n_breakpoints)
        if self.part or self.has_maxima:
            packed = packed | self.base
        return decisive_patterns(self.network, packed) if self.has_maxima else packed

    @cached_property
    def has_maxima(self) -> bool:
        """Whether the walk finds pieces of regions, which `unite` joins."""
        return any(isinstance(node, Maximum) for node in self.network.nodes)

    @property
    def splits(self) -> int:
        """Depth at which the search tree is cut into tasks."""
        if self.part or not len(self.bits):
            return 0
        return SPLITS_PER_SMALL_TASK if len(self.bits) <= SMALL else SPLITS_PER_TASK

    def judge(self, packed: Array) -> Judge:
        """Exact answers under a fixed pattern, given as packed hinge activations."""
        hinges = len(self.bits)
        return Judge(self.exact, self.layout, np.unpackbits(packed, count=hinges, bitorder="little").astype(np.int8))


@dataclass(frozen=True, eq=False)
class Task:
    """One subtree of a problem's search tree; a `Worker` of the problem runs it."""

    index: int  # position in the canonical order
    problem: Problem
    code: int


def subtrees(problem: Problem, start: int = 0) -> Iterator[Task]:
    """The tasks of a problem, from number ``start`` on."""
    for code in range(start, 1 << problem.splits):
        yield Task(code, problem, code)


class Worker:
    """One thread's kernel state and judge."""

    def __init__(self, problem: Problem, control: Array) -> None:
        self.problem = problem
        self.table = Table(problem.plan)
        add_state(self.table)
        self.table["control"] = control
        self._splits = problem.splits
        self._keep = problem.outputs.keep, problem.has_maxima or problem.part
        add_output(self.table, CHUNK, 6 * CHUNK, *self._keep)
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

    def compile(self) -> None:
        """Have the kernel compiled, or loaded, by a walk that stops at once."""
        control, self.table["control"] = self.table["control"], np.ones(2, np.int64)
        kernel.walk(self.table.address, self._callback.address, 0, 0, 0)
        self.table["control"] = control
        self.table["scalars"][STARTED] = 0

    def run(self, code: int, limit: int, found: Callable[[int, int], None]) -> tuple[dict[str, Array], bool]:
        """The regions of one task, linked among themselves, and whether they are all there."""
        parts: list[dict[str, Array]] = []
        left = limit
        self.table["scalars"][STARTED] = 0
        while True:
            status = kernel.walk(self.table.address, self._callback.address, code, self._splits, left)
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
                    add_output(self.table, CHUNK, 2 * len(self.table["out_xy"]), *self._keep)
                continue
            whole = {k: np.concatenate([p[k] for p in parts]) if len(parts) > 1 else parts[0][k] for k in parts[0]}
            return self._finished(whole), status == kernel.DONE

    def nothing(self) -> dict[str, Array]:
        """What `run` returns where no region was found."""
        return self._finished(take_output(self.table))

    def _finished(self, found: dict[str, Array]) -> dict[str, Array]:
        found["twin"] = link_task(found["key"])
        if self.problem.part:  # bits and rows mean something to this problem only: what needs them is done here
            patterns = Patterns(self.problem, found["bits"])
            settle_parts(self.problem, found["sigma"], found["maps"], found["noise"], found["bits"], patterns)
            # Rows of different problems are scaled differently; an error of the singular values means the same to all.
            rows = self.table["offsets"][-1] - self.table["offsets"][-2]
            found["maps"] = np.empty((0, 0, 3))
            found["noise"] *= np.sqrt(2.0 * rows) * self.table["column_scale"].max()
        return found


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
    tasks: Iterator[Task], budget: Budget, threads: int, progress: Callable[[int], Any], *, settled: bool = True
) -> tuple[dict[str, Array], Problem, str]:
    """All regions (see `join` for the arrays), the first problem, and where they are not all there, the reason.

    Unless ``settled``, singular values near zero are left as the walk found them.
    """
    clock = Clock(budget)  # a reduction before the first task takes its time, too
    first = next(tasks)
    job = Job(chain([first], tasks), first.problem, budget, threads, clock)
    reason = job.run(progress)
    with first_interrupt_waits():
        arrays = join(job.parts(), first.problem, job.cap, not reason, threads)
        if settled and not first.problem.part:
            settle(first.problem, arrays)
    return arrays, first.problem, reason


class Job(jobs.Job[Task, Worker]):
    """An enumeration in the plane; tasks may be subtrees of one problem, or problems of their own."""

    _kernel = kernel.walk

    def __init__(self, tasks: Iterator[Task], first: Problem, budget: Budget, threads: int, clock: Clock) -> None:
        self._first = first
        # A problem that is cut into few subtrees keeps no more threads busy than there are.
        most = threads if first.part else min(threads, 1 << first.splits)
        control = np.zeros(2, np.int64)
        super().__init__(tasks, [Worker(first, control) for _ in range(most)], control, budget, clock)

    def _do(self, worker: Worker, task: Task) -> tuple[dict[str, Array], bool]:
        if task.problem is not worker.problem:  # which has no other task
            worker = Worker(task.problem, self._control)
        with gives_up(partial(self._abandons, task)):
            done = worker.run(task.code, self.cap + 1, self._found)
        if task.problem.part:  # the first thing that needs all of them in one numbering
            done[0]["bits"] = done[0]["patterns"] = task.problem.patterns(done[0]["bits"])
        return done

    def _abandons(self, task: Task) -> bool:
        """Whether work on a task is to end now; on small networks it ends soon, and partial results stand."""
        return bool(self._control[0]) and task.problem.part

    def _count(self, arrays: dict[str, Array]) -> int:
        return len(arrays["corners"])

    def _nothing(self) -> dict[str, Array]:
        nothing = super()._nothing()
        return {**nothing, "patterns": self._first.patterns(nothing["bits"])}
