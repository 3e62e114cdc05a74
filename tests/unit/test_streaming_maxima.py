"""`stream` and `summarise` of networks with maxima: regions put together from pieces that may lie in several tasks."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.io import container
from splinegeo.streaming import Raster, RegionBatch, Summary, stream, summarise
from splinegeo.streaming.pending import Pending
from splinegeo.streaming.state import State
from tests.oracles.checkpoints import KILL_AFTER_A_WRITE, assert_killed, damage_arrays, press_every_third_task
from tests.oracles.modules import KINDS, MODULES, make_module_case
from tests.oracles.parts import reduced
from tests.unit.test_maxima import BOX, bordered, largest_of, pooled, sites, tangents
from tests.unit.test_streaming_raster import assert_is_located
from tests.unit.test_streaming_summary import assert_summarises

OPTIONS: dict[str, Any] = {
    "linear_regions": True,
    "raster": Raster(20, 15, ("psi", "volume", "count")),
    "bins": {"psi": 10, "nu": [0.0, 1.5, 2.0]},
}
N = 12
LARGEST = largest_of(*tangents(sites(N)))


def joined(batches: list[RegionBatch], name: str) -> Array:
    return np.concatenate([getattr(batch, name) for batch in batches])


def assert_streams(batches: list[RegionBatch], part: sg.Partition) -> None:
    """The regions of the partition, each once, in an order of their own."""
    index = {row.tobytes(): k for k, row in enumerate(part.packed_patterns)}
    own = np.array([index[row.tobytes()] for row in joined(batches, "packed_patterns")])
    assert sorted(own.tolist()) == list(range(part.n_regions))
    assert np.cumsum([0, *(len(b) for b in batches)]).tolist() == [*(b.start for b in batches), part.n_regions]
    for name in ("singular_values", "psi", "nu", "rank"):
        assert np.array_equal(joined(batches, name), getattr(part, name)[own]), name
    size = np.ptp(part.domain.vertices, 0)
    assert np.allclose(joined(batches, "volumes"), part.volumes[own], rtol=1e-9, atol=1e-13 * part.domain.volume)
    inner = joined(batches, "interior_points")
    assert np.allclose(inner / size, part.interior_points[own] / size, rtol=0, atol=1e-6)
    polygons = [p for b in batches for p in b.polygons]
    for polygon, k in zip(polygons, own, strict=True):
        theirs = part.polygons[k]
        assert len(polygon) == len(theirs)
        start = int(np.abs((theirs - polygon[0]) / size).sum(1).argmin())
        assert np.allclose(polygon / size, np.roll(theirs, -start, 0) / size, rtol=0, atol=1e-6)
    keys = joined(batches, "keys")
    assert (np.unique(keys[keys > 0], return_counts=True)[1] == 2).all()
    assert (keys == 0).sum() == (part.edge_regions[:, 1] == -1).sum()
    regions = np.repeat(np.arange(len(own)), [len(p) for p in polygons])[np.argsort(keys, kind="stable")]
    pairs = own[regions[(keys == 0).sum() :].reshape(-1, 2)]
    across = part.edge_regions[part.edge_regions[:, 1] >= 0]
    assert {frozenset(pair) for pair in pairs.tolist()} == {frozenset(pair) for pair in across.tolist()}
    a, b = (np.concatenate(parts) for parts in zip(*(batch.affine_maps() for batch in batches), strict=True))
    c, d = part.affine_maps(own)
    assert np.allclose(a, c, rtol=1e-9, atol=1e-9)
    assert np.allclose(b, d, rtol=1e-9, atol=1e-9)


def assert_all_agree(net: Any, domain: Any, plane: Any, threads: int = 2) -> list[RegionBatch]:
    part = sg.partition(net, domain, plane)
    summary = summarise(net, domain, plane, linear_regions=True, threads=threads)
    assert_summarises(summary, part)
    assert summary.n_linear_regions == part.n_linear_regions
    with stream(net, domain, plane, threads=threads) as regions:
        batches = list(regions)
    assert regions.complete
    assert_streams(batches, part)
    return batches


@pytest.mark.parametrize(
    ("n", "leaf"), [(2, None), (3, 1), (4, 1), (4, None), (7, 3), (13, None), (13, 6), (40, None), (40, 20)]
)
def test_the_envelope_of_tangent_planes_has_one_region_a_point(n: int, leaf: int | None) -> None:
    """Voronoi cells, which the tasks cut through: comparisons of the first level cut the domain, and decide nothing."""
    net = largest_of(*tangents(sites(n)))
    with nullcontext() if leaf is None else reduced(leaf):
        batches = assert_all_agree(net, BOX, None)
        assert_is_located(net, BOX, None, Raster(33, 33, ("psi", "sigma_2", "volume")), BOX)
    assert sum(len(b) for b in batches) == n
    assert sum(float(b.volumes.sum()) for b in batches) == pytest.approx(16, rel=1e-12)


def test_most_cells_reach_beyond_their_tasks() -> None:
    """So the above tests what it is for: the pieces of a region come from several tasks."""
    met: list[int] = []
    add = Pending.add
    with reduced(5), pytest.MonkeyPatch.context() as patch:

        def spy(self: Pending, new: Any) -> Any:
            done = add(self, new)
            met.append(0 if done is None else len(done.regions))
            return done

        patch.setattr(Pending, "add", spy)
        assert summarise(LARGEST, BOX).n_regions == N
    assert len(met) > 5
    assert sum(met) > N // 2


@pytest.mark.parametrize("leaf", [None, 8])
@pytest.mark.parametrize(
    ("kind", "border"),
    [
        ("rectified", 0.375),
        ("channels", 0.375),
        *(
            pytest.param(kind, border, marks=pytest.mark.slow)
            for kind in ("affine", "rectified", "padded", "twice", "channels")
            for border in (0.0, 0.375)
            if border == 0.0 or kind not in ("rectified", "channels")
        ),
    ],
)
def test_ties_on_constant_borders(kind: str, border: float, leaf: int | None) -> None:
    """Pools of pools, dead and equal channels, padding: directly and in parts."""
    network, plane = sg.capture(pooled(kind, int(border > 0)), (1, 4, 5)), bordered(border, int(border > 0))
    with nullcontext() if leaf is None else reduced(leaf):
        assert_all_agree(network, BOX, plane)
        assert_is_located(network, BOX, plane, Raster(9, 9, ("psi", "volume")), BOX)


WITH_MAXIMA = [name for name in MODULES if "max" in name or name in ("norms", "pooled branches", "float16")]


def quick(name: str, kind: str, leaf: int | None) -> bool:
    return kind == KINDS[WITH_MAXIMA.index(name) % len(KINDS)] and leaf is None


@pytest.mark.parametrize(
    ("name", "kind", "leaf"),
    [
        pytest.param(name, kind, leaf, marks=[] if quick(name, kind, leaf) else pytest.mark.slow)
        for name in WITH_MAXIMA
        for kind in KINDS
        for leaf in (None, 6)
    ],
)
def test_modules(name: str, kind: str, leaf: int | None) -> None:
    """Every operation that takes maxima, with generic and degenerate weights."""
    case = make_module_case(name, kind, 0)
    plane = None if case.slice is None else sg.Slice(*case.slice)
    with nullcontext() if leaf is None else reduced(leaf):
        assert_all_agree(case.network, sg.Polygon(case.polygon), plane)


@pytest.mark.parametrize("leaf", [None, 5])
def test_any_number_of_threads_gives_the_same_bytes(leaf: int | None, tmp_path: Path) -> None:
    """Of the result and of the checkpoint; a region waits in the order of the tasks."""
    with nullcontext() if leaf is None else reduced(leaf):
        files = [tmp_path / f"{k}.npz" for k in range(3)]
        summaries = [
            summarise(LARGEST, BOX, threads=k + 1, checkpoint=files[k], checkpoint_seconds=0, **OPTIONS)
            for k in range(3)
        ]
        streams = [list(stream(LARGEST, BOX, threads=k)) for k in (1, 3)]
    assert summaries[0] == summaries[1] == summaries[2]
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    for name in ("packed_patterns", "corners", "keys", "singular_values", "volumes"):
        assert np.array_equal(*(joined(batches, name) for batches in streams))


@cache
def ordered(leaf: int | None) -> list[RegionBatch]:
    with nullcontext() if leaf is None else reduced(leaf):
        return list(stream(LARGEST, BOX))


@pytest.mark.parametrize("leaf", [None, 5])
@pytest.mark.parametrize("limit", [1, 5, N - 1])
def test_the_first_regions(limit: int, leaf: int | None) -> None:
    """Whole ones, as many as the budget says: the first ones of the stream."""
    whole = ordered(leaf)
    with nullcontext() if leaf is None else reduced(leaf):
        with stream(LARGEST, BOX, budget=sg.Budget(regions=limit), batch=7) as regions:
            batches = list(regions)
        summaries = [summarise(LARGEST, BOX, budget=sg.Budget(regions=limit), threads=t, **OPTIONS) for t in (1, 3)]
    assert regions.stop_reason == f"budget of {limit} regions"
    for name in ("packed_patterns", "volumes", "singular_values"):
        assert np.array_equal(joined(batches, name), joined(whole, name)[:limit])
    s = summaries[0]
    assert s == summaries[1]
    assert (s.n_regions, s.n_linear_regions, s.complete, s.n_vertices) == (limit, limit, False, None)
    assert s.area == pytest.approx(float(joined(whole, "volumes")[:limit].sum()), rel=1e-12)
    assert s.moments["psi"].mean == pytest.approx(
        np.average(joined(whole, "psi")[:limit], weights=joined(whole, "volumes")[:limit]), rel=1e-12
    )
    keys = np.concatenate([p for b in batches for p in np.split(b.keys, b.offsets[1:-1])])
    counts = np.unique(keys[keys > 0], return_counts=True)[1]
    assert (s.n_open_edges, s.n_boundary_edges) == ((counts == 1).sum(), (keys == 0).sum())
    assert s.n_edges == len(counts) + (keys == 0).sum()
    assert s.raster["count"].sum() == limit


def test_a_budget_that_is_just_enough() -> None:
    """All regions and no more: complete."""
    assert summarise(LARGEST, BOX, budget=sg.Budget(regions=N)) == summarise(LARGEST, BOX)
    regions = stream(LARGEST, BOX, budget=sg.Budget(regions=N))
    assert sum(len(b) for b in regions) == N
    assert regions.complete


def run(path: Path, **more: Any) -> Summary:
    return summarise(LARGEST, BOX, **{**OPTIONS, "checkpoint": path, "checkpoint_seconds": 0, **more})


KILLED = """
from pathlib import Path
from tests.oracles.parts import reduced
from tests.unit.test_streaming_maxima import run

