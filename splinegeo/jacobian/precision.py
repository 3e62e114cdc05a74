"""In which arithmetic derivatives are taken, and how torch is set for it while they are.

Nothing here outlives the ``with`` block: flags that torch keeps for the whole process are put back.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from splinegeo._errors import InvalidArgument

PrecisionName: TypeAlias = Literal["float64", "float32", "tf32", "bfloat16"]

_log = logging.getLogger("splinegeo")


@dataclass(frozen=True)
class Precision:
    """A floating type of tensors, and the rounding of their products, which TF32 takes more coarsely."""

    name: str
    dtype: torch.dtype
    eps: float

    def rank_rtol(self, shape: tuple[int, int]) -> float:
        """The part of the largest singular value below which one of a matrix of that shape is rounding.

        In float64 NumPy's rule, max(shape) eps, and 32 eps at least: products of many layers are further off than those
        of one matrix. In float32, where that rule would throw away real ones, 32 eps. TF32 and bfloat16 keep the
        threshold of float32: their rounding is so coarse that real singular values lie below it, and a ψ without them
        is further off than one that has them wrong.
        """
        return max(32, *shape) * 2.0**-52 if self.dtype == torch.float64 else 32 * 2.0**-23

    def noise(self) -> float:
        """The part of the largest singular value that rounding may make up: 32 eps of the products."""
        return 32 * self.eps


_PRECISIONS = {
    "float64": Precision("float64", torch.float64, 2.0**-52),
    "float32": Precision("float32", torch.float32, 2.0**-23),
    "tf32": Precision("tf32", torch.float32, 2.0**-10),
    "bfloat16": Precision("bfloat16", torch.bfloat16, 2.0**-7),
}


def resolve(call: str, wanted: str | None, own: torch.dtype, device: torch.device) -> Precision:
    """The precision asked for; by default float64 for a model in float64, else TF32 on a GPU and float32 elsewhere."""
    if wanted is None:
        wanted = "float64" if own == torch.float64 else "tf32" if device.type == "cuda" else "float32"
    if wanted not in _PRECISIONS:
        names = ", ".join(map(repr, _PRECISIONS))
        raise InvalidArgument(f"{call}(precision={wanted!r}): one of {names} is expected")
    if wanted == "tf32" and device.type != "cuda":
        raise InvalidArgument(f"{call}(precision='tf32'): only CUDA devices have TF32, and the model is on {device}")
    if wanted == "bfloat16":
        _log.info("%s: bfloat16 is for ranking; psi may be off by several hundredths", call)
    return _PRECISIONS[wanted]


def of_dtype(dtype: torch.dtype) -> Precision:
    """The precision of a function whose weights are out of reach: the type that it is called with."""
    return Precision(str(dtype).removeprefix("torch."), dtype, torch.finfo(dtype).eps)


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Products as ``precision`` says, no autocast, derivatives on, whatever the caller has set."""
    with ExitStack() as stack:
        kind = "tf32" if precision.name == "tf32" else "ieee"
        backends: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", None)]
        backends += [getattr(torch.backends.mkldnn, name, None) for name in ("matmul", "conv")]
        if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            for backend in backends:
                if hasattr(backend, "fp32_precision"):
                    stack.enter_context(_set(backend, "fp32_precision", kind))
        else:  # torch before 2.9
            for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
                stack.enter_context(_set(backend, "allow_tf32", kind == "tf32"))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        # The fused inference path of torch's transformer layers has no derivatives.
        stack.enter_context(_mha_fastpath_off())
        yield


@contextmanager
def attention_with_derivatives(used: bool) -> Iterator[None]:
    """The mathematical form of attention where the model has any: fused kernels have no forward-mode derivative."""
    if not used:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def quiet_batching() -> Iterator[None]:
    """What torch says about its own batching goes to the log; every other warning goes where it would have gone."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except BaseException:
        with suppress(Warning):  # where warnings are errors, the one on its way is the one to see
            _pass_on(caught)
        raise
    _pass_on(caught)


def _pass_on(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        text = str(warning.message)
        if "batching rule" in text:
            _log.info("torch: %s", text.splitlines()[0])
        elif "torch.jit.script" not in text:  # torch compiles a decomposition when forward mode is first used
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _mha_fastpath_off() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
