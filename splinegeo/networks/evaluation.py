"""A network's values, and bounds on them, node by node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.nodes import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Node,
    Select,
    Sparse,
    apply_knot,
    apply_maximum,
)


def evaluate(nodes: Sequence[Node], z: Array, *, magnitudes: bool = False) -> list[Array]:
    """Values of every node, each (n, size), at latents z (n, E).

    With ``magnitudes`` every weight, breakpoint and bias counts with its absolute value: bounds on the values, were
    nothing to cancel, for latents no larger than z >= 0.
    """
    values: list[Array] = []
    for node in nodes:
        values.append(value(node, [values[i] for i in node.inputs] or [z], magnitudes=magnitudes))
    return values


def value(node: Node, x: Sequence[Array], *, magnitudes: bool = False) -> Array:
    """The value (n, size) of one node on those of its inputs; that of the input is x[0] itself."""
    count = np.abs if magnitudes else np.asarray  # what a constant counts as
    match node:
        case Input():
            return x[0]
        case Linear() | Sparse() | Convolution():
            mapped = linear_maps.apply_abs(node, x[0]) if magnitudes else linear_maps.apply(node, x[0])
            return mapped + count(linear_maps.bias(node))
        case Combine():
            return sum((count(s) * v for s, v in zip(node.scales, x, strict=True)), count(node.bias))
        case Select():
            return np.concatenate(x, 1)[:, node.index]
        case Maximum():
            return apply_maximum(node, x[0])
        case Knot():
            return _bound_of_knot(node, x[0]) if magnitudes else apply_knot(node, x[0])
    raise AssertionError(f"no value of a {type(node).__name__}")


def _bound_of_knot(knot: Knot, x: Array) -> Array:
    reach = x + np.abs(knot.breakpoints).max(1, initial=0.0)
    return np.abs(knot.value) + np.abs(knot.slopes).max(1) * reach
