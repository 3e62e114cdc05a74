"""Limits: regions, seconds, memory, Ctrl-C; what is there is right, and says what is missing."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.enumerate as enumerate_module
from benchmarks.nets import make_network
from splinegeo.partition.reduce import Reducer
from splinegeo.partition.setting import Setting
from splinegeo.partition.stopping import GivenUp, gives_up
from splinegeo.testing import assert_maps, assert_watertight
from tests.oracles.parts import reduced

BOX = sg.Box([-2, -2], [2, 2])
NET = make_network((2, 20, 20, 20, 3))
BIG = make_network((2, 256, 256, 256, 256, 256, 3))  # far more regions than any of these limits


@cache
def whole() -> sg.Partition:
    return sg.partition(NET, BOX)


def budgeted(threads: int | None = None, **limits: float) -> sg.Partition:
    return sg.partition(NET, BOX, budget=sg.Budget(**limits), threads=threads)  # type: ignore[arg-type]


def assert_usable(part: sg.Partition) -> None:
    """Everything that a partition offers works on a partial one too."""
    assert 0 <= part.coverage <= 1
    assert part._repr_html_()
    assert part._repr_svg_()
    assert part.stop_reason in repr(part)
    assert pickle.loads(pickle.dumps(part)) == part
    assert len(part.psi) == len(part.nu) == len(part.rank) == len(part.volumes) == len(part)
    assert part.n_linear_regions <= part.n_regions
    assert len(list(zip(part.polygons, part.neighbors, strict=True))) == len(part)
    assert len(part.affine_maps()[0]) == len(part)
    if len(part):
        assert_watertight(part)
        assert_maps(part)


@pytest.mark.parametrize("limit", [1, 2, 7, 64, 500])
def test_the_first_regions_of_the_whole(limit: int) -> None:
    """Exactly as many as asked for, the first ones of the full partition, for any number of threads."""
    full = whole()
    parts = [budgeted(threads, regions=limit) for threads in (1, 2, 3)]
    assert all(p == parts[0] for p in parts)
    part = parts[0]
    assert len(part) == limit
    assert not part.complete
    assert part.stop_reason == f"budget of {limit} regions"
    assert part.coverage == pytest.approx(full.volumes[:limit].sum() / 16)
    assert part.coverage < 1
    assert np.array_equal(part.packed_patterns, full.packed_patterns[:limit])
    assert np.array_equal(part.region_offsets, full.region_offsets[: limit + 1])
    assert np.array_equal(part.singular_values, full.singular_values[:limit])
    for mine, theirs in zip(part.polygons, full.polygons, strict=False):
        assert np.allclose(mine, theirs, rtol=0, atol=1e-12)
    for mine, theirs in zip(part.neighbors, full.neighbors, strict=False):
        assert np.array_equal(mine, np.where(theirs >= limit, -2, theirs))
    assert_usable(part)


def test_locate_says_not_enumerated() -> None:
    """-2 for points of regions that are missing, -1 outside, the region's number elsewhere."""
    part, full = budgeted(regions=100), whole()
    rng = np.random.default_rng(0)
    points = rng.uniform(-2.5, 2.5, (500, 2))
    expected = full.locate(points)
    assert np.array_equal(part.locate(points), np.where(expected >= 100, -2, expected))
    assert {-2, -1} < set(part.locate(points).tolist())


def test_a_budget_that_is_just_enough() -> None:
    """All regions and no more: complete."""
    n = whole().n_regions
    for threads in (1, 2):
        assert budgeted(threads, regions=n) == whole()
        assert budgeted(threads, regions=n + 1) == whole()
        short = budgeted(threads, regions=n - 1)
        assert not short.complete
        assert len(short) == n - 1
    one = sg.partition(make_network((2, 3)), BOX, budget=sg.Budget(regions=1))
    assert one.complete
    assert one.n_regions == 1


def test_a_budget_that_is_not_reached() -> None:
    """Equal to the partition without one."""
    part = budgeted(regions=10**9, seconds=1e6, memory=1 << 50)
    assert part == whole()
    assert part.complete
    assert part.stop_reason == ""
    assert part.coverage == 1
    assert (part.corner_neighbors >= -1).all()


