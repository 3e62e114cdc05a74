"""`summarise`: the statistics of `partition`, without the regions, for any number of threads."""

from __future__ import annotations

import json
import math
import re
import signal
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.tasks as tasks_module
from benchmarks.nets import REGIONS, WIDTHS, make_network
from splinegeo.streaming import Raster, Summary, load_summary, stream, summarise
from splinegeo.streaming.state import State
from splinegeo.testing import mlp
from tests.oracles.families import Case, cases

BOX = sg.Box([-2, -2], [2, 2])
NET = make_network(WIDTHS["toy"])


@cache
def whole(name: str = "toy") -> sg.Partition:
    return sg.partition(make_network(WIDTHS[name]), BOX)


def quantities(part: sg.Partition, volumes: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(divide="ignore"):
        logs = np.log(volumes)
    sigma = dict(zip(("sigma_1", "sigma_2"), part.singular_values.T, strict=True))
    return {"psi": part.psi, "nu": part.nu, "volume": volumes, "log_volume": logs, **sigma}


def assert_summarises(s: Summary, part: sg.Partition) -> None:
    """Counts are equal, everything else is what the partition's arrays give."""
    assert s.complete
    assert s.status == "exact"
    assert s.coverage == 1
    counts = s.n_regions, s.n_edges, s.n_vertices, s.n_boundary_edges, s.n_open_edges, s.max_corners
    boundary, corners = int((part.edge_regions[:, 1] == -1).sum()), int(np.diff(part.region_offsets).max())
    assert counts == (part.n_regions, part.n_edges, part.n_vertices, boundary, 0, corners)
    volume = part.domain.volume
    assert s.area == pytest.approx(volume, rel=1e-12)
    volumes = np.maximum(part.volumes, 0)
    for name, values in quantities(part, volumes).items():
        moments, finite = s.moments[name], np.isfinite(values)
        assert moments.count + moments.omitted == part.n_regions
        if name == "log_volume":  # the area of a sliver may be rounded to zero in the one and not in the other
            assert moments.mean == pytest.approx(np.average(values[finite], weights=volumes[finite]), rel=1e-9)
            continue
        assert moments.omitted == 0
        x, w = values[finite], volumes[finite]
        mean = np.average(x, weights=w)
        scale = np.abs(x).max()
        assert moments.mean == pytest.approx(mean, rel=1e-10, abs=1e-12 * scale)
        assert moments.std == pytest.approx(
            math.sqrt(np.average((x - mean) ** 2, weights=w)), rel=1e-6, abs=1e-7 * scale
        )
        if name != "volume":  # that of a sliver may have no right digit
            assert (moments.min, moments.max) == (x.min(), x.max())
        if name in s.histograms:
            h = s.histograms[name]
            assert h.counts.sum() + h.outside_counts.sum() == part.n_regions
            assert h.areas.sum() + h.outside_areas.sum() == pytest.approx(volume, rel=1e-12)
            assert h.outside_counts.tolist() == [0, 0, 0]
            assert len(h.counts) <= 64
            if name in ("psi", "nu"):
                expected, _ = np.histogram(values, h.edges)
                assert np.array_equal(h.counts, expected)
                expected, _ = np.histogram(values, h.edges, weights=volumes)
                assert np.allclose(h.areas, expected, rtol=0, atol=1e-12 * volume)
    for r in range(3):
        assert s.rank_counts[r] == (part.rank == r).sum()
        assert s.rank_areas[r] == pytest.approx(volumes[part.rank == r].sum(), rel=1e-9, abs=1e-13 * volume)


@pytest.mark.parametrize("name", ["toy", "mid", "deep"])
def test_benchmark_networks(name: str) -> None:
    """Counts and statistics are those of the partition; any number of threads gives the same bytes."""
    net = make_network(WIDTHS[name])
    summaries = [summarise(net, BOX, threads=threads, linear_regions=True) for threads in (1, 2, 3)]
    assert summaries[0] == summaries[1] == summaries[2]
    assert summaries[0].n_regions == REGIONS[name]
    assert summaries[0].n_linear_regions == whole(name).n_linear_regions
    assert_summarises(summaries[0], whole(name))
    assert summarise(net, BOX).n_linear_regions is None


@pytest.mark.parametrize("case", list(cases(2)), ids=lambda case: case.name)
def test_degenerate_networks(case: Case) -> None:
    """Every family on which enumerators go wrong, in polygons and planes."""
    plane = None if case.slice is None else sg.Slice(*case.slice)
    domain = sg.Polygon(case.polygon)
    part = sg.partition(case.network, domain, plane)
    s = summarise(case.network, domain, plane, linear_regions=True, threads=2)
    assert_summarises(s, part)
    assert s.n_linear_regions == part.n_linear_regions


@pytest.mark.parametrize("name", ["toy", pytest.param("mid", marks=pytest.mark.slow)])
def test_problems_that_differ_from_task_to_task(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are reduced piece by piece, whose maps have no rows in common."""
    expected = whole(name).n_linear_regions
    monkeypatch.setattr(tasks_module, "LARGE", 0)
    monkeypatch.setattr(tasks_module, "LEAF", 12)
    s = summarise(make_network(WIDTHS[name]), BOX, linear_regions=True, raster=Raster(20, 20))
    assert (s.n_regions, s.n_linear_regions, s.n_edges) == (REGIONS[name], expected, whole(name).n_edges)
    t = summarise(make_network(WIDTHS[name]), BOX, linear_regions=True, raster=Raster(20, 20), threads=1)
    assert s == t


@pytest.mark.parametrize("reduced", [False, True])
def test_linear_regions_across_tasks(reduced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead paths: half of the units that cut feed nothing, so regions join far beyond one task's."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(14, 2)), rng.normal(size=(6, 14))
    second[:, ::2] = 0
    net = mlp([first, second, rng.normal(size=(2, 6))], [rng.normal(size=14), rng.normal(size=6), np.zeros(2)])
    part = sg.partition(net, BOX)
    expected = part.n_linear_regions
    assert expected < 0.6 * part.n_regions
    if reduced:
        monkeypatch.setattr(tasks_module, "LARGE", 0)
        monkeypatch.setattr(tasks_module, "LEAF", 4)
    for threads in (1, 3):
        s = summarise(net, BOX, linear_regions=True, threads=threads)
        assert (s.n_regions, s.n_linear_regions) == (part.n_regions, expected)


def test_a_network_without_knots() -> None:
    """One region."""
    s = summarise(
        mlp([np.array([[1.0, 0.0], [0.0, 2.0]])], [np.zeros(2)]), BOX, linear_regions=True, raster=Raster(3, 3)
    )
    assert (s.n_regions, s.n_linear_regions, s.n_edges, s.n_vertices, s.max_corners) == (1, 1, 4, 4, 4)
    assert s.moments["psi"].mean == pytest.approx(math.log(2))
    assert s.moments["psi"].std == 0
    assert np.allclose(s.raster["psi"], math.log(2))


@pytest.mark.parametrize("scale", [1e-140, 1e-20, 1e20, 1e140])
def test_domains_of_any_size(scale: float) -> None:
    """Areas near the ends of float64's range lose nothing."""
    net, plane = make_network((2, 12, 12, 2)), sg.Slice([0, 0], np.eye(2) / scale)
    near = summarise(net, BOX)
    far = summarise(net, sg.Box([-2 * scale, -2 * scale], [2 * scale, 2 * scale]), plane)
    assert (near.n_regions, near.n_edges) == (far.n_regions, far.n_edges)
    assert far.area == pytest.approx(near.area * scale * scale, rel=1e-12)
    assert far.moments["volume"].mean == pytest.approx(near.moments["volume"].mean * scale * scale, rel=1e-12)
    assert far.moments["volume"].std == pytest.approx(near.moments["volume"].std * scale * scale, rel=1e-9)
    assert far.moments["nu"].mean == pytest.approx(near.moments["nu"].mean, rel=1e-12)


def test_bins_of_ones_own() -> None:
    """Edges that were given are kept; what falls off them is counted beside them."""
    edges = [-1.0, -0.5, 0.0, 0.75]
    s = summarise(NET, BOX, bins={"psi": edges, "nu": 7})
    psi, volumes = whole().psi, whole().volumes
    h = s.histograms["psi"]
    assert h.edges.tolist() == edges
    assert h.counts.tolist() == np.histogram(psi, edges)[0].tolist()
    assert h.outside_counts.tolist() == [(psi < -1).sum(), (psi > 0.75).sum(), 0]
    assert np.allclose(h.outside_areas[:2], [volumes[psi < -1].sum(), volumes[psi > 0.75].sum()], rtol=1e-12)
    assert h.density().sum() > 0
    assert len(s.histograms["nu"].counts) <= 7
    assert len(s.histograms["volume"].counts) <= 64
    assert len(summarise(NET, BOX, bins=3).histograms["log_volume"].counts) <= 3


@pytest.mark.parametrize("limit", [1, 100, 777])
def test_a_budget_of_regions(limit: int) -> None:
    """Describes the first regions of the partition, as many as asked for."""
    part = sg.partition(NET, BOX, budget=sg.Budget(regions=limit))
    summaries = [summarise(NET, BOX, budget=sg.Budget(regions=limit), threads=t, linear_regions=True) for t in (1, 3)]
    s = summaries[0]
    assert s == summaries[1]
    assert not s.complete
    assert s.stop_reason == f"budget of {limit} regions"
    assert s.stop_reason in repr(s)
    assert (s.n_regions, s.n_edges, s.n_vertices) == (limit, part.n_edges, None)
    assert s.n_open_edges == (part.edge_regions[:, 1] == -2).sum()
    assert s.n_linear_regions == part.n_linear_regions
    assert s.coverage == pytest.approx(part.coverage)
    assert s.moments["psi"].min == part.psi.min()


def test_budgets_that_are_just_enough() -> None:
    """Complete."""
    n = whole().n_regions
    assert summarise(NET, BOX, budget=sg.Budget(regions=n)) == summarise(NET, BOX)
    assert not summarise(NET, BOX, budget=sg.Budget(regions=n - 1)).complete


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (sg.Budget(seconds=1e-9), "budget of 1e-09 seconds"),
        (sg.Budget(memory=1), "budget of 1 bytes"),
    ],
)
def test_seconds_and_memory(budget: sg.Budget, reason: str) -> None:
    """A partial summary works like a whole one."""
    s = summarise(make_network(WIDTHS["big"]), BOX, budget=budget, raster=Raster(4, 4), threads=2)
    assert not s.complete
    assert s.stop_reason == reason
    assert 0 <= s.coverage < 1
    assert s._repr_html_()
    assert json.dumps(s.to_dict())


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what is finished."""
    add = State.add

    def press(state: State, part) -> None:
        add(state, part)
        if state.next_task == 7:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(State, "add", press)
    s = summarise(NET, BOX, threads=threads)
    assert s.stop_reason == "interrupted"
    part = sg.partition(NET, BOX, budget=sg.Budget(regions=s.n_regions))
    assert (s.n_regions, s.n_edges) == (len(part), part.n_edges)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_hole_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that is lost leaves edges with one side; one that is found twice, too."""
    add = State.add

    def lose(state: State, part) -> None:
        part.keys[:1] = 12345
        add(state, part)

    monkeypatch.setattr(State, "add", lose)
    with pytest.raises(sg.SplineGeoError, match="edges have one side only"):
        summarise(NET, BOX, threads=1)


