"""One row for each kind of network that is refused: the error, and what its message must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from splinegeo._errors import (
    InvalidArgument,
    NotPiecewiseLinear,
    ShapeMismatch,
    SplineGeoError,
    UnsupportedOperation,
    WrongType,
)
from splinegeo.networks import SplineNetwork, capture


class Net(nn.Module):
    """forward is a function of the module and x; keywords become submodules, parameters or buffers."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        self.lin = nn.Linear(2, 2)
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self.eval()

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def weights(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        net[2].weight[0, 1] = value
    return net


def count(m: Any, x: torch.Tensor) -> torch.Tensor:
    m.seen.add_(1)
    return x + m.seen


def branch(m: Any, x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return x + t


class NoInput(nn.Module):
    def forward(self) -> torch.Tensor:
        return torch.zeros(1)


class Raises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise KeyError("not today")


def sparse() -> nn.Module:
    net = Net(lambda m, x: x)
    net.lin.weight = nn.Parameter(torch.eye(2).to_sparse())
    return net


def meta() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2, device="meta"))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(3), nn.ReLU())


def empty() -> nn.Module:
    net = nn.Linear(2, 1)
    net.out_features, net.weight, net.bias = 0, nn.Parameter(net.weight[:0]), nn.Parameter(net.bias[:0])
    return nn.Sequential(net)


def mixed() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2).double())


