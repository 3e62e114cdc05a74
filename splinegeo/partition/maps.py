"""Affine maps from activation patterns: a masked linear pass through the graph, for any set of input columns."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    SplineNetwork,
)
from splinegeo.networks.tournament import winners

CHUNK_BYTES = 1 << 26


def patterns_at_a_time(network: SplineNetwork) -> int:
    """How many patterns a pass may take that keeps the values of all nodes, and as many bounds on their errors."""
    return max(1, 4 * CHUNK_BYTES // (16 * sum(node.size for node in network.nodes)))


def unpack(packed: Array, n_breakpoints: int) -> Array:
    """Activation bits (n, B) of packed patterns."""
    return (
        np.unpackbits(packed, axis=1, count=n_breakpoints, bitorder="little")
        if n_breakpoints
        else np.zeros((len(packed), 0), np.uint8)
    )


def knot_pieces(network: SplineNetwork, bits: Array) -> dict[int, Array]:
    """Under activation bits (n, B), for each knot the piece (n, size) of each unit, a maximum's the entry passed on."""
    pieces, first = {}, 0
    for i in network.knots:
        node = network.nodes[i]
        assert isinstance(node, Knot | Maximum)
        size, k = node.size, node.breakpoints_per_unit
        here = bits[:, first : first + size * k].reshape(len(bits), size, k)
        first += size * k
        if isinstance(node, Maximum):
            pieces[i] = winners(node, here)
        else:
            # Bits of breakpoints between equal slopes are never set; the highest set bit decides.
            pieces[i] = (here * np.arange(1, k + 1, dtype=np.uint8)).max(2, initial=0)
    return pieces


def piece_offsets(knot: Knot) -> Array:
    """Intercept (size, k + 1) of each piece: slope * z + offset is the knot's value there."""
    n, k = knot.breakpoints.shape
    out = np.empty((n, k + 1))
    simple = (knot.breakpoints == 0).all(1) & (knot.value == 0)
    out[simple] = 0.0
    for u in np.nonzero(~simple)[0]:
        t = [Fraction(float(v)) for v in knot.breakpoints[u]]
        s = [Fraction(float(v)) for v in knot.slopes[u]]
        o = Fraction(float(knot.value[u])) - (s[0] * t[0] if k else 0)
        out[u, 0] = float(o)
        for j in range(k):
            o += (s[j] - s[j + 1]) * t[j]
            out[u, j + 1] = float(o)
    return out


def maps_of_patterns(network: SplineNetwork, bits: Array, columns: Array) -> Array:
    """Output coefficients (n, D, c) for latents z = columns @ (u, 1), columns (E, c), on regions with these bits."""
    size = max(node.size for node in network.nodes)
    step = max(1, CHUNK_BYTES // (8 * size * columns.shape[1]))
    parts = [_pass(network, bits[k : k + step], columns) for k in range(0, len(bits), step)]
    return np.concatenate(parts) if parts else np.zeros((0, network.n_outputs, columns.shape[1]))


def _pass(network: SplineNetwork, bits: Array, columns: Array) -> Array:
    n = len(bits)
    pieces = knot_pieces(network, bits)
    values: list[Array] = []
    for i, node in enumerate(network.nodes):
        x = [values[k] for k in node.inputs]
        match node:
            case Input():
                out = np.broadcast_to(columns, (n, *columns.shape)).copy()
            case Linear():
                out = np.matmul(node.weight, x[0])
                out[:, :, -1] += node.bias
            case Sparse() | Convolution():
                flat = linear_maps.apply(node, np.moveaxis(x[0], 2, 1).reshape(-1, x[0].shape[1]))
                out = np.moveaxis(flat.reshape(n, columns.shape[1], node.size), 1, 2).copy()
                out[:, :, -1] += linear_maps.bias(node)
            case Combine():
                out = sum((s[:, None] * v for s, v in zip(node.scales, x, strict=True)), np.zeros_like(x[0]))
                out[:, :, -1] += node.bias
            case Select():
                out = np.concatenate(x, 1)[:, node.index]
            case Maximum():
                out = np.take_along_axis(x[0], pieces[i][:, :, None], 1)
            case Knot():
                unit = np.arange(node.size)
                out = node.slopes[unit, pieces[i]][:, :, None] * x[0]
                out[:, :, -1] += piece_offsets(node)[unit, pieces[i]]
            case _:
                raise AssertionError(f"no affine pass through {type(node).__name__}")
        values.append(out)
    return values[network.output]
