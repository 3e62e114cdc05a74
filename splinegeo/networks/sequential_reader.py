"""The fast reader: trees of `nn.Sequential` over known layers, without torch.export's two seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo.networks.builder import Builder, Site
from splinegeo.networks.closing import Closing
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.ops import Live, apply, move
from splinegeo.networks.ops.moves import constant_output


def _none(layer: Any) -> tuple[Any, ...]:
    """Layers without parameters."""
    return ()


# Layers by exact type: the operation, and its arguments after the input.
LAYERS: dict[type[nn.Module], tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    nn.Linear: ("linear", lambda m: (m.weight, m.bias)),
    nn.ReLU: ("relu", _none),
    nn.LeakyReLU: ("leaky_relu", lambda m: (m.negative_slope,)),
    nn.PReLU: ("prelu", lambda m: (m.weight,)),
    nn.RReLU: ("rrelu", lambda m: (m.lower, m.upper, m.training)),
    nn.ReLU6: ("relu6", _none),
    nn.Hardtanh: ("hardtanh", lambda m: (m.min_val, m.max_val)),
    nn.Hardsigmoid: ("hardsigmoid", _none),
    nn.Threshold: ("threshold", lambda m: (m.threshold, m.value)),
    nn.Softshrink: ("softshrink", lambda m: (m.lambd,)),
    nn.Hardshrink: ("hardshrink", lambda m: (m.lambd,)),
    nn.Dropout: ("dropout", lambda m: (m.p, m.training)),
    nn.AlphaDropout: ("alpha_dropout", lambda m: (m.p, m.training)),
}
ELEMENTWISE = tuple(kind for kind in LAYERS if kind is not nn.Linear)


def _convolution(m: Any) -> tuple[Any, ...]:
    return m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups


def _transposed(m: Any) -> tuple[Any, ...]:
    return m.weight, m.bias, m.stride, m.padding, m.output_padding, m.groups, m.dilation


def _batch_norm(m: Any) -> tuple[Any, ...]:
    batch = m.training or m.running_mean is None
    return m.weight, m.bias, m.running_mean, m.running_var, batch, m.momentum, m.eps


def _max_pool(m: Any) -> tuple[Any, ...]:
    return m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode


def _avg_pool(m: Any) -> tuple[Any, ...]:
    override = (m.divisor_override,) if type(m) is not nn.AvgPool1d else ()
    return m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, *override


# Layers of images, by name and dimension.
SPATIAL: dict[type[nn.Module], int] = {}
for _d in (1, 2, 3):
    for _layer, _op, _arguments in (
        ("Conv", "conv", _convolution),
        ("ConvTranspose", "conv_transpose", _transposed),
        ("BatchNorm", "batch_norm", _batch_norm),
        ("MaxPool", "max_pool", _max_pool),
        ("AvgPool", "avg_pool", _avg_pool),
        ("AdaptiveAvgPool", "adaptive_avg_pool", lambda m: (m.output_size,)),
    ):
        _kind = getattr(nn, f"{_layer}{_d}d")
        LAYERS[_kind] = (_op if _op == "batch_norm" else f"{_op}{_d}d", _arguments)
        SPATIAL[_kind] = _d
MOVING: dict[type[nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]] = {
    nn.Flatten: lambda m, x: torch.flatten(x, m.start_dim, m.end_dim),
    nn.Unflatten: lambda m, x: torch.unflatten(x, m.dim, m.unflattened_size),
}
# Known to be refused: the message need not wait for torch.export.
REFUSED: dict[type[nn.Module], str] = {
    nn.GELU: "gelu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.SiLU: "silu", nn.ELU: "elu", nn.CELU: "celu",
    nn.SELU: "selu", nn.Mish: "mish", nn.Softplus: "softplus", nn.LogSigmoid: "log_sigmoid", nn.Softmax: "softmax",
    nn.LogSoftmax: "log_softmax", nn.Hardswish: "hardswish", nn.GLU: "glu", nn.Softsign: "softsign",
    nn.Tanhshrink: "tanhshrink", nn.LayerNorm: "layer_norm",
}  # fmt: skip
CLOSING = (nn.Sigmoid, nn.Tanh, nn.Softmax, nn.LogSoftmax, nn.Softplus, nn.LogSigmoid)
HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def readable(module: nn.Module) -> bool:
    """Whether this reader knows every layer of ``module``, and nothing hooks into or overrides its forward."""
    return not _hooked_globally() and _known(module)


def leaves(module: nn.Module, path: str = "") -> Iterator[tuple[str, Any]]:
    """The layers in order with their paths."""
    if type(module) is not nn.Sequential:
        yield path, module
        return
    for name, child in module._modules.items():
        yield from leaves(child, f"{path}.{name}" if path else name)


def default_input_shape(module: nn.Module) -> tuple[int, ...] | None:
    """(in_features,) of the first linear layer if nothing before it changes the shape."""
    for _, layer in leaves(module):
        if type(layer) is nn.Linear:
            return (layer.in_features,)
        if type(layer) not in (*ELEMENTWISE, nn.Identity):
            return None
    return None


def read(
    module: nn.Module, input_shape: tuple[int, ...], *, drop: bool = False
) -> tuple[SplineNetwork, Closing | None]:
    """The graph of ``module``, which `readable` accepts, and what was left off at the end, if ``drop`` allows that."""
    b = Builder(math.prod(input_shape))
    x: Any = Live(0, (1, *input_shape))
    layers = list(leaves(module))
    first = _closing_start(layers)
    core, dropped = x, []
    for k, (path, layer) in enumerate(layers):
        kind = type(layer)
        b.closing = k >= first
        core = x if k == first else core
        if kind is nn.Identity:
            continue
        if b.closing and drop and kind in REFUSED:
            dropped.append(Site(path or kind.__name__, f"aten.{REFUSED[kind]}").describe())
            continue
        x = _apply(b, layer, path or kind.__name__, x)
    network = _finish(b, x, input_shape, tuple(dropped))
    if not dropped:
        return network, None
    shape = core.shape
    tail = [layer for _, layer in layers[first:]]

    def function(y: torch.Tensor) -> torch.Tensor:
        y = y.reshape(shape)
        for layer in tail:
            y = layer(y)
        return y

    return network, Closing(_finish(b, core, input_shape, ()), function)


def _closing_start(layers: list[tuple[str, Any]]) -> int:
    """Where the layers begin that only close the network."""
    start = len(layers)
    for k in range(len(layers) - 1, -1, -1):
        kind = type(layers[k][1])
        if kind in CLOSING:
            start = k
        elif kind not in MOVING and kind is not nn.Identity:
            break
    return start


def _apply(b: Builder, layer: Any, label: str, x: Any) -> Any:
    kind = type(layer)
    if kind in MOVING:
        b.site = Site(label, f"nn.{kind.__name__}")
        moving = partial(MOVING[kind], layer)
        return moving(x) if isinstance(x, torch.Tensor) else move(b, moving, x)
    name, arguments = LAYERS[kind] if kind in LAYERS else (REFUSED[kind], _none)
    b.site = Site(label, f"aten.{name}")
    if getattr(layer, "inplace", False) and isinstance(x, Live) and x.node == 0 and name != "dropout":
        raise InvalidArgument(
            f"'{label}' ({kind.__name__}) overwrites the network's input; use inplace=False in the first layer."
        )
    if kind in SPATIAL and name != "batch_norm" and len(x.shape) != SPATIAL[kind] + 2:
        d = SPATIAL[kind]
        raise ShapeMismatch(
            f"'{label}' ({kind.__name__}) takes samples of {d + 1} dimensions, channels first; it is given "
            f"{tuple(x.shape[1:])}. Check input_shape and the layers before it."
        )
    return _constant(layer, x) if isinstance(x, torch.Tensor) else apply(b, name, layer, x, *arguments(layer))


def _finish(b: Builder, x: Any, input_shape: tuple[int, ...], dropped: tuple[str, ...]) -> SplineNetwork:
    if isinstance(x, torch.Tensor):
        x = constant_output(b, x)
    return b.finish(x.node, input_shape, x.shape[1:], dropped)


def _constant(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A layer of constants, in float64."""
    tensors = (*layer.named_parameters(), *layer.named_buffers())
    state = {name: t.detach().cpu().double() for name, t in tensors}
    with torch.no_grad():
        return torch.func.functional_call(layer, state, (x.clone(),))


def _known(module: nn.Module) -> bool:
    if any(getattr(module, hooks, None) for hooks in HOOKS) or "forward" in vars(module):
        return False
    kind = type(module)
    if kind is nn.Sequential:
        return all(_known(child) for child in module._modules.values())
    if getattr(module, "padding_mode", "zeros") != "zeros" or getattr(module, "return_indices", False):
        return False
    return (kind in LAYERS or kind in MOVING or kind in REFUSED or kind is nn.Identity) and _plain(module)


def _plain(module: nn.Module) -> bool:
    """Parameters are ordinary tensors, not subclasses with arithmetic of their own."""
    return all(p is None or type(p) is nn.Parameter for p in module._parameters.values())


def _hooked_globally() -> bool:
    from torch.nn.modules import module as internals

    return any(getattr(internals, f"_global{hooks}", None) for hooks in HOOKS)
