"""Whole modules: branches, tied weights, what capture leaves behind, and that its self-check can fail."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import splinegeo.networks.ops.knots as knots
from splinegeo._errors import CaptureMismatch, UnsupportedOperation
from splinegeo.networks import Knot, Linear, SplineNetwork, capture
from splinegeo.networks.ops import OPS
from splinegeo.networks.running import values_and_errors


class Residual(nn.Module):
    """Two residual blocks with concatenation, a shared activation, tied layers and an in-place one."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.lift = nn.Linear(2, 6)
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
        self.two.weight = self.one.weight
        self.head = nn.Linear(12, 3)
        self.register_buffer("shift", torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.act(self.lift(x))
        h = h + self.act(self.one(h))
        g = h - 0.5 * self.act(self.two(h) - 0.1)
        return self.head(torch.cat([h, g], 1)) + self.shift


def test_branches_tied_weights_and_shared_activations() -> None:
    torch.manual_seed(0)
    module = Residual().double().eval()
    net = capture(module, (2,))
    z = 10 * np.random.default_rng(0).standard_normal((200, 2))
    with torch.no_grad():
        expected = module(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(net(z), expected, rtol=1e-12, atol=1e-12)
    assert (net.n_inputs, net.n_outputs, net.n_units) == (2, 3, 18)
    assert [net.nodes[i].name for i in net.knots] == ["act", "act#2", "act#3"]
    tied = [node for node in net.nodes if isinstance(node, Linear) and node.name in ("one", "two")]
    assert (tied[0].weight == tied[1].weight).all()


@pytest.mark.parametrize("sequential", [True, False])
def test_the_module_is_left_as_it_was(sequential: bool) -> None:
    module: Any = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.ReLU()).eval() if sequential else Residual()
    calls: list[int] = []
    if not sequential:
        module.lift.register_forward_hook(lambda *_: calls.append(1))
        module.train()  # harmless: nothing in it acts differently
        module.note = {"a": 1}
        module.head.requires_grad_(False)
    module(torch.ones(1, 2)).sum().backward()
    state = {k: (v, v.clone(), v.data_ptr(), v._version) for k, v in module.state_dict(keep_vars=True).items()}
    grads = {k: None if p.grad is None else p.grad.clone() for k, p in module.named_parameters()}
    flags = [(m.training, sorted(vars(m)), dict(m._forward_hooks)) for m in module.modules()]
    needs = [p.requires_grad for p in module.parameters()]
    torch.manual_seed(5)
    random.seed(5)
    generators = torch.get_rng_state(), random.getstate()
    grad_mode = torch.is_grad_enabled()

    capture(module, (2,))

    for key, tensor in module.state_dict(keep_vars=True).items():
        same, copy, pointer, version = state[key]
        assert tensor is same
        assert torch.equal(tensor, copy)
        assert (tensor.data_ptr(), tensor._version) == (pointer, version)
    for key, parameter in module.named_parameters():
        before = grads[key]
        assert (parameter.grad is None) if before is None else torch.equal(parameter.grad, before)
    assert flags == [(m.training, sorted(vars(m)), dict(m._forward_hooks)) for m in module.modules()]
    assert needs == [p.requires_grad for p in module.parameters()]
    assert torch.equal(generators[0], torch.get_rng_state())
    assert generators[1] == random.getstate()
    assert torch.is_grad_enabled() == grad_mode


def test_attributes_that_forward_writes_are_put_back() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(2, 2)
            self.last: torch.Tensor | None = None
            self.register_buffer("seen", torch.zeros(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.last = self.lin(x)
            self.extra = torch.rand(2).sum() + random.random() + np.random.rand()  # noqa: NPY002
            return self.last.relu()

    module = Remembers()
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[2]  # noqa: NPY002
    capture(module, (2,))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[2])  # noqa: NPY002
    assert module.last is None
    assert not hasattr(module, "extra")
    assert not module.seen.any()


@pytest.mark.parametrize(
    "wrong", [lambda b, x: x, lambda b, x: knots.leaky_relu(b, x, 0.05)], ids=["identity", "leaky"]
)
@pytest.mark.parametrize("sequential", [True, False])
def test_the_self_check_sees_a_wrong_reading(wrong: Any, sequential: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, "relu", wrong)
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)) if sequential else Residual()
    with pytest.raises(CaptureMismatch, match=r"disagree: output \d at \[.*\] is .* from the module and"):
        capture(module, (2,))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e5, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_self_check_passes_deep_nets_of_any_scale(scale: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Linear(2, 30), nn.ReLU()]
    for _ in range(12):
        layers += [nn.Linear(30, 30), nn.LeakyReLU(0.1)]
    module = nn.Sequential(*layers, nn.Linear(30, 3)).to(dtype)
    with torch.no_grad():
        module[0].weight *= scale
        module[-1].weight /= scale
    capture(module)