with reduced(5):
    run(Path({path!r}), threads=2)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_half_and_resumed(tmp_path: Path) -> None:
    """What waited for later tasks waits in the file: the result is that of one go, byte for byte."""
    path = tmp_path / "half.npz"
    assert_killed(KILL_AFTER_A_WRITE, KILLED.format(path=str(path)))
    _, arrays = container.read(path, "checkpoint")
    assert len(arrays["pending.names"]) > 3
    with reduced(5):
        resumed, whole = run(path, threads=3), summarise(LARGEST, BOX, **OPTIONS)
    assert resumed.complete
    files = [s.save(tmp_path / f"{k}.npz").read_bytes() for k, s in enumerate((resumed, whole))]
    assert files[0] == files[1]


@pytest.mark.parametrize("case", ["cells", pytest.param("pools", marks=pytest.mark.slow)])
def test_interrupted_again_and_again(case: str, tmp_path: Path) -> None:
    """Each run does a few tasks, from the file that the one before has left."""
    net, plane = LARGEST, None
    if case == "pools":
        net, plane = sg.capture(pooled("twice", 1), (1, 4, 5)), bordered(0.375, 1)
    path, runs = tmp_path / "checkpoint.npz", 0
    with reduced(5):
        whole = summarise(net, BOX, plane, **OPTIONS)
        with pytest.MonkeyPatch.context() as patch:
            press_every_third_task(patch)
            while not (
                found := summarise(net, BOX, plane, checkpoint=path, checkpoint_seconds=1e6, **OPTIONS)
            ).complete:
                assert found.stop_reason == "interrupted"
                runs += 1
    assert runs > 2
    assert found == whole


