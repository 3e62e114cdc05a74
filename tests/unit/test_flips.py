"""A proof that two maps differ is right, and there is one wherever nothing is degenerate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import splinegeo as sg
from benchmarks.nets import WIDTHS, make_network
from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.partition import merging, tasks
from splinegeo.partition.enumerate import Problem, Task, Worker
from splinegeo.partition.flips import different_across, different_within, surely_full_rank
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.ranks import exact_sigma
from splinegeo.streaming.regions import TaskRegions
from splinegeo.testing import mlp
from tests.oracles.families import FAMILIES, make_case
from tests.oracles.parts import reduced

BOX = sg.Box([-2, -2], [2, 2])


def parts(network: SplineNetwork, leaf: int) -> Iterator[TaskRegions]:
    with reduced(leaf):
        for task in tasks.tasks(network, np.zeros(2), np.eye(2), BOX.vertices):
            found, _ = Worker(task.problem, np.zeros(2, np.int64)).run(task.code, NO_LIMIT, lambda *_: None)
            yield TaskRegions.of(task, found)


def edges(regions: TaskRegions) -> tuple[Array, Array, Array]:
    """Owners of corners, pairs within the task, half-edges on its outline."""
    owners = regions.owners()
    first = np.nonzero(regions.twin > np.arange(len(regions.twin)))[0]
    return owners, np.stack([owners[first], owners[regions.twin[first]]], 1), np.nonzero(regions.twin == -2)[0]


def exact_maps(task: Task, bits: Array) -> tuple[int, list]:
    value = task.problem.judge(bits).maps(len(task.problem.layout.places))
    return value.e, value.rows


def test_generic_networks_leave_nothing_open() -> None:
    network, count, outline = make_network(WIDTHS["toy"]), 0, 0
    for regions in parts(network, 12):
        owners, pairs, open_ = edges(regions)
        assert different_within(regions.problem, regions.bits, pairs).all()
        labels, keys = regions.labels[open_], regions.keys[open_]
        assert different_across(regions.problem, regions.bits, owners[open_], labels, keys).all()
        count, outline = count + len(pairs), outline + len(open_)
    assert count > 1000
    assert outline > 100


def test_what_cancels_is_not_said_to_differ() -> None:
    """Whole weights of which many sums vanish: every proof is checked in exact arithmetic, and many are not given."""
    rng = np.random.default_rng(0)
    sizes, proofs, equal = [2, 7, 5, 4, 1], 0, 0
    for _ in range(12):
        shapes = list(zip(sizes[1:], sizes, strict=False))
        layers = [rng.integers(-2, 3, s) * (rng.random(s) < 0.7) for s in shapes]
        layers[0] = rng.normal(size=shapes[0])
        layers[3] = np.array([[1.0, -1.0, 1.0, 0.0]])
        layers[2][1] = layers[2][0]  # two units that the output takes with opposite signs
        network = mlp(layers, [rng.normal(size=7), rng.normal(size=5), np.zeros(4), np.zeros(1)])
        for regions in parts(network, 4):
            _, pairs, _ = edges(regions)
            sure = different_within(regions.problem, regions.bits, pairs)
            for (p, q), differ in zip(pairs, sure, strict=True):
                a, b = exact_maps(regions.task, regions.bits[p]), exact_maps(regions.task, regions.bits[q])
                same = merging._equal(*a, *b)
                assert not (same and differ)
                proofs, equal = proofs + bool(differ), equal + same
    assert proofs > 100
    assert equal > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_linear_regions_of_degenerate_families(family: str) -> None:
    """In parts, joined within them and across, as many as without parts."""
    case = make_case(family, 2)
    plane = None if case.slice is None else sg.Slice(*case.slice)
    domain = sg.Polygon(case.polygon)
    direct = sg.partition(case.network, domain, plane)
    with reduced(3):
        found = sg.summarise(case.network, domain, plane, linear_regions=True)
    assert (found.n_regions, found.n_linear_regions) == (direct.n_regions, direct.n_linear_regions)


def test_edges_between_parts_need_no_exact_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every unit matters nothing is compared exactly, in parts or whole."""

    def refuse(*_: object) -> None:
        raise AssertionError("asked for exact maps")

    monkeypatch.setattr(merging, "_equal", refuse)
    network = make_network(WIDTHS["toy"])
    expected = sg.partition(network, BOX).n_regions
    with reduced(12):
        assert sg.summarise(network, BOX, linear_regions=True).n_linear_regions == expected
        assert sg.partition(network, BOX).n_linear_regions == expected


@pytest.mark.parametrize(("leaf", "reroot"), [(4, 6), (12, 6), (3, 1)])
def test_derivatives_across_the_outline(leaf: int, reroot: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a probe says of an edge is what both sides' maps say, also in reductions of reductions of reductions."""
    monkeypatch.setattr(tasks, "REROOT", reroot)
    said: dict[int, list[bool]] = {}
    true: dict[int, list] = {}
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(9, 2)), rng.integers(-1, 2, (5, 9)), rng.integers(-1, 2, (1, 5))]
    network = mlp(layers, [rng.normal(size=9), rng.normal(size=5), np.zeros(1)])
    for regions in parts(network, leaf):
        owners, _, open_ = edges(regions)
        problem: Problem = regions.problem
        sure = different_across(problem, regions.bits, owners[open_], regions.labels[open_], regions.keys[open_])
        for h, differ in zip(open_, sure, strict=True):
            key = int(regions.keys[h])
            said.setdefault(key, []).append(bool(differ))
            true.setdefault(key, []).append(exact_maps(regions.task, regions.bits[owners[h]]))
    assert all(len(v) == 2 for v in said.values())
    same = {k: merging._equal(*a, *b) for k, (a, b) in true.items()}
    assert not any(same[k] and any(v) for k, v in said.items())
    assert all(same[k] or all(v) for k, v in said.items())
    assert sum(same.values()) > 0


def test_full_rank_is_proved_where_it_holds_and_only_there() -> None:
    """Generic maps of rank two; maps of rank one and zero, which whole weights give; a single output."""
    rng = np.random.default_rng(2)
    proofs = {0: [0, 0], 1: [0, 0], 2: [0, 0]}
    first, bias = rng.integers(-2, 3, (6, 2)), rng.normal(size=6)
    low = np.outer([1.0, -2.0, 1.0], rng.integers(-2, 3, 6)), np.diag([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])[:3]
    for last in (rng.normal(size=(3, 6)), *low):
        network = mlp([first, last @ rng.integers(-1, 2, (6, 6))], [bias, np.zeros(3)])
        for regions in parts(network, 3):
            sure = surely_full_rank(regions.problem, regions.bits)
            for bits, said in zip(regions.bits, sure, strict=True):
                sigma, _ = exact_sigma(regions.problem, bits)
                proofs[int((sigma > 0).sum())][int(said)] += 1
    assert proofs[0][1] == proofs[1][1] == 0
    assert proofs[0][0] > 0
    assert proofs[1][0] > 10
    assert proofs[2][1] > 20
    assert proofs[2][0] == 0
    network = mlp([first, np.array([[1.0, 1, 0, 0, -1, 2]])], [bias, np.zeros(1)])
    for regions in parts(network, 3):
        exact = [exact_sigma(regions.problem, bits)[0][0] > 0 for bits in regions.bits]
        np.testing.assert_array_equal(surely_full_rank(regions.problem, regions.bits), exact)
