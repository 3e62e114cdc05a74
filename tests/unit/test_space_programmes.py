"""Boxes of seven dimensions and more, and ℓ1 balls: partitions by linear programmes, and what they give."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

import splinegeo as sg
from benchmarks.nets import make_network
from splinegeo import space
from splinegeo.lp import enumerate as programmes
from splinegeo.lp import fold
from splinegeo.lp.judge import Judge
from splinegeo.space.programmes import DIMENSIONS
from splinegeo.testing import mlp

SMALL = make_network((7, 6, 5, 2))


def cube(d: int, half: float = 2.0) -> sg.Box:
    return sg.Box([-half] * d, [half] * d)


@pytest.fixture(scope="module")
def seven() -> space.SpacePartition:
    return sg.partition(SMALL, cube(7), threads=1)


@pytest.mark.parametrize("d", [7, 8, 9])
def test_buck(d: int) -> None:
    """n hyperplanes in general position, all of whose vertices are inside: the sum of C(n, j) for j <= d."""
    rng = np.random.default_rng(d)
    n = d + 3
    weight, bias = rng.normal(size=(n, d)), rng.normal(size=n)
    part = sg.partition(mlp([weight, np.ones((1, n))], [bias, [0.0]]), cube(d, 1e4), threads=1)
    assert part.n_regions == sum(comb(n, j) for j in range(d + 1))


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "regions"), [((7, 10, 10, 1), 26_460), ((8, 10, 10, 1), 88_511)])
def test_counts(widths: tuple[int, ...], regions: int) -> None:
    """As independent prototypes have them."""
    assert sg.partition(make_network(widths), cube(widths[0])).n_regions == regions


def test_regions(seven: space.SpacePartition) -> None:
    assert seven.complete
    assert seven.stored_geometry is None
    assert repr(seven) == f"<SpacePartition {len(seven):,} regions of Box in R^7, d = 7, float64, exact>"
    assert (seven.locate(seven.interior_points) == np.arange(len(seven))).all()
    a, b = seven.affine_maps()
    outputs = seven.network(seven.points)
    assert np.einsum("nij,nj->ni", a, seven.points) + b == pytest.approx(outputs, abs=1e-12)
    sigma = np.linalg.svd(a, compute_uv=False)
    assert seven.psi == pytest.approx(np.log(np.where(sigma > 1e-10, sigma, 1.0)).sum(1))


def test_vertices_and_facets_come_when_asked_for(seven: space.SpacePartition) -> None:
    assert seven.volumes.sum() == pytest.approx(4.0**7)
    assert (seven.volumes > 0).all()
    assert seven.geometry.renumbered(np.arange(len(seven))) == seven.geometry
    inner = seven.facet_regions[seven.facet_regions[:, 1] >= 0]
    assert np.array_equal(np.unique(np.sort(inner, 1), axis=0), seven.adjacency)
    for k in (0, 1, len(seven) - 1):  # a region's point lies inside its corners' bounding box
        corners = seven.corners[k]
        assert (corners.min(0) <= seven.points[k]).all()
        assert (seven.points[k] <= corners.max(0)).all()
    assert set(seven.neighbors[0]) - {-1} == {q if p == 0 else p for p, q in seven.adjacency.tolist() if 0 in (p, q)}
    assert seven[3].volume == seven.volumes[3]


def test_networkx() -> None:
    networkx = pytest.importorskip("networkx")
    part = sg.partition(make_network((20, 16, 8, 2)), sg.L1Ball(np.ones(20), 0.3, dim=12))
    graph = part.to_networkx()
    assert graph.number_of_nodes() == len(part) > 10
    assert graph.number_of_edges() == len(part.adjacency)
    assert networkx.is_connected(graph)
    p, q = part.adjacency[0].tolist()
    assert graph.edges[p, q]["breakpoints"] == tuple(np.flatnonzero(part.patterns[p] != part.patterns[q]).tolist())


def test_values(seven: space.SpacePartition, tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(seven)) == seven
    seven.save(tmp_path / "part.npz")
    again = sg.load(tmp_path / "part.npz")
    assert again == seven
    assert again.n_linear_regions == seven.n_linear_regions
    assert sg.partition(SMALL, cube(7), threads=3) == seven
    assert seven != sg.partition(SMALL, cube(7, 1.5), threads=1)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_budget_of_regions(seven: space.SpacePartition, limit: int) -> None:
    for threads in (1, 2):
        part = sg.partition(SMALL, cube(7), threads=threads, budget=sg.Budget(regions=limit))
        assert not part.complete
        assert part.stop_reason == f"budget of {limit} regions"
        assert np.array_equal(part.packed_patterns, seven.packed_patterns[:limit])
    with pytest.raises(sg.UnsupportedOperation, match="incomplete"):
        _ = part.vertices
    with pytest.raises(sg.UnsupportedOperation, match="incomplete"):
        _ = part.n_linear_regions


def test_a_budget_that_suffices(seven: space.SpacePartition) -> None:
    assert sg.partition(SMALL, cube(7), threads=2, budget=sg.Budget(regions=len(seven))) == seven


def test_budget_of_time_and_memory() -> None:
    net = make_network((8, 30, 30, 1))  # millions of regions
    for budget, reason in ((sg.Budget(seconds=0.3), "0.3 seconds"), (sg.Budget(memory=1_000_000), "1,000,000 bytes")):
        part = sg.partition(net, cube(8), threads=2, budget=budget)
        assert not part.complete
        assert reason in part.stop_reason
        assert (part.locate(part.points[:5]) == np.arange(min(5, len(part)))).all()


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    found = programmes.Job._found

    def press(self: programmes.Job, regions: int, size: int) -> None:
        found(self, regions, size)
        if self._regions and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    pressed = threading.Event()
    monkeypatch.setattr(programmes.Job, "_found", press)
    part = sg.partition(make_network((8, 30, 30, 1)), cube(8), threads=1)
    assert part.stop_reason == "interrupted"
    assert len(part)


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 7, 12, 40, 100])
def test_balls(dim: int) -> None:
    """Regions are as many as local complexity says, whichever engine the dimension leads to."""
    net, radius = make_network((100, 40, 40, 3)), 0.3 if dim < 8 else 0.05
    ball = sg.L1Ball(np.linspace(-1, 1, 100), radius, dim=dim)
    part = sg.partition(net, ball)
    assert part.complete
    count = sg.local_complexity(net, ball.center, radius, frame=ball.frame, kind="regions")
    assert len(part) == int(count)
    assert (part.locate(part.interior_points) == np.arange(len(part))).all()
    assert ball.contains(part.interior_points).all()
    assert part.n_linear_regions == len(part)
    if dim >= DIMENSIONS:
        assert isinstance(part, space.SpacePartition)
        assert len(part.adjacency) >= len(part) - 1
    if 2 < dim <= 3:
        assert part.volumes.sum() == pytest.approx(ball.volume)
        assert part.euler_characteristic == 1
    if dim > 8:
        with pytest.raises(sg.UnsupportedOperation, match="2\\^d facets"):
            _ = part.neighbors


def test_a_ball_brings_its_slice() -> None:
    ball = sg.L1Ball(np.zeros(7), 1.0, dim=3)
    with pytest.raises(sg.InvalidArgument, match="leave slice out"):
        sg.partition(SMALL, ball, sg.Slice.identity(7))
    with pytest.raises(sg.InvalidArgument, match="leave slice out"):
        sg.partition(SMALL, sg.L1Ball(np.zeros(7), 1.0, dim=2), sg.Slice.identity(7))
    with pytest.raises(sg.ShapeMismatch, match="7 inputs"):
        sg.partition(SMALL, sg.L1Ball(np.zeros(6), 1.0, dim=3))


def test_dead_neurons_and_no_neurons() -> None:
    """What no unit cuts is one region; units that are zero all over do not cut."""
    flat = mlp([np.zeros((4, 7)), np.ones((1, 4))], [np.zeros(4), [1.0]])
    for net in (flat, mlp([np.ones((2, 7))], [np.zeros(2)])):
        part = sg.partition(net, cube(7))
        assert (len(part), part.n_linear_regions, part.n_facets, part.n_vertices) == (1, 1, 14, 128)
        assert len(part.adjacency) == 0


def test_ties_behind_a_relu_need_no_exact_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both entries of a window are off they tie, and one that is on beats one that is off: no arithmetic."""
    torch.manual_seed(0)
    pooled = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Unflatten(1, (2, 8)), torch.nn.MaxPool1d(2),
        torch.nn.Flatten(), torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1),
    ).double()  # fmt: skip
    asked: list[int] = []
    settle = Judge.settle
    monkeypatch.setattr(Judge, "settle", lambda self, hinge, *rest: (asked.append(hinge), settle(self, hinge, *rest)))
    ball = sg.L1Ball(np.full(8, 0.1), 1.0)
    part = sg.partition(pooled, ball)
    assert len(part) > 1000
    assert not asked
    assert (part.locate(part.points[::50]) == np.arange(len(part))[::50]).all()
    # With exact arithmetic for all of it there are the same regions.
    monkeypatch.setattr(fold, "_unrounded", lambda total, part, scale: np.zeros(total.shape[1], bool))
    small = sg.L1Ball(np.full(8, 0.1), 0.5)
    exact = sg.partition(pooled, small)
    assert asked
    monkeypatch.undo()
    assert sg.partition(pooled, small) == exact
