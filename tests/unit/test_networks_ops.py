"""Every operation, read through torch.export, against the module itself in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from splinegeo.networks import Knot, SplineNetwork, capture

torch.manual_seed(0)
W32, W24 = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
V2, V3 = torch.randn(2, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
MASK = torch.tensor([True, False])


class Function(nn.Module):
    """A module whose forward is a function; a linear layer first keeps inputs general where that is asked for."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def assigned(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(x.shape[0], 4, dtype=torch.float64)
    y[:, 1:3] = x
    y[:, 3] = 7.0
    return y


# id: function of x (n, 2), number of knots, number of breakpoints
TABLE: dict[str, tuple[Callable[[torch.Tensor], Any], int, int]] = {
    "relu": (F.relu, 1, 2),
    "relu of itself, in place": (lambda x: F.relu(x.clone(), inplace=True), 1, 2),
    "leaky 0.2": (lambda x: F.leaky_relu(x, 0.2), 1, 2),
    "leaky 0": (lambda x: F.leaky_relu(x, 0.0), 1, 2),
    "leaky -0.5": (lambda x: F.leaky_relu(x, -0.5), 1, 2),
    "leaky 1": (lambda x: F.leaky_relu(x, 1.0), 0, 0),
    "leaky 3": (lambda x: F.leaky_relu(x, 3.0), 1, 2),
    "prelu shared": (lambda x: F.prelu(x, V2[:1]), 1, 2),
    "prelu channels": (lambda x: F.prelu(x, V2), 1, 2),
    "prelu channels of images": (lambda x: F.prelu(x[:, :, None].expand(-1, -1, 3), V2), 1, 6),
    "relu6": (lambda x: F.relu6(x), 1, 4),
    "hardtanh": (lambda x: F.hardtanh(x), 1, 4),
    "hardtanh uneven": (lambda x: F.hardtanh(x, -0.5, 2.0), 1, 4),
    "hardsigmoid": (F.hardsigmoid, 1, 4),
    "abs": (torch.abs, 1, 2),
    "softshrink": (lambda x: F.softshrink(x, 0.5), 1, 4),
    "softshrink 0": (lambda x: F.softshrink(x, 0.0), 0, 0),
    "threshold": (lambda x: F.threshold(x, 0.5, 0.5), 1, 2),
    "rrelu": (lambda x: F.rrelu(x), 1, 2),
    "clamp both": (lambda x: x.clamp(-1, 0.5), 1, 4),
    "clamp min": (lambda x: x.clamp(min=-1), 1, 2),
    "clamp max": (lambda x: x.clamp(max=1.5), 1, 2),
    "clamp infinite": (lambda x: x.clamp(-float("inf"), float("inf")), 0, 0),
    "clamp empty interval": (lambda x: torch.cat([x.clamp(1.0, -1.0), x], 1), 0, 0),
    "clamp point": (lambda x: torch.cat([x.clamp(1.0, 1.0), x], 1), 0, 0),
    "clamp tensors": (lambda x: x.clamp(torch.tensor([-1.0, 2.0]).double(), torch.tensor([1.0, 0.0]).double()), 1, 4),
    "clamp in place": (lambda x: (x * 2).clamp_(0, 1), 1, 4),
    "clamp live": (lambda x: torch.clamp(x, min=x.flip(1)), 1, 2),
    "maximum constant": (lambda x: torch.maximum(x, V2), 1, 2),
    "maximum zeros_like": (lambda x: torch.maximum(x, torch.zeros_like(x)), 1, 2),
    "maximum live": (lambda x: torch.maximum(x[:, :1], x[:, 1:]), 1, 1),
    "minimum live": (lambda x: torch.minimum(x[:, 0], x[:, 1] * 2), 1, 1),
    "minimum constant": (lambda x: torch.minimum(torch.ones(2).double(), x), 1, 2),
    "max elementwise": (lambda x: torch.max(x, V2), 1, 2),
    "add": (lambda x: x + V2 + 1, 0, 0),
    "add alpha": (lambda x: torch.add(x, x.flip(1), alpha=3), 0, 0),
    "add broadcast": (lambda x: x[:, :, None] + x[:, None, :], 0, 0),
    "sub": (lambda x: 3 - (x - V2), 0, 0),
    "rsub": (lambda x: torch.rsub(x, V2, alpha=2), 0, 0),
    "mul": (lambda x: x * V2 * 0.1, 0, 0),
    "mul bool": (lambda x: x * MASK + x, 0, 0),
    "div": (lambda x: x / 3 / V2, 0, 0),
    "neg": (lambda x: -x, 0, 0),
    "x + x": (lambda x: x + x, 0, 0),
    "residual": (lambda x: x + F.relu(x @ W32.T) @ W32, 1, 3),
    "power 1": (lambda x: x**1, 0, 0),
    "linear": (lambda x: F.linear(x, W32, V3), 0, 0),
    "linear no bias": (lambda x: F.linear(x, W32), 0, 0),
    "linear positions": (lambda x: F.linear(F.linear(x, W24.T).view(-1, 2, 2), W32, V3), 0, 0),
    "linear live bias": (lambda x: F.linear(V2[None], W24.T, F.linear(x, W24.T)[0]) if len(x) == 1 else None, 0, 0),
    "matmul": (lambda x: x @ W24, 0, 0),
    "matmul left": (lambda x: (W24.T @ x[:, :, None])[:, :, 0], 0, 0),
    "einsum": (lambda x: torch.einsum("bi,oi->bo", x, W32), 0, 0),
    "addmm": (lambda x: torch.addmm(V3, x, W32.T, beta=2, alpha=0.5), 0, 0),
    "addmm live shift": (lambda x: torch.addmm(x, W24[:, :2], W24[:, 2:])[:1] if len(x) == 1 else None, 0, 0),
    "sum": (lambda x: torch.stack([x.sum(1), x[:, 0]], 1), 0, 0),
    "mean": (lambda x: x.mean(1, keepdim=True), 0, 0),
    "cumsum": (lambda x: x.cumsum(1), 0, 0),
    "lerp": (lambda x: torch.lerp(x, x.flip(1), 0.25), 0, 0),
    "lerp to a constant": (lambda x: torch.lerp(V2.expand(len(x), 2), x, V2), 0, 0),
    "diff and tril": (lambda x: torch.cat([x.diff(dim=1), (x[:, None] * W24[:, :2]).tril().flatten(1)], 1), 0, 0),
    "cat": (lambda x: torch.cat([x, F.relu(x), x], 1), 1, 2),
    "cat constant": (lambda x: torch.cat([x, V3.expand(len(x), 3), x], 1), 0, 0),
    "stack": (lambda x: torch.stack([x, -x], 2), 0, 0),
    "split": (lambda x: torch.cat(x.split(1, 1)[::-1], 1), 0, 0),
    "chunk": (lambda x: x.chunk(2, 1)[1], 0, 0),
    "unbind": (lambda x: x.unbind(1)[1], 0, 0),
    "slices": (lambda x: x[:, 1:], 0, 0),
    "select": (lambda x: x[:, 1], 0, 0),
    "index": (lambda x: x[:, [1, 0, 1]], 0, 0),
    "mask": (lambda x: x[:, MASK], 0, 0),
    "index_select": (lambda x: x.index_select(1, torch.tensor([1, 1])), 0, 0),
    "flip and roll": (lambda x: torch.cat([x.flip(1), x.roll(1, 1)], 1), 0, 0),
    "reshapes": (lambda x: x.view(-1, 2, 1).permute(0, 2, 1).reshape(-1, 1, 1, 2).transpose(1, 3).flatten(1), 0, 0),
    "unflatten": (lambda x: (x @ W24).unflatten(1, (2, 2)).transpose(1, 2), 0, 0),
    "squeeze": (lambda x: x.unsqueeze(1).squeeze(1), 0, 0),
    "expand": (lambda x: x[:, None].expand(-1, 3, -1), 0, 0),
    "repeat": (lambda x: x.repeat(1, 2), 0, 0),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), 0, 0),
    "pad": (lambda x: F.pad(x, (1, 2), value=0.5), 0, 0),
    "crop by padding": (lambda x: F.pad(x, (-1, 1)), 0, 0),
    "pad circularly": (lambda x: F.pad(x[:, None], (1, 1), mode="circular"), 0, 0),
    "pad by reflection": (lambda x: F.pad(x[:, None], (1, 1), mode="reflect"), 0, 0),
    "assignment": (assigned, 0, 0),
    "where, constant mask": (lambda x: torch.where(MASK, x, -2 * x), 0, 0),
    "where, number": (lambda x: torch.where(MASK, x, 0.25), 0, 0),
    "masked_fill": (lambda x: x.masked_fill(MASK, 3.0), 0, 0),
    "casts": (lambda x: x.to(torch.float64).double().contiguous().clone(), 0, 0),
    "dropout": (lambda x: F.dropout(x, 0.5, training=False), 0, 0),
    "constant arithmetic": (lambda x: x * (V2.exp() + W32.sum() / 7), 0, 0),
    "constants made inside": (lambda x: x + torch.arange(2) * torch.full((2,), 0.5), 0, 0),
    "constant output": (lambda x: x * 0 + V2, 0, 0),
    "tent, no parameters": (lambda x: 1 - 2 * (1 - 2 * (x - 0.5).abs() - 0.5).abs(), 2, 4),
    "no_grad inside": (lambda x: no_grad_double(x), 0, 0),
}


