"""What can be said about a module before it is read."""

from __future__ import annotations

import torch
from torch import nn

from splinegeo._errors import InvalidArgument, NotPiecewiseLinear, UnsupportedOperation

# Layers that act differently in training mode.
TRAINED = (
    nn.modules.dropout._DropoutNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.RReLU,
    nn.MultiheadAttention,
)


def compiled_from(module: nn.Module) -> nn.Module:
    """The module inside a ``torch.compile`` wrapper."""
    inner = vars(module).get("_modules", {}).get("_orig_mod")
    return inner if isinstance(inner, nn.Module) else module


def check_module(module: nn.Module, name: str) -> None:
    """Raise for a module that cannot be read whatever its operations are."""
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedOperation(f"{name} is a TorchScript module; pass the nn.Module that it was made from.")
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise UnsupportedOperation(f"{name} is a parallel wrapper; pass its .module.")
    for path, layer in module.named_modules():
        _check_mode(layer, path or name)
        _check_sizes(layer, path or name)
        _check_quantisation(layer, path or name)
    tensors = [("parameter", n, p) for n, p in module.named_parameters()]
    tensors += [("buffer", n, p) for n, p in module.named_buffers()]
    for kind, path, tensor in tensors:
        _check_tensor(tensor, f"{kind} '{path}'")
    for kind, path, tensor in tensors:
        if kind == "parameter" and not tensor.isfinite().all():
            bad = float(tensor.detach()[~tensor.detach().isfinite()][0])
            raise InvalidArgument(
                f"{kind} '{path}' holds {bad}; splinegeo needs finite weights. The training run may have diverged."
            )


def _check_mode(layer: nn.Module, path: str) -> None:
    if not layer.training or not isinstance(layer, TRAINED):
        return
    if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p == 0:
        return
    if isinstance(layer, nn.RReLU) and layer.lower == layer.upper:
        return
    if isinstance(layer, nn.MultiheadAttention) and layer.dropout == 0:
        return
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm) and not layer.track_running_stats:
        return
    raise InvalidArgument(
        f"'{path}' ({type(layer).__name__}) is in training mode, where it is not a function of its input alone; "
        f"call .eval() on the module first."
    )


def _check_quantisation(layer: nn.Module, path: str) -> None:
    # By name: importing torch.ao takes a while.
    if any(kind.__name__ == "FakeQuantizeBase" for kind in type(layer).__mro__):
        raise NotPiecewiseLinear(
            f"'{path}' ({type(layer).__name__}) rounds its input, which jumps; pass the floating-point module, as it "
            f"was before it was prepared for quantisation."
        )


def _check_sizes(layer: nn.Module, path: str) -> None:
    if type(layer) is nn.Linear and min(layer.in_features, layer.out_features) == 0:
        raise InvalidArgument(
            f"'{path}' (Linear) has {layer.in_features} inputs and {layer.out_features} outputs; "
            f"layers of size zero are not supported."
        )


def _check_tensor(tensor: torch.Tensor, what: str) -> None:
    if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
        raise InvalidArgument(f"{what} is not initialised (a lazy module); call the module once on data first.")
    if tensor.is_meta:
        raise InvalidArgument(f"{what} is on the meta device and has no values; load the weights first.")
    if tensor.is_quantized:
        raise UnsupportedOperation(f"{what} is quantised; pass the floating-point module.")
    if tensor.layout is not torch.strided:
        raise UnsupportedOperation(f"{what} is sparse ({tensor.layout}); use .to_dense() weights.")
    if tensor.is_complex():
        raise UnsupportedOperation(f"{what} is complex ({tensor.dtype}); splinegeo reads real networks.")
    if tensor.is_floating_point() and tensor.dtype not in (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    ):
        raise UnsupportedOperation(f"{what} has dtype {tensor.dtype}; use float16, bfloat16, float32 or float64.")