def test_saved_and_loaded(tmp_path: Path) -> None:
    """The same summary, and the same bytes; a partition's reader refuses it by name."""
    polygon = sg.Polygon([[-2, -1], [1, -2], [2, 2]])
    for domain, more in (
        (BOX, {"raster": Raster(5, 4, ("psi", "count"))}),
        (polygon, {"budget": sg.Budget(regions=9)}),
    ):
        s = summarise(NET, domain, **more)
        path = s.save(tmp_path / "summary.npz")
        loaded = load_summary(path)
        assert loaded == s
        assert loaded.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()
    with pytest.raises(sg.FileFormatError, match="holds a summary"):
        sg.load(path)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(sg.FileFormatError):
        load_summary(path)


def test_a_summary_is_a_value() -> None:
    """Frozen; its dictionary is plain; what notebooks show is short."""
    s = summarise(NET, BOX)
    with pytest.raises(AttributeError):
        s.n_regions = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        s.rank_counts[0] = 1
    assert s != summarise(NET, BOX, bins=8)
    assert s != 3
    assert repr(s) == "<Summary of 1,350 regions of Box in R^2, exact>"
    assert json.loads(json.dumps(s.to_dict()))["n_regions"] == 1350
    assert len(s._repr_html_()) < 5000
    assert "1,350 regions" in repr(s.histograms["psi"])
    assert len(s.histograms["psi"].centres) == len(s.histograms["psi"].counts)


