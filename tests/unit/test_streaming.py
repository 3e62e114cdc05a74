"""`stream`: the regions of `partition`, batch by batch; threads that end; budgets; Ctrl-C."""

from __future__ import annotations

import gc
import re
import signal
import threading
import time
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.tasks as tasks_module
import splinegeo.streaming.streams as stream_module
from benchmarks.nets import WIDTHS, make_network
from splinegeo.streaming import RegionBatch, stream
from tests.oracles.families import cases

BOX = sg.Box([-2, -2], [2, 2])
NET = make_network(WIDTHS["toy"])


@cache
def whole(name: str = "toy") -> sg.Partition:
    return sg.partition(make_network(WIDTHS[name]), BOX)


def joined(batches: list[RegionBatch], name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches])


def assert_same(batches: list[RegionBatch], part: sg.Partition) -> None:
    """The same regions in the same order: whatever is exact to the last bit, areas and corners to rounding."""
    assert np.cumsum([0, *(len(b) for b in batches)]).tolist() == [*(b.start for b in batches), part.n_regions]
    for name in ("singular_values", "packed_patterns", "psi", "nu", "rank"):
        assert np.array_equal(joined(batches, name), getattr(part, name)), name
    assert [len(p) for b in batches for p in b.polygons] == [len(p) for p in part.polygons]
    size = np.ptp(part.domain.vertices, 0)
    assert np.allclose(joined(batches, "volumes"), part.volumes, rtol=1e-9, atol=1e-13 * part.domain.volume)
    assert np.allclose(joined(batches, "corners") / size, part.polygons.flat / size, rtol=0, atol=1e-6)
    assert np.allclose(joined(batches, "interior_points") / size, part.interior_points / size, rtol=0, atol=1e-6)
    keys = joined(batches, "keys")
    _, counts = np.unique(keys[keys > 0], return_counts=True)
    assert (counts == 2).all()
    assert (keys == 0).sum() == (part.edge_regions[:, 1] == -1).sum()


def threads_of_ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("splinegeo")]


def assert_no_threads() -> None:
    """Those that are on their last task may finish it."""
    gc.collect()
    deadline = time.monotonic() + 60
    while threads_of_ours() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads_of_ours()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["toy", "mid", "deep"])
def test_the_regions_of_the_partition(name: str, threads: int) -> None:
    """All of them, in canonical order, for any number of threads."""
    regions = stream(make_network(WIDTHS[name]), BOX, threads=threads)
    batches = list(regions)
    assert regions.complete
    assert regions.stop_reason == ""
    assert "complete" in repr(regions)
    assert_same(batches, whole(name))
    assert_no_threads()


@pytest.mark.parametrize("case", list(cases(1)), ids=lambda case: case.name)
def test_degenerate_networks(case) -> None:
    """Every family on which enumerators go wrong."""
    plane = None if case.slice is None else sg.Slice(*case.slice)
    domain = sg.Polygon(case.polygon)
    part = sg.partition(case.network, domain, plane)
    assert_same(list(stream(case.network, domain, plane, batch=5)), part)