def test_a_budget_and_resumed(tmp_path: Path) -> None:
    """Parts of tasks are described, and done once more when the work goes on."""
    path = tmp_path / "checkpoint.npz"
    with reduced(5):
        for limit in (3, 4, N - 1):
            budget = sg.Budget(regions=limit)
            assert run(path, budget=budget) == summarise(LARGEST, BOX, budget=budget, **OPTIONS)
        assert run(path) == summarise(LARGEST, BOX, **OPTIONS)


DAMAGE = {
    "missing": lambda a: a.pop("pending.names"),
    "names": lambda a: a.update({"pending.names": a["pending.names"][:1]}),
    "twice": lambda a: a["pending.names"].__setitem__(1, a["pending.names"][0]),
    "parts": lambda a: a.update({"pending.parts": a["pending.parts"] + 1}),
    "edges": lambda a: a.update({"pending.edges": -a["pending.edges"]}),
    "keys": lambda a: a.update({"pending.keys": a["pending.keys"][1:]}),
    "kind": lambda a: a.update({"pending.kind": a["pending.kind"] + 3}),
    "marks": lambda a: a.update({"pending.marks": a["pending.marks"][:, :1]}),
    "patterns": lambda a: a.update({"pending.patterns": a["pending.patterns"][:, :1]}),
    "pixels": lambda a: a.update({"pending.pixels": a["pending.pixels"][1:]}),
    "places": lambda a: a.update({"pending.pixels": a["pending.pixels"] + 10**9}),
    "dtype": lambda a: a.update({"pending.xy": a["pending.xy"].astype(np.float32)}),
}


