"""Products of a layer's weights with long integers, exactly, by products of floats.

Integers are cut into limbs of 16 bits and weights into pieces of so few bits that float64 holds every sum of their
products. So a convolution of integers of any length is a batch of ordinary float64 convolutions, one sample a limb.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution, Linear, Sparse

LIMB = 16


@dataclass(frozen=True, eq=False)
class Pieces:
    """A layer whose weights are whole numbers times a power of two, as a sum of layers with few bits."""

    layers: list[Linear | Sparse | Convolution]  # entries are integers, small enough for `product`
    exponents: list[int]  # of the power of two that belongs to each


def pieces(node: Linear | Sparse | Convolution) -> Pieces:
    """The weights of ``node`` in pieces: node = sum_k layers[k] * 2**exponents[k], exactly."""
    # A sum of `terms` products of a limb and an entry stays below 2**53.
    bits = 52 - LIMB - max(1, linear_maps.terms(node)).bit_length()
    match node:
        case Convolution():
            rest = np.array(node.kernel)
        case Sparse():
            rest = np.array(node.weight.data)
        case Linear():
            rest = np.array(node.weight)
    layers: list[Linear | Sparse | Convolution] = []
    exponents: list[int] = []
    top = frexp(float(np.abs(rest).max(initial=0.0)))[1]
    while rest.any() or not layers:
        top = max(top - bits, -1074)
        whole = np.trunc(np.ldexp(rest, -top)) if top > -1000 else np.trunc(np.ldexp(np.ldexp(rest, 500), -top - 500))
        rest = rest - np.ldexp(whole, top)
        if whole.any() or not layers:
            layers.append(_with_weights(node, whole))
            exponents.append(top)
    return Pieces(layers, exponents)


def _with_weights(node: Linear | Sparse | Convolution, weights: Array) -> Linear | Sparse | Convolution:
    if isinstance(node, Convolution):
        return replace(node, kernel=weights)
    if isinstance(node, Linear):
        return replace(node, weight=weights)
    matrix = node.weight.copy()
    matrix.data = weights
    return replace(node, weight=matrix)


def product(layer: Pieces, columns: list[list[int]]) -> tuple[list[list[int]], int]:
    """The layer without bias on columns of integers: columns of integers and e, which hold values times 2**e."""
    longest = max((v.bit_length() for column in columns for v in column), default=0)
    count = longest // LIMB + 1  # one bit of the last limb is the sign
    size = count * LIMB // 8
    raw = b"".join(v.to_bytes(size, "little", signed=True) for column in columns for v in column)
    limbs = np.frombuffer(raw, "<u2").reshape(len(columns), -1, count).astype(np.float64)
    limbs[:, :, -1] -= np.where(limbs[:, :, -1] >= 1 << (LIMB - 1), float(1 << LIMB), 0.0)
    batch = np.ascontiguousarray(np.moveaxis(limbs, 2, 0)).reshape(count * len(columns), -1)
    low = min(layer.exponents)
    total: list[list[int]] = []
    for part, exponent in zip(layer.layers, layer.exponents, strict=True):
        sums = linear_maps.apply(part, batch).reshape(count, len(columns), -1)
        values = [_joined(sums[:, c]) for c in range(len(columns))]
        shift = exponent - low
        if not total:
            total = [[v << shift for v in column] for column in values]
        else:
            total = [[t + (v << shift) for t, v in zip(*pair, strict=True)] for pair in zip(total, values, strict=True)]
    return total, low


def _joined(sums: Array) -> list[int]:
    """The integers sum_k sums[k] * 2**(16 k) of whole numbers (limbs, n) below 2**53."""
    count, n = sums.shape
    digits = np.empty((n, count + 4), "<u2")
    carry = np.zeros(n, np.int64)
    for k in range(count + 4):
        if k < count:
            carry = carry + sums[k].astype(np.int64)
        digits[:, k] = carry & 0xFFFF
        carry >>= LIMB
    raw, size = digits.tobytes(), 2 * (count + 4)
    return [int.from_bytes(raw[k : k + size], "little", signed=True) for k in range(0, len(raw), size)]
