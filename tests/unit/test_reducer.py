"""The reducer finds what the direct walk finds: networks so small that both can be afforded, in parts of few hinges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import xor

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from benchmarks.nets import REGIONS, WIDTHS, make_network
from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition import live, tasks
from splinegeo.partition.enumerate import Worker
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.live import Columns, Pass, Reduced
from splinegeo.partition.longs import exactly
from splinegeo.partition.normal_form import Level
from splinegeo.partition.reduce import Reducer
from splinegeo.partition.refold import _combined
from splinegeo.partition.relaxation import Relaxation
from splinegeo.partition.windows import Windows
from splinegeo.testing import assert_maps, assert_watertight, mlp
from tests.oracles.compare import assert_equals_oracle
from tests.oracles.families import FAMILIES, Case, make_case
from tests.oracles.modules import KINDS, MODULES, make_module_case
from tests.oracles.parts import reduced
from tests.oracles.rational import exact_partition

BOX = sg.Box([-2, -2], [2, 2])


def both(case: Case, leaf: int) -> tuple[sg.Partition, sg.Partition]:
    """The direct partition and the reduced one."""
    plane = None if case.slice is None else sg.Slice(*case.slice)
    direct = sg.partition(case.network, sg.Polygon(case.polygon), plane)
    with reduced(leaf):
        return direct, sg.partition(case.network, sg.Polygon(case.polygon), plane)


def order(part: sg.Partition) -> Array:
    """Regions by pattern."""
    return np.array(sorted(range(part.n_regions), key=lambda k: part.packed_patterns[k].tobytes()), np.int64)


def assert_same(direct: sg.Partition, part: sg.Partition) -> None:
    """Patterns, areas, links and descriptors; regions come in another order."""
    assert (part.n_regions, part.n_edges, part.n_vertices) == (direct.n_regions, direct.n_edges, direct.n_vertices)
    i, j = order(direct), order(part)
    assert (direct.packed_patterns[i] == part.packed_patterns[j]).all()
    np.testing.assert_allclose(part.volumes[j], direct.volumes[i], rtol=1e-9, atol=1e-12 * direct.domain.volume)
    scale = direct.singular_values.max(initial=0.0)
    np.testing.assert_allclose(part.singular_values[j], direct.singular_values[i], rtol=1e-9, atol=1e-12 * scale)
    assert (part.rank[j] == direct.rank[i]).all()
    np.testing.assert_allclose(part.psi[j], direct.psi[i], rtol=1e-7, atol=1e-7)
    assert part.n_linear_regions == direct.n_linear_regions
    assert_watertight(part)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("leaf", [1, 6, pytest.param(15, marks=pytest.mark.slow)])
def test_degenerate_families(family: str, leaf: int) -> None:
    """Against the exact oracle and the direct walk."""
    for seed in (leaf % 2, 2):
        case = make_case(family, seed)
        direct, part = both(case, leaf)
        assert_same(direct, part)
        assert_equals_oracle(part, exact_partition(case.network, case.polygon, *(case.slice or ())))


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    """Convolutions, branches, maxima, also of five outputs and more."""
    for kind in ("generic", KINDS[1 + list(MODULES).index(name) % (len(KINDS) - 1)]):
        case = make_module_case(name, kind)
        direct, part = both(case, 4)
        assert_same(direct, part)
        assert_maps(part)


@pytest.mark.parametrize(
    ("name", "leaf"),
    [("toy", 5), ("toy", 20), ("toy", 100), ("mid", 100), pytest.param("deep", 60, marks=pytest.mark.slow)],
)
def test_benchmark_nets(name: str, leaf: int) -> None:
    """The published counts."""
    case = Case(name, make_network(WIDTHS[name]), tuple(map(tuple, BOX.vertices.tolist())), None)
    direct, part = both(case, leaf)
    assert part.n_regions == REGIONS[name]
    assert_same(direct, part)


def activated(make: Callable[[], nn.Module], outputs: int = 2, gain: float = 1.0) -> SplineNetwork:
    """2 -> 12 -> 12 -> outputs, the first two layers ``gain`` times as steep."""
    torch.manual_seed(0)
    layers = nn.Linear(2, 12), make(), nn.Linear(12, 12), make(), nn.Linear(12, outputs)
    for layer in (layers[0], layers[2]):
        layer.weight.data *= gain
    return sg.capture(nn.Sequential(*layers).double(), (2,))


KNOTS: dict[str, SplineNetwork] = {
    "leaky": activated(lambda: nn.LeakyReLU(0.2)),
    "prelu": activated(lambda: nn.PReLU(12)),
    "hardtanh": activated(nn.Hardtanh),
    "hardsigmoid": activated(nn.Hardsigmoid, gain=8.0),
    "wide output": activated(nn.ReLU, 100),
}


@pytest.mark.parametrize("name", KNOTS)
@pytest.mark.parametrize("leaf", [5, 20])
def test_half_edges_cancel(name: str, leaf: int) -> None:
    """Every inner half-edge has one twin, in whatever part: keys cancel, and the areas add up to the domain's."""
    network = KNOTS[name]
    keys, regions = [np.zeros(0, np.uint64)], 0
    with reduced(leaf):
        for task in tasks.tasks(network, np.zeros(2), np.eye(2), BOX.vertices):
            found, whole = Worker(task.problem, np.zeros(2, np.int64)).run(task.code, NO_LIMIT, lambda *_: None)
            assert whole
            keys.append(found["key"])
            regions += len(found["corners"])
    assert len(keys) > 2
    inner = np.concatenate(keys)
    assert reduce(xor, inner.tolist(), 0) == 0
    _, counts = np.unique(inner[inner != 0], return_counts=True)
    assert (counts == 2).all()
    direct = sg.partition(network, BOX)
    assert regions == direct.n_regions
    with reduced(leaf):
        assert_same(direct, sg.partition(network, BOX))


