"""Checkpoints: killed, interrupted or out of budget and resumed, the result is that of one go, byte for byte."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.tasks as tasks_module
import splinegeo.streaming.summarising as summarising_module
from benchmarks.nets import WIDTHS, make_network
from splinegeo.io import container
from splinegeo.streaming import CheckpointMismatch, Raster, Summary, summarise
from splinegeo.testing import mlp
from tests.oracles.checkpoints import KILL_AFTER_A_WRITE, assert_killed, damage_arrays, press_every_third_task

BOX = sg.Box([-2, -2], [2, 2])
NET = make_network(WIDTHS["toy"])
OPTIONS: dict[str, Any] = {
    "linear_regions": True,
    "raster": Raster(40, 30, ("psi", "volume", "count")),
    "bins": {"psi": 10, "nu": [0.0, 1.5, 2.0]},
}


def saved(summary: Summary, folder: Path) -> bytes:
    return summary.save(folder / "summary.npz").read_bytes()


def run(path: Path, net: Any = NET, **more: Any) -> Summary:
    return summarise(net, BOX, **{**OPTIONS, "checkpoint": path, "checkpoint_seconds": 0, **more})


KILLED = """
from pathlib import Path
from tests.unit.test_streaming_checkpoint import run
run(Path({path!r}), threads={threads})
"""
KILL_BEFORE_A_FILE_IS_IN_PLACE = """
import os, signal

replace, writes = os.replace, []
def killing(*paths):
    writes.extend(path for path in paths[1:] if str(path).endswith("half.npz"))
    if len(writes) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
os.replace = killing
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    ("patch", "threads"), [(KILL_AFTER_A_WRITE, 1), (KILL_BEFORE_A_FILE_IS_IN_PLACE, 2)], ids=["after", "amid"]
)
def test_killed_at_half_and_resumed(patch: str, threads: int, tmp_path: Path) -> None:
    """SIGKILL, also in the middle of writing: nothing can be tidied up, and nothing has to be."""
    path = tmp_path / "half.npz"
    assert_killed(patch, KILLED.format(path=str(path), threads=threads))
    assert 6 <= int(container.read(path, "checkpoint")[1]["progress"][0]) <= 8
    resumed = run(path, threads=3)
    assert resumed.complete
    assert saved(resumed, tmp_path) == saved(summarise(NET, BOX, **OPTIONS), tmp_path)


