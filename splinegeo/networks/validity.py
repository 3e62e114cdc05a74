"""What makes nodes a network: order, shapes, types and finite numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo.networks.linear_maps import spatial_size
from splinegeo.networks.nodes import Combine, Convolution, Input, Knot, Linear, Maximum, Node, Select, Sparse

if TYPE_CHECKING:
    from splinegeo.networks.graph import SplineNetwork

ONE_INPUT = Linear | Sparse | Convolution | Knot | Maximum


def check_network(network: SplineNetwork) -> None:
    """Raise unless ``network`` is what the rest of the library takes for granted."""
    nodes = network.nodes
    if not nodes or not isinstance(nodes[0], Input):
        raise InvalidArgument("SplineNetwork: node 0 must be the Input.")
    for i, node in enumerate(nodes):
        where = f"SplineNetwork node {i} ('{node.name}')"
        if node.size < 1:
            raise InvalidArgument(f"{where} has size {node.size}; sizes are at least 1.")
        if isinstance(node, Input) != (i == 0):
            raise InvalidArgument(f"{where} is an Input; there is exactly one, node 0.")
        if any(not 0 <= j < i for j in node.inputs):
            raise InvalidArgument(f"{where} reads nodes {node.inputs}; it may read nodes before it only.")
        if len(node.inputs) != 1 if isinstance(node, ONE_INPUT) else i > 0 and not node.inputs:
            raise InvalidArgument(f"{where} is a {type(node).__name__} with {len(node.inputs)} inputs.")
        _check_arrays(where, node, [nodes[j].size for j in node.inputs])
    if not 0 <= network.output < len(nodes):
        raise InvalidArgument(f"SplineNetwork has {len(nodes)} nodes; output {network.output} is none of them.")
    for what, shape, size in (
        ("input_shape", network.input_shape, nodes[0].size),
        ("output_shape", network.output_shape, nodes[network.output].size),
    ):
        if math.prod(shape) != size:
            raise ShapeMismatch(f"SplineNetwork {what} {shape} does not hold {size} scalars.")


def _check_arrays(where: str, node: Node, sizes: list[int]) -> None:
    n = node.size
    expected: list[tuple[str, Array, tuple[int, ...]]] = []
    match node:
        case Linear():
            expected = [("weight", node.weight, (n, sizes[0])), ("bias", node.bias, (n,))]
        case Sparse():
            _check_sparse(where, node, sizes[0])
            expected = [("weight.data", node.weight.data, node.weight.indices.shape), ("bias", node.bias, (n,))]
        case Convolution():
            expected = [
                ("kernel", node.kernel, _kernel_shape(where, node, sizes[0])),
                ("bias", node.bias, node.out_shape[:1]),
            ]
        case Combine():
            if len(node.scales) != len(sizes) or any(m != n for m in sizes):
                raise ShapeMismatch(
                    f"{where} combines inputs of sizes {sizes} with {len(node.scales)} scales into {n}."
                )
            expected = [("bias", node.bias, (n,)), *((f"scales[{k}]", s, (n,)) for k, s in enumerate(node.scales))]
        case Select():
            _check_index(where, "index", node.index, (n,), sum(sizes))
        case Maximum():
            k = node.groups.shape[-1] if node.groups.ndim else 0
            if k < 2:
                raise ShapeMismatch(f"{where} is a maximum over {k} entries; it takes two at least.")
            _check_index(where, "groups", node.groups, (n, k), sizes[0])
        case Knot():
            k = node.breakpoints.shape[-1] if node.breakpoints.ndim else 0
            if k < 1 or sizes != [n]:
                raise ShapeMismatch(f"{where} is a knot of size {n} with {k} breakpoints on an input of size {sizes}.")
            expected = [
                ("breakpoints", node.breakpoints, (n, k)),
                ("slopes", node.slopes, (n, k + 1)),
                ("value", node.value, (n,)),
            ]
    for name, array, shape in expected:
        if array.shape != shape or array.dtype != np.float64:
            raise ShapeMismatch(f"{where}: {name} must be float64 of shape {shape}; got {array.dtype} {array.shape}.")
        if not np.isfinite(array).all():
            raise InvalidArgument(f"{where}: {name} holds {array[~np.isfinite(array)][0]}; weights must be finite.")
    if isinstance(node, Knot) and not (node.breakpoints[:, 1:] > node.breakpoints[:, :-1]).all():
        raise InvalidArgument(f"{where}: breakpoints must ascend strictly.")


def _check_index(where: str, name: str, index: Array, shape: tuple[int, ...], n_in: int) -> None:
    if index.shape != shape or index.dtype != np.int64:
        raise ShapeMismatch(f"{where}: {name} must be int64 of shape {shape}; got {index.dtype} {index.shape}.")
    if index.size and (index.min() < 0 or index.max() >= n_in):
        raise InvalidArgument(f"{where}: {name} must lie between 0 and {n_in - 1}.")


def _check_sparse(where: str, node: Sparse, n_in: int) -> None:
    weight = node.weight
    if getattr(weight, "format", "") != "csr" or weight.shape != (node.size, n_in):
        raise ShapeMismatch(f"{where}: weight must be a csr_array of shape ({node.size}, {n_in}); got {weight!r}.")
    start, columns = weight.indptr, weight.indices
    if start[0] != 0 or start[-1] != len(columns) or (np.diff(start) < 0).any():
        raise InvalidArgument(f"{where}: weight.indptr must rise from 0 to the number of entries, {len(columns)}.")
    if len(columns) and (columns.min() < 0 or columns.max() >= n_in):
        raise InvalidArgument(f"{where}: weight.indices must lie between 0 and {n_in - 1}.")
    ascends = np.diff(columns) > 0
    ends = start[1:-1][(start[1:-1] > 0) & (start[1:-1] < len(columns))]
    ascends[ends - 1] = True  # from one row to the next
    if not ascends.all():
        raise InvalidArgument(f"{where}: weight.indices must ascend strictly within each row.")


def _kernel_shape(where: str, node: Convolution, n_in: int) -> tuple[int, ...]:
    """The shape that the kernel must have by the shapes around it."""
    d = len(node.in_shape) - 1
    geometry = (node.out_shape[1:], node.stride, node.padding, node.dilation)
    if d not in (1, 2, 3) or node.kernel.ndim != d + 2 or any(len(part) != d for part in geometry):
        raise ShapeMismatch(
            f"{where}: a convolution has 1 to 3 dimensions throughout; got kernel {node.kernel.shape}, in_shape "
            f"{node.in_shape}, out_shape {node.out_shape}, stride {node.stride}, padding {node.padding}, "
            f"dilation {node.dilation}."
        )
    if min(*node.in_shape, *node.out_shape, *node.stride, *node.dilation, *node.kernel.shape, node.groups) < 1:
        raise InvalidArgument(f"{where}: shapes, stride, dilation and groups of a convolution are at least 1.")
    if min(node.padding) < 0:
        raise InvalidArgument(f"{where}: padding of a convolution is not negative; got {node.padding}.")
    c_in, c_out = node.in_shape[0], node.out_shape[0]
    if c_in % node.groups or c_out % node.groups:
        raise ShapeMismatch(f"{where}: {node.groups} groups do not divide {c_in} and {c_out} channels.")
    if math.prod(node.in_shape) != n_in or math.prod(node.out_shape) != node.size:
        raise ShapeMismatch(
            f"{where} of size {node.size} on an input of size {n_in} does not map {node.in_shape} to {node.out_shape}."
        )
    extra = [n - m for n, m in zip(node.out_shape[1:], spatial_size(node), strict=True)]
    steps = zip(node.stride, node.dilation, strict=True)
    most = [max(pair) - 1 if node.transposed else 0 for pair in steps]
    if any(not 0 <= e <= m for e, m in zip(extra, most, strict=True)):
        raise ShapeMismatch(f"{where}: stride, padding and dilation give {spatial_size(node)}, not {node.out_shape}.")
    window = node.kernel.shape[2:]
    if node.transposed:
        return (c_in, c_out // node.groups, *window)
    return (c_out, c_in // node.groups, *window)
