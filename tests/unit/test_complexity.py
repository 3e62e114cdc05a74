"""`local_complexity`: its forms, what it refuses, and what it says when counts explode."""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import signal
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.balls import random_frame
from splinegeo.complexity.counting import Counter
from splinegeo.complexity.treesize import estimate, one_run
from splinegeo.complexity.vertices import vertices_of
from splinegeo.lp.fold import Folder
from splinegeo.lp.places import Place
from splinegeo.lp.walk import Cells, count_regions
from splinegeo.networks.graph import Input, Linear, Maximum
from splinegeo.testing import mlp
from tests.oracles.families import gaussian


def network(seed: int, *widths: int) -> sg.SplineNetwork:
    return mlp(*zip(*gaussian(np.random.default_rng(seed), widths), strict=True))


NET = network(0, 6, 16, 16, 3)
Z = np.random.default_rng(1).normal(size=(5, 6))


def test_one_latent_and_a_batch_of_any_shape_agree() -> None:
    for kind in ("regions", "crossing", "vertices"):
        batch = sg.local_complexity(NET, Z, 0.3, 4, kind)
        assert batch.values.shape == (5,)
        assert len(batch) == 5
        assert batch.per_layer.shape == (5, 2)
        assert (batch.per_layer.sum(1) == batch.crossing).all()
        single = [int(sg.local_complexity(NET, z, 0.3, 4, kind)) for z in Z]
        assert np.asarray(batch).tolist() == single
        nested = sg.local_complexity(NET, Z[None], 0.3, 4, kind)
        assert nested.values.tolist() == [single]
        assert nested.per_layer.shape == (1, 5, 2)
        assert sg.local_complexity(NET, Z[:0], 0.3, 4, kind).values.shape == (0,)


def test_counts_depend_neither_on_threads_nor_on_the_order() -> None:
    first = sg.local_complexity(NET, Z, 0.5, 5, threads=1)
    again = sg.local_complexity(NET, Z[::-1], 0.5, 5, threads=3)
    assert first.values.tolist() == again.values[::-1].tolist()
    assert first.exact
    assert pickle.loads(pickle.dumps(first)).values.tolist() == first.values.tolist()


def test_a_frame_for_each_latent() -> None:
    frames = np.stack([random_frame(6, 3, seed) for seed in range(5)])
    batch = sg.local_complexity(NET, Z, 0.4, frame=frames)
    assert batch.values.tolist() == [
        int(sg.local_complexity(NET, z, 0.4, frame=f)) for z, f in zip(Z, frames, strict=True)
    ]
    assert batch.frame.shape == (5, 6, 3)


def test_a_ball_says_it_all() -> None:
    ball = sg.L1Ball(Z[0], 0.4, dim=3, rng=5)
    assert int(sg.local_complexity(NET, ball)) == int(sg.local_complexity(NET, Z[0], 0.4, frame=ball.frame))
    with pytest.raises(sg.InvalidArgument, match="leave out"):
        sg.local_complexity(NET, ball, dim=3)


def test_regions_grow_with_the_ball() -> None:
    counts = [sg.local_complexity(NET, Z, r, 4).values for r in (1e-9, 0.1, 0.2, 0.4)]
    assert (counts[0] == 1).all()
    assert (np.diff(counts, axis=0) >= 0).all()
    frame = random_frame(6, 6, 0)
    planes = [sg.local_complexity(NET, Z, 0.2, frame=frame[:, :p]).values for p in range(1, 7)]
    assert (np.diff(planes, axis=0) >= 0).all()


def test_folding_does_not_see_the_size_of_the_network() -> None:
    """All but the live units are folded away, whatever comes after the last knot is not even looked at."""
    net = network(3, 6, 200, 200, 50)
    live = Folder(net).fold(Place.ball(Z[0], 0.01, random_frame(6, 6, 0)))
    assert live.n < 40
    assert live.n + len(live.active) <= net.n_units


def test_module_and_graph_give_the_same_estimate() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 20), nn.LeakyReLU(0.1), nn.Linear(20, 4)).double()
    graph = sg.capture(net)
    for outputs in (False, True):
        a, b = (sg.local_complexity(n, Z, 0.5, 3, "vertices", outputs=outputs) for n in (net, graph))
        assert a.values.tolist() == b.values.tolist()
        assert a.per_layer.tolist() == b.per_layer.tolist()
        assert a.per_layer.shape[1] == 2 + outputs
    few = sg.local_complexity(net, Z, 0.5, 3, "vertices", outputs=True, rows=4)  # less than a ball's vertices
    assert few.per_layer.tolist() == a.per_layer.tolist()


