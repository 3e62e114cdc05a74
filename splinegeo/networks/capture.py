"""`capture`: a PyTorch module becomes a `SplineNetwork`, checked against the module on random points."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, SplineGeoError, UnsupportedOperation, WrongType
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.graph import SplineNetwork

if TYPE_CHECKING:
    from torch import nn

    from splinegeo.networks.closing import Closing


def capture(
    module: nn.Module, input_shape: Any = None, *, name: str | None = None, drop_output_activation: bool = False
) -> SplineNetwork:
    """Read a PyTorch module as the exact function that its stored weights define.

    The module is left as it was found: it is never cast or moved, and its mode, hooks, gradients and buffers, and the
    state of the random generators, are the same afterwards. The graph is compared with the module on random points
    before it is returned.

    Args:
        module: any ``nn.Module`` in eval mode made of linear layers and continuous piecewise-linear operations.
        input_shape: shape of one sample without the batch dimension, such as ``(2,)`` or ``(1, 28, 28)``. It may be
            left out for an ``nn.Sequential`` that starts with a linear layer.
        name: what error messages call the module; its class by default.
        drop_output_activation: leave off a smooth map at the very end (sigmoid, tanh, softmax, log_softmax, softplus,
            exp and their like), together with positive scales and shifts behind it; ``network.dropped`` names them.

    Raises:
        NotPiecewiseLinear: an operation is smooth, jumps, or multiplies two values that depend on the input.
        UnsupportedOperation: an operation or the form of the module is not one that splinegeo reads.
        InvalidArgument: training mode, NaN or infinite weights, weights that are not there yet.
        ShapeMismatch: ``input_shape`` does not fit the module.
        CaptureMismatch: the graph and the module disagree on a point.
        WrongType: not a module.
    """
    from torch import nn

    from splinegeo.networks import sequential_reader
    from splinegeo.networks.checks import check_module, compiled_from
    from splinegeo.networks.running import example_input, first_run, self_check, untouched

    if not isinstance(module, nn.Module):
        hint = "; it is captured already" if isinstance(module, SplineNetwork) else "; wrap it in an nn.Module"
        raise WrongType(f"capture takes a torch.nn.Module; got {type(module).__name__}{hint}.")
    module = compiled_from(module)
    name = name or type(module).__name__
    check_module(module, name)
    fast = sequential_reader.readable(module)
    if input_shape is None:
        input_shape = sequential_reader.default_input_shape(module) if fast else None
        if input_shape is None:
            raise InvalidArgument(
                f"capture cannot tell the input shape of {name}; give the shape of one sample, "
                f"for example capture(net, input_shape=(2,))."
            )
    shape = _shape(input_shape)
    types: set[Any] = set()
    if fast:
        network, closing = _read_sequential(module, name, shape, drop_output_activation)
    else:
        _check_signature(module, name)
        first_run(module, name, shape)
        from splinegeo.networks import export_reader

        with untouched(module):
            network, closing, types = export_reader.read(
                module, example_input(module, shape), name, drop=drop_output_activation
            )
    self_check(module, name, network, pure=fast, types=types, closing=closing)
    return network


def _read_sequential(
    module: nn.Module, name: str, shape: tuple[int, ...], drop: bool
) -> tuple[SplineNetwork, Closing | None]:
    from splinegeo.networks.running import first_run
    from splinegeo.networks.sequential_reader import read

    try:
        result = read(module, shape, drop=drop)
    except SplineGeoError:
        raise
    except (ValueError, RuntimeError, IndexError):  # a layer that does not fit: the module itself says so best
        first_run(module, name, shape, pure=True)
        raise
    first_run(module, name, shape, pure=True)
    return result


def _shape(shape: Any) -> tuple[int, ...]:
    """``input_shape`` as a tuple of positive ints."""
    sizes = (shape,) if isinstance(shape, int | np.integer) else shape
    try:
        sizes = tuple(sizes)
    except TypeError:
        raise WrongType(f"input_shape must be a tuple of integers; got {shape!r}.") from None
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in sizes):
        raise WrongType(f"input_shape must be a tuple of integers; got {shape!r}.")
    sizes = tuple(int(n) for n in sizes)
    if not sizes or min(sizes) < 1:
        raise ShapeMismatch(f"input_shape needs at least one dimension, each at least 1; got {shape!r}.")
    if math.prod(sizes) > MAX_ENTRIES:
        raise InvalidArgument(f"input_shape {shape!r} has {math.prod(sizes):,} scalars; that is too large.")
    return sizes


def _check_signature(module: nn.Module, name: str) -> None:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # a C function: calling it will tell
        return
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(required) > 1 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise UnsupportedOperation(
            f"{name}.forward takes {len(required)} inputs ({', '.join(required)}); "
            f"wrap it in a module that fixes all but the latent."
        )
    if not list(parameters):
        raise UnsupportedOperation(f"{name}.forward takes no input; capture needs a function of the latent.")
