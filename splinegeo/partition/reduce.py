"""The reducer: a large network over a small polygon becomes a small network.

Most units keep their side over a small polygon. Those are affine there and fold into what follows; what is left are
the live hinges, and each level's pre-activations as functions of (x, y, 1) and of the live hinges before it. The pass
through the graph carries one column for each of these: convolutions see them as a batch. Sides are decided in float64
with bounds on every error; whatever is in doubt stays live, and the walk decides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Node, Select, Sparse
from splinegeo.partition.exact import ExactNetwork, floats
from splinegeo.partition.maps import piece_offsets
from splinegeo.partition.normal_form import Level, Places
from splinegeo.partition.outline import Outline
from splinegeo.partition.plan import Folded
from splinegeo.partition.relaxation import EPS, Relaxation


class TooLarge(Exception):
    """The columns of a pass would take more memory than allowed."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """What is left of a network over a polygon."""

    levels: list[Level]  # the outputs last; not scaled
    places: Places
    folded: Folded
    names: list[tuple[Array, Array, Array]]  # of each level's hinges the knot node, unit and breakpoint

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return sum(level.n for level in self.levels[:-1])


@dataclass
class _Columns:
    """Values of n units: coefficients (3 + live, n) of (x, y, 1) and the live hinges, and a bound (n,) on the error.

    The bound is relative to max(1, |x|, |y|, |h|), as everywhere in here.
    """

    value: Array
    error: Array

    def magnitude(self) -> Array:
        """(n,) the sum of the absolute coefficients."""
        total = np.zeros(self.value.shape[1])
        for row in self.value:
            total += np.abs(row)
        return total


class _Pass:
    """What a pass over levels of hinges has found so far: the live ones, the sides of the others."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.relaxation = Relaxation(outline.rows()[:, :3])
        self.active: list[Array] = [np.zeros(0, np.int64)]
        self.flat: list[Array] = [np.zeros(0, np.int64)]
        self.found: dict[int, list[tuple[Array, ...]]] = {}
        self._columns: dict[int, list[Array]] = {}
        fixed = outline.fixed
        self._fixed = np.array(sorted(fixed), np.int64)
        self._fixed_side = np.array([fixed[k] for k in sorted(fixed)], np.int64)

    @property
    def width(self) -> int:
        """Number of coefficients: three, and one a live hinge."""
        return 3 + self.relaxation.n_live

    def sides(self, x: _Columns, unit: Array, at: Array, breakpoints: Array) -> tuple[Array, Array, Array, Array]:
        """For the hinges where units ``unit`` (m,) have the values ``at``: which lie above, which are live; ranges."""
        low, high, _ = self.relaxation.ranges(x.value, x.error)
        low, high = low[unit] - at, high[unit] - at
        margin = 4 * EPS * (np.abs(low) + np.abs(high) + np.abs(at))
        above, below = low > margin, high < -margin
        nothing = ~x.value.any(0) & (x.error == 0)
        flat = nothing[unit] & (at == 0)
        place = np.searchsorted(self._fixed, breakpoints)
        if len(self._fixed):
            place = np.minimum(place, len(self._fixed) - 1)
            known = self._fixed[place] == breakpoints
            above, below = (
                np.where(known, self._fixed_side[place] > 0, above),
                np.where(known, self._fixed_side[place] < 0, below),
            )
        self.active.append(breakpoints[above])
        self.flat.append(breakpoints[flat])
        return above, ~(above | below | flat), low, high

    def add(
        self, level: int, value: Array, slack: Array, slopes: Array, names: tuple[Array, ...], low: Array, high: Array
    ) -> Array:
        """Take in live hinges with pre-activations ``value`` (3 + live, m): the columns (m,) that they are given.

        ``names`` are breakpoints, knot nodes, units and breakpoints within the unit, (m,) each.
        """
        columns = self.width + np.arange(value.shape[1])
        if not len(columns):
            return columns
        tiny = 1e-30 + 2 * EPS * np.maximum(np.abs(low), np.abs(high))
        self.found.setdefault(level, []).append((value, slack, slopes, *names))
        self._columns.setdefault(level, []).append(columns)
        self.relaxation.add(value, slack, np.minimum(low, -tiny), np.maximum(high, tiny), slopes)
        return columns

    def finish(self, out: _Columns) -> Reduced:
        """The levels of the live hinges, and that of the outputs."""
        order = sorted(self.found)
        columns = [np.concatenate(self._columns[level]) for level in order]
        levels, places, names = [], {}, []
        for index, level in enumerate(order):
            parts = self.found[level]
            wide = np.concatenate([_widened(p[0], self.width) for p in parts], 1)
            slack, slopes, bits, node, unit, which = (np.concatenate([p[k] for p in parts]) for k in range(1, 7))
            levels.append(_level(wide, columns[:index], slack, slopes, bits))
            names.append((node, unit, which))
            places[index] = list(zip(node.tolist(), unit.tolist(), which.tolist(), strict=True))
        n = out.value.shape[1]
        levels.append(_level(_widened(out.value, self.width), columns, out.error, np.ones((n, 2)), np.full(n, -1)))
        return Reduced(levels, places, Folded(np.concatenate(self.active), np.concatenate(self.flat)), names)


