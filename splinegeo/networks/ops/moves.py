"""Operations that move numbers without changing them: reshapes, slices, concatenations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from splinegeo._errors import InvalidArgument, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.values import Live, Value, constant_array, op, refuse_training

# Operations that only move numbers: PyTorch itself moves their positions.
MOVES = frozenset((
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose",
    "t", "numpy_T", "swapaxes", "movedim", "squeeze", "unsqueeze", "slice", "select", "narrow", "expand",
    "broadcast_to", "repeat", "tile", "repeat_interleave", "stack", "cat", "concat", "concatenate",
    "hstack", "vstack", "split", "split_with_sizes", "chunk", "unbind", "tensor_split", "flip", "fliplr",
    "flipud", "roll", "rot90", "index", "index_select", "gather", "take", "diagonal", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "unfold", "atleast_2d", "ravel", "swapdims",
    "moveaxis",
))  # fmt: skip
JOINS = frozenset({"stack", "cat", "concat", "concatenate", "hstack", "vstack"})
# What assignment to a part of a tensor becomes.
SCATTERS = frozenset({"slice_scatter", "select_scatter", "diagonal_scatter", "index_put"})
SAME = frozenset(["clone", "contiguous", "detach", "alias", "lift_fresh_copy", "lift_fresh", "detach_copy", "positive"])
SHAPE_ONLY = frozenset(["zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "fill"])
CASTS = frozenset(["_to_copy", "to", "type_as"])


def move(b: Builder, function: Callable[..., Any], *args: Any, join: str = "", **kwargs: Any) -> Any:
    """Apply a rearranging PyTorch function to positions instead of numbers.

    Constant tensors stay what they are (indices, masks), unless ``join`` says that their numbers take part: "all" of
    them, or the "floating" ones.
    """
    nodes: list[int] = []
    constants: list[Array] = []
    n_live, n_constant = 0, 0

    def positions(value: Any) -> Any:
        nonlocal n_live, n_constant
        if isinstance(value, list | tuple):
            return type(value)(positions(v) for v in value)
        if isinstance(value, Live):
            start, n_live = n_live, n_live + value.size
            nodes.append(value.node)
            return torch.arange(start, n_live).reshape(value.shape)
        if isinstance(value, torch.Tensor) and (join == "all" or (join == "floating" and value.is_floating_point())):
            flat = constant_array(b, value).ravel()
            start, n_constant = n_constant, n_constant + len(flat)
            constants.append(flat)
            return -1 - torch.arange(start, n_constant).reshape(value.shape)
        return value

    if not join and sum(isinstance(a, Live) for a in args) > 1:
        b.refuse(" at positions that depend on the input.", UnsupportedOperation)
    result = function(*positions(args), **kwargs)
    known = np.concatenate([np.zeros(0), *constants])
    if isinstance(result, torch.Tensor):
        return _moved(b, nodes, known, result)
    return [_moved(b, nodes, known, r) for r in result]


def _moved(b: Builder, nodes: list[int], constants: Array, positions: torch.Tensor) -> Value:
    shape, index = tuple(positions.shape), positions.reshape(-1).numpy()
    if not index.size:
        b.refuse(" and leaves no values; layers of size zero are not supported.", InvalidArgument)
    live = index >= 0
    if not live.any():
        return torch.from_numpy(constants[-1 - index].reshape(shape))
    if live.all():
        return Live(b.select(nodes, index), shape)
    filled = np.zeros(len(index))
    filled[~live] = constants[-1 - index[~live]]
    chosen = b.select(nodes, np.where(live, index, index[live][0]))
    node = b.combine([chosen], [live.astype(float)], filled)
    assert isinstance(node, int)
    return Live(node, shape)


@op("pad")
def pad(b: Builder, x: Live, pad: list[int], mode: str = "constant", value: float | None = None) -> Value:
    """A border of constants, or of values of x itself."""
    if mode == "constant":
        return constant_pad(b, x, pad, value or 0.0)
    # PyTorch pads floating values only; float64 holds every position exactly.
    return move(b, lambda at: torch.nn.functional.pad(at.double(), list(pad), mode).long(), x)


@op("where")
def where(b: Builder, mask: torch.Tensor, x: Value, y: Value) -> Value:
    """Entries of x where a constant mask holds, of y elsewhere."""
    branches = [a if isinstance(a, Live | torch.Tensor) else torch.tensor(float(a)) for a in (x, y)]
    branches = [a.double() if isinstance(a, torch.Tensor) else a for a in branches]
    return move(b, torch.where, mask, *branches, join="floating")


@op("masked_fill")
def masked_fill(b: Builder, x: Value, mask: torch.Tensor, value: Value) -> Value:
    """The value where a constant mask holds, x elsewhere."""
    return where(b, mask, value, x)


@op("copy")
def copy(b: Builder, x: Value, source: Value, non_blocking: bool = False) -> Value:
    """The source, in the shape of x: what assignment to all of a tensor becomes."""
    return broadcast(b, source, tuple(x.shape)) if isinstance(source, Live) else source.expand(x.shape)


@op("constant_pad_nd")
def constant_pad(b: Builder, x: Live, pad: list[int], value: float = 0.0) -> Value:
    """The values with a constant border."""
    padded = torch.nn.functional.pad(torch.arange(x.size).reshape(x.shape), list(pad), value=-1)
    return _moved(b, [x.node], np.array([float(value)]), padded)


def constant_output(b: Builder, value: torch.Tensor) -> Live:
    """A network that ignores its input: 0 * x plus the value, so that every node but the first has an input."""
    chosen = b.select([0], np.zeros(value.numel(), np.int64))
    return Live(b.constant(chosen, constant_array(b, value).ravel()), tuple(value.shape))


@op("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")
def dropout(b: Builder, x: Live, p: float, train: bool) -> Live:
    """Nothing, in eval mode."""
    if train and p > 0:
        refuse_training(b)
    return x


@op("native_dropout")
def native_dropout(b: Builder, x: Live, p: float, train: bool) -> list[Live]:
    """Nothing, in eval mode; the mask that comes with it is never live."""
    return [dropout(b, x, p, train)]


def broadcast(b: Builder, x: Live, shape: tuple[int, ...]) -> Live:
    """The value broadcast to ``shape``."""
    if x.shape == shape:
        return x
    if math.prod(shape) == x.size:
        return Live(x.node, shape)
    return move(b, torch.broadcast_to, x, size=shape)