@pytest.mark.slow
def test_problems_that_differ_from_task_to_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are reduced piece by piece: hinges and outputs are numbered anew in each."""
    monkeypatch.setattr(tasks_module, "LARGE", 0)
    monkeypatch.setattr(tasks_module, "LEAF", 12)
    for name in ("toy", "mid"):
        net = make_network(WIDTHS[name])
        batches = list(stream(net, BOX, threads=2))
        assert len({id(b._regions.problem) for b in batches}) > 3
        part = sg.partition(net, BOX)
        assert_same(batches, part)
        at = 0
        for batch in batches[:5]:
            a, b = batch.affine_maps()
            c, d = whole(name).affine_maps(_where(whole(name), batch))
            assert np.allclose(a, c, rtol=1e-10, atol=1e-10)
            assert np.allclose(b, d, rtol=1e-10, atol=1e-10)
            at += len(batch)


def _where(part: sg.Partition, batch: RegionBatch) -> np.ndarray:
    index = {row.tobytes(): k for k, row in enumerate(part.packed_patterns)}
    return np.array([index[row.tobytes()] for row in batch.packed_patterns])


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_batches_are_no_larger_than_asked_for(size: int) -> None:
    """And none is empty."""
    batches = list(stream(NET, BOX, batch=size))
    assert all(1 <= len(b) <= size for b in batches)
    assert_same(batches, whole())
    assert "regions" in repr(batches[0])


@pytest.mark.parametrize("widths", [(2, 20, 20, 3), (2, 30, 30, 200), (3, 20, 200)])
def test_maps_and_patterns(widths: tuple[int, ...]) -> None:
    """A and b as in the partition, kept or made from the pattern; in slice and in latent coordinates."""
    net = make_network(widths)
    plane = sg.Slice(np.full(widths[0], 0.1), np.eye(widths[0], 2))
    part, start = sg.partition(net, BOX, plane), 0
    for batch in stream(net, BOX, plane, batch=50):
        chosen = np.arange(start, start + len(batch))
        for latent in (False, True):
            for mine, theirs in zip(
                batch.affine_maps(latent=latent), part.affine_maps(chosen, latent=latent), strict=True
            ):
                assert np.allclose(mine, theirs, rtol=1e-11, atol=1e-11)
        assert np.array_equal(batch.patterns, part.patterns[chosen])
        start += len(batch)
    assert start == part.n_regions


def test_nothing_happens_before_the_first_batch() -> None:
    """A stream that nobody reads costs nothing."""
    regions = stream(NET, BOX)
    assert not threads_of_ours()
    assert not regions.complete
    assert "running" in repr(regions)
    regions.close()
    assert regions.stop_reason == "closed"
    with pytest.raises(StopIteration):
        next(regions)


def test_closing_early_stops_the_threads() -> None:
    """At once, by a `with` block, by `close`, and by letting go."""
    big = make_network(WIDTHS["big"])
    with stream(big, BOX, threads=3) as regions:
        assert len(next(regions))
    assert not threads_of_ours()
    assert not regions.complete
    assert regions.stop_reason == "closed"
    regions = stream(big, BOX, threads=3)
    next(regions)
    regions.close()
    assert not threads_of_ours()
    for _ in stream(big, BOX, threads=3):
        break
    assert_no_threads()


def test_an_exception_in_the_loop_leaves_no_thread() -> None:
    """Nor does one that is held on to, with all frames that it went through."""

    def loop() -> None:
        for _ in stream(NET, BOX, threads=3):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as held:
        loop()
    assert_no_threads()
    assert held.value is not None


def test_an_error_in_a_thread_is_raised_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its turn: after the batches of the tasks before it, whatever the other threads did meanwhile."""
    work, seen = stream_module._work, []

    def fail(task, arrays):
        if task.index == 5:
            raise MemoryError("no more")
        return work(task, arrays)

    monkeypatch.setattr(stream_module, "_work", fail)
    regions = stream(NET, BOX, threads=3)
    with pytest.raises(MemoryError, match="no more"):
        seen.extend(batch._regions.task.index for batch in regions)
    assert max(seen) == 4
    assert not regions.complete
    assert_no_threads()


@pytest.mark.parametrize("limit", [1, 64, 500])
def test_the_first_regions(limit: int) -> None:
    """As many as the budget says, the first ones of the partition."""
    for threads in (1, 3):
        regions = stream(NET, BOX, budget=sg.Budget(regions=limit), threads=threads)
        batches = list(regions)
        assert sum(len(b) for b in batches) == limit
        assert np.array_equal(joined(batches, "packed_patterns"), whole().packed_patterns[:limit])
        assert not regions.complete
        assert regions.stop_reason == f"budget of {limit} regions"


