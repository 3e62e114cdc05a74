"""The network as a graph: affine maps and knots on flat vectors, weights as stored.

A handful of node types (`splinegeo.networks.nodes`) is closed under everything that a continuous piecewise-linear
network does to a vector; how a module or a file is turned into them is the business of the readers beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.networks.evaluation import evaluate
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
)
from splinegeo.networks.validity import check_network

__all__ = [
    "SplineNetwork",
    "Node",
    "Input",
    "Linear",
    "Sparse",
    "Convolution",
    "Combine",
    "Select",
    "Knot",
    "Maximum",
    "apply_knot",
    "check_network",
]


@dataclass(frozen=True, eq=False)
class SplineNetwork:
    """A continuous piecewise-affine map R^E -> R^D as a graph of affine maps and knots.

    Units are numbered through the knots in graph order; so are breakpoints (unit by unit, ascending), and bit k of an
    activation pattern says whether the unit of breakpoint k lies above it. The breakpoints of a maximum's unit are the
    comparisons among its entries, and their bits say who wins (`splinegeo.networks.tournament`).

    Construction checks everything that the library relies on: node order, shapes, float64, finite numbers, ascending
    breakpoints.

    Raises:
        InvalidArgument: the nodes do not form a network; the message names the node.
        ShapeMismatch: an array of a node has the wrong shape.
    """

    nodes: tuple[Node, ...]
    output: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dropped: tuple[str, ...] = ()  # smooth operations after the output that were left off, in order

    def __post_init__(self) -> None:
        check_network(self)

    @classmethod
    def from_layers(cls, weights: Sequence[Any], biases: Sequence[Any], slope: float = 0.0) -> SplineNetwork:
        """A plain perceptron: affine layers with a (leaky) ReLU between them, none after the last.

        Args:
            weights: one (n_out, n_in) array a layer.
            biases: one (n_out,) array a layer.
            slope: slope of the activation below 0; above it is 1.
        """
        if len(weights) != len(biases) or len(weights) == 0:
            raise InvalidArgument(
                f"from_layers takes as many weights as biases, at least one; got {len(weights)} and {len(biases)}."
            )
        arrays = [
            (float_array(w, f"weights[{i}]", ndim=2), float_array(b, f"biases[{i}]", ndim=1))
            for i, (w, b) in enumerate(zip(weights, biases, strict=True))
        ]
        n_in = arrays[0][0].shape[1]
        nodes: list[Node] = [Input("input", n_in, ())]
        for i, (weight, bias) in enumerate(arrays):
            nodes.append(Linear(f"layer {i}", len(weight), (len(nodes) - 1,), weight, bias))
            if i + 1 < len(arrays) and slope != 1:
                n = len(weight)
                slopes = np.tile(np.array([slope, 1.0]), (n, 1))
                nodes.append(Knot(f"act {i}", n, (len(nodes) - 1,), np.zeros((n, 1)), slopes, np.zeros(n)))
        return cls(tuple(nodes), len(nodes) - 1, (n_in,), (nodes[-1].size,))

    @property
    def n_inputs(self) -> int:
        """E, the dimension of the latent space."""
        return self.nodes[0].size

    @property
    def n_outputs(self) -> int:
        """D, the number of scalars that come out."""
        return self.nodes[self.output].size

    @cached_property
    def knots(self) -> tuple[int, ...]:
        """Positions of the knots among the nodes, maxima included."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Knot | Maximum))

    @cached_property
    def n_units(self) -> int:
        """Number of units over all knots."""
        return sum(self.nodes[i].size for i in self.knots)

    @cached_property
    def breakpoint_units(self) -> Array:
        """(B,) the unit to which each breakpoint belongs."""
        first, parts = 0, [np.zeros(0, np.int64)]
        for knot in (node for node in self.nodes if isinstance(node, Knot | Maximum)):
            parts.append(np.repeat(np.arange(first, first + knot.size), knot.breakpoints_per_unit))
            first += knot.size
        return np.concatenate(parts)

    @property
    def n_breakpoints(self) -> int:
        """B, the number of bits of an activation pattern."""
        return len(self.breakpoint_units)

    def unit_name(self, unit: int) -> str:
        """The name of a unit as ``module[index]``, for messages and attributes."""
        for i in self.knots:
            if unit < self.nodes[i].size:
                return f"{self.nodes[i].name}[{unit}]"
            unit -= self.nodes[i].size
        raise IndexError(f"unit {unit} of a network with {self.n_units} units")

    def __call__(self, z: Array) -> Array:
        """Outputs (..., D) in float64 at latents z (..., E)."""
        z = np.asarray(z, np.float64)
        lead = z.shape[: z.ndim - 1]
        return self.forward(z.reshape(-1, self.n_inputs))[self.output].reshape(*lead, self.n_outputs)

    def forward(self, z: Array) -> list[Array]:
        """Values of every node, each (n, size), at latents z (n, E)."""
        return evaluate(self.nodes, z)

    def magnitudes(self, z: Array) -> list[Array]:
        """Bounds (n, size) on every node's values, were nothing to cancel, for latents no larger than z (n, E) >= 0."""
        return evaluate(self.nodes, z, magnitudes=True)

    def __repr__(self) -> str:
        dropped = f", without {'; '.join(self.dropped)}" if self.dropped else ""
        return (
            f"<SplineNetwork R^{self.n_inputs} -> R^{self.n_outputs}, {self.n_units:,} units "
            f"in {len(self.knots)} knots{dropped}>"
        )
