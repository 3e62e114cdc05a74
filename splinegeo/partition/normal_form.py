"""The engine's view of a network over a domain: levels of hinges, rows scaled to one, errors accounted for.

A unit with breakpoints t_1 < ... < t_k equals a constant plus k *hinges*, two-slope functions of z - t_i with their
kink at 0. Hinges that have the same number of knots before them form a level, and the pre-activations of a level are

    z_l = P_l (x, y, 1) + sum_{k < l} G_lk h_k,        h_k = slope(sign z_k) * z_k

whatever branches the graph has. (x, y) are the *frame* coordinates of the domain: slice coordinates shifted by a
centre and scaled by powers of two, so that the domain has size about one. Nothing here depends on there being two of
them: in d dimensions P has d + 1 columns.

Rows are scaled by powers of two so that their largest entry lies in [1/2, 1); a hinge is homogeneous, so signs do
not notice. Where an entry is not exact (a product of two matrices, a shifted constant) ``slack`` bounds the error
relative to the row's absolute sum; signs that this leaves open are decided on the graph itself, in `exact`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Select,
    Sparse,
    SplineNetwork,
)
from splinegeo.partition.frame import error_bound

EPS = 2.0**-53
Places: TypeAlias = dict[int, list[tuple[int, int, int]]]  # by level: knot node, unit and breakpoint of each hinge


@dataclass
class Level:
    """Hinges with the same number of knots before them, or the outputs (which have no slopes)."""

    constant: Array  # (n, d + 1) P
    blocks: dict[int, Array]  # source level -> (n, n_source) G
    slack: Array  # (n,) error of the blocks, relative to the largest of the hinges that they read
    constant_slack: Array  # (n,) error of the constant
    weight: Array  # (n,) absolute row sum, P counted once
    slopes: Array  # (n, 2) below and above the kink
    breakpoints: Array  # (n,) bit of the activation pattern
    exponents: Array  # (n,) rows hold the true values times 2**-exponent
    # (n, K) what the rows take of hinges on the outline, whose fixed sides are folded into the rest; see `flips`.
    probes: Array = field(default_factory=lambda: np.zeros((0, 0)))
    probe_slack: Array = field(default_factory=lambda: np.zeros(0))  # (n,) error of them
    # (2,) norm of the errors that the rows have together, beside their own: of the constants, and of all else relative
    # to the largest hinge. Orthonormal factors leave it as it is.
    shared: Array = field(default_factory=lambda: np.zeros(2))

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.constant)


@dataclass
class _Block:
    """Coefficients with a bound on their error; ``one_hot``: each column holds at most a single one."""

    value: Array
    error: Array | None = None
    one_hot: bool = False

    def select(self, index: Array) -> _Block:
        value = self.value[index]
        single = self.one_hot and len(np.unique(index)) == len(index)
        return _Block(value, None if self.error is None else self.error[index], single)

    def scaled(self, scale: Array) -> _Block:
        if (scale == 1).all():
            return self
        value = self.value * scale[:, None]
        error = _product_error(self.value, scale[:, None], value)
        if self.error is not None:
            error = error + self.error * np.abs(scale[:, None]) * (1 + 4 * EPS)
        return _Block(value, error if error.any() else None)

    def plus(self, other: _Block) -> _Block:
        value = self.value + other.value
        error = _floored(np.abs(_sum_error(self.value, other.value, value)), value)
        for part in (self.error, other.error):
            error = error if part is None else error + part
        return _Block(value, error * (1 + 4 * EPS) if error.any() else None)

    def shifted(self, bias: Array) -> _Block:
        return self.plus(_bias(bias, self.value.shape[1]))

    def through(self, node: Linear | Sparse | Convolution) -> _Block:
        if self.one_hot and isinstance(node, Linear):
            used, columns = np.nonzero(self.value)
            value = np.zeros((node.size, self.value.shape[1]))
            value[:, columns] = node.weight[:, used]
            return _Block(value)
        n = linear_maps.terms(node) + 4
        value = np.ascontiguousarray(linear_maps.apply(node, self.value.T).T)
        if self.one_hot:
            return _Block(value)  # one product by 1 and sums with zeros
        inherited = np.abs(self.value) * (1.01 * n * EPS) + (0 if self.error is None else self.error)
        return _Block(value, np.ascontiguousarray(linear_maps.apply_abs(node, inherited.T).T) * (1 + 4 * n * EPS))


def _product_error(x: Array, y: Array, p: Array) -> Array:
    """A bound on |x y - p|: zero where one factor is a power of two, else half an ulp."""
    exact = (np.frexp(np.abs(x))[0] == 0.5) | (np.frexp(np.abs(y))[0] == 0.5) | (p == 0)
    exact &= np.isfinite(p) & ((np.abs(p) >= 1e-290) | (p == 0) & ((x == 0) | (y == 0)))
    return np.where(exact, 0.0, np.maximum(np.abs(p) * (2 * EPS), 1e-300))


def _floored(error: Array, value: Array) -> Array:
    """An error that is not zero is never so small that later scaling could round it to zero."""
    return np.where(error > 0, np.maximum(error, np.maximum(np.abs(value) * 2.0**-100, 1e-300)), 0.0)


def _sum_error(x: Array, y: Array, s: Array) -> Array:
    """x + y - s for s = fl(x + y): the rounding error of a sum is itself a float (Knuth's two-sum)."""
    yy = s - x
    return (x - (s - yy)) + (y - yy)


@dataclass
class _Expression:
    """A node's value as P (x, y, 1) + sum_k C_k h_k."""

    constant: _Block
    terms: dict[int, _Block] = field(default_factory=dict)


def hinge_levels(network: SplineNetwork, affine_prefix: dict[int, tuple[Array, Array]]) -> tuple[list[Level], Places]:
    """The levels of a network, outputs last, and the place of each hinge: (knot node, unit, breakpoint) by level.

    ``affine_prefix`` holds (value, error), each (size, d + 1), of every node before the first knot.
    """
    sizes: dict[int, int] = {}
    rows: dict[int, list] = {}
    depth: dict[int, int] = {}
    expressions: dict[int, _Expression] = {}
    bit = 0
    knots = []
    for i, node in enumerate(network.nodes):
        depth[i] = max((depth[k] for k in node.inputs), default=0)
        if isinstance(node, Knot):
            count = node.size * node.breakpoints.shape[1]
            knots.append((i, depth[i], bit))
            bit += count
            depth[i] += 1
            sizes[depth[i] - 1] = sizes.get(depth[i] - 1, 0) + int(np.count_nonzero(_live(node)))
    bits = {i: b for i, _, b in knots}
    filled = dict.fromkeys(sizes, 0)
    places: Places = {level: [] for level in sizes}
    for i, node in enumerate(network.nodes):
        if i in affine_prefix:
            value, error = affine_prefix[i]
            expressions[i] = _Expression(_Block(value, error if error.any() else None))
            continue
        x = [expressions[k] for k in node.inputs]
        match node:
            case Input():
                raise AssertionError("the input is in the affine prefix")
            case Linear() | Sparse() | Convolution():
                out = _Expression(x[0].constant.through(node).shifted(linear_maps.bias(node)))
                out.terms = {k: b.through(node) for k, b in x[0].terms.items()}
            case Combine():
                out = _sum([_scaled(e, s) for e, s in zip(x, node.scales, strict=True)], node.bias)
            case Select():
                out = _select(x, [network.nodes[k].size for k in node.inputs], node.index)
            case Knot():
                level = depth[node.inputs[0]]
                out = _hinges(node, x[0], level, bits[i], sizes[level], filled, rows, places, i)
            case _:
                raise AssertionError(f"the engine does not know {type(node).__name__}")
        expressions[i] = out
    kept = [level for level in sorted(rows) if sizes[level]]
    levels = [_stack(rows[level]) for level in kept]
    renumber = {level: k for k, level in enumerate(kept)}
    for lv in levels:
        lv.blocks = {renumber[k]: g for k, g in lv.blocks.items() if k in renumber}
    final = expressions[network.output]
    n = network.n_outputs
    outputs = _stack([(final, np.ones((n, 2)), np.full(n, -1))])
    outputs.blocks = {renumber[k]: g for k, g in outputs.blocks.items() if k in renumber}
    return [*levels, outputs], {renumber[k]: v for k, v in places.items() if k in renumber}


def _live(knot: Knot) -> Array:
    """(size, k) which breakpoints lie between two different slopes."""
    return knot.slopes[:, 1:] != knot.slopes[:, :-1]


def _bias(bias: Array, columns: int) -> _Block:
    value = np.zeros((len(bias), columns))
    value[:, -1] = bias
    return _Block(value)


def _scaled(e: _Expression, scale: Array) -> _Expression:
    return _Expression(e.constant.scaled(scale), {k: b.scaled(scale) for k, b in e.terms.items()})


def _sum(parts: list[_Expression], bias: Array) -> _Expression:
    total = _Expression(_bias(bias, parts[0].constant.value.shape[1]))
    for e in parts:
        total.constant = total.constant.plus(e.constant)
        for k, b in e.terms.items():
            total.terms[k] = total.terms[k].plus(b) if k in total.terms else b
    return total


def _select(parts: list[_Expression], sizes: list[int], index: Array) -> _Expression:
    if len(parts) == 1:
        return _Expression(parts[0].constant.select(index), {k: b.select(index) for k, b in parts[0].terms.items()})
    levels = sorted({k for e in parts for k in e.terms})

    def stacked(blocks: list[_Block | None]) -> _Block:
        width = next(b.value.shape[1] for b in blocks if b is not None)
        zeros = [np.zeros((n, width)) for n in sizes]
        value = np.concatenate([z if b is None else b.value for b, z in zip(blocks, zeros, strict=True)])
        error = None
        if any(b is not None and b.error is not None for b in blocks):
            error = np.concatenate(
                [z if b is None or b.error is None else b.error for b, z in zip(blocks, zeros, strict=True)]
            )
        hot = [b for b in blocks if b is not None]
        return _Block(value, error, all(b.one_hot for b in hot) and bool((np.count_nonzero(value, 0) <= 1).all()))

    terms = {k: stacked([e.terms.get(k) for e in parts]).select(index) for k in levels}
    return _Expression(stacked([e.constant for e in parts]).select(index), terms)


def _hinges(
    knot: Knot,
    x: _Expression,
    level: int,
    first_bit: int,
    n_level: int,
    filled: dict[int, int],
    rows: dict[int, list],
    places: dict[int, list],
    node: int,
) -> _Expression:
    """Append the knot's hinges to its level; the value of the knot in terms of them."""
    t, s, live = knot.breakpoints, knot.slopes, _live(knot)
    unit, which = np.nonzero(live)
    pre = _Expression(x.constant.select(unit), {k: b.select(unit) for k, b in x.terms.items()})
    pre.constant = pre.constant.shifted(-t[unit, which])
    # The first live hinge of a unit carries both slopes; each later one adds the change of slope above its kink.
    first = np.r_[True, unit[1:] != unit[:-1]] if len(unit) else np.zeros(0, bool)
    lower, upper = s[unit, which], s[unit, which + 1]
    change = upper - lower
    slopes = np.stack([np.where(first, lower, 0.0), np.where(first, upper, change)], 1)
    rows.setdefault(level, []).append((pre, slopes, first_bit + unit * t.shape[1] + which))
    columns = filled[level] + np.arange(len(unit))
    filled[level] += len(unit)
    places[level] += [(node, int(u), int(w)) for u, w in zip(unit, which, strict=True)]
    value, error = np.zeros((knot.size, n_level)), np.zeros((knot.size, n_level))
    value[unit, columns] = 1
    rounding = _floored(np.abs(_sum_error(upper, -lower, change) / change), np.ones(len(unit)))
    error[unit, columns] = np.where(first, 0.0, rounding * (1 + 4 * EPS))
    # Where the unit starts: its value at the first live breakpoint, or all of it where it has none.
    columns = x.constant.value.shape[1]
    out = _Expression(_bias(np.zeros(knot.size), columns))
    if not live.any(1).all():
        linear = _scaled(x, np.where(live.any(1), 0.0, s[:, 0]))
        out = _Expression(linear.constant, {k: b for k, b in linear.terms.items() if b.value.any()})
    anchor, rounding = _anchors(knot, live)
    doubt = _bias(rounding, columns).value if rounding.any() else None
    out.constant = out.constant.plus(_Block(_bias(anchor, columns).value, doubt))
    if len(unit):
        out.terms[level] = _Block(value, error if error.any() else None, one_hot=not error.any())
    return out


def _anchors(knot: Knot, live: Array) -> tuple[Array, Array]:
    """Value at the first live breakpoint (or intercept where none is live) and a bound on its rounding error."""
    anchor, error = knot.value.copy(), np.zeros(knot.size)
    column = np.where(live.any(1), live.argmax(1), 0)
    for u in np.nonzero((column > 0) | ~live.any(1))[0]:
        t, s = knot.breakpoints[u], knot.slopes[u]
        if live[u].any():
            true = Fraction(knot.value[u]) + Fraction(s[0]) * (Fraction(t[column[u]]) - Fraction(t[0]))
        else:
            true = Fraction(knot.value[u]) - Fraction(s[0]) * Fraction(t[0])
        anchor[u] = float(true)
        error[u] = error_bound(anchor[u], true)
    return anchor, error


def _stack(parts: list[tuple[_Expression, Array, Array]]) -> Level:
    constant = np.concatenate([e.constant.value for e, _, _ in parts])
    fixed = np.concatenate(
        [np.zeros(len(s)) if e.constant.error is None else e.constant.error.max(1) for e, s, _ in parts]
    )
    errors = np.zeros(len(constant))
    sources = sorted({k for e, _, _ in parts for k in e.terms})
    blocks = {}
    for k in sources:
        width = next(e.terms[k].value.shape[1] for e, _, _ in parts if k in e.terms)
        blocks[k] = np.concatenate(
            [e.terms[k].value if k in e.terms else np.zeros((len(s), width)) for e, s, _ in parts]
        )
        known = [(e.terms[k].error if k in e.terms else None, len(s)) for e, s, _ in parts]
        errors = errors + np.concatenate([np.zeros(m) if x is None else x.sum(1) for x, m in known])
    n = len(constant)
    return Level(
        constant,
        blocks,
        errors,
        fixed,
        np.zeros(n),
        np.concatenate([s for _, s, _ in parts]),
        np.concatenate([b for _, _, b in parts]),
        np.zeros(n, np.int64),
    )