def test_a_budget_that_is_just_enough() -> None:
    """All regions and no more: complete."""
    n = whole().n_regions
    regions = stream(NET, BOX, budget=sg.Budget(regions=n))
    assert sum(len(b) for b in regions) == n
    assert regions.complete
    regions = stream(NET, BOX, budget=sg.Budget(regions=n - 1))
    assert sum(len(b) for b in regions) == n - 1
    assert not regions.complete


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (sg.Budget(seconds=1e-9), "budget of 1e-09 seconds"),
        (sg.Budget(memory=1), "budget of 1 bytes"),
    ],
)
def test_seconds_and_memory(budget: sg.Budget, reason: str) -> None:
    """Stops, and says why."""
    regions = stream(make_network(WIDTHS["big"]), BOX, budget=budget, threads=2)
    assert sum(len(b) for b in regions) < 354_339
    assert regions.stop_reason == reason
    assert not threads_of_ours()


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes to whoever runs the loop; nothing is left running."""
    source = stream_module.tasks

    def pressing(*arguments, **options) -> Iterator:
        for task in source(*arguments, **options):
            if task.index == 3:
                signal.raise_signal(signal.SIGINT)
            yield task

    monkeypatch.setattr(stream_module, "tasks", pressing)
    regions = stream(NET, BOX, threads=2)
    with pytest.raises(KeyboardInterrupt):
        list(regions)
    assert not threads_of_ours()
    assert not regions.complete


def test_tasks_are_pulled_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the thread that runs the loop, and a bounded number ahead."""
    source, pulled = stream_module.tasks, []

    def watched(*arguments, **options) -> Iterator:
        for task in source(*arguments, **options):
            assert threading.current_thread() is threading.main_thread()
            pulled.append(task.index)
            yield task

    monkeypatch.setattr(stream_module, "tasks", watched)
    monkeypatch.setattr("splinegeo.streaming.pool.AHEAD", 1)
    with stream(make_network(WIDTHS["mid"]), BOX, threads=2) as regions:
        for batch in regions:
            assert len(pulled) <= batch._regions.task.index + 5
    assert pulled == sorted(pulled)


def test_progress_is_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """With an estimate of the total."""
    list(stream(NET, BOX, progress=True))
    out, err = capfd.readouterr()
    assert out == ""
    assert "stream" in err
    assert re.search(r"/1\.\dk|/1\.\d\dk", err)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"domain": "box"}, sg.WrongType, "stream: the domain is a Box or a Polygon, not str"),
        ({"domain": sg.L1Ball([0, 0], 1)}, sg.WrongType, r"not L1Ball; .* ball.polygon, and slice=ball.slice"),
        ({"domain": sg.Box([0, 0, 0], [1, 1, 1])}, sg.ShapeMismatch, "stream: the domain is 3-dimensional"),
        ({"domain": sg.Box([0, 0], [1e200, 1])}, sg.InvalidArgument, "rescale the slice"),
        ({"slice": 3}, sg.WrongType, "slice is a Slice or None, not int"),
        (
            {"slice": sg.Slice([0, 0, 0], np.eye(3, 2))},
            sg.ShapeMismatch,
            r"slice lies in R\^3, the network takes 2 inputs",
        ),
        ({"slice": sg.Slice([0, 0], [[1], [0]])}, sg.ShapeMismatch, "the slice is 1-dimensional"),
        ({"budget": 3}, sg.WrongType, "stream: budget is a Budget or None, not int"),
        ({"threads": 0}, sg.InvalidArgument, r"stream\(threads=0\): at least one"),
        ({"threads": 1.5}, sg.WrongType, r"stream\(threads=1.5\)"),
        ({"progress": 1}, sg.WrongType, r"stream\(progress=1\): True or False"),
        ({"batch": 0}, sg.InvalidArgument, r"stream\(batch=0\)"),
        ({"batch": 2.0}, sg.WrongType, r"stream\(batch=2.0\): a whole number"),
    ],
)
def test_arguments(arguments: dict, error: type[Exception], message: str) -> None:
    """Refused before anything starts, naming the argument."""
    with pytest.raises(error, match=message):
        stream(**{"net": NET, "domain": BOX} | arguments)