@torch.no_grad()
def no_grad_double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def points() -> np.ndarray:
    """Breakpoints of the table's functions in all pairs, and random points of several sizes."""
    rng = np.random.default_rng(1)
    grid = np.array([-3.0, -1.0, -0.5, -0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0])
    pairs = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    return np.concatenate([pairs, *(s * rng.standard_normal((50, 2)) for s in (0.1, 1, 10, 1e3))])


def one_by_one(module: nn.Module, z: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.stack([module(torch.from_numpy(p[None])).numpy().ravel() for p in z])


@pytest.mark.parametrize("name", TABLE)
def test_graph_is_the_function(name: str) -> None:
    function, n_knots, n_breakpoints = TABLE[name]
    module = Function(function).double().eval()
    # A parameter in float64, so that capture works in the type that this test compares in.
    module.register_buffer("kind", torch.zeros((), dtype=torch.float64))
    net = capture(module, (2,))
    z = points()
    expected = one_by_one(module, z)
    np.testing.assert_allclose(net(z), expected, rtol=1e-12, atol=1e-12 * max(1.0, np.abs(expected).max() * 1e-3))
    assert len(net.knots) == n_knots
    assert net.n_breakpoints == n_breakpoints
    assert_tidy(net)


def assert_tidy(net: SplineNetwork) -> None:
    """No identities, no chains of selections, nothing that the output does not need."""
    used = {0, net.output}.union(*(node.inputs for node in net.nodes))
    assert used == set(range(len(net.nodes)))
    for node in net.nodes:
        kind = type(node).__name__
        if kind == "Select":
            assert all(type(net.nodes[i]).__name__ != "Select" for i in node.inputs)
            sizes = [net.nodes[i].size for i in node.inputs]
            assert len(sizes) > 1 or sizes[0] != node.size or (node.index != np.arange(node.size)).any()
        if kind == "Combine":
            assert len(node.inputs) > 1 or node.bias.any() or (node.scales[0] != 1).any()


@pytest.mark.parametrize(
    ("function", "breakpoints", "slopes", "value"),
    [
        (F.relu, [0], [0, 1], 0),
        (lambda x: F.leaky_relu(x, 0.2), [0], [0.2, 1], 0),
        (lambda x: x.clamp(-1, 0.5), [-1, 0.5], [0, 1, 0], -1),
        (torch.abs, [0], [-1, 1], 0),
        (F.hardsigmoid, [-3, 3], [0, 1 / 6, 0], 0),
        (lambda x: F.softshrink(x, 0.25), [-0.25, 0.25], [1, 0, 1], 0),
        (lambda x: F.threshold(x, 0.5, 0.5), [0.5], [0, 1], 0.5),
        (lambda x: x.clamp(max=2), [2], [1, 0], 2),
    ],
    ids=["relu", "leaky", "clamp", "abs", "hardsigmoid", "softshrink", "threshold", "clamp max"],
)
def test_knots_hold_exactly_these_numbers(function: Any, breakpoints: Any, slopes: Any, value: float) -> None:
    net = capture(Function(function), (1,))
    (knot,) = [node for node in net.nodes if isinstance(node, Knot)]
    assert knot.breakpoints.tolist() == [breakpoints]
    assert knot.slopes.tolist() == [slopes]
    assert knot.value.tolist() == [value]


def test_names_say_where_an_operation_stands() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act1 = nn.ReLU()
            self.lin = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.lin(self.act1(self.act1(self.lin(x)) - 1)))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x).abs()

    net = capture(Net(), (2,))
    first, again, functional, root = (net.nodes[i].name for i in net.knots)
    assert (first, again) == ("block.act1", "block.act1#2")
    assert functional.startswith("block: relu (test_networks_ops.py:")
    assert root.startswith("Net: abs (test_networks_ops.py:")
    assert net.unit_name(3) == "block.act1#2[1]"
