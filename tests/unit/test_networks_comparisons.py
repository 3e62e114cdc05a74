"""Choices by a comparison: continuous ones become knots, exactly; all others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from splinegeo._errors import NotPiecewiseLinear, UnsupportedOperation
from splinegeo.networks import Knot, capture

HALF = torch.tensor([0.5, -0.25], dtype=torch.float64)
SCALE = torch.tensor([2.0, -4.0], dtype=torch.float64)


class Function(nn.Module):
    """A function of x (n, 2) and of a linear layer's value."""

    def __init__(self, function: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        self.lin = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        nn.init.uniform_(self.norm.running_var, 0.3, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def assigned(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[y < 0] = 0.0
    return y


# id: function, breakpoints that its knots have in all
CONTINUOUS: dict[str, tuple[Callable[[Any, torch.Tensor], Any], int]] = {
    "leaky relu": (lambda m, x: torch.where(x > 0, x, 0.1 * x), 2),
    "leaky relu, turned round": (lambda m, x: torch.where(x <= 0, 0.1 * x, x), 2),
    "of a layer": (lambda m, x: (h := m.lin(x)) * (h > 0), 2),
    "of a batch norm": (lambda m, x: torch.where((h := m.norm(x)) >= 0, h, 0.3 * h), 2),
    "threshold": (lambda m, x: torch.where(x > 0.5, x, 0.5), 2),
    "threshold a unit": (lambda m, x: torch.where(x > HALF, x, HALF), 2),
    "compared after scaling": (lambda m, x: torch.where(SCALE * x + 1 > 0, SCALE * x + 1, 0.0), 2),
    "slopes meet": (lambda m, x: torch.where(x > 1, 3 * x - 2, x), 2),
    "what comes before is compared": (lambda m, x: torch.where(2 * x > 1, x - 0.5, 0.0), 2),
    "falls": (lambda m, x: torch.where(1 - x > 0, 1 - x, 0.0), 2),
    "maximum": (lambda m, x: torch.where(x > (h := m.lin(x)), x, h), 2),
    "minimum": (lambda m, x: torch.where(x > (h := m.lin(x)), h, x), 2),
    "hinge of a difference": (lambda m, x: torch.where(x > (h := m.lin(x)), 3 * x - 3 * h, 0.0), 2),
    "mask times value": (lambda m, x: x * (x > 0), 2),
    "mask as a number": (lambda m, x: (x > 0).to(x.dtype) * x, 2),
    "two masks": (lambda m, x: x * (p := (x > 0).double()) + 0.1 * x * (1 - p), 4),
    "not": (lambda m, x: torch.where(~(x > 0), 0.0, x), 2),
    "masked_fill": (lambda m, x: x.masked_fill(x < 0, 0.0), 2),
    "assignment": (lambda m, x: assigned(x), 2),
    "equal sides": (lambda m, x: torch.where(x > 0, x, x) + x, 0),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_choices_are_knots(name: str) -> None:
    torch.manual_seed(0)
    function, n_breakpoints = CONTINUOUS[name]
    module = Function(function).double().eval()
    net = capture(module, (2,))
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[[-1, -0.25, 0, 0.25, 0.5, 1.0]] * 2), -1).reshape(-1, 2)
    z = np.concatenate([grid, rng.standard_normal((100, 2))])
    with torch.no_grad():
        np.testing.assert_allclose(net(z), module(torch.from_numpy(z)).numpy(), rtol=1e-12, atol=1e-12)
    assert net.n_breakpoints == n_breakpoints


def test_the_knot_holds_the_numbers_of_the_code() -> None:
    net = capture(Function(lambda m, x: torch.where(2 * x > 1, 0.1 * x - 0.05, x - 0.5)).eval(), (2,))
    (knot,) = (node for node in net.nodes if isinstance(node, Knot))
    assert knot.breakpoints.tolist() == [[0.5]] * 2
    assert knot.slopes.tolist() == [[1.0, 0.1]] * 2
    assert knot.value.tolist() == [0.0] * 2


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda m, x: torch.where(x > 0.5, x, 0.1 * x),
            NotPiecewiseLinear,
            r"^'Function' applies aten\.where \(test_networks_comparisons\.py:\d+\), which jumps: at the breakpoint "
            r"0\.5 its two sides are 0\.5 and 0\.05; write it with relu",
        ),
        (lambda m, x: torch.where(x > 0, 1.0, 0.0), NotPiecewiseLinear, "breakpoint 0 its two sides are 1 and 0"),
        (lambda m, x: torch.where(x > 0.1, x, 0.1 + 1e-17 * x), NotPiecewiseLinear, "jumps: at the breakpoint 0.1"),
        (lambda m, x: torch.where(x > 0, x, x.abs()), NotPiecewiseLinear, "cannot be shown to be continuous"),
        (lambda m, x: torch.where(x > x.flip(1), x, 0.0), NotPiecewiseLinear, "cannot be shown to be continuous"),
        (lambda m, x: x + (x > 0), NotPiecewiseLinear, "aten.add .* to the outcome of a comparison, which jumps"),
        (lambda m, x: (x > 0).double(), NotPiecewiseLinear, "which jumps, and is all that comes out"),
        (lambda m, x: x * ((x > 0) & (x < 1)), NotPiecewiseLinear, "and.* to the outcome of a comparison"),
        (lambda m, x: torch.where(x[:, :1] > 0, x, 0.5 * x), UnsupportedOperation, "of another shape; expand them"),
        (lambda m, x: x * (x != 0), NotPiecewiseLinear, "aten.ne .*not continuous in general"),
    ],
    ids=["jump", "step", "tiny jump", "piecewise side", "unrelated", "sum", "output", "and", "shapes", "unequal"],
)
def test_other_choices_are_refused(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        capture(Function(function).double().eval(), (2,))