class Tangled(nn.Module):
    """One activation module used twice, functions, methods in place, a smooth one, and a view in between."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(4, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.a(x))
        x = self.act(self.b(x))
        x = F.gelu(x - 0.1)
        x = (x + 0.05).tanh_()
        x = torch.clamp(x, min=0.01, max=0.2)
        return self.c(F.hardtanh(x.view(len(x), 2, 4) - 0.1, -0.05, 0.05)).flatten(1)


def test_every_activation_is_seen_whoever_calls_it() -> None:
    torch.manual_seed(1)
    net = Tangled().double().eval()
    frame = random_frame(6, 3, 0)
    found = sg.local_complexity(net, Z, 0.7, kind="vertices", frame=frame)
    names = [name.split()[0] for name in found.layers]
    assert names == ["relu", "relu", "gelu", "tanh", "clamp", "hardtanh"]
    x = torch.from_numpy(vertices_of(Z, 0.7, frame[None]))
    with torch.no_grad():
        pre = [net.a(x)]
        pre.append(net.b(pre[0].relu()))
        pre.append(pre[1].relu() - 0.1)
        pre.append(F.gelu(pre[2]) + 0.05)
        clamped = pre[3].tanh()
        both = torch.cat([clamped - 0.01, clamped - 0.2], 2)
        shifted = clamped.clamp(0.01, 0.2) - 0.1
        pre += [both, torch.cat([shifted + 0.05, shifted - 0.05], 2)]
    expected = torch.stack([((p > 0).any(1) & (p < 0).any(1)).sum(1) for p in pre], 1)
    assert found.per_layer.tolist() == expected.tolist()


@pytest.mark.filterwarnings("ignore:.*nested_tensor.*:UserWarning")
def test_a_transformer_layer_does_not_hide_its_activation() -> None:
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(6, 2, dim_feedforward=12, batch_first=True).eval()
    before = torch.backends.mha.get_fastpath_enabled()
    found = sg.local_complexity(net, np.zeros((2, 3, 6)) + 0.1, 1.0, 4, "vertices", input_shape=(3, 6))
    assert found.layers == ("relu 0",)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_convolutions_and_smooth_networks_are_estimated() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)).eval()
    z = np.random.default_rng(0).normal(size=(3, 1, 6, 6))
    found = sg.local_complexity(net, z, 0.5, 8, "vertices", input_shape=(1, 6, 6))
    assert found.values.shape == (3,)
    assert found.layers == ("silu 0",)
    flat = sg.local_complexity(net, z.reshape(3, 36), 0.5, 8, "vertices", input_shape=(1, 6, 6))
    assert flat.values.tolist() == found.values.tolist()
    assert not found.exact
    assert net[0].weight.dtype == torch.float32


def test_exact_counts_of_convolutions() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.ConvTranspose1d(1, 3, 3, stride=2), nn.ReLU(), nn.Conv1d(3, 2, 3), nn.ReLU()
    ).double()
    frame = random_frame(4, 2, 0)
    for z in np.random.default_rng(2).normal(size=(4, 4)):
        ball = sg.L1Ball(z, 1.0, frame)
        part = sg.partition(net, ball.polygon, ball.slice, threads=1)
        assert int(sg.local_complexity(net, z, 1.0, frame=frame)) == part.n_regions


# -- when the count explodes -------------------------------------------------------------------------------------------

WIDE = network(5, 12, 40, 40, 1)
CENTRE = np.random.default_rng(5).normal(size=12)


def test_beyond_a_budget_there_are_bounds_and_an_estimate() -> None:
    truth = sg.local_complexity(WIDE, CENTRE, 0.6, 12)
    assert truth.exact
    assert truth.interval.tolist() == [truth.values, truth.values]
    part = sg.local_complexity(WIDE, CENTRE, 0.6, 12, budget=sg.Budget(regions=200))
    assert not part.complete
    assert not part.exact
    assert "budget of 200 regions" in part.stop_reason
    assert 200 < part.values < truth.values < part.upper < np.inf
    assert part.interval[0] < part.estimate < part.interval[1]
    assert part.values <= part.interval[0]
    assert abs(part.estimate / truth.values - 1) < 0.2
    assert "at least" in repr(part)
    again = sg.local_complexity(WIDE, CENTRE, 0.6, 12, budget=sg.Budget(regions=200))
    assert again.estimate == part.estimate
    other = sg.local_complexity(WIDE, CENTRE, 0.6, frame=part.frame, budget=sg.Budget(regions=200), rng=1)
    assert other.estimate != part.estimate


def test_the_estimate_is_unbiased_and_its_interval_covers() -> None:
    ball = Cells(Folder(WIDE), Place.ball(CENTRE, 0.6, random_frame(12, 12, 0)))
    truth, complete = count_regions(ball, lambda found: False)
    assert complete
    rng = np.random.default_rng(0)
    runs = np.array([one_run(ball, rng, most=16) for _ in range(400)])
    error = runs.std(ddof=1) / np.sqrt(len(runs))
    assert abs(runs.mean() - truth) < 3.5 * error
    assert error < 0.05 * truth
    covered = [low <= truth <= high for _, low, high in (estimate(ball, rng, runs=8) for _ in range(60))]
    assert sum(covered) >= 50  # 57 of 60 are expected


def test_crossing_units_within_a_budget_are_bounded() -> None:
    truth = sg.local_complexity(WIDE, CENTRE, 0.5, 12, "crossing")
    assert truth.exact
    part = sg.local_complexity(WIDE, CENTRE, 0.5, 12, "crossing", budget=sg.Budget(regions=1))
    assert part.values <= truth.values <= part.upper
    assert part.values >= int(sg.local_complexity(WIDE, CENTRE, 0.5, 12, "vertices"))


def test_a_budget_of_seconds_leaves_latents_out() -> None:
    z = np.random.default_rng(0).normal(size=(200, 12))
    found = sg.local_complexity(WIDE, z, 0.3, 12, budget=sg.Budget(seconds=0.3), threads=1)
    assert "0.3 seconds" in found.stop_reason
    assert found.complete.any()
    assert not found.complete.all()
    assert (found.values >= 1).all()
    assert np.isinf(found.upper[-1])
    assert "incomplete" in repr(found)


def test_a_ball_that_memory_does_not_hold_is_left_out() -> None:
    found = sg.local_complexity(WIDE, CENTRE, 5.0, 12, "crossing", budget=sg.Budget(memory=10_000))
    assert not found.complete
    assert "memory" in found.stop_reason
    assert found.values == 0
    assert sg.local_complexity(WIDE, CENTRE, 1e-3, 12, "crossing", budget=sg.Budget(memory=20_000)).complete


def test_interrupting_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.random.default_rng(0).normal(size=(3000, 12))
    one, started = Counter._one, itertools.count()

    def press(self: Counter, *ball: Any) -> Any:
        if next(started) == 100:  # in the middle of the work, however slow the machine is
            os.kill(os.getpid(), signal.SIGINT)
        return one(self, *ball)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "_one", press)
        found = sg.local_complexity(WIDE, z, 0.3, 12)
    assert found.stop_reason == "interrupted"
    assert 0 < found.complete.sum() < 3000
    whole = sg.local_complexity(WIDE, z[:20], 0.3, 12)
    done = found.complete[:20]
    assert (found.values[:20][done] == whole.values[done]).all()


def test_a_count_that_may_take_for_ever_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    deep = network(6, 3, 60, 60, 1)
    with caplog.at_level(logging.WARNING, "splinegeo"):
        sg.local_complexity(deep, np.zeros(3), 1.0, 2, threads=1)
    assert "consider a budget" in caplog.text


def test_absolute_values_bend_in_modules_as_in_captured_networks() -> None:
    class Folded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(6, 12), torch.nn.Linear(12, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).abs())

    torch.manual_seed(0)
    net = Folded().double()
    counts = sg.local_complexity(net, Z, 0.5, kind="vertices").values
    assert (counts == sg.local_complexity(sg.capture(net, (6,)), Z, 0.5, kind="vertices").values).all()
    assert (counts > 0).any()


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dim": 7}, sg.ShapeMismatch, "E = 6"),
        ({"dim": 2.0}, sg.WrongType, "whole number"),
        ({"kind": "delta"}, sg.InvalidArgument, "'regions', 'crossing', 'vertices'"),
        ({"radius": 0}, sg.InvalidArgument, "radius must be positive"),
        ({"radius": np.nan}, sg.InvalidArgument, "radius must be finite"),
        ({"frame": np.eye(5)}, sg.ShapeMismatch, r"\(6, P\)"),
        ({"frame": np.ones((6, 2))}, sg.InvalidArgument, "column 1"),
        ({"frame": np.eye(6), "dim": 3}, sg.ShapeMismatch, "leave it out"),
        ({"budget": 100}, sg.WrongType, "budget"),
        ({"threads": 0}, sg.InvalidArgument, r"local_complexity\(threads=0\)"),
        ({"progress": 1}, sg.WrongType, "progress"),
        ({"outputs": None}, sg.WrongType, "outputs"),
        ({"rows": 0}, sg.InvalidArgument, r"local_complexity\(rows=0\)"),
        ({"rows": 2.5, "kind": "vertices"}, sg.WrongType, r"local_complexity\(rows=2.5\)"),
        ({"z": np.zeros((2, 5))}, sg.ShapeMismatch, "takes 6 inputs, the latents have 5"),
        ({"z": 1.0}, sg.ShapeMismatch, "single number"),
        ({"z": [[np.inf] * 6]}, sg.InvalidArgument, "finite"),
        ({"input_shape": (2, 2)}, sg.ShapeMismatch, "z must have shape"),
        ({"input_shape": (2.5,)}, sg.WrongType, "input_shape"),
        ({"z": np.full(6, 1e308), "radius": 1e308}, sg.InvalidArgument, "range of float64"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict, error: type[Exception], message: str) -> None:
    given = {"z": Z, "radius": 0.1, **arguments}
    with pytest.raises(error, match=message):
        sg.local_complexity(NET, **given)


def test_networks_that_cannot_be_counted() -> None:
    pooled = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.MaxPool1d(2), nn.Flatten())
    with pytest.raises(sg.UnsupportedOperation, match=r"'2' takes maxima.*kind='regions'"):
        sg.local_complexity(pooled, Z, kind="crossing")
    with pytest.raises(sg.NotPiecewiseLinear):
        sg.local_complexity(nn.Sequential(nn.Linear(6, 2), nn.GELU(), nn.Linear(2, 1)), Z)
    dropped = nn.Sequential(nn.Linear(6, 2), nn.Dropout(0.5), nn.ReLU())
    with pytest.raises(sg.InvalidArgument, match=r"'1' \(Dropout\)"):
        sg.local_complexity(dropped, Z, kind="vertices")
    assert sg.local_complexity(dropped.eval(), Z, kind="vertices").complete.all()
    with pytest.raises(sg.WrongType, match="Module"):
        sg.local_complexity(lambda x: x, Z, kind="vertices")
    with pytest.raises(sg.UnsupportedOperation, match="fails on a batch"):
        sg.local_complexity(nn.Linear(5, 2), Z, kind="vertices")


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_regions_with_maxima(dim: int) -> None:
    """As many as the partition of the ball has, which is another engine's up to three dimensions."""
    torch.manual_seed(0)
    pooled = nn.Sequential(
        nn.Linear(5, 12), nn.ReLU(), nn.Unflatten(1, (2, 6)), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 4),
        nn.Unflatten(1, (1, 4)), nn.MaxPool1d(4),
    ).double()  # fmt: skip
    z = np.random.default_rng(0).normal(size=(3, 5))
    found = sg.local_complexity(pooled, z, radius=1.5, dim=dim, kind="regions")
    assert found.complete.all()
    parts = [sg.partition(pooled, sg.L1Ball(c, 1.5, found.frame)) for c in z]
    assert found.values.tolist() == [len(part) for part in parts]
    for k, part in enumerate(parts):
        bits = part.patterns
        differ = bits.any(0) & ~bits.all(0)
        assert found.per_layer[k].tolist() == [differ[:12].sum(), differ[12:18].sum(), int(differ[18:].any())]
    budget = sg.local_complexity(pooled, z, radius=1.5, dim=dim, kind="regions", budget=sg.Budget(regions=1))
    assert (budget.values <= found.values).all()
    assert (budget.upper >= found.values).all()
    assert np.isnan(budget.estimate[~budget.complete]).all()