def test_progress_is_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """With an estimate of the total."""
    summarise(NET, BOX, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"/1\.\d\dk", err)


def test_areas_agree_with_the_stream() -> None:
    """The same numbers, to the last bit."""
    volumes = np.concatenate([b.volumes for b in stream(NET, BOX)])
    s = summarise(NET, BOX)
    assert (s.moments["volume"].min, s.moments["volume"].max) == (volumes.min(), volumes.max())
    assert s.area == math.fsum(volumes)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"domain": 3}, sg.WrongType, "summarise: the domain"),
        ({"bins": 0}, sg.InvalidArgument, r"bins=0"),
        ({"bins": "many"}, sg.WrongType, "a number of bins or"),
        ({"bins": True}, sg.WrongType, "a number of bins or"),
        ({"bins": {"psi": [1.0, 1.0]}}, sg.InvalidArgument, "strictly ascending"),
        ({"bins": {"psi": [0.0, np.nan]}}, sg.InvalidArgument, "finite"),
        ({"bins": {"psi": [[0.0, 1.0]]}}, sg.WrongType, "list of their edges"),
        ({"bins": {"phi": 3}}, sg.InvalidArgument, "no place for 'phi'"),
        ({"raster": 3}, sg.WrongType, "raster is a Raster or None, not int"),
        ({"linear_regions": 1}, sg.WrongType, "linear_regions=1"),
        ({"checkpoint": 3}, sg.WrongType, "checkpoint is the path of a file, not int"),
        ({"checkpoint_seconds": -1}, sg.InvalidArgument, "not negative"),
        ({"checkpoint_seconds": "1"}, sg.WrongType, "a number of seconds"),
        ({"budget": {}}, sg.WrongType, "budget is a Budget"),
    ],
)
def test_arguments(arguments: dict, error: type[Exception], message: str) -> None:
    """Refused before anything starts, naming the argument."""
    with pytest.raises(error, match=message):
        summarise(**{"net": NET, "domain": BOX} | arguments)