def test_start_skips_tasks_without_changing_the_rest() -> None:
    """The list of tasks is the same from wherever it is begun."""
    with reduced(5):
        all_of_them = list(tasks.tasks(KNOTS["leaky"], np.zeros(2), np.eye(2), BOX.vertices))
        later = list(tasks.tasks(KNOTS["leaky"], np.zeros(2), np.eye(2), BOX.vertices, 3))
    assert [t.index for t in all_of_them] == list(range(len(all_of_them)))
    assert [t.index for t in later] == list(range(3, len(all_of_them)))
    for a, b in zip(all_of_them[3:], later, strict=True):
        assert all(np.array_equal(a.problem.plan[k], b.problem.plan[k]) for k in a.problem.plan)


def test_little_memory_makes_more_parts_and_the_same_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the columns of a reduction do not fit the domain is cut first."""
    network = make_network(WIDTHS["toy"])
    counts = []
    for memory in (1 << 29, 6_000):
        # As little as this is refused from the outside, but the network is small.
        monkeypatch.setattr(tasks, "Reducer", partial(_reducer, memory))
        regions = parts = 0
        with reduced(1000):
            for task in tasks.tasks(network, np.zeros(2), np.eye(2), BOX.vertices):
                found, _ = Worker(task.problem, np.zeros(2, np.int64)).run(task.code, NO_LIMIT, lambda *_: None)
                regions, parts = regions + len(found["corners"]), parts + 1
        counts.append((parts, regions))
    assert counts[0] == (1, REGIONS["toy"])
    assert counts[1][0] > 1
    assert counts[1][1] == REGIONS["toy"]


def _reducer(bytes_: int, exact: ExactNetwork, **_: object) -> Reducer:
    return Reducer(exact, memory=bytes_)


def test_zero_units_dead_units_and_copies() -> None:
    """Units that are zero throughout are never active, and all copies of a unit lie on the line where parts meet."""
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(9, 2)), rng.normal(size=9)
    w[3], b[3], w[4], b[4], w[6], b[6], w[7], b[7] = 0.0, 0.0, 0.0, -1.0, w[5], b[5], -2 * w[5], -2 * b[5]
    v = rng.normal(size=(6, 9))
    v[2] = 0.0
    network = mlp([w, v, rng.normal(size=(7, 6))], [b, np.array([1.0, -1, 0, 0.5, -100, 100]), np.zeros(7)])
    direct, part = both(Case("zero", network, tuple(map(tuple, BOX.vertices.tolist())), None), 2)
    assert_same(direct, part)
    with reduced(100):  # all of it in one part, whose hinges are the breakpoints that are not folded away
        (task,) = tasks.tasks(network, np.zeros(2), np.eye(2), BOX.vertices)
    dead = {3, 4, 9 + 2, 9 + 4, 9 + 5}
    assert not dead & set(task.problem.bits.tolist())


@pytest.mark.parametrize("seed", range(6))
def test_ranges_hold(seed: int) -> None:
    """Units lie in their ranges at sampled points, through several levels; some know only the hinges of early ones."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-6, 1)
    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]) * [scale, scale, 1.0]
    points = np.concatenate([rng.dirichlet(np.ones(4), 300) @ corners, corners])
    relaxation, hinges = Relaxation(corners), np.zeros((len(points), 0))
    widths = [0]
    for _ in range(5):
        known = widths[int(rng.integers(max(0, len(widths) - 2), len(widths)))]
        values = rng.normal(size=(3 + known, 30)) / np.sqrt(3 + known)
        values[2] *= scale
        error = np.full((2, 30), 1e-15)
        z = points @ values[:3] + hinges[:, :known] @ values[3:]
        low, high, slop = relaxation.ranges(values[:3], Windows.whole(values[3:]), error)
        assert (low <= z).all()
        assert (z <= high).all()
        assert (slop >= error[0]).all()
        assert (high - low <= 100 * np.ptp(z, 0) + 1e-9).all()  # nor are they idle
        live = np.nonzero((low < 0) & (high > 0))[0]
        slopes = rng.choice([0.0, 0.25, 1.0, -1.0], (len(live), 2))
        slopes[:, 1] += slopes[:, 0] == slopes[:, 1]
        inputs = Windows.whole(values[3:, live])
        relaxation.add(values[:3, live], inputs, error[:, live], low[live], high[live], slopes)
        at = z[:, live]
        hinges = np.concatenate([hinges, np.where(at > 0, slopes[:, 1], slopes[:, 0]) * at], 1)
        widths.append(hinges.shape[1])
        assert relaxation.n_live == hinges.shape[1]
        assert relaxation.largest >= np.abs(hinges).max(initial=0.0)


