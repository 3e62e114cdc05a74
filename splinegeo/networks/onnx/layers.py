"""Affine layers: matrix products, convolutions, normalisation by stored statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call, operator
from splinegeo.networks.onnx.values import Constant
from splinegeo.networks.onnx.windows import padded, positive, windows
from splinegeo.networks.ops import Live

CONVOLUTIONS = {1: ("conv1d", F.conv1d), 2: ("conv2d", F.conv2d), 3: ("conv3d", F.conv3d)}
TRANSPOSED = {
    1: ("conv_transpose1d", F.conv_transpose1d),
    2: ("conv_transpose2d", F.conv_transpose2d),
    3: ("conv_transpose3d", F.conv_transpose3d),
}


@operator("MatMul")
def matmul(call: Call) -> Any:
    """A product of matrices, one of them constant."""
    return product(call, call.operand(0), call.operand(1))


def product(call: Call, x: Any, y: Any) -> Any:
    """The product x @ y; through `linear` where the constant is one matrix, which needs no probing."""
    lost, kept = tuple(x.shape), tuple(y.shape)
    if not lost or not kept or lost[-1] != kept[max(len(kept) - 2, 0)]:
        raise ShapeMismatch(
            f"{call.b.site.describe()} to matrices of shapes {lost} and {kept}, which do not go together; "
            f"check input_shape."
        )
    lead = call.broadcast(lost[:-2], kept[:-2]) if len(lost) > 2 or len(kept) > 2 else ()
    call.sized((*lead, *lost[-2:-1], *kept[-1:][: len(kept) - 1]))
    if isinstance(x, Live) and isinstance(y, torch.Tensor) and y.dim() <= 2 and x.size == lost[-1]:
        result = call.apply("linear", F.linear, x, y.t() if y.dim() == 2 else y[None])
        return _reshaped(call, result, (*lost[:-1], *kept[1:]))
    if isinstance(y, Live) and isinstance(x, torch.Tensor) and x.dim() <= 2 and y.size == x.shape[-1]:
        column = _reshaped(call, y, (y.size,))
        result = call.apply("linear", F.linear, column, x if x.dim() == 2 else x[None])
        tail = () if len(kept) == 1 else (1,)
        return _reshaped(call, result, (*kept[:-2], *lost[:-1], *tail))
    return call.apply("matmul", torch.matmul, x, y)


@operator("Gemm")
def gemm(call: Call) -> Any:
    """The value of alpha * A @ B + beta * C, with A or B transposed on request."""
    x, y = (_matrix(call, i, call.integer(t)) for i, t in ((0, "transA"), (1, "transB")))
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    shape = (x.shape[0], y.shape[1])
    c = call.value(2)
    whole = isinstance(x, Live) and isinstance(y, torch.Tensor) and x.size == x.shape[1] == y.shape[0]
    if whole and alpha == beta == 1 and isinstance(c, Constant) and c.shape in ((shape[1],), shape):
        return call.apply("linear", F.linear, x, y.t(), c.tensor().reshape(-1))
    result = product(call, x, y)
    if alpha != 1:
        result = call.apply("mul", torch.mul, result, torch.tensor(alpha, dtype=torch.float64))
    if call.value(2) is None or beta == 0:
        return result
    shift = call.operand(2)
    if call.broadcast(shape, tuple(shift.shape)) != shape:
        call.refuse(
            f" with C of shape {tuple(shift.shape)} for a product {shape}; the file is damaged.", FileFormatError
        )
    if beta != 1:
        shift = call.apply("mul", torch.mul, shift, torch.tensor(beta, dtype=torch.float64))
    return call.apply("add", torch.add, result, shift)


def _matrix(call: Call, i: int, transpose: int) -> Any:
    x = call.operand(i)
    if len(x.shape) != 2:
        raise ShapeMismatch(
            f"{call.b.site.describe()} to a value of shape {tuple(x.shape)}; it takes matrices. Check input_shape."
        )
    if not transpose:
        return x
    return call.moved(np.transpose, x) if isinstance(x, Live) else x.t()


@operator("Einsum")
def einsum(call: Call) -> Any:
    """A sum of products with one live operand."""
    equation = call.text("equation", "").replace(" ", "")
    values = call.operands()
    shape = torch.einsum(equation, *(torch.empty(v.shape, device="meta") for v in values)).shape
    call.sized(shape)
    return call.apply("einsum", torch.einsum, equation, *values)


@operator("CumSum")
def cumulative_sum(call: Call) -> Any:
    """Running sums along one axis, of all before an entry if exclusive."""
    x = call.live()
    axis = call.axis((call.numbers(1) or [0])[0], len(x.shape))
    exclusive, reverse = call.integer("exclusive"), call.integer("reverse")

    def sums(value: torch.Tensor, dim: int) -> torch.Tensor:
        value = value.flip(dim) if reverse else value
        total = value.cumsum(dim) - value if exclusive else value.cumsum(dim)
        return total.flip(dim) if reverse else total

    return call.apply("cumsum", sums, x, axis)


@operator("BatchNormalization")
def batch_norm(call: Call) -> Any:
    """(x - mean) / sqrt(var + epsilon) * scale + shift, by stored statistics."""
    training = call.integer("training_mode") if call.version >= 14 else call.version < 7 and not call.integer("is_test")
    if training:
        call.refuse(" in training mode, where it mixes the samples of a batch; export the network for inference.")
    call.only_output()
    x = call.live()
    parameters: list[Any] = [call.tensor(i) for i in (1, 2, 3, 4)]
    if len(x.shape) < 2 or any(p is None for p in parameters):
        call.refuse(
            f" to a value of shape {x.shape} with {len(call.inputs)} inputs; the file is damaged.", FileFormatError
        )
    spatial = call.integer("spatial", 1) if call.version < 9 else 1
    flat = x if spatial else _reshaped(call, x, (x.shape[0], math.prod(x.shape[1:])))
    parameters = [p.reshape(-1) for p in parameters]
    if any(p.numel() != flat.shape[1] for p in parameters):
        call.refuse(
            f" with statistics of another size than its {flat.shape[1]} channels; the file is damaged.", FileFormatError
        )
    scale, shift, mean, var = parameters
    epsilon = call.real("epsilon", 1e-5)
    if not (var + epsilon > 0).all():
        call.refuse(f" with a variance of {float(var.min()):g}, which is not positive.", InvalidArgument)
    result = call.apply("batch_norm", F.batch_norm, flat, scale, shift, mean, var, False, 0.1, epsilon, False)
    return _reshaped(call, result, x.shape)


@operator("Conv")
def convolution(call: Call) -> Any:
    """A cross-correlation over one, two or three dimensions."""
    x, kernel, shift = _kernel(call, CONVOLUTIONS)
    if x.shape[1] != kernel.shape[1] * call.integer("group", 1):
        _unfit(call, x, kernel)
    grid = windows(call, tuple(kernel.shape[2:]))
    call.sized((kernel.shape[0], *grid.counts))
    x, padding = padded(call, x, grid)
    name, function = CONVOLUTIONS[len(padding)]
    return call.apply(name, function, x, kernel, shift, grid.stride, padding, grid.dilation, call.integer("group", 1))


@operator("ConvTranspose")
def transposed_convolution(call: Call) -> Any:
    """The transpose of a convolution, cropped and filled as the pads and the output's shape say."""
    x, kernel, shift = _kernel(call, TRANSPOSED)
    group = call.integer("group", 1)
    if x.shape[1] != kernel.shape[0]:
        _unfit(call, x, kernel)
    d = len(kernel.shape) - 2
    stride, dilation = (positive(call, name, [1] * d) for name in ("strides", "dilations"))
    extra = call.integers("output_padding", [0] * d) or [0] * d
    if len(extra) != d or any(not 0 <= n <= MAX_ENTRIES for n in extra):
        call.refuse(f" with output_padding {extra[:8]}; the file is damaged.", FileFormatError)
    whole = [
        (n - 1) * s + (k - 1) * r + 1
        for n, s, k, r in zip(x.shape[2:], stride, kernel.shape[2:], dilation, strict=True)
    ]
    begin, end = _crops(call, x.shape[2:], stride, [w + e for w, e in zip(whole, extra, strict=True)])
    # What the output adds behind, in terms of PyTorch: cropped alike on both sides, then padded at the end.
    behind = [a - c + e for a, c, e in zip(begin, end, extra, strict=True)]
    call.sized((kernel.shape[1] * group, *(w - a - c + e for w, a, c, e in zip(whole, begin, end, extra, strict=True))))
    call.sized((kernel.shape[1] * group, *whole))
    name, function = TRANSPOSED[d]
    like_torch = all(a >= 0 and 0 <= o < max(s, r) for a, o, s, r in zip(begin, behind, stride, dilation, strict=True))
    if like_torch:
        return call.apply(name, function, x, kernel, shift, stride, begin, behind, group, dilation)
    result = call.apply(name, function, x, kernel, None, stride, [0] * d, [0] * d, group, dilation)
    sides = [n for a, c, e in zip(begin[::-1], end[::-1], extra[::-1], strict=True) for n in (-a, e - c)]
    result = call.apply("constant_pad_nd", torch.constant_pad_nd, result, sides, 0.0)
    return result if shift is None else call.apply("add", torch.add, result, shift.reshape(-1, *[1] * d))