def op(function: Callable[[torch.Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Net(lambda m, x: function(m.lin(x)))


SMOOTH = r"aten\.{} \(test_bad_networks\.py:\d+\), which is smooth; (splinegeo partitions piecewise|it closes the)"
JUMPS = r"aten\.{} \(test_bad_networks\.py:\d+\), which is not continuous"
PRODUCT = "a product of two values that depend on the input"

# id: module, error, pattern of the message
TABLE: dict[str, tuple[Callable[[], Any], type[SplineGeoError], str]] = {
    # smooth
    "gelu layer": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.GELU()),
        NotPiecewiseLinear,
        r"^'1' applies aten\.gelu, which is smooth; splinegeo partitions piecewise-linear networks only\. "
        r"Use a piecewise-linear activation such as ReLU or Hardtanh in its place\.$",
    ),
    "gelu in a module": (
        lambda: Net(lambda m, x: m.act2(m.lin(x)), act2=nn.GELU()),
        NotPiecewiseLinear,
        "^'act2' applies " + SMOOTH.format("gelu"),
    ),
    "sigmoid": (op(torch.sigmoid), NotPiecewiseLinear, "^'Net' applies " + SMOOTH.format("sigmoid")),
    "tanh": (op(torch.tanh), NotPiecewiseLinear, SMOOTH.format("tanh")),
    "softmax": (op(lambda x: x.softmax(1)), NotPiecewiseLinear, SMOOTH.format("_?softmax")),
    "silu": (op(F.silu), NotPiecewiseLinear, SMOOTH.format("silu")),
    "elu": (op(F.elu), NotPiecewiseLinear, SMOOTH.format("elu")),
    "exp": (op(torch.exp), NotPiecewiseLinear, SMOOTH.format("exp")),
    "hardswish": (op(F.hardswish), NotPiecewiseLinear, SMOOTH.format("hardswish")),
    "softplus": (op(F.softplus), NotPiecewiseLinear, SMOOTH.format("softplus")),
    "square": (op(lambda x: x**2), NotPiecewiseLinear, r"aten\.pow .*smooth"),
    "layer norm": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)),
        NotPiecewiseLinear,
        r"^'1' applies aten\.layer_norm, which is smooth",
    ),
    "attention": (
        op(lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None])[0]),
        NotPiecewiseLinear,
        "smooth|product",
    ),
    # products
    "product": (op(lambda x: x * x), NotPiecewiseLinear, "^'Net' applies aten.mul .*" + PRODUCT),
    "gate": (op(lambda x: F.relu(x) * x.flip(1)), NotPiecewiseLinear, PRODUCT),
    "matrix product": (op(lambda x: x @ x.T), NotPiecewiseLinear, r"aten\.matmul .*" + PRODUCT),
    "einsum": (op(lambda x: torch.einsum("bi,bi->b", x, x)), NotPiecewiseLinear, r"aten\.einsum .*" + PRODUCT),
    "quotient": (op(lambda x: 1 / x), NotPiecewiseLinear, "reciprocal .*smooth|depends on the input"),
    "live quotient": (op(lambda x: x[:, :1] / x[:, 1:]), NotPiecewiseLinear, "by a value that depends on the input"),
    "live prelu": (op(lambda x: torch.prelu(x, x[0])), NotPiecewiseLinear, PRODUCT),
    # jumps
    "hardshrink": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Hardshrink()),
        NotPiecewiseLinear,
        r"^'1' applies aten\.hardshrink with lambd 0\.5, which jumps at ±0\.5; use Softshrink",
    ),
    "hardshrink function": (op(F.hardshrink), NotPiecewiseLinear, r"aten\.hardshrink \(.*jumps"),
    "threshold": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Threshold(1.0, 0.0)),
        NotPiecewiseLinear,
        "threshold 1 and value 0, which jumps",
    ),
    "sign": (op(torch.sign), NotPiecewiseLinear, JUMPS.format("sign")),
    "almost softshrink": (
        op(lambda x: torch.where(x.abs() > 0.5, x - x.sign() * 0.25, x * 0)),
        NotPiecewiseLinear,
        JUMPS.format("(gt|sign)"),
    ),
    "softshrink inside out": (
        op(lambda x: torch.where(x.abs() > -0.5, x - x.sign() * -0.5, x * 0)),
        NotPiecewiseLinear,
        JUMPS.format("(gt|sign)"),
    ),
    "softshrink by a weight": (
        lambda: Net(lambda m, x: torch.where(x.abs() > m.w, x - x.sign() * m.w, x * 0), w=nn.Parameter(torch.ones(2))),
        NotPiecewiseLinear,
        JUMPS.format("(gt|sign)"),
    ),
    "round": (op(torch.round), NotPiecewiseLinear, JUMPS.format("round")),
    "comparison": (op(lambda x: torch.where(x > 0, x, 0.1 * x + 1)), NotPiecewiseLinear, "jumps: at the breakpoint 0"),
    "fake quantisation": (
        op(lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, 0, 255)),
        NotPiecewiseLinear,
        JUMPS.format("fake_quantize_per_tensor_affine"),
    ),
    "fake quantisation layer": (
        lambda: nn.Sequential(nn.Linear(2, 2), torch.ao.quantization.FakeQuantize()),
        NotPiecewiseLinear,
        r"^'1' \(FakeQuantize\) rounds its input, which jumps; pass the floating-point module",
    ),
    "positions of maxima": (
        op(lambda x: x.max(1)[1] * x[:, 0]),
        NotPiecewiseLinear,
        r"aten\.mul \(.*to the positions of maxima, which jump; .*return_indices=False",
    ),
    "unpooling": (
        op(lambda x: F.max_unpool1d(*F.max_pool1d(x[:, None], 2, return_indices=True), 2)[:, 0]),
        NotPiecewiseLinear,
        "to the positions of maxima",
    ),
    "floor division": (op(lambda x: torch.div(x, 2, rounding_mode="floor")), NotPiecewiseLinear, "floor"),
    "to integers": (
        op(lambda x: x.long().float()),
        NotPiecewiseLinear,
        "torch.int64, which does not hold real numbers",
    ),
    # normalisation by the input itself
    "group norm": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 1)), nn.GroupNorm(1, 2)).eval(),
        NotPiecewiseLinear,
        r"^'1' applies aten\.group_norm, which is smooth",
    ),
    "instance norm": (
        op(lambda x: F.instance_norm(x[:, None])),
        NotPiecewiseLinear,
        r"aten\.instance_norm \(.*, which normalises by statistics of its input and is smooth; .*running statistics",
    ),
    "batch norm without statistics": (
        lambda: Net(
            lambda m, x: m.bn(m.lin(x)[:, :, None].expand(-1, -1, 3)), bn=nn.BatchNorm1d(2, track_running_stats=False)
        ),
        NotPiecewiseLinear,
        "^'bn' applies .*normalises by statistics of its input",
    ),
    "euclidean norm": (op(lambda x: x.norm(dim=1)), NotPiecewiseLinear, "of order 2, which is smooth"),
    # never
    "live kernel": (op(lambda x: F.conv1d(x[:, None], x[:1, None])), NotPiecewiseLinear, "conv1d .*" + PRODUCT),
    "live grid": (
        op(lambda x: F.grid_sample(x[:, None, None], x[:, None, None], align_corners=False)),
        NotPiecewiseLinear,
        PRODUCT,
    ),
    "random pooling": (
        op(lambda x: F.fractional_max_pool2d(x[:, None, :, None].expand(-1, 1, 2, 2), 1, output_size=1)),
        UnsupportedOperation,
        "rand|does not know",
    ),
    "unknown": (op(lambda x: torch.linalg.svdvals(x)), UnsupportedOperation, "which splinegeo does not know"),
    "random": (op(lambda x: x + torch.randn(2)), UnsupportedOperation, r"aten\.randn \(.*draws random numbers"),
    "random like": (op(lambda x: x + torch.randn_like(x)), UnsupportedOperation, "does not know|random"),
    "functional dropout": (
        op(lambda x: F.dropout(x, 0.5, training=True)),
        InvalidArgument,
        r"training mode.*\.eval\(\)",
    ),
    # several values, and forms of modules
    "two outputs": (op(lambda x: (x, x)), UnsupportedOperation, "^Net returns a tuple; .* one tensor"),
    "dictionary": (op(lambda x: {"a": x}), UnsupportedOperation, "returns a dict"),
    "integer output": (op(lambda x: x.argmax(1)), UnsupportedOperation, "returns torch.int64 numbers"),
    "complex output": (op(lambda x: x * 1j), UnsupportedOperation, "complex"),
    "empty output": (op(lambda x: x[:, 2:]), UnsupportedOperation, "empty tensor"),
    "two inputs": (TwoInputs, UnsupportedOperation, r"^TwoInputs\.forward takes 2 inputs \(x, t\); wrap it"),
    "no input": (NoInput, UnsupportedOperation, "takes no input"),
    "embedding": (lambda: Net(lambda m, x: m.emb(x), emb=nn.Embedding(3, 2)), UnsupportedOperation, "integer inputs"),
    "raises": (Raises, UnsupportedOperation, "^Raises fails on one sample of shape .*KeyError"),
    "script": (
        lambda: torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)),
        UnsupportedOperation,
        "TorchScript module; pass the nn.Module",
    ),
    "not a module": (lambda: lambda x: x, WrongType, "capture takes a torch.nn.Module; got function; wrap it"),
    "class": (lambda: nn.ReLU, WrongType, "got type"),
    "array": (lambda: np.zeros(3), WrongType, "got ndarray"),
    "captured": (lambda: SplineNetwork.from_layers([np.eye(2)], [np.zeros(2)]), WrongType, "it is captured already"),
    # not one function
    "branch": (lambda: Net(branch), UnsupportedOperation, "^Net reads or branches on values that depend on its input"),
    "control flow": (
        op(lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))),
        UnsupportedOperation,
        r"^'Net' applies .*cond \(test_bad_networks\.py:\d+\), which splinegeo cannot read",
    ),
    "item": (op(lambda x: x * x.max().item()), UnsupportedOperation, "aten.(max|item)"),
    "buffer changes": (lambda: Net(count, seen=torch.zeros(())), InvalidArgument, "^Net changes its buffer 'seen'"),
    "input changes": (lambda: Net(lambda m, x: m.lin(x.add_(1))), InvalidArgument, "^Net overwrites its input"),
    "input changes, layer": (
        lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2)),
        InvalidArgument,
        r"^'0' \(ReLU\) overwrites the network's input; use inplace=False",
    ),
    "batch mean": (op(lambda x: x - x.mean(0)), UnsupportedOperation, "in a batch with others"),
    "batch concatenation": (op(lambda x: torch.cat([x, x])), UnsupportedOperation, "in a batch with others"),
    # training mode
    "dropout": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout()),
        InvalidArgument,
        r"^'1' \(Dropout\) is in training mode.*call \.eval\(\)",
    ),
    "rrelu": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.RReLU()),
        InvalidArgument,
        r"^'1' \(RReLU\) is in training mode",
    ),
    "batch norm in training": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        InvalidArgument,
        r"^'1' \(BatchNorm1d\) is in training",
    ),
    "instance norm in training": (
        lambda: nn.Sequential(nn.InstanceNorm1d(2, track_running_stats=True)),
        InvalidArgument,
        r"^'0' \(InstanceNorm1d\) is in training",
    ),
    # weights
    "nan": (lambda: weights(float("nan")), InvalidArgument, r"^parameter '2\.weight' holds nan; .*finite"),
    "inf": (lambda: weights(float("-inf")), InvalidArgument, r"^parameter '2\.weight' holds -inf"),
    "inf buffer": (
        lambda: Net(lambda m, x: x + m.b, b=torch.tensor([0.0, float("inf")])),
        InvalidArgument,
        "^buffer 'b' holds inf",
    ),
    "division by zero": (op(lambda x: x / 0), InvalidArgument, "constant that is inf"),
    "sparse": (sparse, UnsupportedOperation, "^parameter 'lin.weight' is sparse"),
    "complex": (lambda: nn.Linear(2, 2, dtype=torch.complex64), UnsupportedOperation, "^parameter 'weight' is complex"),
    "float8": (
        lambda: Net(lambda m, x: x, b=torch.zeros(2).to(torch.float8_e4m3fn)),
        UnsupportedOperation,
        "dtype torch.float8",
    ),
    "meta": (meta, InvalidArgument, r"^parameter '0\.weight' is on the meta device"),
    "lazy": (lazy, InvalidArgument, r"^parameter '0\.weight' is not initialised"),
    "size zero": (empty, InvalidArgument, r"^'0' \(Linear\) has 2 inputs and 0 outputs"),
    "mixed types": (mixed, UnsupportedOperation, "^Sequential fails on one sample"),
    # shapes
    "layers do not fit": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1)),
        ShapeMismatch,
        "^'2' takes 4 features; it is given 3",
    ),
    "input does not fit": (
        lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU()),
        ShapeMismatch,
        "^'0' takes 3 features; it is given 2",
    ),
    "input does not fit, general": (
        lambda: Net(lambda m, x: m.l(x), l=nn.Linear(5, 2)),
        ShapeMismatch,
        r"^Net does not take samples of shape \(2,\): .*input_shape",
    ),
    "image layer": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.Conv2d(1, 1, 1)),
        ShapeMismatch,
        r"^'1' \(Conv2d\) takes samples of 3 dimensions, channels first; it is given \(3,\)",
    ),
    "image channels": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 1)), nn.Conv1d(3, 1, 1)),
        ShapeMismatch,
        r"^Sequential does not take samples of shape \(2,\): .*channels",
    ),
    "prelu channels": (lambda: nn.Sequential(nn.Linear(2, 3), nn.PReLU(2)), ShapeMismatch, "'1'|Sequential"),
    "unflatten": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (2, 2))), ShapeMismatch, "'1'|Sequential"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch.jit
