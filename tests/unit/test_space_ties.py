"""Zeros by structure: ties behind rectifiers are decided without exact arithmetic, and as that would decide them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks.graph import Input, Knot, Linear, Maximum, Node, SplineNetwork
from splinegeo.partition import locate as in_plane
from splinegeo.partition.locate import float_bits
from splinegeo.space import locate as in_space
from splinegeo.space.enumerate import Worker
from splinegeo.space.problem import Problem
from splinegeo.testing import mlp


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[int]]:
    """By level how often the walk asks the judge."""
    counts: Counter[int] = Counter()
    answer = Worker._answer

    def counted(self: Worker, kind: int, level: int, n: int, unused: int, vertex: int) -> int:
        counts[level] += 1
        return answer(self, kind, level, n, unused, vertex)

    monkeypatch.setattr(Worker, "_answer", counted)
    return counts


def images(size: int, d: int = 3) -> sg.Slice:
    rng = np.random.default_rng(size)
    return sg.Slice(rng.normal(size=size), rng.normal(size=(size, d)))


def pooled(stride: int, *, rectified_first: bool) -> nn.Module:
    torch.manual_seed(0)
    first, last = nn.Conv2d(1, 1, 2), [nn.Flatten(), nn.Linear(1 if stride == 2 else 4, 2), nn.ReLU(), nn.Linear(2, 1)]
    between = [nn.ReLU(), nn.MaxPool2d(2, stride)]
    return nn.Sequential(first, *between[:: 1 if rectified_first else -1], *last).double()


def partitioned(module: nn.Module, shape: tuple[int, ...] = (1, 4, 4)) -> sg.SpacePartition:
    plane = images(int(np.prod(shape)))
    part = sg.partition(sg.capture(module, shape), sg.Box([-1] * 3, [1] * 3), plane, threads=1)
    assert part.complete
    assert part.euler_characteristic == 1
    assert part.volumes.sum() == pytest.approx(8.0, rel=1e-9)
    return part


@pytest.mark.parametrize("stride", [1, 2])
def test_pools_and_rectifiers_commute(stride: int, questions: Counter[int]) -> None:
    """One function, so the same linear regions with the same maps; and what is off ties without being asked about."""
    before = partitioned(pooled(stride, rectified_first=True))
    assert not questions
    after = partitioned(pooled(stride, rectified_first=False))
    assert before.n_linear_regions == after.n_linear_regions <= after.n_regions <= before.n_regions
    points = np.random.default_rng(1).uniform(-1, 1, (500, 3))
    a, b = (part.linear_regions()[part.locate(points)] for part in (before, after))
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))
    for mine, other in zip(
        before.affine_maps(before.locate(points)), after.affine_maps(after.locate(points)), strict=True
    ):
        assert mine == pytest.approx(other, abs=1e-12)


def test_pools_behind_pools(questions: Counter[int]) -> None:
    """Rectified pools, twice: windows overlap, and winners of winners tie."""
    torch.manual_seed(2)
    layers = [nn.Conv1d(1, 1, 2), nn.ReLU(), nn.MaxPool1d(2, 1), nn.Conv1d(1, 2, 2), nn.ReLU(), nn.MaxPool1d(2, 1)]
    part = partitioned(nn.Sequential(*layers, nn.MaxPool1d(2, 1)).double(), (1, 6))
    assert part.n_regions > 10
    assert not questions


def test_networks_without_biases(questions: Counter[int]) -> None:
    """All kinks of the first layer meet in the origin, where the hinges behind them vanish with them."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((6, 3), (6, 6), (5, 6), (1, 5))]
    part = sg.partition(mlp(weights, [np.zeros(len(w)) for w in weights]), sg.Box([-1] * 3, [1] * 3), threads=1)
    # Central arrangements of planes in general position; deeper kinks only refine their cones.
    assert part.n_regions > 2 * (1 + 5 + 10)
    assert set(questions) <= {0}
    assert (np.abs(part.vertices).max(1) < 1e-12).sum() == 1
    for r in range(part.n_regions):
        assert (np.abs(part.corners[r]).max(1) < 1e-12).sum() == 1


def rectified_windows(n_affine: int, seed: int) -> SplineNetwork:
    """Overlapping windows of rectified functions on a coarse grid, behind weights that let combinations of ties tie."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-2, 3, (n_affine, 3)) / 2.0, rng.integers(-2, 3, n_affine) / 2.0
    nodes: list[Node] = [Input("input", 3, ()), Linear("planes", n_affine, (0,), weight, bias)]
    slopes = np.tile([0.0, 1.0], (n_affine, 1))
    nodes.append(Knot("relu", n_affine, (1,), np.zeros((n_affine, 1)), slopes, np.zeros(n_affine)))
    windows = np.arange(n_affine - 2)[:, None] + np.arange(3)
    nodes.append(Maximum("max", len(windows), (2,), windows))
    differences = np.eye(len(windows) - 1, len(windows)) - np.eye(len(windows) - 1, len(windows), 1)
    nodes.append(Linear("differences", len(differences), (3,), differences * 1.5, np.zeros(len(differences))))
    nodes.append(Maximum("largest", 1, (4,), np.arange(len(differences))[None]))
    return SplineNetwork(tuple(nodes), 5, (3,), (1,))


def without_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no row be exactly a sum of hinges: weights have errors, too small to move anything."""
    start = Worker.__init__

    def started(self: Worker, problem: Problem, control: Array) -> None:
        start(self, problem, control)
        slack = self.table["slack"]
        slack[slack == 0] = 1e-305

    monkeypatch.setattr(Worker, "__init__", started)


@pytest.mark.parametrize("seed", range(6))
def test_structure_says_what_exact_arithmetic_says(
    seed: int, questions: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same arrays, byte for byte, whether ties are traced back to what they are sums of or asked about."""
    net, box = rectified_windows(6 + seed % 2, seed), sg.Box([-2] * 3, [2] * 3)
    here = sg.partition(net, box, threads=1)
    few = questions.total()
    questions.clear()
    without_structure(monkeypatch)
    there = sg.partition(net, box, threads=1)
    assert few < questions.total()
    for name in ("packed_patterns", "vertices", "corner_vertices", "corner_facets", "region_offsets", "region_facets",
                 "facet_regions", "facet_sides"):  # fmt: skip
        assert getattr(here, name).tobytes() == getattr(there, name).tobytes()


@pytest.mark.parametrize("dim", [2, 3])
def test_points_where_units_that_are_off_tie(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are located in floating point, where exact arithmetic puts them."""
    net = sg.capture(pooled(1, rectified_first=True), (1, 4, 4))
    part = sg.partition(net, sg.Box([-1] * dim, [1] * dim), images(16, dim), threads=1)
    points = np.random.default_rng(0).uniform(-1, 1, (12, dim))

    def nothing_sure(*given: Any) -> tuple[Array, Array]:
        bits, sure = float_bits(*given)
        return bits, np.zeros_like(sure)

    def refused(*given: Any) -> None:
        raise AssertionError("a point was not located in floating point")

    with monkeypatch.context() as m:
        for module in (in_plane, in_space):
            m.setattr(module, "bits_beside", refused)
        m.setattr(in_plane, "doubled_bits", refused)
        found = part.locate(points)
    for module in (in_plane, in_space):
        monkeypatch.setattr(module, "float_bits", nothing_sure)
    assert np.array_equal(part.locate(points), found)
    assert found.min() >= 0
