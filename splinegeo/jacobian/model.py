"""Any differentiable model as a pure function of a batch of latents, in one floating type, on one device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from splinegeo._errors import InvalidArgument, ShapeMismatch, SplineGeoError, UnsupportedOperation, WrongType
from splinegeo.jacobian.errors import NotDeterministic, NotDifferentiable, NumericalOverflow, OutOfMemory
from splinegeo.jacobian.precision import Precision, arithmetic, of_dtype, resolve
from splinegeo.networks.running import untouched

_log = logging.getLogger("splinegeo")

# Backward nodes of functions that are constant between jumps: autograd gives them the derivative 0 without a word.
_STEPS = {"RoundBackward", "FloorBackward", "CeilBackward", "TruncBackward", "SignBackward", "HeavisideBackward"}
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "out of memory" in text)


class PureModel:
    """``model`` as a function ``(n, *shape)`` -> (n, D) that leaves it as it was.

    Parameters are copied only where the precision asks for another type; autograd never sees them, so nothing of their
    derivatives is computed or stored. A function that is not an ``nn.Module`` is called as it is.
    """

    def __init__(self, call: str, model: Callable[..., Any], z: torch.Tensor, precision: str | None) -> None:
        if not callable(model):
            raise WrongType(f"{call}: model must be a module or a function; got {type(model).__name__}")
        self.call = call
        self.model = model
        self.name = type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", "model")
        if isinstance(model, nn.Module):
            _refuse_training(call, self.name, model)
            tensors = [*model.parameters(), *model.buffers()]
            own = next((t for t in tensors if t.is_floating_point()), z)
            self.device = own.device
            self.precision = resolve(call, precision, own.dtype, self.device)
        else:
            self.device = z.device
            standard = z.dtype in (torch.float32, torch.float64)
            self.precision = (
                resolve(call, precision, z.dtype, self.device) if precision or standard else of_dtype(z.dtype)
            )
        self._state = self._copies()

    def _copies(self) -> dict[str, torch.Tensor]:
        if not isinstance(self.model, nn.Module):
            return {}
        state = {}
        for name, tensor in self.model.named_parameters():
            state[name] = self._cast(tensor)
        for name, tensor in self.model.named_buffers():
            state[name] = self._cast(tensor).clone()  # a forward pass may write to it
        return state

    def _cast(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.detach()
        if tensor.is_inference():
            tensor = tensor.clone()
        return tensor.to(self.precision.dtype) if tensor.is_floating_point() else tensor

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Outputs (n, D) at latents ``(n, *shape)``; takes part in autograd and in torch.func."""
        if isinstance(self.model, nn.Module):
            y = torch.func.functional_call(self.model, self._state, (z,))
        else:
            y = self.model(z)
        if not isinstance(y, torch.Tensor):
            raise UnsupportedOperation(
                f"{self.call}: {self.name} returns a {type(y).__name__}; a derivative is taken of one tensor. Wrap it "
                f"in a module that picks one (splinegeo.jacobian has adapters for diffusers)."
            )
        if y.ndim == 0 or y.shape[0] != z.shape[0]:
            raise ShapeMismatch(
                f"{self.call}: {self.name} maps latents of shape {tuple(z.shape)} to {tuple(y.shape)}; "
                f"the first axis must count the samples in both"
            )
        return y.reshape(len(y), -1)

    def latents(self, z: torch.Tensor) -> torch.Tensor:
        """The latents in the type and on the device that the model computes in."""
        return z.detach().to(self.device, self.precision.dtype).clone(memory_format=torch.contiguous_format)

    @contextmanager
    def traceless(self) -> Iterator[None]:
        """Puts back what runs may change: attributes of a module, random generators."""
        with untouched(self.model if isinstance(self.model, nn.Module) else nn.Module()):
            yield

    def check(self, z: torch.Tensor) -> tuple[int, bool]:
        """Number of outputs D, and whether samples may be batched, from a few runs on the first latents.

        Raises:
            ShapeMismatch: the model does not take such latents.
            NotDifferentiable: no derivative, or one that is zero because an operation jumps.
            NotDeterministic: two runs differ.
            NumericalOverflow: an output is not finite.
        """
        one = z[:1]
        # one context for all runs: a model that draws random numbers draws others each time
        with self.traceless(), arithmetic(self.precision, self.device):
            y = self.run(one.clone().requires_grad_())
            self._refuse_without_derivative(y)
            _refuse_steps(self.call, self.name, y)
            y = y.detach()
            with torch.no_grad():
                again = self.run(one)
                several = self.run(z[:2])[:1] if len(z) > 1 else y
        if not torch.isfinite(y).all():
            raise overflow(self.call, "an output of the first latent", self.precision)
        scale = float(y.abs().max())
        # the same call on the same device rounds alike, whatever the type; coarse types must not hide noise
        if float((y - again).abs().max()) > min(100 * torch.finfo(y.dtype).eps, 1e-2) * scale:
            raise NotDeterministic(
                f"{self.call}: {self.name} gives two answers for one latent; it draws random numbers or remembers "
                f"earlier calls. Fix its noise, call .eval(), or return the mean instead of a sample."
            )
        alone = float((y - several).abs().max()) > min(1e4 * self.precision.eps, 0.05) * scale
        if alone:
            _log.info("%s: %s mixes the samples of a batch; taking one latent at a time", self.call, self.name)
        return y.shape[1], not alone

    def run(self, z: torch.Tensor) -> torch.Tensor:
        """One call, with the model's own errors told as what they are about."""
        try:
            return self(z)
        except SplineGeoError:
            raise
        except Exception as error:  # whatever the user's code raises
            if is_out_of_memory(error):
                raise OutOfMemory(
                    f"{self.call}: one latent's forward pass with what its derivative needs does not fit on "
                    f"{self.device}; set precision='bfloat16', use smaller latents or a device with more memory"
                ) from error
            text = (str(error).strip().splitlines() or [""])[0].rstrip(".")
            shape, dtype = tuple(z.shape[1:]), self.precision.dtype
            if "same dtype" in text or "expected scalar type" in text or "dtype" in text:
                raise UnsupportedOperation(
                    f"{self.call}: {self.name} fails in {self.precision.name}: {text}. It holds numbers of "
                    f"another type that cannot be cast from outside; pass latents and precision in that type."
                ) from error
            if isinstance(error, RuntimeError | ValueError | IndexError) and any(
                word in text for word in ("shape", "size", "dimension", "xpected", "dim")
            ):
                raise ShapeMismatch(
                    f"{self.call}: {self.name} does not take latents of shape {shape}: {text}. z must be (N, *shape)."
                ) from error
            raise UnsupportedOperation(
                f"{self.call}: {self.name} fails on a latent of shape {shape}, {dtype}: {type(error).__name__}: {text}."
            ) from error

    def _refuse_without_derivative(self, y: torch.Tensor) -> None:
        if not y.is_floating_point():
            raise NotDifferentiable(f"{self.call}: {self.name} returns {y.dtype}; a derivative needs real outputs")
        if not y.requires_grad:
            raise NotDifferentiable(
                f"{self.call}: the output of {self.name} does not depend on the latent by differentiable operations; "
                f"it runs under torch.no_grad(), detaches, goes through NumPy, or takes indices or comparisons only"
            )


