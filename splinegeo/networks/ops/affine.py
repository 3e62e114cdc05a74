"""Affine operations: sums, scalings and products with constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from splinegeo._errors import ShapeMismatch, UnsupportedOperation
from splinegeo.networks.builder import MAX_ENTRIES, Builder
from splinegeo.networks.ops.moves import broadcast, move
from splinegeo.networks.ops.values import Live, Value, constant_array, op, refuse_product


def _affine(b: Builder, terms: list[tuple[Live, Value]], bias: Value) -> Value:
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
        return _affine(b, [(x, 1.0)], y * alpha)
    if not isinstance(x, Live):
        return _affine(b, [(y, alpha)], x)
    return _affine(b, [(x, 1.0), (y, alpha)], 0.0)


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
    return _affine(b, [(x, -1.0)], 0.0)


@op("mul")
def mul(b: Builder, x: Value, y: Value) -> Value:
    """A product with a constant."""
    if isinstance(x, Live) and isinstance(y, Live):
        refuse_product(b)
    return _affine(b, [(x, y)] if isinstance(x, Live) else [(y, x)], 0.0)


@op("div")
def div(b: Builder, x: Value, y: Value, *, rounding_mode: str | None = None) -> Value:
    """A quotient by a constant: x times the float64 value of 1 / y."""
    if rounding_mode is not None:
        b.refuse(f" with rounding_mode={rounding_mode!r}, which jumps.")
    if isinstance(y, Live):
        b.refuse(" by a value that depends on the input; a quotient is not piecewise linear.")
    with np.errstate(divide="ignore", over="ignore"):  # a zero divisor is reported as the constant it gives
        return _affine(b, [(x, 1.0 / constant_array(b, y))], 0.0)


@op("lerp")
def lerp(b: Builder, x: Value, y: Value, weight: Value) -> Value:
    """The value of x + weight * (y - x) with a constant weight."""
    gap = sub(b, y, x)
    return add(b, x, mul(b, gap, weight) if isinstance(gap, Live) else gap * weight)


@op("pow")
def power(b: Builder, x: Value, exponent: Value) -> Value:
    """Only x to the power 1."""
    if isinstance(exponent, int | float) and exponent == 1:
        return x
    b.refuse(", which is smooth; use splinegeo.jacobian.descriptors for a first-order answer.")


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


def probe(b: Builder, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> Live:
    """Any operation that is linear in its one live argument, as a matrix: its values on the unit vectors.

    Each value is one product by 1 and sums with zeros, so the entries are exact.
    """
    live = [a for a in _flatten(args) if isinstance(a, Live)]
    if len(live) != 1:
        refuse_product(b)
    x = live[0]
    unit = torch.zeros(x.shape, dtype=torch.float64)

    def place(a: Any) -> Any:
        if isinstance(a, list | tuple):
            return [place(item) for item in a]
        return unit if isinstance(a, Live) else _double(a)

    call = place(args)
    zero = function(*call, **kwargs)
    if x.size * zero.numel() > MAX_ENTRIES:
        b.refuse(
            f" on {x.size:,} values, whose matrix would have {x.size * zero.numel():,} entries; that is too large.",
            UnsupportedOperation,
        )
    matrix = np.empty((zero.numel(), x.size))
    flat = unit.view(-1)
    for j in range(x.size):
        flat[j] = 1
        matrix[:, j] = function(*call, **kwargs).reshape(-1).numpy()
        flat[j] = 0
    return Live(b.linear(x.node, matrix, np.zeros(len(matrix))), tuple(zero.shape))


# Linear in the live argument; evaluated on unit vectors by `probe`.
LINEAR = frozenset(
    {
        "einsum",
        "sum",
        "mean",
        "cumsum",
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
