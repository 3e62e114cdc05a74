"""Threads that work together: what they do, and Ctrl-C wherever the main thread happens to be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import splinegeo as sg
from benchmarks.nets import make_network
from splinegeo.complexity.counting import Counter
from splinegeo.partition import crew
from splinegeo.partition.crew import work_together
from splinegeo.partition.enumerate import Worker
from splinegeo.space.enumerate import Worker as SpaceWorker


def nothing(*_: object) -> None:
    """Neither a tick nor a stop is of interest."""


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_calls_are_made_once(threads: int) -> None:
    made: list[int] = []
    ticks: list[int] = []
    assert not work_together([partial(made.append, i) for i in range(7)], threads, ticks.append, nothing)
    assert sorted(made) == list(range(7))
    assert sum(ticks) == 7


def test_no_calls_at_all() -> None:
    assert not work_together([], 1, nothing, nothing)


@pytest.mark.parametrize("error", [ValueError("a call failed"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["call", "tick"])
def test_what_is_raised_stops_all(where: str, error: BaseException) -> None:
    """Errors travel on, Ctrl-C is told; both when no call runs any more, and those that wait never begin."""
    stopped = threading.Event()
    ended: list[bool] = []

    def fail(*_: object) -> None:
        raise error

    def call() -> None:
        ended.append(stopped.wait(10))

    calls: list[Callable[[], object]] = [call] * 9
    if where == "call":
        calls = [fail, *calls]
    tick = fail if where == "tick" else nothing
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a call failed"):
            work_together(calls, 2, tick, stopped.set)
    else:
        assert work_together(calls, 2, tick, stopped.set)
    assert stopped.is_set()
    assert len(ended) <= 2
    assert all(ended)


class Presses:
    """Ctrl-C inside `Thread.start`, when the thread runs and whoever started it does not know of it yet."""

    def __init__(self, patch: pytest.MonkeyPatch, which: int) -> None:
        self.begun = threading.Event()  # work was begun
        self.busy = 0  # calls that run
        started: list[threading.Thread] = []
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            real(thread)
            if thread.name.startswith("splinegeo"):
                started.append(thread)
                if len(started) == which:
                    self.begun.wait(0.5)
                    raise KeyboardInterrupt

        patch.setattr(threading.Thread, "start", start)

    def watched(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, and slow to end, so that whoever does not wait for it is found out."""

        def slow(*args: Any, **kwargs: Any) -> Any:
            self.busy += 1
            self.begun.set()
            try:
                return work(*args, **kwargs)
            finally:
                time.sleep(0.5)
                self.busy -= 1

        return slow


def cases() -> Iterator[Any]:
    net = make_network((3, 12, 12, 2))
    plane = sg.Slice(np.zeros(3), np.eye(3)[:, :2])
    yield pytest.param(Worker, "run", lambda: sg.partition(net, sg.Box([-1, -1], [1, 1]), plane, threads=2), id="plane")
    cube = sg.Box([-1, -1, -1], [1, 1, 1])
    yield pytest.param(SpaceWorker, "run", lambda: sg.partition(net, cube, threads=2), id="space")
    z = np.zeros((4, 3))
    yield pytest.param(Counter, "_one", lambda: sg.local_complexity(net, z, 0.5, threads=2), id="complexity")


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize(("owner", "name", "call"), list(cases()))
def test_ctrl_c_while_threads_are_started(
    owner: type, name: str, call: Callable[[], Any], which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody works any more when the result is put together, and no thread stays behind."""
    whole = call()
    with monkeypatch.context() as patch:
        presses = Presses(patch, which)
        patch.setattr(owner, name, presses.watched(getattr(owner, name)))
        found = call()
        assert presses.busy == 0
        assert not presses.begun.is_set()
    assert found.stop_reason == "interrupted"
    assert not np.any(found.complete)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and [t for t in threading.enumerate() if t.name.startswith("splinegeo")]:
        time.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name.startswith("splinegeo")]
    again = call()
    assert np.array_equal(again.values, whole.values) if name == "_one" else again == whole


def test_ctrl_c_between_two_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is told to stop, and is waited for."""
    begun, stopped = threading.Event(), threading.Event()
    ended: list[bool] = []

    def call() -> None:
        begun.set()
        ended.append(stopped.wait(10))

    def press(*_: object, **__: object) -> None:
        assert begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(crew, "wait", press)
    assert work_together([call], 1, nothing, stopped.set)
    assert ended == [True]
