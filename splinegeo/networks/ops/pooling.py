"""Averages and maxima over windows and whole dimensions."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from splinegeo._types import Array
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops import windows
from splinegeo.networks.ops.affine import neg
from splinegeo.networks.ops.convolutions import tuple_of
from splinegeo.networks.ops.knots import absolute
from splinegeo.networks.ops.values import OPS, Live, Positions, op

AVERAGE = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
MAXIMUM = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


def _inner(x: Live, d: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """The shape before the last ``d`` dimensions, how many windows stand side by side there, and those dimensions."""
    return x.shape[:-d], math.prod(x.shape[:-d]), x.shape[-d:]


def avg_pool(
    d: int,
    b: Builder,
    x: Live,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Live:
    """Means over windows: every entry has the weight float64(1 / divisor)."""
    width, padding = tuple_of(d, kernel_size), tuple_of(d, padding)
    stride = tuple_of(d, stride) if stride else width
    out = AVERAGE[d - 1](_meta(x), width, stride, padding, ceil_mode).shape[-d:]
    lead, count, sizes = _inner(x, d)
    axes = [windows.sliding(*args) for args in zip(sizes, out, width, stride, padding, strict=True)]
    if divisor_override is not None:
        divisors = np.array([divisor_override])
    elif count_include_pad:  # the part of a window beyond the padding, in ceil mode, does not count
        lengths = [
            np.minimum(np.arange(o) * s - p + w, n + p) - (np.arange(o) * s - p)
            for n, o, w, s, p in zip(sizes, out, width, stride, padding, strict=True)
        ]
        divisors = _products(lengths)
    else:
        divisors = _products([(at >= 0).sum(1) for at in axes])
    index = windows.product(axes, sizes, count)
    weight = np.tile(1.0 / np.broadcast_to(divisors, math.prod(out)), count)[:, None]
    return windows.weighted(b, x, index, weight, (*lead, *out))


def adaptive_avg_pool(d: int, b: Builder, x: Live, output_size: Any) -> Live:
    """Means over windows that share out each dimension."""
    lead, count, sizes = _inner(x, d)
    out = tuple(n if o is None else o for n, o in zip(sizes, tuple_of(d, output_size), strict=True))
    axes = [windows.adaptive(*args) for args in zip(sizes, out, strict=True)]
    weight = np.tile(1.0 / _products([(at >= 0).sum(1) for at in axes]), count)[:, None]
    return windows.weighted(b, x, windows.product(axes, sizes, count), weight, (*lead, *out))


def max_pool(
    d: int,
    b: Builder,
    x: Live,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Live:
    """Maxima over windows; padding never wins."""
    width, padding, dilation = tuple_of(d, kernel_size), tuple_of(d, padding), tuple_of(d, dilation)
    stride = tuple_of(d, stride) if stride else width
    out = MAXIMUM[d - 1](_meta(x), width, stride, padding, dilation, ceil_mode).shape[-d:]
    lead, count, sizes = _inner(x, d)
    axes = [windows.sliding(*args) for args in zip(sizes, out, width, stride, padding, dilation, strict=True)]
    return windows.largest(b, x, windows.product(axes, sizes, count), (*lead, *out))


def adaptive_max_pool(d: int, b: Builder, x: Live, output_size: Any) -> list[Any]:
    """Maxima over windows that share out each dimension, and where they were found."""
    lead, count, sizes = _inner(x, d)
    out = tuple(n if o is None else o for n, o in zip(sizes, tuple_of(d, output_size), strict=True))
    axes = [windows.adaptive(*args) for args in zip(sizes, out, strict=True)]
    return [windows.largest(b, x, windows.product(axes, sizes, count), (*lead, *out)), Positions()]


def max_pool_with_indices(d: int, b: Builder, *args: Any, **kwargs: Any) -> list[Any]:
    """Maxima over windows, and where they were found."""
    return [max_pool(d, b, *args, **kwargs), Positions()]


for _d in (1, 2, 3):
    OPS[f"avg_pool{_d}d"] = partial(avg_pool, _d)
    OPS[f"adaptive_avg_pool{_d}d"] = OPS[f"_adaptive_avg_pool{_d}d"] = partial(adaptive_avg_pool, _d)
    OPS[f"max_pool{_d}d"] = partial(max_pool, _d)
    OPS[f"max_pool{_d}d_with_indices"] = partial(max_pool_with_indices, _d)
    OPS[f"adaptive_max_pool{_d}d"] = partial(adaptive_max_pool, _d)


@op("sum")
def total(b: Builder, x: Live, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Live:
    """The sum over dimensions."""
    index, shape = windows.reduced(x, dim, keepdim)
    return windows.weighted(b, x, index, 1.0, shape)


@op("mean")
def mean(b: Builder, x: Live, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Live:
    """The mean over dimensions: every entry has the weight float64(1 / n)."""
    index, shape = windows.reduced(x, dim, keepdim)
    return windows.weighted(b, x, index, 1.0 / index.shape[1], shape)


@op("amax")
def amax(b: Builder, x: Live, dim: Any = None, keepdim: bool = False) -> Live:
    """The maximum over dimensions."""
    return windows.largest(b, x, *windows.reduced(x, dim, keepdim))


@op("amin")
def amin(b: Builder, x: Live, dim: Any = None, keepdim: bool = False) -> Live:
    """The minimum over dimensions, -max(-x)."""
    return _live(neg(b, amax(b, _live(neg(b, x)), dim, keepdim)))


@op("max")
def largest(b: Builder, x: Live, dim: int | None = None, keepdim: bool = False) -> Any:
    """The maximum of all, or that over one dimension with its positions."""
    return amax(b, x) if dim is None else [amax(b, x, dim, keepdim), Positions()]


@op("min")
def smallest(b: Builder, x: Live, dim: int | None = None, keepdim: bool = False) -> Any:
    """The minimum of all, or that over one dimension with its positions."""
    return amin(b, x) if dim is None else [amin(b, x, dim, keepdim), Positions()]


@op("aminmax")
def aminmax(b: Builder, x: Live, *, dim: int | None = None, keepdim: bool = False) -> list[Live]:
    """Both."""
    return [amin(b, x, dim, keepdim), amax(b, x, dim, keepdim)]


@op("linalg_vector_norm")
def vector_norm(
    b: Builder, x: Live, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Live:
    """The piecewise-linear norms: 1, infinity and what is called minus infinity."""
    if ord == 1:
        return total(b, absolute(b, x), dim, keepdim)
    if abs(ord) == math.inf:
        return (amax if ord > 0 else amin)(b, absolute(b, x), dim, keepdim)
    b.refuse(f" of order {ord:g}, which is smooth; the norms of order 1 and infinity are piecewise linear.")


def _meta(x: Live) -> torch.Tensor:
    return torch.empty(x.shape, device="meta")


def _live(x: Any) -> Live:
    assert isinstance(x, Live)
    return x


def _products(factors: list[Array]) -> Array:
    """All products of one number of each array, the last array's moving fastest."""
    out = np.ones(1, np.int64)
    for factor in factors:
        out = np.multiply.outer(out, factor).ravel()
    return out