def _refuse_training(call: str, name: str, module: nn.Module) -> None:
    for path, layer in module.named_modules():
        if not layer.training:
            continue
        kind = type(layer).__name__
        if isinstance(layer, _RANDOM) and getattr(layer, "p", 1) > 0:
            raise InvalidArgument(
                f"{call}: {name} is in training mode, where {path or name!r} ({kind}) draws random numbers; "
                f"call .eval()"
            )
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise InvalidArgument(
                f"{call}: {name} is in training mode, where {path or name!r} ({kind}) mixes the samples of a batch; "
                f"call .eval()"
            )


def _refuse_steps(call: str, name: str, y: torch.Tensor) -> None:
    """Raise if the graph behind ``y`` holds a function that jumps."""
    seen, waiting = set(), [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kind = node.name().rstrip("0123456789")
        if kind in _STEPS:
            operation = kind.removesuffix("Backward").lower()
            raise NotDifferentiable(
                f"{call}: {name} applies {operation}, which is constant between jumps: its derivative is 0 or does not "
                f"exist. Leave it out, or put a straight-through form in its place if that is what you mean."
            )
        waiting += [following for following, _ in node.next_functions]


def overflow(call: str, what: str, precision: Precision) -> NumericalOverflow:
    """The error for numbers that are not finite."""
    cure = "pass precision='float32'" if precision.dtype.itemsize < 4 else "pass precision='float64', or rescale"
    return NumericalOverflow(f"{call}: {what} is not finite in {precision.name}; {cure} if the model itself is finite")
