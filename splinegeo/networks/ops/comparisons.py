"""Comparisons, where what is made of them is continuous: ``where(x > 0, x, 0.1 * x)`` is a leaky ReLU.

A comparison gives a `Mask`. Choosing by it between f (left > right) and g is continuous piecewise linear if f and g
agree, as formal sums, wherever left = right. Two cases are decided exactly, in rational numbers, and all else is
refused:

- left - right, f and g are affine in one and the same value u: a knot in u, if f(t) = g(t) at its breakpoint t;
- f - g = c * (left - right) for a constant c: g plus a knot in left - right, ``maximum`` with c = 1.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import torch

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.builder import Builder
from splinegeo.networks.nodes import Combine
from splinegeo.networks.ops.affine import add, sub
from splinegeo.networks.ops.knots import knot
from splinegeo.networks.ops.values import Live, Mask, Value, constant_array, op

CONSTANT = -1  # stands for the number 1 among the nodes of a formal sum
Exact: TypeAlias = dict[int, Array]  # of node or CONSTANT -> object array of rational coefficients
REMEDY = "write it with relu, leaky_relu, clamp, abs or maximum."


@op("gt", "ge")
def greater(b: Builder, x: Value, y: Value) -> Mask:
    """Where x > y."""
    return Mask(x, y, np.broadcast_shapes(_shape(x), _shape(y)))


@op("lt", "le")
def less(b: Builder, x: Value, y: Value) -> Mask:
    """Where x < y."""
    return greater(b, y, x)


def masked(b: Builder, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Value:
    """The operation ``name`` with a `Mask` among its arguments."""
    match (name, *args):
        case ("where", Mask() as mask, f, g):
            return choose(b, mask, f, g)
        case ("masked_fill", x, Mask() as mask, value):
            return choose(b, mask, value, x)
        case ("index_put", x, [Mask() as mask], value) if not isinstance(value, Live) and value.numel() == 1:
            return choose(b, mask, value.reshape(()), x)
        case ("mul", Mask() as mask, x) | ("mul", x, Mask() as mask) if not isinstance(x, Mask):
            return choose(b, mask, x, 0.0)
        case ("logical_not" | "bitwise_not", Mask() as mask) | ("rsub", Mask() as mask, 1 | 1.0):
            return Mask(mask.right, mask.left, mask.shape)
        case ("sub", torch.Tensor() as one, Mask() as mask) if not kwargs and bool((one == 1).all()):
            return Mask(mask.right, mask.left, mask.shape)
        case ("to" | "_to_copy" | "clone" | "alias" | "detach" | "contiguous" | "type_as", Mask() as mask, *_):
            return mask
    b.refuse(f" to the outcome of a comparison, which jumps; {REMEDY}")


def choose(b: Builder, mask: Mask, f: Value, g: Value) -> Value:
    """The value of f where the mask holds, of g elsewhere."""
    shape = np.broadcast_shapes(mask.shape, _shape(f), _shape(g))
    values = [_as_value(b, v) for v in (mask.left, mask.right, f, g)]
    if any(v.shape != shape for v in values if isinstance(v, Live)):
        b.refuse(" with a comparison of values of another shape; expand them first.", UnsupportedOperation)
    # First in terms of what is compared itself, then of what that is computed from.
    compared = frozenset(v.node for v in values[:2] if isinstance(v, Live))
    for stop in (compared, frozenset()):
        (left, right, on, off), inverse = _exact_sums(b, values, shape, stop)
        gap, jump = _minus(left, right), _minus(on, off)
        atoms = sorted({a for s in (gap, on, off) for a in s if a != CONSTANT and s[a].any()})
        if len(atoms) == 1 and gap[atoms[0]].all():
            parameters = _one_knot(b, gap, on, off, atoms[0])
            if parameters is not None:
                low, high, at, value = (p[inverse].reshape(shape) for p in parameters)
                return knot(b, Live(atoms[0], shape), [at], [low, high], value)
        ratio = _ratio(jump, gap, atoms)
        if ratio is not None:
            hinge = knot(b, sub(b, values[0], values[1]), [0.0], [0.0, ratio[inverse].reshape(shape)], 0.0)
            return add(b, hinge, values[3])
    b.refuse(f", which chooses by a comparison and cannot be shown to be continuous; {REMEDY}")


def _exact_sums(
    b: Builder, values: list[Value], shape: tuple[int, ...], stop: frozenset[int]
) -> tuple[list[Exact], Array]:
    """Each value as a formal sum over nodes, and which of the sums' entries (m,) each unit (n,) has.

    Units mostly have the same few numbers, so rational arithmetic is done once for each different set of them.
    """
    terms = [_expand(b, v, stop) for v in values]
    arrays = [np.broadcast_to(a, shape).ravel() for part in terms for _, factors in part for a in factors]
    table, inverse = np.unique(np.stack(arrays, 1), axis=0, return_inverse=True)
    columns = iter([np.array([Fraction(v) for v in column.tolist()], object) for column in table.T])
    sums: list[Exact] = []
    for part in terms:
        total: Exact = {}
        for atom, factors in part:
            product = math.prod([next(columns) for _ in factors], start=np.full(len(table), Fraction(1), object))
            total[atom] = total.get(atom, 0) + product
        sums.append(total)
    return sums, inverse.ravel()


def _expand(b: Builder, value: Value, stop: frozenset[int]) -> list[tuple[int, list[Array]]]:
    """A value as terms (node, factors), read through combinations down to ``stop``."""
    if isinstance(value, Live):
        node = b.nodes[value.node]
        if value.node in stop or not isinstance(node, Combine):
            return [(value.node, [np.ones(())])]
        terms = [(CONSTANT, [node.bias.reshape(value.shape)])]
        for source, scale in zip(node.inputs, node.scales, strict=True):
            inner = _expand(b, Live(source, value.shape), stop)
            terms += [(atom, [*factors, scale.reshape(value.shape)]) for atom, factors in inner]
        return terms
    return [(CONSTANT, [constant_array(b, value)])]


def _minus(a: Exact, b: Exact) -> Exact:
    return {atom: _coefficient(a, atom) - _coefficient(b, atom) for atom in {*a, *b}}


def _coefficient(a: Exact, atom: int) -> Any:
    return a.get(atom, 0)


def _one_knot(b: Builder, gap: Exact, on: Exact, off: Exact, atom: int) -> list[Array] | None:
    """Slopes below and above, breakpoint and value of the knot in ``atom``; None if float64 does not hold them."""
    at = -_coefficient(gap, CONSTANT) / gap[atom]
    f, g = (_coefficient(s, atom) * at + _coefficient(s, CONSTANT) for s in (on, off))
    if (f != g).any():
        k = int(np.argmax(f != g))
        b.refuse(
            f", which jumps: at the breakpoint {float(at[k]):g} its two sides are {float(f[k]):g} and "
            f"{float(g[k]):g}; {REMEDY}"
        )
    zero = 0 * at
    rises = gap[atom] > 0
    slopes = on.get(atom, zero), off.get(atom, zero)
    below, above = np.where(rises, slopes[1], slopes[0]), np.where(rises, slopes[0], slopes[1])
    parameters = [_floats(p) for p in (below, above, at, f + zero)]
    return None if any(p is None for p in parameters) else [p for p in parameters if p is not None]


def _ratio(jump: Exact, gap: Exact, atoms: list[int]) -> Array | None:
    """The constant c with jump = c * gap, if there is one."""
    ratio: Any = 0
    known: Any = False
    for atom in set(atoms) & set(gap):
        here = gap[atom] != 0
        divisor = gap[atom] + ~here  # 1 where it is 0
        ratio = np.where(known, ratio, _coefficient(jump, atom) / divisor)
        known = known | here
    if not np.all(known):
        return None
    fits = all((_coefficient(jump, a) == ratio * _coefficient(gap, a)).all() for a in {*jump, *gap})
    return _floats(ratio) if fits else None


def _floats(exact: Array) -> Array | None:
    """The numbers in float64, if it holds them exactly."""
    rounded = [float(v) for v in exact]
    return np.array(rounded) if all(Fraction(r) == v for r, v in zip(rounded, exact, strict=True)) else None


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _as_value(b: Builder, value: Value) -> Value:
    return value if isinstance(value, Live) else torch.from_numpy(constant_array(b, value))
