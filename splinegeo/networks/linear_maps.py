"""The affine nodes as maps: on batches of values, on magnitudes, and row by row with the stored weights.

Convolutions run through torch, on any of its devices; everything goes in and comes out as NumPy arrays. Products are
sums of at most `terms` stored weights times values in some order, which is what an error bound needs to know.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.networks.nodes import Affine, Convolution, Linear, Node, Sparse

CHUNK_BYTES = 2**26  # of the patches that a convolution on the CPU lays out at a time

# A node's weights, or their absolute values or squares, where and as they were last used.
_prepared: WeakKeyDictionary[Node, dict[tuple[str, str, str], Any]] = WeakKeyDictionary()


def apply(node: Affine, x: Array, *, device: str | None = None, dtype: Any = np.float64) -> Array:
    """The linear part of ``node``, without bias.

    Args:
        node: a `Linear`, `Sparse` or `Convolution`.
        x: (n, n_in) values.
        device: a torch device such as ``"cuda"`` to compute on; the CPU by default. Sparse maps stay on the CPU.
        dtype: ``float64`` or ``float32``, what the sums are computed in.

    Returns:
        (n, size) in ``dtype``.
    """
    return _apply(node, x, "plain", device, dtype)


def apply_window(node: Convolution, window: Convolution, x: Array) -> Array:
    """`apply` of a convolution ``window`` of other shapes with the weights of ``node``, which are prepared once."""
    key = ("plain", "cpu", "float64")
    return _through_torch(window, x, key, _prepare(node, key))


def apply_abs(node: Affine, x: Array, *, device: str | None = None, dtype: Any = np.float64) -> Array:
    """`apply` with the absolute values of the weights."""
    return _apply(node, x, "abs", device, dtype)


def apply_square(node: Affine, x: Array, *, device: str | None = None, dtype: Any = np.float64) -> Array:
    """`apply` with the squares of the weights: how variances propagate."""
    return _apply(node, x, "square", device, dtype)


def bias(node: Affine) -> Array:
    """The constant part (size,)."""
    if isinstance(node, Convolution):
        return np.repeat(node.bias, math.prod(node.out_shape[1:]))
    return node.bias


def terms(node: Affine) -> int:
    """The most products that are summed for one output, before the bias."""
    match node:
        case Linear():
            return node.weight.shape[1]
        case Sparse():
            return int(np.diff(node.weight.indptr).max(initial=0))
        case Convolution():
            channels = node.in_shape[0] // node.groups
            if not node.transposed:
                return channels * math.prod(node.kernel.shape[2:])
            # Of the kernel's entries only those a stride apart meet in one output.
            steps = (s // math.gcd(s, t) for s, t in zip(node.stride, node.dilation, strict=True))
            return channels * math.prod(-(-k // s) for k, s in zip(node.kernel.shape[2:], steps, strict=True))


def rows(node: Affine, indices: Any) -> Any:
    """The weights of the outputs ``indices`` (m,), as they are stored, without building the whole matrix.

    Returns:
        A canonical ``scipy.sparse.csr_array`` (m, n_in) without stored zeros.
    """
    from scipy.sparse import csr_array

    indices = np.asarray(indices, np.int64).ravel()
    if indices.size and not 0 <= indices.min() <= indices.max() < node.size:
        raise InvalidArgument(f"rows of '{node.name}' lie between 0 and {node.size - 1}; got {indices.min()} and more.")
    match node:
        case Linear():
            chosen = csr_array(node.weight[indices])
        case Sparse():
            chosen = csr_array(node.weight[indices])
        case Convolution():
            chosen = _rows_of_convolution(node, indices)
    chosen.eliminate_zeros()
    chosen.sort_indices()
    return chosen


def matrix(node: Affine) -> Array:
    """The weights as a dense array (size, n_in)."""
    return node.weight if isinstance(node, Linear) else rows(node, np.arange(node.size)).toarray()


def _rows_of_convolution(node: Convolution, indices: Array) -> Any:
    from scipy.sparse import csr_array

    channel, *place = np.unravel_index(indices, node.out_shape)
    n_in = node.in_shape[0] // node.groups
    per_group = node.out_shape[0] // node.groups
    group = channel // per_group
    channels = group[:, None] * n_in + np.arange(n_in)  # (m, n_in) the input channels that an output reads
    # For each dimension the input position (m, window) under each entry of the kernel, and whether there is one.
    positions, valid = [], np.ones((len(indices), *[1] * len(place)), bool)
    for d, at in enumerate(place):
        offsets = np.arange(node.kernel.shape[2 + d]) * node.dilation[d]
        if node.transposed:
            scaled = at[:, None] + node.padding[d] - offsets
            under, hit = scaled // node.stride[d], scaled % node.stride[d] == 0
        else:
            under = at[:, None] * node.stride[d] - node.padding[d] + offsets
            hit = np.ones(under.shape, bool)
        hit = hit & (under >= 0) & (under < node.in_shape[1 + d])
        shape = [len(indices), *(under.shape[1] if e == d else 1 for e in range(len(place)))]
        positions.append(np.where(hit, under, 0).reshape(shape))
        valid = valid & hit.reshape(shape)
    flat = np.ravel_multi_index(np.broadcast_arrays(*positions), node.in_shape[1:])
    columns = channels.reshape(*channels.shape, *[1] * len(place)) * math.prod(node.in_shape[1:]) + flat[:, None]
    weights = node.kernel[channels, (channel % per_group)[:, None]] if node.transposed else node.kernel[channel]
    keep = np.broadcast_to(valid[:, None], columns.shape)
    counts = keep.sum(axis=tuple(range(1, keep.ndim)))
    start = np.concatenate([[0], np.cumsum(counts)])
    return csr_array((weights[keep], columns[keep], start), shape=(len(indices), math.prod(node.in_shape)))


_CHANGES: dict[str, Callable[[Any], Any]] = {"plain": lambda w: w, "abs": abs, "square": lambda w: w * w}


def _apply(node: Affine, x: Array, weights: str, device: str | None, dtype: Any) -> Array:
    dtype = np.dtype(dtype)
    x = np.asarray(x, dtype)
    if isinstance(node, Sparse):
        key = (weights, "cpu", dtype.name)
        return np.ascontiguousarray((_prepare(node, key) @ x.T).T)
    if isinstance(node, Linear) and device in (None, "cpu"):
        if weights == "plain" and dtype == np.float64:
            return x @ node.weight.T
        return x @ _CHANGES[weights](node.weight).astype(dtype, copy=False).T
    return _through_torch(node, x, (weights, device or "cpu", dtype.name))


def _prepare(node: Affine, key: tuple[str, str, str]) -> Any:
    """The weights of ``node``, changed, cast and moved; kept as long as the node is, squares excepted."""
    kept = _prepared.setdefault(node, {})
    if key in kept:
        return kept[key]
    weights, device, dtype = key
    if isinstance(node, Sparse):
        prepared = _CHANGES[weights](node.weight).astype(dtype)
    else:
        import torch

        array = node.kernel if isinstance(node, Convolution) else node.weight
        changed = np.array(_CHANGES[weights](array), dtype)  # a copy: torch takes no read-only arrays
        prepared = torch.from_numpy(changed).to(device)
    if weights != "square":  # only the check of a captured network needs them
        kept[key] = prepared
    return prepared


def _through_torch(node: Linear | Convolution, x: Array, key: tuple[str, str, str], weight: Any = None) -> Array:
    import torch

    weight = _prepare(node, key) if weight is None else weight
    out = np.empty((len(x), node.size), x.dtype)
    step = _samples_at_once(node) if key[1] == "cpu" else len(x)
    # TensorFloat-32 keeps 10 bits only; plain algorithms sum products and nothing else.
    with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        for k in range(0, len(x), max(step, 1)):
            part = torch.from_numpy(np.array(x[k : k + step])).to(weight.device)
            y = part @ weight.T if isinstance(node, Linear) else _convolve(node, part, weight)
            out[k : k + step] = y.reshape(len(part), -1).cpu().numpy()
    return out


def _convolve(node: Convolution, x: Any, kernel: Any) -> Any:
    from torch.nn import functional as F

    d = len(node.stride)
    x = x.reshape(-1, *node.in_shape)
    if not node.transposed:
        run = (F.conv1d, F.conv2d, F.conv3d)[d - 1]
        return run(x, kernel, None, node.stride, node.padding, node.dilation, node.groups)
    transpose = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[d - 1]
    extra = tuple(n - m for n, m in zip(node.out_shape[1:], spatial_size(node), strict=True))
    return transpose(x, kernel, None, node.stride, node.padding, extra, node.groups, node.dilation)


def spatial_size(node: Convolution) -> tuple[int, ...]:
    """The spatial part of the output's shape, without output padding."""
    geometry = zip(node.in_shape[1:], node.kernel.shape[2:], node.stride, node.padding, node.dilation, strict=True)
    if node.transposed:
        return tuple((n - 1) * s - 2 * p + t * (k - 1) + 1 for n, k, s, p, t in geometry)
    return tuple((n + 2 * p - t * (k - 1) - 1) // s + 1 for n, k, s, p, t in geometry)


def _samples_at_once(node: Linear | Convolution) -> int:
    if isinstance(node, Linear):
        return CHUNK_BYTES // (8 * node.size)
    places = math.prod((node.in_shape if node.transposed else node.out_shape)[1:])
    channels = node.kernel.shape[1] * node.groups if node.transposed else node.in_shape[0]
    return CHUNK_BYTES // (8 * channels * math.prod(node.kernel.shape[2:]) * places)
