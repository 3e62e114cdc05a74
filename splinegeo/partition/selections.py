"""Selections that go by each axis of a layer on its own: resampling by copies, padding, slices, permuted channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Convolution, Knot, Node
from splinegeo.partition.windows import Shape, padded


def wanted_shapes(nodes: Sequence[Node]) -> dict[int, Shape]:
    """The shapes in which convolutions further on read nodes, by number, where any does."""
    shapes: dict[int, Shape] = {}
    for i, node in reversed(list(enumerate(nodes))):
        if isinstance(node, Convolution):
            shapes[node.inputs[0]] = padded(node.in_shape)
        elif isinstance(node, Knot | Combine) and i in shapes:
            for k in node.inputs:
                shapes.setdefault(k, shapes[i])
    return shapes


def separated(index: Array, given: Shape, shape: Shape) -> tuple[Array, ...] | None:
    """Arrays a, b, c, d with index[k, p, q, r] the number of unit (a[k], b[p], c[q], d[r]) of a layer ``given``.

    None where there are none, or no space to speak of. ``index`` (n,) is that of the n units of ``shape``.
    """
    if math.prod(given[1:]) == 1 or math.prod(shape[1:]) == 1 or math.prod(shape) != len(index):
        return None
    axes = []
    for d, at in enumerate(np.unravel_index(index.reshape(shape), given)):
        line = at[tuple(slice(None) if e == d else 0 for e in range(4))]
        if (at != line.reshape([-1 if e == d else 1 for e in range(4)])).any():
            return None
        axes.append(np.ascontiguousarray(line))
    return tuple(axes)
