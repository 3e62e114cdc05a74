"""The fast reader and the torch.export reader give the same graph."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from splinegeo.networks import Combine, Knot, Linear, SplineNetwork, capture, sequential_reader, to_arrays


class Wrapped(nn.Module):
    """A module that the fast reader does not know, around one that it does."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


SHARED = nn.ReLU()
TABLE: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4), nn.LeakyReLU(-0.3), nn.Linear(4, 1)),
    "in place": lambda: nn.Sequential(nn.Linear(2, 5), nn.ReLU(inplace=True), nn.Linear(5, 3), nn.ReLU6(inplace=True)),
    "no bias": lambda: nn.Sequential(nn.Linear(2, 5, bias=False), nn.Hardtanh(-0.2, 0.1), nn.Linear(5, 3, bias=False)),
    "prelu": lambda: nn.Sequential(nn.Linear(2, 5), nn.PReLU(), nn.Linear(5, 3), nn.PReLU(3)),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(2, 4), nn.ReLU()), nn.Sequential(nn.Sequential(), nn.Identity())
    ),
    "all kinds": lambda: nn.Sequential(
        nn.Linear(2, 6),
        nn.Hardsigmoid(),
        nn.Softshrink(0.1),
        nn.Threshold(0.1, 0.1),
        nn.RReLU(),
        nn.Dropout(),
        nn.AlphaDropout(),
        nn.Identity(),
        nn.Hardshrink(0.0),
        nn.LeakyReLU(1.0),
        nn.LeakyReLU(0.0),
    ),
    "shared": lambda: nn.Sequential(nn.Linear(2, 2), SHARED, nn.Linear(2, 2), SHARED),
    "shapes": lambda: nn.Sequential(
        nn.Linear(2, 6), nn.Unflatten(1, (2, 3)), nn.PReLU(2), nn.Linear(3, 2), nn.Flatten()
    ),
    "activation only": lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 2)),
    "identity": lambda: nn.Sequential(nn.Linear(2, 2), nn.Identity()),
    "constant": lambda: nn.Sequential(nn.Linear(2, 2), nn.Hardtanh(1.0, 1.0 + 1e-9), nn.Linear(2, 2)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TABLE)
def test_both_readers_give_the_same_graph(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    module = TABLE[name]().to(dtype).eval()
    assert sequential_reader.readable(module)
    assert not sequential_reader.readable(Wrapped(module))
    fast = capture(module, (2,))
    slow = capture(Wrapped(module).eval(), (2,))
    assert_same_graph(fast, slow)


def assert_same_graph(a: SplineNetwork, b: SplineNetwork) -> None:
    first, second = to_arrays(a), to_arrays(b)
    del first["network"], second["network"]  # the names differ
    assert [(type(n), n.size, n.inputs) for n in a.nodes] == [(type(n), n.size, n.inputs) for n in b.nodes]
    assert (a.output, a.input_shape, a.output_shape) == (b.output, b.input_shape, b.output_shape)
    assert first.keys() == second.keys()
    for key, array in first.items():
        assert array.tobytes() == second[key].tobytes(), key


def test_export_is_not_called_for_a_known_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export, "export", lambda *_: pytest.fail("torch.export was called"))
    capture(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].register_forward_hook(lambda module, args, output: output + 1)
    return net


def overridden() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    plain = net[0].forward
    net[0].forward = lambda x: plain(x) + 1
    return net


class Doubling(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "make",
    [
        hooked,
        overridden,
        lambda: nn.Sequential(Doubling(2, 2), nn.ReLU()),
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), nn.ReLU()),
    ],
    ids=["hook", "forward of one instance", "subclass", "parametrization"],
)
def test_modules_with_code_of_their_own_go_to_export(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = make().double().eval()
    assert not sequential_reader.readable(module)
    z = np.random.default_rng(0).standard_normal((20, 2))
    with torch.no_grad():
        expected = module(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(capture(module, (2,))(z), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_are_exact(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(2, 7), nn.PReLU(7)).to(dtype)
    net = capture(module)
    linear, knot = net.nodes[1:]
    assert isinstance(linear, Linear)
    assert isinstance(knot, Knot)
    for array, tensor in ((linear.weight, module[0].weight), (linear.bias, module[0].bias)):
        assert array.dtype == np.float64
        assert not array.flags.writeable
        assert (torch.from_numpy(array.copy()) == tensor.double()).all()
    assert (torch.from_numpy(knot.slopes[:, 0].copy()) == module[1].weight.double()).all()


def test_the_graph_does_not_share_memory_with_the_module() -> None:
    module = nn.Sequential(nn.Linear(2, 2)).double()
    net = capture(module)
    before = net.nodes[1].weight.copy()
    with torch.no_grad():
        module[0].weight += 1
    assert (net.nodes[1].weight == before).all()


def test_a_constant_network_keeps_its_input() -> None:
    net = capture(nn.Sequential(nn.Linear(2, 2), nn.Threshold(0.0, 0.0), nn.Hardtanh(2.0, 3.0)).double())
    assert net(np.zeros((5, 2))).shape == (5, 2)
    assert len(net.knots) == 2


def test_an_output_that_ignores_its_input_is_a_combine() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 0).sum(1, keepdim=True) + 3

    net = capture(Constant(), (2,))
    assert isinstance(net.nodes[net.output], Combine)
    assert (net(np.ones((4, 2))) == 3).all()


def test_importing_networks_does_not_import_torch() -> None:
    import subprocess

    code = "import sys, splinegeo.networks, splinegeo.domains; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
