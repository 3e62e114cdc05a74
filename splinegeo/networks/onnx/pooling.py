"""Pooling and reductions: sums and maxima over windows or dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from splinegeo._errors import FileFormatError, InvalidArgument, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call, operator
from splinegeo.networks.onnx.windows import Windows, windows
from splinegeo.networks.ops import Live


@operator("MaxPool")
def max_pool(call: Call) -> Any:
    """The largest entry of each window; padding never wins."""
    call.only_output()
    x, grid = call.live(), windows(call)
    groups, inside, shape = _windowed(call, x, grid)
    return Live(call.b.maximum(x.node, _own_members(call, groups, inside)), shape)


@operator("AveragePool")
def average_pool(call: Call) -> Any:
    """The mean over each window, of what lies in the value or of its padding too."""
    x, grid = call.live(), windows(call)
    places, inside, shape = _windowed(call, x, grid)
    if call.integer("count_include_pad"):
        counts = np.ones(1)
        for axis, (n, a, c) in enumerate(zip(grid.sizes, grid.begin, grid.end, strict=True)):
            at = grid.places(axis)
            counts = np.multiply.outer(counts, ((at >= -a) & (at < n + c)).sum(1)).ravel()
        counts = np.tile(counts, len(places) // len(counts))
    else:
        counts = inside.sum(1)
    if not counts.all():
        call.refuse(" with windows that hold nothing but padding; the file is damaged.", FileFormatError)
    return _weighted(call, x, places, inside / counts[:, None], shape)


@operator("GlobalMaxPool", "GlobalAveragePool")
def global_pool(call: Call) -> Any:
    """The largest entry, or the mean, of each channel."""
    x = call.live()
    if len(x.shape) < 3:
        call.refuse(f" to a value of shape {x.shape}, which has no spatial dimensions.", FileFormatError)
    return _reduced(call, x, list(range(2, len(x.shape))), True, "max" if call.op == "GlobalMaxPool" else "mean")


@operator("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1")
def reduction(call: Call) -> Any:
    """A sum, mean or extreme over dimensions: an attribute, or an input since version 13 or 18."""
    x = call.live()
    by_input = call.version >= (13 if call.op == "ReduceSum" else 18)
    axes = call.numbers(1) if by_input else call.integers("axes")
    if not axes:
        if by_input and call.integer("noop_with_empty_axes"):
            return call.apply("abs", torch.abs, x) if call.op == "ReduceL1" else x
        axes = list(range(len(x.shape)))
    axes = sorted({call.axis(axis, len(x.shape)) for axis in axes})
    keep = bool(call.integer("keepdims", 1))
    if call.op == "ReduceMin":
        return call.apply("neg", torch.neg, _reduced(call, call.apply("neg", torch.neg, x), axes, keep, "max"))
    if call.op == "ReduceL1":
        x = call.apply("abs", torch.abs, x)
    return _reduced(call, x, axes, keep, {"ReduceMax": "max", "ReduceMean": "mean"}.get(call.op, "sum"))


def _reduced(call: Call, x: Live, axes: list[int], keep: bool, how: str) -> Live:
    kept = [n for n in range(len(x.shape)) if n not in axes]
    places = np.arange(x.size).reshape(x.shape).transpose(*kept, *axes)
    places = places.reshape(math.prod(x.shape[n] for n in kept), -1)
    shape = tuple(1 if n in axes else size for n, size in enumerate(x.shape) if keep or n not in axes)
    if how == "max":
        return Live(call.b.maximum(x.node, places), shape)
    weight = 1.0 / places.shape[1] if how == "mean" else 1.0
    return _weighted(call, x, places, np.full(places.shape, weight), shape)


def _windowed(call: Call, x: Live, grid: Windows) -> tuple[Array, Array, tuple[int, ...]]:
    """Flat positions (windows, entries) of every window, whether they lie in the value, and the result's shape."""
    lead = x.shape[0] * x.shape[1]
    entries = lead * math.prod(grid.counts) * math.prod(grid.kernel)
    if entries > MAX_ENTRIES:
        call.refuse(f" with windows of {entries:,} entries in all; that is too large.", InvalidArgument)
    places, inside = np.arange(lead)[:, None], np.ones((lead, 1), bool)
    for axis, n in enumerate(grid.sizes):
        at = grid.places(axis)
        ok = (at >= 0) & (at < n)
        # (windows so far, entries so far) with the windows and entries of one more dimension
        places = places[:, None, :, None] * n + np.where(ok, at, 0)[:, None, :]
        inside = inside[:, None, :, None] & ok[:, None, :]
        size = (places.shape[0] * places.shape[1], -1)
        places, inside = places.reshape(size), inside.reshape(size)
    return places, inside, (*x.shape[:2], *grid.counts)


def _own_members(call: Call, groups: Array, inside: Array) -> Array:
    """Groups in which padding is replaced by a member of the group, which changes no maximum."""
    if not inside.any(1).all():
        call.refuse(" with windows that hold nothing but padding; their maximum is -inf.", UnsupportedOperation)
    first = np.take_along_axis(groups, inside.argmax(1)[:, None], 1)
    return np.where(inside, groups, first)


def _weighted(call: Call, x: Live, places: Array, weights: Array, shape: tuple[int, ...]) -> Live:
    """Sums of entries (rows, k) of x with weights of the same shape."""
    rows = np.repeat(np.arange(len(places)), places.shape[1])
    used = weights.ravel() != 0
    matrix = csr_array((weights.ravel()[used], (rows[used], places.ravel()[used])), shape=(len(places), x.size))
    return Live(call.b.sparse(x.node, matrix), shape)