@pytest.mark.parametrize("damage", list(DAMAGE.values()), ids=list(DAMAGE))
def test_damaged_checkpoints(damage: Any, tmp_path: Path) -> None:
    """Arrays that do not fit together are noticed when they are read."""
    path = tmp_path / "checkpoint.npz"
    with reduced(5):
        run(path, budget=sg.Budget(regions=6))
        _, arrays = container.read(path, "checkpoint")
        assert len(arrays["pending.names"]) > 1
        assert len(arrays["pending.pixels"]) > 1
        damage_arrays(path, damage)
        with pytest.raises(sg.FileFormatError, match="is inconsistent"):
            run(path)


def test_growth_is_known_beforehand() -> None:
    """A budget of regions asks how many a task would complete."""
    add, seen = State.add, []

    def watched(state: State, part: Any, *more: Any) -> None:
        expected = state.n_regions + state.growth(part)
        add(state, part, *more)
        seen.append(state.n_regions == expected)

    with reduced(5), pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "add", watched)
        summarise(LARGEST, BOX)
    assert len(seen) > 5
    assert all(seen)


def test_what_waits_counts_as_held() -> None:
    """Regions that are not complete take memory, which a budget limits; in the end nothing is held."""
    held: list[int] = []
    add = State.add

    def watched(state: State, part: Any, *more: Any) -> None:
        add(state, part, *more)
        held.append(state.held)

    with reduced(5), pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "add", watched)
        summarise(LARGEST, BOX, threads=1)
        assert held[-1] == 0
        limit = max(held) // 2
        # Nothing else counts for long: results of tasks are no longer held when their statistics are made.
        part = summarise(LARGEST, BOX, threads=1, budget=sg.Budget(memory=limit))
        assert part.stop_reason == f"budget of {limit:,} bytes"
        with stream(LARGEST, BOX, threads=1, budget=sg.Budget(memory=limit)) as regions:
            list(regions)
        assert regions.stop_reason == f"budget of {limit:,} bytes"


def test_a_piece_that_is_lost_is_noticed() -> None:
    """A region that lacks a piece never becomes complete."""
    add = Pending.add
    with reduced(5), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pending, "add", lambda self, new: add(self, new) if new.task.index != 5 else None)
        with pytest.raises(sg.SplineGeoError, match="regions are not complete"):
            summarise(LARGEST, BOX)
        with pytest.raises(sg.SplineGeoError, match="regions are not complete"):
            list(stream(LARGEST, BOX))


def test_a_constant_maximum() -> None:
    """One region over the whole domain, in however many tasks; one entry that is always the largest."""
    weight, bias = np.array([[0.0, 0], [1, 2], [1, 2]]), np.array([9.0, 0, 0])
    for leaf in (None, 1):
        with nullcontext() if leaf is None else reduced(leaf):
            s = summarise(largest_of(weight, bias), BOX, linear_regions=True, raster=Raster(3, 3))
        assert (s.n_regions, s.n_linear_regions, s.n_edges, s.n_vertices, s.max_corners) == (1, 1, 4, 4, 4)
        assert s.moments["psi"].mean == 0
        assert (s.raster["psi"] == 0).all()
    weight = np.array([[0.0, 0], [1, 2], [2, 1], [-1, 1]])
    with reduced(1):
        s = summarise(largest_of(weight, np.array([99.0, 0, 0, 0])), BOX, linear_regions=True)
    assert (s.n_regions, s.n_edges, s.area) == (1, 4, 16)
