"""The network as a graph: affine maps and knots on flat vectors, weights as stored.

Every value in the graph is one sample's activation, flattened row-major. Five kinds of node are closed under
everything that a continuous piecewise-linear network does to such a vector; how a module or a file is turned into
them is the business of the readers beside this file. The numbers in a node are *the* network: the object that
is partitioned is the function they define in exact arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the graph: ``inputs`` are the positions of the nodes it reads, all smaller than its own."""

    name: str  # as the user wrote it: the module's path, or the operation and its source line
    size: int  # number of scalars
    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Input(Node):
    """The latent; always node 0, exactly once."""


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """``weight @ x + bias``; weight (size, n), bias (size,). Convolutions will stand beside this one."""

    weight: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Combine(Node):
    """``bias + sum_k scales[k] * x_k``: residual sums, constants, scalings. scales[k] and bias have shape (size,)."""

    scales: tuple[Array, ...]
    bias: Array


@dataclass(frozen=True, eq=False)
class Select(Node):
    """``concatenate(inputs)[index]``: concatenation, slicing, permutation, repetition. index (size,) of int64."""

    index: Array


@dataclass(frozen=True, eq=False)
class Knot(Node):
    """A continuous piecewise-linear function of each unit.

    With k breakpoints t_1 < ... < t_k a unit has slope slopes[:, 0] below t_1 and slopes[:, i] above t_i, and takes
    ``value`` at t_1, so continuity needs no check. breakpoints (size, k), slopes (size, k + 1), value (size,).
    A breakpoint between equal slopes is no knot: it is never crossed and its pattern bit stays 0.
    """

    breakpoints: Array
    slopes: Array
    value: Array


@dataclass(frozen=True, eq=False)
class SplineNetwork:
    """A continuous piecewise-affine map R^E -> R^D as a graph of affine maps and knots.

    Units are numbered through the knots in graph order; so are breakpoints (unit by unit, ascending), and bit k of an
    activation pattern says whether the unit of breakpoint k lies above it.

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
        """Positions of the knots among the nodes."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Knot))

    @cached_property
    def n_units(self) -> int:
        """Number of units over all knots."""
        return sum(self.nodes[i].size for i in self.knots)

    @cached_property
    def breakpoint_units(self) -> Array:
        """(B,) the unit to which each breakpoint belongs."""
        first, parts = 0, [np.zeros(0, np.int64)]
        for knot in (node for node in self.nodes if isinstance(node, Knot)):
            parts.append(np.repeat(np.arange(first, first + knot.size), knot.breakpoints.shape[1]))
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
        values: list[Array] = []
        for node in self.nodes:
            x = [values[i] for i in node.inputs]
            match node:
                case Input():
                    values.append(z)
                case Linear():
                    values.append(x[0] @ node.weight.T + node.bias)
                case Combine():
                    values.append(sum((s * v for s, v in zip(node.scales, x, strict=True)), node.bias))
                case Select():
                    values.append(np.concatenate(x, 1)[:, node.index])
                case Knot():
                    values.append(apply_knot(node, x[0]))
        return values

    def magnitudes(self, z: Array) -> list[Array]:
        """Bounds (n, size) on every node's values, were nothing to cancel, for latents no larger than z (n, E) >= 0."""
        values: list[Array] = []
        for node in self.nodes:
            x = [values[i] for i in node.inputs]
            match node:
                case Input():
                    values.append(z)
                case Linear():
                    values.append(x[0] @ np.abs(node.weight).T + np.abs(node.bias))
                case Combine():
                    values.append(sum((np.abs(s) * v for s, v in zip(node.scales, x, strict=True)), np.abs(node.bias)))
                case Select():
                    values.append(np.concatenate(x, 1)[:, node.index])
                case Knot():
                    reach = x[0] + np.abs(node.breakpoints).max(1, initial=0.0)
                    values.append(np.abs(node.value) + np.abs(node.slopes).max(1) * reach)
        return values

    def __repr__(self) -> str:
        return (
            f"<SplineNetwork R^{self.n_inputs} -> R^{self.n_outputs}, {self.n_units:,} units "
            f"in {len(self.knots)} knots>"
        )


def apply_knot(knot: Knot, x: Array) -> Array:
    """Values (n, size) of a knot at pre-activations x (n, size)."""
    t, s = knot.breakpoints, knot.slopes
    out = knot.value + s[:, 0] * np.minimum(x - t[:, 0], 0)
    for k in range(t.shape[1]):
        upper = t[:, k + 1] - t[:, k] if k + 1 < t.shape[1] else np.inf
        out = out + s[:, k + 1] * np.clip(x - t[:, k], 0, upper)
    return out


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
        if len(node.inputs) != 1 if isinstance(node, Linear | Knot) else i > 0 and not node.inputs:
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
        case Combine():
            if len(node.scales) != len(sizes) or any(m != n for m in sizes):
                raise ShapeMismatch(
                    f"{where} combines inputs of sizes {sizes} with {len(node.scales)} scales into {n}."
                )
            expected = [("bias", node.bias, (n,)), *((f"scales[{k}]", s, (n,)) for k, s in enumerate(node.scales))]
        case Select():
            if node.index.shape != (n,) or node.index.dtype != np.int64:
                raise ShapeMismatch(f"{where}: index must be int64 of shape ({n},); got {node.index.shape}.")
            if n and (node.index.min() < 0 or node.index.max() >= sum(sizes)):
                raise InvalidArgument(f"{where}: index must lie between 0 and {sum(sizes) - 1}.")
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