@pytest.mark.parametrize("reduced", [False, True])
def test_ctrl_c_and_resumed(reduced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, with problems that differ from task to task, too."""
    if reduced:
        monkeypatch.setattr(tasks_module, "LARGE", 0)
        monkeypatch.setattr(tasks_module, "LEAF", 12)
    whole = summarise(NET, BOX, **OPTIONS)
    path = tmp_path / "toy.npz"
    with monkeypatch.context() as patch:
        press_every_third_task(patch)
        for threads in (1, 2, 3):
            part = run(path, threads=threads, checkpoint_seconds=1e6)
            assert part.stop_reason == "interrupted"
    assert 0 < part.n_regions < whole.n_regions
    assert saved(run(path), tmp_path) == saved(whole, tmp_path)


def test_linear_regions_that_reach_across_the_interruption(tmp_path: Path) -> None:
    """Dead paths: what waits for its neighbours in the file is joined with them afterwards."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(14, 2)), rng.normal(size=(6, 14))
    second[:, ::2] = 0
    net = mlp([first, second, rng.normal(size=(2, 6))], [rng.normal(size=14), rng.normal(size=6), np.zeros(2)])
    whole = summarise(net, BOX, **OPTIONS)
    for limit in range(10, whole.n_regions, 15):
        path = tmp_path / f"{limit}.npz"
        assert not run(path, net, budget=sg.Budget(regions=limit)).complete
        assert run(path, net) == whole


def test_a_budget_and_resumed(tmp_path: Path) -> None:
    """Parts of tasks are described, and done once more when the work goes on."""
    path, whole = tmp_path / "toy.npz", summarise(NET, BOX, **OPTIONS)
    for limit in (100, 101, 500, 1349):
        part = run(path, budget=sg.Budget(regions=limit))
        assert part == summarise(NET, BOX, **OPTIONS, budget=sg.Budget(regions=limit))
        assert (part.n_regions, part.complete) == (limit, False)
    assert saved(run(path, budget=sg.Budget(regions=1350)), tmp_path) == saved(whole, tmp_path)


def test_a_budget_of_seconds_and_resumed(tmp_path: Path) -> None:
    """Also where nothing was done at all."""
    path = tmp_path / "toy.npz"
    assert run(path, budget=sg.Budget(seconds=1e-9)).stop_reason == "budget of 1e-09 seconds"
    assert run(path) == summarise(NET, BOX, **OPTIONS)


def test_a_finished_checkpoint_is_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done again."""
    path = tmp_path / "toy.npz"
    whole = run(path)

    def fail(*_: Any) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr(summarising_module, "tasks", fail)
    assert run(path) == whole
    assert run(path, threads=1, progress=True, budget=sg.Budget(regions=3)) == whole


def test_the_file_does_not_depend_on_threads(tmp_path: Path) -> None:
    """Nor on how often it was written."""
    paths = [tmp_path / f"{k}.npz" for k in range(3)]
    run(paths[0], threads=1)
    run(paths[1], threads=3, checkpoint_seconds=1e6)
    run(paths[2], threads=2, budget=sg.Budget(regions=700))
    run(paths[2], threads=2)
    assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"net": make_network(WIDTHS["toy"], seed=1)}, "another network"),
        ({"domain": sg.Box([-2, -2], [2, 1])}, "another domain"),
        ({"slice": sg.Slice([0, 1e-9], np.eye(2))}, "another slice"),
        ({"bins": 10}, "another bins"),
        ({"raster": None}, "another raster"),
        ({"linear_regions": False, "bins": 3}, "another bins, another linear_regions"),
    ],
)
def test_another_call_is_refused_by_name(change: dict, named: str, tmp_path: Path) -> None:
    """The file stays as it is."""
    path = tmp_path / "toy.npz"
    run(path, budget=sg.Budget(regions=300))
    before = path.read_bytes()
    with pytest.raises(CheckpointMismatch, match=named):
        summarise(**{"net": NET, "domain": BOX, "checkpoint": path, **OPTIONS, **change})
    assert path.read_bytes() == before
    assert issubclass(CheckpointMismatch, sg.InvalidArgument)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    """Refused by name, never overwritten."""
    path = tmp_path / "toy.npz"
    sg.save_network(NET, path)
    with pytest.raises(sg.FileFormatError, match="holds a network, not a checkpoint"):
        run(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(sg.FileFormatError):
        run(path)
    assert path.read_bytes() == b"not a zip"
    with pytest.raises(sg.FileAccessError):
        run(tmp_path / "missing" / "toy.npz")
    with pytest.raises(sg.FileAccessError):
        run(tmp_path)


DAMAGE = {
    "missing": lambda a: a.pop("progress"),
    "extra": lambda a: a.update(extra=np.zeros(3)),
    "progress": lambda a: a.update(progress=np.zeros(3, np.int64)),
    "filled": lambda a: a.update(filled=np.zeros(3, bool)),
    "dtype": lambda a: a.update({"tally.counts": a["tally.counts"].astype(float)}),
    "sums": lambda a: a.update({"tally.moments.sums": a["tally.moments.sums"][:1]}),
    "bins": lambda a: a.update({"tally.histogram.psi.counts": np.zeros(99, np.int64)}),
    "pieces": lambda a: a.update({"frontier.pieces": a["frontier.pieces"] + 10**6}),
    "errors": lambda a: a.update({"frontier.errors": a["frontier.errors"][:1]}),
    "keys": lambda a: a.update({"frontier.keys": a["frontier.keys"][:1]}),
    "marks": lambda a: a.update({"frontier.marks": a["frontier.marks"][:, :1]}),
    "patterns": lambda a: a.update({"frontier.patterns": a["frontier.patterns"][:, :1]}),
}


@pytest.mark.parametrize("damage", list(DAMAGE.values()), ids=list(DAMAGE))
def test_damaged_checkpoints(damage, tmp_path: Path) -> None:
    """Arrays that do not fit together are noticed when they are read."""
    path = tmp_path / "toy.npz"
    run(path, budget=sg.Budget(regions=300))
    damage_arrays(path, damage)
    with pytest.raises(sg.FileFormatError, match="is inconsistent"):
        run(path)


def test_a_later_generation_is_refused(tmp_path: Path) -> None:
    """What is added up may differ between versions."""
    path = tmp_path / "toy.npz"
    run(path, budget=sg.Budget(regions=300))
    header, arrays = container.read(path, "checkpoint")
    container.write(path, "checkpoint", {"generation": 99, "fingerprints": header["fingerprints"]}, arrays)
    with pytest.raises(CheckpointMismatch, match="another version"):
        run(path)