@pytest.mark.filterwarnings("ignore:.*lazy modules:UserWarning", "ignore:Lazy modules:UserWarning")
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning", "ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch.cond
@pytest.mark.parametrize("name", TABLE)
def test_refused_by_name(name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    make, error, message = TABLE[name]
    module = make()
    with pytest.raises(error, match=message) as caught:
        capture(module, (2,))
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 700
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((3,), ShapeMismatch, "'0' takes 2 features; it is given 3"),
        ((), ShapeMismatch, "at least one dimension"),
        ((0,), ShapeMismatch, "at least 1"),
        ((-1, 2), ShapeMismatch, "at least 1"),
        ((2.0,), WrongType, "tuple of integers"),
        ((True,), WrongType, "tuple of integers"),
        ("two", WrongType, "tuple of integers"),
        (2.5, WrongType, "tuple of integers"),
        ((10**6, 10**6), InvalidArgument, "too large"),
    ],
    ids=str,
)
def test_bad_input_shapes(shape: Any, error: type[SplineGeoError], message: str) -> None:
    with pytest.raises(error, match=message):
        capture(nn.Sequential(nn.Linear(2, 2)), shape)


def test_the_input_shape_is_asked_for() -> None:
    with pytest.raises(InvalidArgument, match=r"cannot tell the input shape of Net; .*input_shape=\(2,\)"):
        capture(Net(lambda m, x: m.lin(x)))
    with pytest.raises(InvalidArgument, match="cannot tell the input shape"):
        capture(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(InvalidArgument, match="cannot tell the input shape of mine"):
        capture(nn.ReLU(), name="mine")


def test_causes_are_kept() -> None:
    with pytest.raises(ShapeMismatch) as caught:
        capture(Net(lambda m, x: m.lin(x)), (3,))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_unused_numbers_do_not_matter() -> None:
    capture(Net(lambda m, x: m.lin(x), mask=torch.full((2,), float("-inf"))), (2,))


def test_a_refused_module_is_left_as_it_was_too() -> None:
    module = Net(count, seen=torch.zeros(()))
    with pytest.raises(InvalidArgument, match="changes its buffer"):
        capture(module, (2,))
    assert (module.seen.item(), module.seen._version) == (0.0, 0)
