"""Threads that work through tasks ahead of who takes the results, which come in the order of the tasks.

A thread lives while there is a task to take and ends when there is none: nobody who drops a half-used stream leaves a
thread behind that waits for ever. How far the threads run ahead is bounded in tasks and in bytes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from splinegeo._jit import announce
from splinegeo._types import Array
from splinegeo.partition import kernel
from splinegeo.partition.budget import Budget, Clock
from splinegeo.partition.enumerate import Problem, Task, Worker
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.stopping import GivenUp, gives_up

T = TypeVar("T")

TICK = 0.05  # seconds between two looks at the clock
AHEAD = 8  # tasks a thread that may wait to be taken: one long task must not hold all others up
AHEAD_BYTES = 1 << 27  # no further task is begun while this much waits to be taken


@dataclass
class Job(Generic[T]):
    """A task on its way, or done."""

    task: Task
    limit: int
    done: bool = False
    n_regions: int = 0
    size: int = 0  # bytes held
    whole: bool = False
    values: list[T] = field(default_factory=list)  # one, once done
    error: BaseException | None = None

    @property
    def value(self) -> T:
        """What was made of the task's regions."""
        return self.values[0]


class Stopped(Exception):
    """A limit was reached before the next task was done; the argument is the reason."""


class Pool(Generic[T]):
    """Runs ``work(task, arrays)`` on the regions of each task; `take` gives the results one after the other.

    Args:
        source: the tasks; pulled by whoever calls `take`, never by a thread.
        work: called in a thread with a task and the arrays of its regions (see `Worker.run`).
        threads: most threads at a time.
        budget: `take` raises `Stopped` once its seconds or memory are spent. No task yields more regions than
            one beyond ``budget.regions``.
        keeps: whether results hold on to the arrays; where they do, they count as held until they are taken.
    """

    def __init__(
        self,
        source: Iterator[Task],
        work: Callable[[Task, dict[str, Array]], T],
        threads: int,
        budget: Budget,
        *,
        keeps: bool,
    ) -> None:
        self._source, self._work, self._threads, self._keeps = source, work, threads, keeps
        self._budget = budget
        self._ahead_bytes = min(AHEAD_BYTES, (budget.memory or NO_LIMIT) // 2)
        self._clock: Clock | None = None
        self._compiled = False
        self._control = np.zeros(2, np.int64)
        self._change = threading.Condition()
        self._window: deque[Job[T]] = deque()  # begun or waiting, in order
        self._queue: deque[Job[T]] = deque()  # waiting for a thread
        self._running: set[threading.Thread] = set()
        self._spare: deque[tuple[Problem, Worker]] = deque(maxlen=threads)
        self._exhausted = False
        self._interrupted: Callable[[], bool] = lambda: False
        self.n_found = 0  # regions so far, those of tasks not yet taken included
        self.kept = 0  # bytes that whoever takes the results holds on to; they count as held

    def take(self, interrupted: Callable[[], bool] = lambda: False) -> Job[T] | None:
        """The next task's result, or None after the last one.

        Raises:
            Stopped: the budget is spent, or ``interrupted()`` says so.
        """
        if self._clock is None:
            self._clock = Clock(self._budget)
        self._interrupted = interrupted
        while True:
            pulled = False
            while not (pulled and (self._window[0].done or self._clock.reason(0))) and self._room():
                pulled = self._pull() or pulled
            if not self._window:
                return None
            if interrupted():
                raise Stopped("interrupted")
            with self._change:
                reason = self._clock.reason(self.kept + sum(job.size for job in self._window))
                if reason:
                    raise Stopped(reason)
                head = self._window[0]
                if not head.done:
                    self._change.wait(TICK)
                    continue
                self._window.popleft()
            if head.error is not None:
                raise head.error
            return head

    def again(self, task: Task, limit: int) -> T:
        """The same work on the first ``limit`` regions of a task, in this thread."""
        worker = self._worker(task.problem)
        arrays, _ = worker.run(task.code, limit, lambda n, size: None)
        return self._work(task, arrays)

    def close(self) -> None:
        """Stop all work and wait until no thread is left; once is enough, more do no harm."""
        self._control[0] = 1
        with self._change:
            self._queue.clear()
            threads = list(self._running)
        for thread in threads:
            thread.join()

    def _reason(self, held_bytes: int) -> str:
        """Empty while work may go on."""
        assert self._clock is not None
        return "interrupted" if self._interrupted() else self._clock.reason(held_bytes)

    def _room(self) -> bool:
        if self._exhausted:
            return False
        with self._change:
            held = sum(job.size for job in self._window)
            return len(self._window) < AHEAD * self._threads + AHEAD and (not self._window or held < self._ahead_bytes)

    def _pull(self) -> bool:
        """One more task for the threads; False when there are no more."""
        with gives_up(lambda: self._reason(0)):
            try:
                task = next(self._source, None)
            except GivenUp:  # in the middle of a reduction: there is no going on from there
                raise Stopped(self._reason(0)) from None
        if task is None:
            self._exhausted = True
            return False
        if not self._compiled:
            self._compiled = True
            announce(kernel.walk)
            worker, before = Worker(task.problem, self._control), time.monotonic()
            worker.compile()
            self._spare.append((task.problem, worker))
            if self._clock is not None:
                self._clock.excuse(before)  # compiling is not what a budget is for
        job: Job[T] = Job(task, (self._budget.regions or NO_LIMIT) + 1)
        with self._change:
            self._window.append(job)
            self._queue.append(job)
            if len(self._running) < self._threads:
                thread = threading.Thread(target=self._run, name="splinegeo", daemon=True)
                self._running.add(thread)
                thread.start()
        return True

    def _worker(self, problem: Problem) -> Worker:
        with self._change:
            for k, (prepared, worker) in enumerate(self._spare):
                if prepared is problem:
                    del self._spare[k]
                    return worker
        return Worker(problem, self._control)

    def _run(self) -> None:
        """Take one task after the other until none waits."""
        while True:
            with self._change:
                if not self._queue or self._control[0]:
                    self._running.discard(threading.current_thread())
                    return
                job = self._queue.popleft()
            try:
                with gives_up(partial(self._abandons, job.task)):
                    self._do(job)
            except GivenUp:  # nobody waits for it any more
                return
            except BaseException as error:  # noqa: BLE001 - raised again, in its turn, where the result is taken
                job.error = error
            with self._change:
                job.done = True
                self._change.notify_all()

    def _abandons(self, task: Task) -> bool:
        """Whether work on a task is to end now; on small networks it ends soon, and partial results stand."""
        return bool(self._control[0]) and task.problem.part

    def _do(self, job: Job[T]) -> None:
        def found(n: int, size: int) -> None:
            with self._change:
                job.n_regions += n
                job.size += size
                self.n_found += n

        worker = self._worker(job.task.problem)
        arrays, job.whole = worker.run(job.task.code, job.limit, found)
        with self._change:
            self._spare.append((job.task.problem, worker))
        if not self._control[0]:
            job.values.append(self._work(job.task, arrays))
        if not self._keeps:
            job.size = 0
