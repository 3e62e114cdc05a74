"""Convolutions and their transposes, in one to three dimensions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from splinegeo._errors import UnsupportedOperation
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.moves import constant_pad, move
from splinegeo.networks.ops.values import OPS, Live, Value, constant_array, op, refuse_product

CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def convolve(
    d: int,
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Live:
    """A convolution over the last ``d`` dimensions; padding may be "same" or "valid"."""
    _check_live(b, x, weight, bias)
    dilation = tuple_of(d, dilation)
    if isinstance(padding, str):
        total = [t * (k - 1) if padding == "same" else 0 for t, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(n % 2 for n in total):  # an odd number goes to the end
            x = constant_pad(b, x, [n for t in reversed(total) for n in (t // 2, t - t // 2)])
            total = [0] * d
        padding = [n // 2 for n in total]
    stride, padding = tuple_of(d, stride), tuple_of(d, padding)
    y = CONVOLVE[d - 1](_meta(x.shape), _meta(weight.shape), None, stride, padding, dilation, groups)
    return _convolution(b, x, weight, bias, y.shape, stride, padding, dilation, groups, False)


def transpose_convolve(
    d: int,
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Live:
    """A transposed convolution over the last ``d`` dimensions."""
    _check_live(b, x, weight, bias)
    stride, padding, dilation, extra = (tuple_of(d, v) for v in (stride, padding, dilation, output_padding))
    y = TRANSPOSE[d - 1](_meta(x.shape), _meta(weight.shape), None, stride, padding, extra, groups, dilation)
    return _convolution(b, x, weight, bias, y.shape, stride, padding, dilation, groups, True)


for _d in (1, 2, 3):
    OPS[f"conv{_d}d"] = partial(convolve, _d)
    OPS[f"conv_transpose{_d}d"] = partial(transpose_convolve, _d)


@op("convolution", "_convolution")
def convolution(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *_: bool,  # flags of the backends
) -> Live:
    """Either of them, by the number of the kernel's dimensions."""
    d = len(weight.shape) - 2
    if transposed:
        return transpose_convolve(d, b, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return convolve(d, b, x, weight, bias, stride, padding, dilation, groups)


def tuple_of(d: int, value: Any) -> tuple[int, ...]:
    """One number for all of ``d`` dimensions, or one for each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * d if len(values) == 1 else values


def _meta(shape: Any) -> torch.Tensor:
    """A tensor without values: torch says what shape comes out, and what does not fit."""
    return torch.empty(tuple(shape), device="meta")


def _check_live(b: Builder, x: Value, weight: Value, bias: Value | None) -> None:
    if isinstance(weight, Live) or not isinstance(x, Live):
        refuse_product(b)
    if isinstance(bias, Live):
        b.refuse(" with a bias that depends on the input; add it in a step of its own.", UnsupportedOperation)


def _convolution(
    b: Builder,
    x: Live,
    weight: torch.Tensor,
    bias: Value | None,
    out: torch.Size,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    transposed: bool,
) -> Live:
    d = len(stride)
    kernel = constant_array(b, weight)
    shift = np.zeros(out[-d - 1]) if bias is None else constant_array(b, bias)
    in_shape, out_shape = x.shape[-d - 1 :], tuple(out[-d - 1 :])
    samples = x.shape[0] if len(x.shape) == d + 2 else 1
    if samples == 1:
        geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        node = b.convolution(
            x.node, kernel, shift, in_shape, out_shape, **geometry, groups=groups, transposed=transposed
        )
        return Live(node, tuple(out))
    # Several samples that one sample was reshaped into: one dimension more, over which the kernel has width 1.
    if d == 3:
        b.refuse(f" to {samples} volumes at once; apply it to one after the other.", UnsupportedOperation)
    stacked = move(b, lambda at: at.transpose(0, 1), x)
    node = b.convolution(
        stacked.node,
        np.expand_dims(kernel, 2),
        shift,
        (in_shape[0], samples, *in_shape[1:]),
        (out_shape[0], samples, *out_shape[1:]),
        stride=(1, *stride),
        padding=(0, *padding),
        dilation=(1, *dilation),
        groups=groups,
        transposed=transposed,
    )
    unstacked = move(b, lambda at: at.transpose(0, 1), Live(node, (out_shape[0], samples, *out_shape[1:])))
    return Live(unstacked.node, tuple(out))
