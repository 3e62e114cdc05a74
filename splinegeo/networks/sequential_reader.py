"""The fast reader: trees of `nn.Sequential` over known layers, without torch.export's two seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from splinegeo._errors import InvalidArgument
from splinegeo.networks.builder import Builder, Site
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
ELEMENTWISE = tuple(kind for kind in LAYERS if kind is not nn.Linear)
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


def read(module: nn.Module, input_shape: tuple[int, ...]) -> SplineNetwork:
    """The graph of ``module``, which `readable` accepts."""
    b = Builder(math.prod(input_shape))
    x: Any = Live(0, (1, *input_shape))
    for path, layer in leaves(module):
        kind = type(layer)
        if kind is nn.Identity:
            continue
        label = path or kind.__name__
        if kind in MOVING:
            b.site = Site(label, f"nn.{kind.__name__}")
            moving = partial(MOVING[kind], layer)
            x = moving(x) if isinstance(x, torch.Tensor) else move(b, moving, x)
            continue
        name, arguments = LAYERS[kind] if kind in LAYERS else (REFUSED[kind], _none)
        b.site = Site(label, f"aten.{name}")
        if getattr(layer, "inplace", False) and isinstance(x, Live) and x.node == 0 and name != "dropout":
            raise InvalidArgument(
                f"'{label}' ({kind.__name__}) overwrites the network's input; use inplace=False in the first layer."
            )
        x = _constant(layer, x) if isinstance(x, torch.Tensor) else apply(b, name, layer, x, *arguments(layer))
    if isinstance(x, torch.Tensor):
        x = constant_output(b, x)
    return b.finish(x.node, input_shape, x.shape[1:])


def _constant(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A layer of constants, in float64."""
    state = {name: p.detach().cpu().double() for name, p in layer.named_parameters()}
    with torch.no_grad():
        return torch.func.functional_call(layer, state, (x.clone(),))


def _known(module: nn.Module) -> bool:
    if any(getattr(module, hooks, None) for hooks in HOOKS) or "forward" in vars(module):
        return False
    kind = type(module)
    if kind is nn.Sequential:
        return all(_known(child) for child in module._modules.values())
    return (kind in LAYERS or kind in MOVING or kind in REFUSED or kind is nn.Identity) and _plain(module)


def _plain(module: nn.Module) -> bool:
    """Parameters are ordinary tensors, not subclasses with arithmetic of their own."""
    return all(p is None or type(p) is nn.Parameter for p in module._parameters.values())


def _hooked_globally() -> bool:
    from torch.nn.modules import module as internals

    return any(getattr(internals, f"_global{hooks}", None) for hooks in HOOKS)
