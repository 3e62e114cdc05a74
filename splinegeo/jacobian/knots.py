"""How far a latent is from the nearest knot of a piecewise-linear network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.networks import Combine, Input, Knot, Maximum, Node, Select, SplineNetwork, capture, linear_maps
from splinegeo.networks.evaluation import evaluate

_ENTRIES = 2**24  # tangents of all nodes held at once


@dataclass(frozen=True, eq=False)
class KnotDistances:
    """How far each of N latents is from the nearest knot, and which one that is."""

    distances: Array  # (N,) Euclidean, in latent space; inf for an affine network
    nodes: tuple[str, ...]  # the layer of the nearest knot, as the user wrote it; "" for an affine network
    units: Array  # (N,) int64 the unit of that layer; -1 for an affine network

    def __len__(self) -> int:
        return len(self.distances)


def knot_distances(net: Any, z: Any) -> KnotDistances:
    """The distance from each latent to the boundary of its region, where some unit changes its linear piece.

    Within the region pre-activations are affine, so the nearest zero of one of them, its size over the norm of its
    gradient, is on the region's boundary, and no knot of the network is closer: what lies beyond another boundary is
    farther. In float64, not certified: a distance is good to the rounding of a pre-activation.

    Args:
        net: a piecewise-linear module, or a `SplineNetwork`.
        z: latents ``(N, *shape)``.

    Raises:
        NotPiecewiseLinear: the network is smooth; and what `splinegeo.capture` raises.
        ShapeMismatch: latents of another shape.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU())
    >>> with torch.no_grad():
    ...     _ = net[0].weight.copy_(torch.tensor([[3.0, 4.0]])), net[0].bias.zero_()
    >>> float(knot_distances(net, [[1.0, 0.5]]).distances[0])
    1.0
    """
    points = float_array(z, "knot_distances: z")
    if points.ndim < 2:
        raise ShapeMismatch(f"knot_distances: z must have shape (N, *shape); it has {points.shape}")
    network = net if isinstance(net, SplineNetwork) else capture(net, points.shape[1:])
    flat = points.reshape(len(points), -1)
    if flat.shape[1] != network.n_inputs:
        raise ShapeMismatch(f"knot_distances: z has {flat.shape[1]} entries a latent, the network {network.n_inputs}")
    rows = [_nearest(network, point) for point in flat]
    distances, nodes, units = zip(*rows, strict=True)
    return KnotDistances(np.array(distances), nodes, np.array(units, np.int64))


def _nearest(network: SplineNetwork, z: Array) -> tuple[float, str, int]:
    values = [v[0] for v in evaluate(network.nodes, z[None])]
    squares = _squared_gradients(network, values)
    best = np.inf, "", -1
    for index, square in squares.items():
        node = network.nodes[index]
        gaps = _gaps(node, values[node.inputs[0]])
        with np.errstate(divide="ignore", invalid="ignore"):
            # a unit that does not move never reaches its knot, even if it rests on it
            distance = np.where(square > 0, gaps / np.sqrt(square), np.inf).min(1)
        unit = int(np.argmin(distance))
        if distance[unit] < best[0]:
            best = float(distance[unit]), node.name, unit
    return best


def _gaps(node: Node, x: Array) -> Array:
    """How far (size, candidates) each unit's input is from each of its knots; inf for what is no knot."""
    if isinstance(node, Knot):
        bends = node.slopes[:, 1:] != node.slopes[:, :-1]
        return np.where(bends, np.abs(x[:, None] - node.breakpoints), np.inf)
    assert isinstance(node, Maximum)
    entries = x[node.groups]
    return entries.max(1, keepdims=True) - entries


def _squared_gradients(network: SplineNetwork, values: list[Array]) -> dict[int, Array]:
    """Of each knot's inputs (size, 1), or of the differences to the largest entry of a maximum (size, k)."""
    total = sum(node.size for node in network.nodes)
    chunk = max(1, _ENTRIES // total)
    out: dict[int, Array] = {}
    for first in range(0, network.n_inputs, chunk):
        tangents: list[Array] = []
        seeds = np.eye(network.n_inputs)[first : first + chunk]
        for index, node in enumerate(network.nodes):
            x = [tangents[i] for i in node.inputs]
            tangents.append(seeds if isinstance(node, Input) else _push(node, x, [values[i] for i in node.inputs]))
            if isinstance(node, Knot):
                out[index] = out.get(index, 0.0) + (x[0] ** 2).sum(0)[:, None]
            elif isinstance(node, Maximum):
                moved = tangents[-1][:, :, None] - x[0][:, node.groups]
                out[index] = out.get(index, 0.0) + (moved**2).sum(0)
    return out


def _push(node: Node, x: list[Array], at: list[Array]) -> Array:
    """Tangents (n, size) of a node from those of its inputs, at the inputs' values."""
    match node:
        case Combine():
            return np.asarray(sum(s * v for s, v in zip(node.scales, x, strict=True)))
        case Select():
            return np.concatenate(x, 1)[:, node.index]
        case Knot():
            piece = (at[0][:, None] > node.breakpoints).sum(1)
            return x[0] * np.take_along_axis(node.slopes, piece[:, None], 1)[:, 0]
        case Maximum():
            winner = np.argmax(at[0][node.groups], 1)
            return x[0][:, np.take_along_axis(node.groups, winner[:, None], 1)[:, 0]]
    return linear_maps.apply(node, x[0])  # type: ignore[arg-type]