def _widened(value: Array, width: int) -> Array:
    return value if len(value) == width else np.concatenate([value, np.zeros((width - len(value), value.shape[1]))])


def _level(value: Array, columns: list[Array], slack: Array, slopes: Array, bits: Array) -> Level:
    blocks = {k: np.ascontiguousarray(value[c].T) for k, c in enumerate(columns)}
    n = value.shape[1]
    return Level(
        constant=np.ascontiguousarray(value[:3].T),
        blocks={k: b for k, b in blocks.items() if b.any()},
        slack=slack,
        weight=np.zeros(n),
        slopes=slopes,
        breakpoints=bits,
        exponents=np.zeros(n, np.int64),
    )


class Reducer:
    """Reduces one network over one polygon after another."""

    def __init__(self, exact: ExactNetwork, *, memory: int, device: str | None = None) -> None:
        self.exact, self.memory, self.device = exact, memory, device
        self.nodes = exact.network.nodes
        self.depth: list[int] = []
        self._first: dict[int, int] = {}
        bit = 0
        for i, node in enumerate(self.nodes):
            self.depth.append(max((self.depth[k] for k in node.inputs), default=0) + isinstance(node, Knot))
            if isinstance(node, Knot):
                self._first[i] = bit
                bit += node.breakpoints.size
        self._last_use = {k: i for i, node in enumerate(self.nodes) for k in node.inputs}
        self._last_use[exact.network.output] = len(self.nodes)
        coordinates, one = exact.identity()
        self._growth = 1.0  # live hinges for each of the first level, as last seen
        self._latent = floats(exact.latent(coordinates, one))
        self._offsets = {i: piece_offsets(n) for i, n in enumerate(self.nodes) if isinstance(n, Knot)}

    def reduce(self, outline: Outline, limited: bool = True) -> Reduced:
        """The network over ``outline``; unless ``limited``, with as much memory as it takes.

        Raises:
            TooLarge: more columns than memory allows.
        """
        state = _Pass(outline)
        reduced = state.finish(self._run(state, range(len(self.nodes)), limited)[self.exact.network.output])
        self._growth = reduced.n_live / max(1, reduced.levels[0].n)
        return reduced

    def promising(self, first: Reduced) -> bool:
        """Whether a reduction with these hinges in its first level is likely to fit into memory.

        Going by the last one; a wrong guess costs time, nothing else.
        """
        widest = max(node.size for node in self.nodes)
        return 24 * (3 + self._growth * first.n_live) * widest <= 1.2 * self.memory

    def first_level(self, outline: Outline) -> Reduced:
        """The hinges that no other hinge precedes, without outputs."""
        state = _Pass(outline)
        early = [i for i, n in enumerate(self.nodes) if all(self.depth[k] == 0 for k in n.inputs)]
        self._run(state, early, False)
        return state.finish(_Columns(np.zeros((3, 1)), np.zeros(1)))

    def _run(self, state: _Pass, order: Iterable[int], limited: bool) -> dict[int, _Columns]:
        kept: dict[int, _Columns] = {}
        for i in order:
            node = self.nodes[i]
            x = [kept[k] for k in node.inputs]
            widest = max([node.size, *(e.value.shape[1] for e in x)])
            if limited and state.width > 3 and 24 * state.width * widest > self.memory:
                raise TooLarge
            if isinstance(node, Input):
                kept[i] = _Columns(np.ascontiguousarray(self._latent[0].T), self._latent[1].sum(1))
            elif isinstance(node, Knot):
                kept[i] = self._knot(i, node, x[0], state)
            else:
                kept[i] = _affine(node, x, self.device)
            for k in set(node.inputs):
                if self._last_use[k] == i:
                    del kept[k]
        return kept

    def _knot(self, i: int, node: Knot, x: _Columns, state: _Pass) -> _Columns:
        t, s, able = node.breakpoints, node.slopes, node.slopes[:, 1:] != node.slopes[:, :-1]
        k = t.shape[1]
        unit, which = np.nonzero(able)
        bits = self._first[i] + unit * k + which
        above, live, low, high = state.sides(x, unit, t[unit, which], bits)
        passed = np.zeros(t.shape, np.int64)
        passed[unit[above], which[above]] = which[above] + 1
        piece = passed.max(1, initial=0)
        everyone = np.arange(node.size)
        slope, offset = s[everyone, piece], self._offsets[i][everyone, piece]
        # Units with live hinges start from the value at the first of them, which carries both its slopes; each later
        # one adds the change of slope above its kink.
        unit, which, bits, low, high = unit[live], which[live], bits[live], low[live], high[live]
        first = np.r_[True, unit[1:] != unit[:-1]] if len(unit) else np.zeros(0, bool)
        lower, upper = s[unit, which], s[unit, which + 1]
        slopes = np.stack([np.where(first, lower, 0.0), np.where(first, upper, upper - lower)], 1)
        starts = unit[first]
        at = t[starts, which[first]]
        anchor = slope[starts] * at + offset[starts]
        size = np.abs(slope) * x.magnitude()
        size[starts] = np.abs(slope[starts] * at)
        slope[starts] = 0.0
        offset[starts] = anchor
        plain = (slope == 0) | (np.frexp(np.abs(slope))[0] == 0.5)
        error = np.abs(slope) * x.error + np.where(plain & (offset == 0), 0.0, 4 * EPS * (size + np.abs(offset)))
        error[unit[~first]] += 4 * EPS
        pre = x.value[:, unit]
        pre[2] -= t[unit, which]
        slack = x.error[unit] + np.where(t[unit, which] == 0, 0.0, 2 * EPS * np.abs(pre[2]))
        names = bits, np.full(len(unit), i), unit, which
        columns = state.add(self.depth[node.inputs[0]], pre, slack, slopes, names, low, high)
        value = np.zeros((state.width, node.size))
        np.multiply(x.value, slope, out=value[: len(x.value)])
        value[2] += offset
        value[columns, unit] = 1.0
        return _Columns(value, error)


