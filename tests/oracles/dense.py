"""The affine nodes as dense matrices, written out by their definitions: plain loops over kernels, no library."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Convolution, Linear, Sparse

Affine = Linear | Sparse | Convolution


@lru_cache(maxsize=512)
def dense(node: Affine) -> tuple[Array, Array]:
    """Weight (size, n) and bias (size,) of a node; each entry is a stored weight, or a sum of none."""
    match node:
        case Linear():
            return node.weight, node.bias
        case Sparse():
            weight = np.zeros(node.weight.shape)
            for row in range(node.size):
                for k in range(node.weight.indptr[row], node.weight.indptr[row + 1]):
                    assert weight[row, node.weight.indices[k]] == 0
                    weight[row, node.weight.indices[k]] = node.weight.data[k]
            return weight, node.bias
    inputs, outputs = _numbers(node.in_shape), _numbers(node.out_shape)
    weight, bias = np.zeros((outputs.size, inputs.size)), np.zeros(outputs.size)
    c_in, c_out = node.in_shape[0] // node.groups, node.out_shape[0] // node.groups
    # Forwards, output o reads input o * stride - padding + tap * dilation. A transposed convolution is the transpose of
    # that map: there the input stands where the output stood.
    coarse, fine = (inputs, outputs) if node.transposed else (outputs, inputs)
    for group, a, b in product(range(node.groups), range(c_in), range(c_out)):
        i, o = group * c_in + a, group * c_out + b
        for tap in np.ndindex(node.kernel.shape[2:]):
            entry = node.kernel[(i, b, *tap) if node.transposed else (o, a, *tap)]
            for place in np.ndindex(coarse.shape[1:]):
                at = [
                    p * s - m + t * d
                    for p, s, m, t, d in zip(place, node.stride, node.padding, tap, node.dilation, strict=True)
                ]
                if not all(0 <= v < n for v, n in zip(at, fine.shape[1:], strict=True)):
                    continue
                here = (place, tuple(at)) if node.transposed else (tuple(at), place)
                weight[outputs[(o, *here[1])], inputs[(i, *here[0])]] += entry
    for o in range(node.out_shape[0]):
        bias[outputs[o].ravel()] = node.bias[o]
    return weight, bias


def _numbers(shape: tuple[int, ...]) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape)
