"""Smooth output maps that are left off on request: what is dropped, what stays, and that the rest is still checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import splinegeo.networks.ops.knots as knots
from splinegeo._errors import CaptureMismatch, NotPiecewiseLinear
from splinegeo.networks import capture
from splinegeo.networks.ops import OPS


class Net(nn.Module):
    """A perceptron with a closing function."""

    def __init__(self, closing: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4))
        self.closing = closing
        self.register_buffer("std", torch.tensor([0.5, 1.0, 2.0, 0.25]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.closing(self.body(x))


class Scaled(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.sigmoid(self.body(x)) * self.std + 1).view(-1, 2, 2)


# id: what closes the network, operations that are dropped
DROPPED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], list[str]]] = {
    "tanh": (torch.tanh, ["tanh"]),
    "sigmoid": (torch.sigmoid, ["sigmoid"]),
    "softmax": (lambda x: x.softmax(1), ["softmax"]),
    "log_softmax": (lambda x: F.log_softmax(x, 1), ["log_softmax"]),
    "softplus": (lambda x: F.softplus(x, beta=2), ["softplus"]),
    "logsigmoid": (F.logsigmoid, ["log_sigmoid"]),
    "exp": (torch.exp, ["exp"]),
    "to the unit interval": (lambda x: (torch.tanh(x) + 1) / 2, ["tanh", "add", "div"]),
    "scaled, shifted, reshaped": (
        lambda x: 255 * x.sigmoid().view(-1, 2, 2).to(x.dtype) - 1,
        ["sigmoid", "mul", "sub"],
    ),
    "twice": (lambda x: torch.tanh(2 * torch.sigmoid(x)), ["sigmoid", "mul", "tanh"]),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float32) for name in DROPPED), ("tanh", torch.bfloat16), ("to the unit interval", torch.float64)],
)
def test_what_is_left_is_the_network_before(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    function, ops = DROPPED[name]
    module = Net(function).to(dtype).eval()
    net = capture(module, (2,), drop_output_activation=True)
    assert [d.split("aten.")[1].split(" ")[0] for d in net.dropped] == ops
    assert all(d.startswith("'Net' applies aten.") for d in net.dropped)
    assert "without 'Net' applies aten." in repr(net)
    z = np.random.default_rng(0).standard_normal((20, 2))
    assert (net(z) == capture(module.body, (2,))(z)).all()
    assert net.output_shape == tuple(module(torch.zeros(1, 2, dtype=dtype)).shape[1:])


def test_scales_of_the_module_are_dropped_with_it() -> None:
    module = Scaled(lambda x: x).eval()
    net = capture(module, (2,), drop_output_activation=True)
    assert [d.split("aten.")[1].split(" ")[0] for d in net.dropped] == ["sigmoid", "mul", "add"]
    assert net.output_shape == (2, 2)
    module.std[0] = -1  # reverses the order
    with pytest.raises(NotPiecewiseLinear, match="sigmoid"):
        capture(module, (2,), drop_output_activation=True)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Tanh()],
        [nn.Softmax(1), nn.Unflatten(1, (2, 2))],
        [nn.Sequential(nn.Flatten(), nn.Sigmoid()), nn.Identity()],
        [nn.Sigmoid(), nn.LogSoftmax(1)],
    ],
    ids=["tanh", "softmax", "nested", "two"],
)
def test_sequential_networks_need_no_export(layers: list[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export, "export", lambda *_: pytest.fail("torch.export was called"))
    torch.manual_seed(0)
    body = [nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4)]
    module = nn.Sequential(*body, *layers)
    net = capture(module, (2,), drop_output_activation=True)
    assert net.dropped
    assert net.dropped[0].startswith("'3")
    z = np.random.default_rng(0).standard_normal((20, 2))
    assert (net(z) == capture(nn.Sequential(*body))(z)).all()
    assert net.output_shape == tuple(module(torch.zeros(1, 2)).shape[1:])


def test_nothing_is_dropped_where_nothing_closes() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert capture(module, drop_output_activation=True).dropped == ()
    assert capture(Net(F.relu), (2,), drop_output_activation=True).dropped == ()


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Tanh(), nn.Linear(2, 2)),
        Net(lambda x: F.relu(torch.tanh(x))),
        Net(lambda x: 1 - torch.sigmoid(x)),
        Net(lambda x: torch.sigmoid(x) * -2),
        Net(lambda x: x * torch.sigmoid(x)),
        Net(lambda x: torch.tanh(x) + x),
        Net(lambda x: torch.cat([x.tanh(), x], 1)),
        Net(lambda x: x.softmax(1)[:, :2]),
    ],
    ids=["first", "inside", "falls", "negative", "gate", "branch", "half", "some"],
)
def test_only_a_closing_map_is_dropped(module: nn.Module) -> None:
    with pytest.raises(
        NotPiecewiseLinear, match="which is smooth; splinegeo partitions piecewise-linear networks only"
    ):
        capture(module.eval(), (2,), drop_output_activation=True)


@pytest.mark.parametrize(
    "module", [Net(torch.tanh), nn.Sequential(nn.Linear(2, 2), nn.Tanh())], ids=["module", "layers"]
)
def test_the_message_tells_of_the_option(module: nn.Module) -> None:
    told = r"it closes the network, so capture\(\.\.\., drop_output_activation=True\) can leave it off\.$"
    with pytest.raises(NotPiecewiseLinear, match=told):
        capture(module, (2,))


@pytest.mark.parametrize("sequential", [True, False])
def test_the_rest_is_still_checked(sequential: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = lambda b, x: knots.leaky_relu(b, x, 0.05)  # noqa: E731
    monkeypatch.setitem(OPS, "relu", wrong)
    torch.manual_seed(0)
    module = Net(torch.tanh)
    with pytest.raises(CaptureMismatch, match="disagree"):
        capture(nn.Sequential(*module.body, nn.Tanh()) if sequential else module, (2,), drop_output_activation=True)
