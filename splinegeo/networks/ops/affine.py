"""Affine operations: sums, scalings and products with constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from splinegeo._errors import ShapeMismatch, UnsupportedOperation
from splinegeo.networks.builder import MAX_DENSE, Builder
from splinegeo.networks.ops.moves import broadcast, move
from splinegeo.networks.ops.values import Live, Value, constant_array, op, refuse_product

MAX_PROBED = 2**34  # entries of a matrix that is found column by column: tens of seconds


def weighted_sum(b: Builder, terms: list[tuple[Live, Value]], bias: Value) -> Value:
    """The bias plus scale * x summed over the terms, everything broadcast."""
    scales, shift = [constant_array(b, s) for _, s in terms], constant_array(b, bias)
    shape = np.broadcast_shapes(*(x.shape for x, _ in terms), *(s.shape for s in scales), shift.shape)
    nodes = [broadcast(b, x, shape).node for x, _ in terms]
    flat = [np.broadcast_to(s, shape).ravel() for s in scales]
    result = b.combine(nodes, flat, np.broadcast_to(shift, shape).ravel())
    if isinstance(result, int):
        return Live(result, shape)
    return torch.from_numpy(result.reshape(shape).copy())


@op("add")
def add(b: Builder, x: Value, y: Value, *, alpha: float = 1) -> Value:
    """The sum of x and alpha * y."""
    if not isinstance(y, Live):
        return weighted_sum(b, [(x, 1.0)], y * alpha)
    if not isinstance(x, Live):
        return weighted_sum(b, [(y, alpha)], x)
    return weighted_sum(b, [(x, 1.0), (y, alpha)], 0.0)


@op("sub")
def sub(b: Builder, x: Value, y: Value, *, alpha: float = 1) -> Value:
    """The difference of x and alpha * y."""
    return add(b, x, y, alpha=-alpha)


@op("rsub")
def rsub(b: Builder, x: Value, y: Value, alpha: float = 1) -> Value:
    """The difference of y and alpha * x."""
    return sub(b, y, x, alpha=alpha)


@op("neg")
def neg(b: Builder, x: Live) -> Value:
    """-x."""
    return weighted_sum(b, [(x, -1.0)], 0.0)


@op("mul")
def mul(b: Builder, x: Value, y: Value) -> Value:
    """A product with a constant."""
    if isinstance(x, Live) and isinstance(y, Live):
        refuse_product(b)
    return weighted_sum(b, [(x, y)] if isinstance(x, Live) else [(y, x)], 0.0)


@op("div")
def div(b: Builder, x: Value, y: Value, *, rounding_mode: str | None = None) -> Value:
    """A quotient by a constant: x times the float64 value of 1 / y."""
    if rounding_mode is not None:
        b.refuse(f" with rounding_mode={rounding_mode!r}, which jumps.")
    if isinstance(y, Live):
        b.refuse(" by a value that depends on the input; a quotient is not piecewise linear.")
    with np.errstate(divide="ignore", over="ignore"):  # a zero divisor is reported as the constant it gives
        return weighted_sum(b, [(x, 1.0 / constant_array(b, y))], 0.0)


@op("lerp")
def lerp(b: Builder, x: Value, y: Value, weight: Value) -> Value:
    """The value of x + weight * (y - x) with a constant weight."""
    gap = sub(b, y, x)
    return add(b, x, mul(b, gap, weight) if isinstance(gap, Live) else gap * weight)


@op("addcmul")
def addcmul(b: Builder, x: Value, y: Value, z: Value, *, value: float = 1) -> Value:
    """The value of x + value * y * z with y or z constant."""
    product = mul(b, y, z) if isinstance(y, Live) or isinstance(z, Live) else y * z
    return add(b, x, product, alpha=value)


@op("pow")
def power(b: Builder, x: Value, exponent: Value) -> Value:
    """Only x to the power 1."""
    if isinstance(exponent, int | float) and exponent == 1:
        return x
    b.refuse(", which is smooth; splinegeo partitions piecewise-linear networks only.")


@op("linear")
def linear(b: Builder, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """The map x @ weight.T + bias over the last dimension."""
    if isinstance(x, Live) and isinstance(weight, torch.Tensor) and weight.dim() == 2:
        n_out, n_in = weight.shape
        if x.shape[-1] != n_in:
            raise ShapeMismatch(
                f"'{b.site.module}' takes {n_in} features; it is given {x.shape[-1]}. Check input_shape and the "
                f"layers before it."
            )
        if x.size == n_in and not isinstance(bias, Live):
            shift = np.zeros(n_out) if bias is None else constant_array(b, bias)
            return Live(b.linear(x.node, constant_array(b, weight), shift), (*x.shape[:-1], n_out))
        if x.size**2 // n_in * n_out > MAX_DENSE:
            return _at_positions(b, x, weight, bias)
    # The same map at each of several positions, or a weight that is live itself.
    y = matmul(b, x, move(b, torch.t, weight) if isinstance(weight, Live) else weight.t())
    return y if bias is None else add(b, y, bias)


@op("addmm", "baddbmm", "addmv")
def addmm(b: Builder, shift: Value, x: Value, y: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """The value of beta * shift + alpha * x @ y."""
    product = matmul(b, x, y)
    product = mul(b, product, alpha) if isinstance(product, Live) else product * alpha
    shift = mul(b, shift, beta) if isinstance(shift, Live) else shift * beta
    if isinstance(product, Live) or isinstance(shift, Live):
        return add(b, product, shift)
    return product + shift


@op("matmul", "mm", "bmm", "mv", "dot")
def matmul(b: Builder, x: Value, y: Value) -> Value:
    """A product of matrices, one of them constant at least."""
    if isinstance(x, Live) or isinstance(y, Live):
        return probe(b, torch.matmul, x, y)
    return torch.matmul(_double(x), _double(y))


def _at_positions(b: Builder, x: Live, weight: torch.Tensor, bias: Value | None) -> Live:
    """The map over the last dimension at all positions of the others, as a convolution of width 1."""
    n_out, n_in = weight.shape
    places = x.size // n_in
    shift = np.zeros(n_out) if bias is None or isinstance(bias, Live) else constant_array(b, bias)
    columns = move(b, lambda at: at.reshape(places, n_in).t(), x)
    kernel = constant_array(b, weight)[:, :, None]
    shapes = (n_in, places), (n_out, places)
    node = b.convolution(columns.node, kernel, shift, *shapes, stride=(1,), padding=(0,), dilation=(1,))
    y = move(b, lambda at: at.t().reshape(*x.shape[:-1], n_out), Live(node, (n_out, places)))
    return add(b, y, bias) if isinstance(bias, Live) else y


def probe(b: Builder, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> Live:
    """Any operation that is linear in its one live argument, as a matrix: its values on the unit vectors.

    Each value is one product by 1 and sums with zeros, so the entries are exact.
    """
    live = [a for a in _flatten(args) if isinstance(a, Live)]
    if len(live) != 1:
        refuse_product(b)
    matrix, shape = on_unit_vectors(b, function, live[0].shape, *args, **kwargs)
    return Live(b.sparse(live[0].node, matrix), shape)


def on_unit_vectors(
    b: Builder, function: Callable[..., torch.Tensor], live_shape: tuple[int, ...], *args: Any, **kwargs: Any
) -> tuple[Any, tuple[int, ...]]:
    """The sparse matrix of a linear operation whose live argument has this shape, and the shape of its values."""
    from scipy.sparse import csc_array

    unit = torch.zeros(live_shape, dtype=torch.float64)

    def place(a: Any) -> Any:
        if isinstance(a, list | tuple):
            return [place(item) for item in a]
        return unit if isinstance(a, Live) else _double(a)

    call = place(args)
    zero = function(*call, **kwargs)
    if unit.numel() * zero.numel() > MAX_PROBED:
        b.refuse(
            f" on {unit.numel():,} values, whose matrix would have {unit.numel() * zero.numel():,} entries; "
            f"that is too large.",
            UnsupportedOperation,
        )
    flat = unit.view(-1)
    data, rows = [], []
    for j in range(len(flat)):
        flat[j] = 1
        column = function(*call, **kwargs).reshape(-1).numpy()
        rows.append(np.flatnonzero(column))
        data.append(column[rows[-1]])
        flat[j] = 0
    start = np.cumsum([0, *map(len, rows)])
    matrix = csc_array((np.concatenate(data), np.concatenate(rows), start), shape=(zero.numel(), len(flat)))
    return matrix.tocsr(), tuple(zero.shape)


# Linear in the live argument; evaluated on unit vectors by `probe`.
LINEAR = frozenset(
    {
        "einsum",
        "cumsum",
        "im2col",
        "col2im",
        "inner",
        "tensordot",
        "kron",
        "trace",
        "outer",
        "tril",
        "triu",
        "diff",
        "diag_embed",
    }
)


def _double(a: Any) -> Any:
    return a.detach().cpu().double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a


def _flatten(args: Any) -> list[Any]:
    return [leaf for a in args for leaf in (_flatten(a) if isinstance(a, list | tuple) else [a])]
