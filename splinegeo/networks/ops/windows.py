"""Which entries a window or a reduction reads: index arrays with -1 where there is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from splinegeo._types import Array
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.values import Live


def sliding(n_in: int, n_out: int, width: int, stride: int, padding: int, dilation: int = 1) -> Array:
    """Positions (n_out, width) along one dimension under each place of a window."""
    at = np.arange(n_out)[:, None] * stride - padding + np.arange(width) * dilation
    return np.where((at >= 0) & (at < n_in), at, -1)


def adaptive(n_in: int, n_out: int) -> Array:
    """Positions (n_out, width) of n_out windows that cover all, PyTorch's way."""
    out = np.arange(n_out)
    first, last = out * n_in // n_out, -((-(out + 1) * n_in) // n_out)
    at = first[:, None] + np.arange((last - first).max())
    return np.where(at < last[:, None], at, -1)


def product(axes: Sequence[Array], sizes: Sequence[int], lead: int) -> Array:
    """Flat positions (lead * places, entries) of windows that are products of those along each dimension.

    Args:
        axes: (places, width) positions along each dimension.
        sizes: how many positions there are along each.
        lead: how many channels (and samples) there are, each with windows of its own.
    """
    flat, d = np.zeros((1,) * (2 * len(axes)), np.int64), len(axes)
    missing = np.zeros(flat.shape, bool)
    for k, (at, n) in enumerate(zip(axes, sizes, strict=True)):
        shape = [1] * (2 * d)
        shape[k], shape[d + k] = at.shape
        flat = flat * n + np.maximum(at, 0).reshape(shape)
        missing = missing | (at < 0).reshape(shape)
    places = math.prod(at.shape[0] for at in axes)
    flat = np.where(missing, -1, flat).reshape(places, -1)
    shifted = np.arange(lead)[:, None, None] * math.prod(sizes) + flat
    return np.where(flat < 0, -1, shifted).reshape(lead * places, -1)


def reduced(x: Live, dim: Any = None, keepdim: bool = False) -> tuple[Array, tuple[int, ...]]:
    """The entries (size, k) of x that a reduction over ``dim`` (None or empty: all) takes together; the shape left."""
    at = torch.arange(x.size).reshape(x.shape)
    dims = [dim] if isinstance(dim, int) else list(dim or range(at.dim()))
    dims = sorted({d % at.dim() for d in dims}) if at.dim() else []
    kept = at.amin(dims, keepdim=keepdim) if dims else at
    last = at.movedim(dims, list(range(-len(dims), 0))) if dims else at
    return last.reshape(kept.numel(), -1).numpy(), tuple(kept.shape)


def weighted(b: Builder, x: Live, index: Array, weight: Array | float, shape: tuple[int, ...]) -> Live:
    """The sum of ``weight`` times the entries ``index`` (size, k) of x; weight broadcasts with index."""
    from scipy.sparse import coo_array

    there = index >= 0
    if index.shape[1] == 1 and there.all() and np.all(np.asarray(weight) == 1):
        return Live(b.select([x.node], index[:, 0]), shape)
    rows = np.broadcast_to(np.arange(len(index))[:, None], index.shape)[there]
    data = np.broadcast_to(np.asarray(weight, np.float64), index.shape)[there]
    matrix = coo_array((data, (rows, index[there])), shape=(len(index), x.size))
    return Live(b.sparse(x.node, matrix.tocsr()), shape)


def largest(b: Builder, x: Live, index: Array, shape: tuple[int, ...]) -> Live:
    """The largest of the entries ``index`` (size, k) of x."""
    there = index >= 0
    if not there.any(1).all():
        b.refuse(", where a window holds nothing but padding; its value would be minus infinity.")
    own = index[np.arange(len(index)), there.argmax(1)]  # a group of fewer members repeats its first
    return Live(b.maximum(x.node, np.where(there, index, own[:, None])), shape)
