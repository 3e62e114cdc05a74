"""The published estimate of local complexity on any torch module, on the device where it lives.

What the kernels of activation functions are given is read off as they run, below modules and Python functions: a module
that is shared, called twice or works in place is seen for what it does. Smooth activations are taken at their inputs,
about zero, as published; piecewise-linear ones about each of their kinks.

This is the one module of the subpackage that imports torch, because it runs the user's own forward pass. The exact
counts work on captured networks and know none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from splinegeo._errors import UnsupportedOperation, WrongType
from splinegeo._types import Array
from splinegeo.complexity.vertices import groups, vertices_of
from splinegeo.networks.checks import _check_mode, compiled_from
from splinegeo.networks.running import untouched, working_tensor

# Its name, and which units (latents, units) are above, and below, at some vertex of each latent's ball.
Layer: TypeAlias = tuple[str, torch.Tensor, torch.Tensor]

_ABOUT_ZERO = {
    "abs",
    "relu",
    "leaky_relu",
    "prelu",
    "_prelu_kernel",
    "rrelu",
    "rrelu_with_noise",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
    "log_sigmoid",
    "log_sigmoid_forward",
}


def _numbers(*values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool))


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any], *names: str, default: tuple[float, ...]) -> list[Any]:
    values = list(default)
    for k, name in enumerate(names):
        if k + 1 < len(args):
            values[k] = args[k + 1]
        elif name in kwargs:
            values[k] = kwargs[name]
    return values


def thresholds(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[float, ...]:
    """About which values the inputs of an operation change sign; none if it is no activation function."""
    name = name.rstrip("_") if not name.startswith("_") else name
    if name in _ABOUT_ZERO:
        return (0.0,)
    match name:
        case "hardtanh":
            return _numbers(*_arguments(args, kwargs, "min_val", "max_val", default=(-1.0, 1.0)))
        case "clamp":
            return _numbers(*_arguments(args, kwargs, "min", "max", default=(np.nan, np.nan)))
        case "clamp_min":
            return _numbers(*_arguments(args, kwargs, "min", default=(np.nan,)))
        case "clamp_max":
            return _numbers(*_arguments(args, kwargs, "max", default=(np.nan,)))
        case "threshold":
            return _numbers(*_arguments(args, kwargs, "threshold", default=(np.nan,)))
        case "hardsigmoid" | "hardswish":
            return (-3.0, 3.0)
        case "softshrink":
            (bound,) = _numbers(*_arguments(args, kwargs, "lambd", default=(0.5,)))
            return (-bound, bound)
    return ()


class _Watch(TorchDispatchMode):
    """Notes at which vertices (rows, grouped by latent) the inputs of activation functions lie above and below."""

    def __init__(self, latents: int, rows: int) -> None:
        super().__init__()
        self.latents, self.rows = latents, rows
        self.layers: list[Layer] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        about = thresholds(name, args, kwargs)
        if about and isinstance(args[0], torch.Tensor) and args[0].is_floating_point():
            self._note(name.strip("_"), args[0], about)
        return func(*args, **kwargs)

    def _note(self, name: str, x: torch.Tensor, about: tuple[float, ...]) -> None:
        if x.ndim == 0 or x.shape[0] % self.rows:
            return  # it does not depend on the latents: something made of weights alone
        x = x.reshape(self.latents, self.rows // self.latents, -1)
        low, high = torch.aminmax(x, dim=1)
        above = torch.cat([high > t for t in about], 1)
        below = torch.cat([low < t for t in about], 1)
        self.layers.append((name, above, below))


def module_sign_changes(
    module: nn.Module,
    center: Array,
    radius: float,
    frame: Array,
    outputs: bool,
    advance: Callable[[int], bool],
    shape: tuple[int, ...],
    rows: int,
) -> tuple[Array, tuple[str, ...], int]:
    """Counts (n, L) by layer in the order in which they run, their names, and how many latents were done.

    ``advance(latents done)`` returns whether to stop. ``rows`` bounds the batch of a forward pass.

    Raises:
        WrongType: it is no module.
        InvalidArgument: a layer is in training mode, where it draws random numbers or mixes samples.
        UnsupportedOperation: the module fails on the latents, or its layers differ from one batch to the next.
    """
    if not isinstance(module, nn.Module):
        raise WrongType(f"local_complexity takes a torch.nn.Module or a SplineNetwork; got {type(module).__name__}")
    module = compiled_from(module)
    for path, layer in module.named_modules():
        _check_mode(layer, path or type(module).__name__)
    like = working_tensor(module)
    counted, done = np.zeros((len(center), 0), np.int64), 0
    names: tuple[str, ...] = ()
    with untouched(module), torch.no_grad(), _no_fast_path(), suppress(KeyboardInterrupt):  # what is done is done
        for chosen, parts in groups(len(center), frame.shape[2], rows):
            corners = vertices_of(center[chosen], radius, frame if len(frame) == 1 else frame[chosen])
            seen: list[Layer] = []
            for part in parts:
                z = np.ascontiguousarray(corners[:, part]).reshape(-1, *shape)
                x = torch.from_numpy(z).to(like.dtype).to(like.device)
                layers = _layers(module, x, len(corners), shape, outputs)
                found = tuple(name for name, _, _ in layers)
                if done or seen:
                    if found != names:
                        raise UnsupportedOperation(
                            "local_complexity: the network runs other activation functions in one batch than in another"
                        )
                else:
                    names, counted = found, np.zeros((len(center), len(found)), np.int64)
                pairs = zip(seen or layers, layers, strict=True)
                seen = [(name, a | c, b | d) for (name, a, b), (_, c, d) in pairs]
            for k, (_, above, below) in enumerate(seen):
                counted[chosen, k] = (above & below).sum(1).cpu().numpy()
            done += len(corners)
            if advance(len(corners)):
                break
    return counted, names, done


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """Transformer layers in eval mode run as one kernel, which hides their activation function; not in here."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _layers(module: nn.Module, x: torch.Tensor, latents: int, shape: tuple[int, ...], outputs: bool) -> list[Layer]:
    """What the activation functions, and the output, are given on a batch of the same number of points a latent."""
    with _Watch(latents, len(x)) as watch:
        y = _call(module, x, shape)
    layers = [(f"{name} {k}", above, below) for k, (name, above, below) in enumerate(watch.layers)]
    if outputs:
        if not isinstance(y, torch.Tensor):
            raise UnsupportedOperation(f"local_complexity: outputs=True counts one tensor, not a {type(y).__name__}")
        low, high = torch.aminmax(y.reshape(latents, len(x) // latents, -1), dim=1)
        layers.append(("output", high > 0, low < 0))
    return layers


def _call(module: nn.Module, x: torch.Tensor, shape: tuple[int, ...]) -> Any:
    try:
        return module(x)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedOperation(
            f"local_complexity: {type(module).__name__} fails on a batch of samples of shape {shape}: {line}. "
            f"Give input_shape if that is not the shape of one sample."
        ) from error