def test_seconds() -> None:
    """A big net comes back soon, with what it has."""
    whole()  # compiled
    start = time.monotonic()
    part = sg.partition(BIG, BOX, budget=sg.Budget(seconds=0.3))
    assert time.monotonic() - start < 60  # all of it would take minutes
    assert not part.complete
    assert part.stop_reason == "budget of 0.3 seconds"
    assert 0 < part.coverage < 1
    assert_watertight(part)
    assert (part.corner_neighbors == -2).any()


def test_no_time_at_all() -> None:
    """Nothing may have been found; it is a partition all the same."""
    whole()
    part = sg.partition(BIG, BOX, budget=sg.Budget(seconds=1e-9))
    assert not part.complete
    assert part.coverage < 0.5
    if not len(part):
        assert_usable(part)
        assert part.locate([[0.0, 0.0]]).tolist() == [-2]


def test_reductions_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reduction that takes long does not outlast the budget."""
    affine = Reducer._affine

    def slow(self: Reducer, *arguments: Any) -> Any:
        time.sleep(0.5)
        return affine(self, *arguments)

    net = make_network((2, *[6] * 40, 2))
    with reduced(2):
        sg.summarise(make_network((2, 3, 1)), BOX)  # compiled
        monkeypatch.setattr(Reducer, "_affine", slow)
        start = time.monotonic()
        found = sg.summarise(net, BOX, budget=sg.Budget(seconds=1))
        assert time.monotonic() - start < 10  # one reduction takes 20 seconds
    assert not found.complete
    assert found.stop_reason == "budget of 1 seconds"


def test_exact_arithmetic_is_given_up() -> None:
    """Between two layers, where whoever runs it wants it to stop, and nowhere else."""
    net = make_network((2, 8, 8, 2))
    setting = Setting.of(net, np.zeros(2), np.eye(2), BOX.vertices)
    bits = np.ones(net.n_breakpoints, np.uint8)
    with gives_up(lambda: False):
        setting.maps(bits)
        with gives_up(lambda: True), pytest.raises(GivenUp):
            setting.maps(bits)
        setting.maps(bits)


def test_memory() -> None:
    """The regions found stay near the limit; with `Budget.memory` as the reason."""
    whole()
    part = sg.partition(BIG, BOX, budget=sg.Budget(memory=1 << 20), threads=1)
    assert not part.complete
    assert part.stop_reason == "budget of 1,048,576 bytes"
    held = sum(v.nbytes for v in vars(part).values() if isinstance(v, np.ndarray))
    assert held < 1 << 28
    assert_watertight(part)


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the enumeration, not the program; and the next call works."""
    whole()
    found = enumerate_module.Job._found

    def press(job: enumerate_module.Job, regions: int, size: int) -> None:
        if not job._regions:
            signal.raise_signal(signal.SIGINT)
        found(job, regions, size)

    with monkeypatch.context() as patch:
        patch.setattr(enumerate_module.Job, "_found", press)
        part = sg.partition(BIG, BOX, threads=threads)
    assert not part.complete
    assert part.stop_reason == "interrupted"
    assert 0 < part.coverage < 1
    assert_watertight(part)
    assert sg.partition(NET, BOX, threads=threads) == whole()


def test_interrupt_when_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once everything is found, Ctrl-C has nothing to stop: the result is whole. A second one is obeyed."""
    join = enumerate_module.join

    def press(times: int) -> Callable[..., Any]:
        def pressed(*args: Any) -> Any:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            return join(*args)

        return pressed

    monkeypatch.setattr(enumerate_module, "join", press(1))
    assert sg.partition(NET, BOX) == whole()
    monkeypatch.setattr(enumerate_module, "join", press(2))
    with pytest.raises(KeyboardInterrupt):
        sg.partition(NET, BOX)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_thread_stays_behind() -> None:
    """After a partition, whole or cut short, no thread of it is alive."""
    whole()
    before = threading.active_count()
    sg.partition(BIG, BOX, budget=sg.Budget(regions=100), threads=2)
    sg.partition(NET, BOX, threads=2)
    assert threading.active_count() <= before
    assert not [t for t in threading.enumerate() if t.name.startswith("splinegeo")]


def test_budget_is_a_value() -> None:
    """Equal by its limits, frozen, picklable."""
    budget = sg.Budget(regions=3, seconds=1.5)
    assert budget == sg.Budget(3, 1.5)
    assert pickle.loads(pickle.dumps(budget)) == budget
    with pytest.raises(AttributeError):
        budget.regions = 4  # type: ignore[misc]
