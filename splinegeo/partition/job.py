"""What the enumerations in the plane and in space have in common: tasks, threads for them, budgets, one order.

The list of tasks does not depend on the number of threads, and every task starts afresh, so the same regions come out,
in the same order, whoever ran it.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from splinegeo._jit import announce
from splinegeo._types import Array
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.crew import work_together
from splinegeo.partition.stopping import GivenUp, gives_up

NO_LIMIT = 1 << 62

Found = tuple[dict[str, Array], bool]  # the regions of one task, and whether they are all there


class Compiled(Protocol):
    """One thread's state of a kernel."""

    def compile(self) -> None:
        """Have the kernel compiled, or loaded."""

    def nothing(self) -> dict[str, Array]:
        """The arrays of a task without regions."""


T = TypeVar("T")
W = TypeVar("W", bound=Compiled)


class Job(ABC, Generic[T, W]):
    """The tasks of one enumeration and the threads that work through them, in order.

    Args:
        tasks: in canonical order; pulled by one thread at a time.
        workers: one for each thread.
        control: (2,) int64 that the workers' kernels look at: they stop once the first is 1.
        budget: regions to keep.
        clock: of the same budget; it runs already.
    """

    def __init__(self, tasks: Iterator[T], workers: Sequence[W], control: Array, budget: Budget, clock: Clock) -> None:
        self.cap = budget.regions or NO_LIMIT
        self._tasks, self._workers, self._control, self._clock = tasks, workers, control, clock
        self._lock = threading.Lock()
        self._taken = 0
        self._exhausted = self._given_up = False
        self._done: dict[int, Found] = {}
        self._regions = self._bytes = 0

    @property
    @abstractmethod
    def _kernel(self) -> Any:
        """The dispatcher whose compilation is announced."""

    @abstractmethod
    def _do(self, worker: W, task: T) -> Found:
        """The regions of one task, one more than ``cap`` at most: that tells "all" from "enough".

        Raises:
            GivenUp: the job is stopped, and there is nothing to keep of this task.
        """

    @abstractmethod
    def _count(self, arrays: dict[str, Array]) -> int:
        """How many regions the arrays of a task hold."""

    def _nothing(self) -> dict[str, Array]:
        """The arrays of a task without regions."""
        return self._workers[0].nothing()

    def _found(self, regions: int, size: int) -> None:
        """Called by the workers for every buffer of regions, with its bytes."""
        with self._lock:
            self._regions += regions
            self._bytes += size

    def _next_task(self) -> tuple[int, T] | None:
        """The next task and its number, unless there are no more, the job is stopped, or enough was found."""
        with self._lock:
            if self._exhausted or self._control[0] or self._first_regions() > self.cap:
                return None
            try:
                with gives_up(lambda: self._control[0] != 0):
                    task = next(self._tasks, None)
            except GivenUp:  # in the middle of a reduction: there is no going on from there
                self._exhausted = self._given_up = True
                return None
            if task is None:
                self._exhausted = True
                return None
            self._taken += 1
            return self._taken - 1, task

    def _work(self, worker: W) -> None:
        """Take one task after the other."""
        try:
            while (taken := self._next_task()) is not None:
                number, task = taken
                try:
                    self._done[number] = self._do(worker, task)
                except GivenUp:  # in exact arithmetic that takes long: the other tasks stand
                    return
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        self._control[0] = 1

    def _first_regions(self) -> int:
        """Regions of the tasks that are finished without a gap; beyond the budget, later ones are not needed."""
        if self.cap == NO_LIMIT:
            return 0
        total = task = 0
        while task in self._done:
            total += self._count(self._done[task][0])
            task += 1
        return total

    def run(self, progress: Callable[[int], Any]) -> str:
        """Do the work; empty, or the reason why some regions are missing."""
        announce(self._kernel)
        before = time.monotonic()
        self._workers[0].compile()
        self._clock.excuse(before)  # compiling is not what a budget is for
        reason, reported = "", 0

        def tick(_: int) -> None:
            nonlocal reason, reported
            progress(self._regions - reported)
            reported = self._regions
            reason = reason or self._clock.reason(self._bytes)
            if reason:
                self._stop()

        calls = [partial(self._work, worker) for worker in self._workers]
        if work_together(calls, len(calls), tick, self._stop):
            reason = "interrupted"
        if self._complete():
            reason = ""  # where a limit was reached, that was when all was done
        elif not reason:
            reason = f"budget of {self.cap:,} regions"
        return f"budget of {self.cap:,} regions" if self._first_regions() > self.cap else reason

    def _complete(self) -> bool:
        """Whether every task was done to its end, and no other is left."""
        done = len(self._done) == self._taken and all(whole for _, whole in self._done.values())
        return done and not self._given_up and (self._exhausted or not self._more())

    def _more(self) -> bool:
        """Whether there is another task, or none without another reduction."""
        try:
            with gives_up(lambda: True):
                return next(self._tasks, None) is not None
        except GivenUp:
            return True

    def parts(self) -> list[dict[str, Array]]:
        """What the tasks found, in order."""
        return [self._done[k][0] for k in sorted(self._done)] or [self._nothing()]
