"""The kinds of node in a network: affine maps, rearrangements and knots on flat vectors, weights as stored.

Every value is one sample's activation, flattened row-major. The numbers in a node are *the* network: the object that
is partitioned is the function they define in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from splinegeo._types import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array


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
    """``weight @ x + bias``; weight (size, n), bias (size,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Sparse(Node):
    """``weight @ x + bias`` with a sparse weight: (size, n) in float64, canonical (columns ascend, none twice)."""

    weight: csr_array
    bias: Array


@dataclass(frozen=True, eq=False)
class Convolution(Node):
    """A cross-correlation over the trailing dimensions, or its transpose.

    The kernel is laid out as PyTorch does: (C_out, C_in / groups, *window), and (C_in, C_out / groups, *window) if
    ``transposed``; bias (C_out,). Output padding of a transposed convolution only shows in ``out_shape``.
    """

    kernel: Array
    bias: Array
    in_shape: tuple[int, ...]  # (C_in, *spatial)
    out_shape: tuple[int, ...]  # (C_out, *spatial)
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool


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

    @property
    def breakpoints_per_unit(self) -> int:
        """Bits that a unit has in an activation pattern."""
        return self.breakpoints.shape[1]


@dataclass(frozen=True, eq=False)
class Maximum(Node):
    """The largest of k entries of x for each unit: max-pooling, Maxout. groups (size, k) of int64 indexes x, k >= 2.

    A group with fewer members repeats one of its own. A unit's k - 1 breakpoints are the comparisons of a knockout
    tournament among its entries; see `splinegeo.networks.tournament`.
    """

    groups: Array

    @property
    def breakpoints_per_unit(self) -> int:
        """Bits that a unit has in an activation pattern: one a comparison."""
        return self.groups.shape[1] - 1


Affine: TypeAlias = Linear | Sparse | Convolution  # an affine map of one input that mixes its scalars


def frozen(weight: csr_array) -> csr_array:
    """The sparse matrix made canonical and read-only, without stored zeros."""
    weight.sum_duplicates()
    weight.eliminate_zeros()
    weight.sort_indices()
    for part in (weight.data, weight.indices, weight.indptr):
        part.setflags(write=False)
    return weight


def apply_knot(knot: Knot, x: Array) -> Array:
    """Values (n, size) of a knot at pre-activations x (n, size)."""
    t, s = knot.breakpoints, knot.slopes
    out = knot.value + s[:, 0] * np.minimum(x - t[:, 0], 0)
    for k in range(t.shape[1]):
        upper = t[:, k + 1] - t[:, k] if k + 1 < t.shape[1] else np.inf
        out = out + s[:, k + 1] * np.clip(x - t[:, k], 0, upper)
    return out


def apply_maximum(node: Maximum, x: Array) -> Array:
    """The largest entry (n, size) of each group of x (n, m)."""
    out = x[:, node.groups[:, 0]]
    for members in node.groups.T[1:]:
        np.maximum(out, x[:, members], out=out)
    return out