def test_an_envelope_is_counted_once_a_winner() -> None:
    """Five affine functions, of which the first four win somewhere: four regions, however many comparisons."""
    planes = Linear("planes", 5, (0,), np.vstack([np.eye(2), -np.eye(2), np.zeros(2)]), np.r_[np.zeros(4), -1.0])
    largest = Maximum("largest", 1, (1,), np.arange(5)[None])
    net = sg.SplineNetwork((Input("u", 2, ()), planes, largest), 2, (2,), (1,))
    assert int(sg.local_complexity(net, np.zeros(2), 1.0, frame=np.eye(2), kind="regions")) == 4


def test_networks_without_units_have_one_region() -> None:
    flat = sg.SplineNetwork.from_layers([np.eye(3)], [np.zeros(3)])
    for kind, value in (("regions", 1), ("crossing", 0), ("vertices", 0)):
        found = sg.local_complexity(flat, np.zeros((2, 3)), 1.0, kind=kind)
        assert found.values.tolist() == [value, value]
        assert found.per_layer.shape == (2, 0)


def test_large_dimensions_are_no_harder_than_small_ones() -> None:
    """P = 100 in R^120: never through 2^P facets."""
    net = network(8, 120, 60, 60, 1)
    z: Array = np.random.default_rng(8).normal(size=(3, 120))
    regions = sg.local_complexity(net, z, 0.1, 100)
    assert regions.exact
    crossing = sg.local_complexity(net, z, 0.1, 100, "crossing")
    assert (crossing.values >= 1).any()
    assert (regions.values > crossing.values).all()