def test_points_that_overflow_the_type_of_the_module_are_passed_over() -> None:
    capture(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()).half().apply(enlarge))


def enlarge(layer: nn.Module) -> None:
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            parameter *= 1000


def test_half_precision_modules() -> None:
    torch.manual_seed(1)
    for dtype in (torch.float16, torch.bfloat16):
        capture(nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 20), nn.Hardsigmoid()).to(dtype))


def test_autocast_is_rounding() -> None:
    class Autocast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(2, 20)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu"):
                return self.lin(x).relu()

    torch.manual_seed(0)
    module = Autocast()
    net = capture(module, (2,))
    linear = next(node for node in net.nodes if isinstance(node, Linear))
    assert (torch.from_numpy(linear.weight.copy()) == module.lin.weight.double()).all()


def test_the_tolerance_is_far_below_the_values() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 3))
    values, tolerance = values_and_errors(capture(module), np.ones((1, 2)), torch.finfo(torch.float32))
    assert (tolerance < 1e-3 * np.abs(values)).all()


def test_a_module_of_one_sample_at_a_time() -> None:
    class Single(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[0] != 1:
                raise RuntimeError("one sample, please")
            return F.relu(x.view(1, 2, 1)).view(-1)

    net = capture(Single(), (2,))
    assert net.output_shape == (2,)
    assert net([[1.0, -1.0]]).tolist() == [[1.0, 0.0]]


def test_images_and_positions() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Unflatten(1, (2, 2)))
    net = capture(module, (3, 2, 2))
    assert (net.input_shape, net.output_shape, net.n_inputs) == ((3, 2, 2), (2, 2), 12)
    assert capture(nn.Linear(3, 2), (5, 3)).output_shape == (5, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch.compile uses what torch deprecates
def test_a_compiled_module_is_read_through_its_wrapper() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert capture(torch.compile(module)).n_units == 3


def test_duplicate_units_stay() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(x) + F.relu(x)

    net = capture(Twice(), (2,))
    assert net.n_units == 4
    assert net.breakpoint_units.tolist() == [0, 1, 2, 3]


def test_state_between_calls_is_found() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.n += 1
            return x + self.n

    module = Counts()
    with pytest.raises(UnsupportedOperation, match="two answers for one input"):
        capture(module, (2,))
    assert module.n == 0


def test_from_layers() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((5, 2)), rng.standard_normal((3, 5))]
    biases = [rng.standard_normal(5), rng.standard_normal(3)]
    net = SplineNetwork.from_layers(weights, biases, slope=0.1)
    z = rng.standard_normal((50, 2))
    h = z @ weights[0].T + biases[0]
    np.testing.assert_allclose(net(z), np.where(h > 0, h, 0.1 * h) @ weights[1].T + biases[1], rtol=1e-12, atol=1e-12)
    assert sum(isinstance(n, Knot) for n in net.nodes) == 1
    assert not SplineNetwork.from_layers(weights, biases, slope=1).knots