def _affine(node: Node, x: list[_Columns], device: str | None) -> _Columns:
    width = max(len(e.value) for e in x)
    match node:
        case Linear() | Sparse() | Convolution():
            rounding = (linear_maps.terms(node) + 4) * EPS
            value = np.array(linear_maps.apply(node, x[0].value, device=device))
            bias = linear_maps.bias(node)
            value[2] += bias
            into = x[0].error + 1.01 * rounding * x[0].magnitude()
            error = linear_maps.apply_abs(node, into[None])[0] * (1 + 4 * rounding)
            return _Columns(value, error + np.where(bias == 0, 0.0, 2 * EPS * (np.abs(value[2]) + np.abs(bias))))
        case Combine():
            value, error = np.zeros((width, node.size)), np.zeros(node.size)
            value[2] = node.bias
            size = np.abs(node.bias)
            for s, e in zip(node.scales, x, strict=True):
                value[: len(e.value)] += s * e.value
                error += np.abs(s) * e.error
                size = size + np.abs(s) * e.magnitude()
            exact = len(x) == 1 and not node.bias.any() and (np.frexp(np.abs(node.scales[0]))[0] == 0.5).all()
            return _Columns(value, error * (1 + 8 * EPS) + (0 if exact else (len(x) + 2) * EPS * size))
        case Select():
            start = np.cumsum([0, *(e.value.shape[1] for e in x)])
            value, error = np.zeros((width, node.size)), np.zeros(node.size)
            for e, lo, hi in zip(x, start, start[1:], strict=False):
                here = np.nonzero((node.index >= lo) & (node.index < hi))[0]
                value[: len(e.value), here] = e.value[:, node.index[here] - lo]
                error[here] = e.error[node.index[here] - lo]
            return _Columns(value, error)
    raise AssertionError(f"no reduction of {type(node).__name__}")


def refold(given: Reduced, outline: Outline) -> Reduced:
    """What is left of ``given`` over a smaller outline."""
    state = _Pass(outline)
    hinges: dict[int, _Columns] = {}
    for index, level in enumerate(given.levels):
        x = _combined(level, hinges, state.width)
        if index + 1 == len(given.levels):
            break
        everyone = np.arange(level.n)
        above, live, low, high = state.sides(x, everyone, np.zeros(level.n), level.breakpoints)
        slope = np.where(live, 0.0, np.where(above, level.slopes[:, 1], level.slopes[:, 0]))
        kept = np.nonzero(live)[0]
        names = level.breakpoints[kept], *(v[kept] for v in given.names[index])
        columns = state.add(index, x.value[:, kept], x.error[kept], level.slopes[kept], names, low[kept], high[kept])
        value = np.zeros((state.width, level.n))
        np.multiply(x.value, slope, out=value[: len(x.value)])
        value[columns, kept] = 1.0
        hinges[index] = _Columns(value, np.abs(slope) * (x.error + 2 * EPS * x.magnitude()))
    state.active.append(given.folded.active)
    state.flat.append(given.folded.flat)
    return state.finish(x)


def _combined(level: Level, hinges: dict[int, _Columns], width: int) -> _Columns:
    """The rows of a level, its inputs put in."""
    value = np.zeros((width, level.n))
    value[:3] = level.constant.T
    size, error, largest = np.abs(level.constant).sum(1), np.zeros(level.n), 1.0
    terms = 0
    for k, block in level.blocks.items():
        h = hinges[k]
        value[: len(h.value)] += h.value @ block.T
        weight, reach = np.abs(block), h.magnitude()
        size = size + weight @ reach
        error = error + weight @ h.error
        largest = max(largest, float((reach + h.error).max(initial=0.0)))
        terms += block.shape[1]
    rounding = 0.0 if not level.blocks else (terms + 8) * EPS
    # The level's own error is relative to its inputs, which are at most `largest` times what it is relative to now.
    return _Columns(value, level.slack * largest + (error + rounding * size) * (1 + 2 * rounding))