LONG = ("conv2d", "conv transpose 2d", "upsample nearest", "residual", "cat, slice, permute", "max pool", "bfloat16")


@pytest.mark.parametrize("name", LONG)
def test_columns_of_twice_the_digits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether columns are long changes nothing but their errors."""
    passes: list[tuple[bool, float]] = []
    finish = Pass.finish

    def noted(self: Pass, out: Columns, shared: Array | None = None) -> Reduced:
        passes.append((out.hinges.long, self.worst))
        return finish(self, out, shared)

    monkeypatch.setattr(Pass, "finish", noted)
    case = make_module_case(name, "generic")
    direct, part = both(case, 4)
    usual = max(worst for _, worst in passes)
    assert not any(is_long for is_long, _ in passes)
    passes.clear()
    monkeypatch.setattr(live, "IMPRECISE", -1.0)
    monkeypatch.setattr(Pass, "clearer_than", lambda *_: True)
    _, again = both(case, 4)
    assert any(is_long for is_long, _ in passes)
    assert max((worst for is_long, worst in passes if is_long), default=0.0) <= 2.0**-70 + usual
    assert_same(direct, part)
    assert_same(direct, again)


def test_only_sums_of_whole_numbers_are_exact() -> None:
    """Everything else rounds, and the bounds say so."""
    nothing = np.zeros(2)
    blocks = {0: np.array([[0.1, 0.3], [1.0, 2.0]])}
    level = Level(np.zeros((2, 3)), blocks, nothing, nothing, nothing, np.ones((2, 2)), np.arange(2), np.zeros(2, int))
    level.probes = np.zeros((2, 0))
    hinges = Columns(exactly(np.zeros((3, 2))), Windows.whole(np.eye(2)), np.zeros((2, 2)))
    x, _ = _combined(level, {0: hinges}, np.zeros(0, np.int64), 2)
    assert x.error[1, 0] > 2.0**-56
    assert x.error[1, 1] == 0