def _crops(call: Call, sizes: tuple[int, ...], stride: list[int], whole: list[int]) -> tuple[list[int], list[int]]:
    """How much of a transposed convolution's whole result is cut off before and behind."""
    d = len(sizes)
    auto, wanted = call.text("auto_pad", "NOTSET"), call.integers("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(sizes, stride, strict=True)]
    if wanted is None:
        pads = call.integers("pads", [0] * 2 * d) if auto == "NOTSET" else [0] * 2 * d
        if pads is None or len(pads) != 2 * d or any(abs(n) > MAX_ENTRIES for n in pads):
            call.refuse(f" with {len(pads or [])} pads in {d} dimensions; the file is damaged.", FileFormatError)
        return pads[:d], pads[d:]
    if not d <= len(wanted) <= d + 2 or any(not 1 <= n <= MAX_ENTRIES for n in wanted):
        call.refuse(f" with output_shape {wanted[:8]}; the file is damaged.", FileFormatError)
    totals = [w - n for w, n in zip(whole, wanted[-d:], strict=True)]
    half = [t // 2 for t in totals]
    rest = [t - h for t, h in zip(totals, half, strict=True)]
    return (half, rest) if auto == "SAME_UPPER" else (rest, half)


def _kernel(call: Call, table: dict[int, Any]) -> tuple[Live, torch.Tensor, torch.Tensor | None]:
    """The live value, kernel and bias of a convolution."""
    x, kernel, shift = call.live(), call.tensor(1), call.tensor(2)
    if kernel is None or kernel.dim() != len(x.shape) or kernel.dim() - 2 not in table or kernel.numel() == 0:
        shape = None if kernel is None else tuple(kernel.shape)
        raise ShapeMismatch(
            f"{call.b.site.describe()} with a kernel of shape {shape} to a value of shape {x.shape}; splinegeo reads "
            f"convolutions over 1 to 3 dimensions. Check input_shape."
        )
    group = call.integer("group", 1)
    if group < 1 or kernel.shape[0] % group or x.shape[1] % group:
        call.refuse(f" in {call.integer('group', 1)} groups; the file is damaged.", FileFormatError)
    return x, kernel, shift


def _unfit(call: Call, x: Live, kernel: torch.Tensor) -> None:
    raise ShapeMismatch(
        f"{call.b.site.describe()} with a kernel of shape {tuple(kernel.shape)} in {call.integer('group', 1)} groups "
        f"to a value of shape {x.shape}; the channels do not match. Check input_shape."
    )


def _reshaped(call: Call, x: Any, shape: tuple[int, ...]) -> Any:
    """The value in another shape of the same size."""
    return Live(x.node, shape) if isinstance(x, Live) else x.reshape(shape)
