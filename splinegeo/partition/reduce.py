"""The reducer: a large network over a small polygon becomes a small network.

Most units keep their side over a small polygon. Those are affine there and fold into what follows; what is left are
the live hinges, and each level's pre-activations as functions of (x, y, 1) and of the live hinges before it. The pass
through the graph carries one column for each of these: convolutions see them as a batch. Sides are decided in float64
with bounds on every error; whatever is in doubt stays live, and the walk decides it.

On a small polygon a unit that is live is small, but made of terms that are not: the columns of (x, y, 1) lose their
leading digits, and are carried to twice the precision. Hinges are as small as the units that they feed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Node, Select, Sparse
from splinegeo.partition.doubled import ROUNDING, Doubled, exactly, mapped, nearest
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.maps import piece_offsets
from splinegeo.partition.normal_form import Level, Places
from splinegeo.partition.outline import Outline
from splinegeo.partition.plan import Folded
from splinegeo.partition.relaxation import EPS, Relaxation

COPIES = 2 * 8  # bytes for each column and unit: a float before and after each node


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
    """Values of n units: coefficients of (x, y, 1), (3, n), and of the live hinges so far, (live, n).

    ``error`` (2, n) bounds the errors of the former, and of the latter relative to the largest hinge.
    """

    affine: Doubled
    hinges: Array
    error: Array

    @property
    def size(self) -> int:
        """n."""
        return self.hinges.shape[1]

    def magnitude(self) -> Array:
        """(2, n) the sums of the absolute coefficients."""
        total = np.zeros(self.size)
        for row in self.hinges:
            total += np.abs(row)
        return np.stack([np.abs(self.affine.hi).sum(0), total])

    def only(self, units: Array) -> _Columns:
        """The units of these numbers."""
        return _Columns(self.affine[:, units], self.hinges[:, units], self.error[:, units])


class _Pass:
    """What a pass over levels of hinges has found so far: the live ones, the sides of the others."""

    def __init__(self, outline: Outline) -> None:
        self.relaxation = Relaxation(outline.rows()[:, :3])
        self.active: list[Array] = [np.zeros(0, np.int64)]
        self.flat: list[Array] = [np.zeros(0, np.int64)]
        self._found: dict[int, list[tuple[Array, ...]]] = {}
        self._columns: dict[int, list[Array]] = {}
        self._fixed = np.array(sorted(outline.fixed), np.int64)
        self._fixed_side = np.array([outline.fixed[k] for k in sorted(outline.fixed)], np.int64)

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return self.relaxation.n_live

    def sides(self, x: _Columns, unit: Array, at: Array, breakpoints: Array) -> tuple[Array, Array, Array, Array]:
        """For the hinges where units ``unit`` (m,) have the values ``at``: which lie above, which are live; ranges."""
        low, high, _ = self.relaxation.ranges(x.affine.hi, x.hinges, x.error)
        low, high = low[unit] - at, high[unit] - at
        margin = 4 * EPS * (np.abs(low) + np.abs(high) + np.abs(at))
        above, below = low > margin, high < -margin
        nothing = np.asarray(~(x.affine.hi.any(0) | x.hinges.any(0) | x.error.any(0)))
        flat = nothing[unit] & (at == 0)
        if len(self._fixed):
            place = np.minimum(np.searchsorted(self._fixed, breakpoints), len(self._fixed) - 1)
            known = self._fixed[place] == breakpoints
            above = np.where(known, self._fixed_side[place] > 0, above)
            below = np.where(known, self._fixed_side[place] < 0, below)
        self.active.append(breakpoints[above])
        self.flat.append(breakpoints[flat])
        return above, ~(above | below | flat), low, high

    def add(self, level: int, x: _Columns, slopes: Array, names: tuple[Array, ...], low: Array, high: Array) -> Array:
        """Take in live hinges, all units of ``x``; the places (n,) that they are given among all.

        ``names`` are breakpoints, knot nodes, units and breakpoints within the unit, (n,) each.
        """
        places = self.n_live + np.arange(x.size)
        if not x.size:
            return places
        error = x.error + np.stack([2 * EPS * np.abs(x.affine.hi).sum(0), np.zeros(x.size)])
        tiny = 1e-30 + 2 * EPS * np.maximum(np.abs(low), np.abs(high))
        self._found.setdefault(level, []).append((x.affine.hi, x.hinges, error, slopes, *names))
        self._columns.setdefault(level, []).append(places)
        self.relaxation.add(x.affine.hi, x.hinges, error, np.minimum(low, -tiny), np.maximum(high, tiny), slopes)
        return places

    def finish(self, out: _Columns) -> Reduced:
        """The levels of the live hinges, and that of the outputs."""
        order = sorted(self._found)
        columns = [np.concatenate(self._columns[level]) for level in order]
        levels, places, names = [], {}, []
        for index, level in enumerate(order):
            parts = self._found[level]
            hinges = np.concatenate([_widened(p[1], self.n_live) for p in parts], 1)
            affine, error = (np.concatenate([p[k] for p in parts], 1) for k in (0, 2))
            slopes, bits, node, unit, which = (np.concatenate([p[k] for p in parts]) for k in range(3, 8))
            levels.append(_level(affine, hinges, columns[:index], error, slopes, bits))
            names.append((node, unit, which))
            places[index] = list(zip(node.tolist(), unit.tolist(), which.tolist(), strict=True))
        error = out.error + np.stack([2 * EPS * np.abs(out.affine.hi).sum(0), np.zeros(out.size)])
        hinges, ones = _widened(out.hinges, self.n_live), np.ones((out.size, 2))
        levels.append(_level(out.affine.hi, hinges, columns, error, ones, np.full(out.size, -1)))
        return Reduced(levels, places, Folded(np.concatenate(self.active), np.concatenate(self.flat)), names)


def _widened(hinges: Array, live: int) -> Array:
    if len(hinges) == live:
        return hinges
    return np.concatenate([hinges, np.zeros((live - len(hinges), hinges.shape[1]))])


def _level(affine: Array, hinges: Array, columns: list[Array], error: Array, slopes: Array, bits: Array) -> Level:
    blocks = {k: np.ascontiguousarray(hinges[c].T) for k, c in enumerate(columns)}
    n = affine.shape[1]
    return Level(
        constant=np.ascontiguousarray(affine.T),
        blocks={k: b for k, b in blocks.items() if b.any()},
        slack=error[1],
        constant_slack=error[0],
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
        self._growth = 1.0  # live hinges for each of the first level, as last seen
        self._latent = nearest(list(zip(*(exact.row(0, k) for k in range(self.nodes[0].size)), strict=True)))
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
        return COPIES * (3 + self._growth * first.n_live) * widest <= 1.2 * self.memory

    def first_level(self, outline: Outline) -> Reduced:
        """The hinges that no other hinge precedes, without outputs."""
        state = _Pass(outline)
        self._run(state, [i for i, n in enumerate(self.nodes) if all(self.depth[k] == 0 for k in n.inputs)], False)
        return state.finish(_Columns(exactly(np.zeros((3, 1))), np.zeros((0, 1)), np.zeros((2, 1))))

    def _run(self, state: _Pass, order: Iterable[int], limited: bool) -> dict[int, _Columns]:
        kept: dict[int, _Columns] = {}
        for i in order:
            node = self.nodes[i]
            x = [kept[k] for k in node.inputs]
            widest = max([node.size, *(e.size for e in x)])
            if limited and state.n_live and COPIES * (3 + state.n_live) * widest > self.memory:
                raise TooLarge
            if isinstance(node, Input):
                doubt = np.zeros((2, node.size))
                doubt[0] = ROUNDING * np.abs(self._latent.hi).sum(0)
                kept[i] = _Columns(self._latent, np.zeros((0, node.size)), doubt)
            elif isinstance(node, Knot):
                kept[i] = self._knot(i, node, x[0], state)
            else:
                kept[i] = self._affine(i, node, x)
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
        doubt = 2 * EPS * np.abs(offset)
        # Units with live hinges start from the value at the first of them, which carries both its slopes; each later
        # one adds the change of slope above its kink.
        unit, which, bits, low, high = unit[live], which[live], bits[live], low[live], high[live]
        first = np.r_[True, unit[1:] != unit[:-1]] if len(unit) else np.zeros(0, bool)
        lower, upper = s[unit, which], s[unit, which + 1]
        slopes = np.stack([np.where(first, lower, 0.0), np.where(first, upper, upper - lower)], 1)
        starts = unit[first]
        at = t[starts, which[first]]
        doubt[starts] += 4 * EPS * (np.abs(slope[starts] * at) + np.abs(offset[starts]))
        offset[starts] = slope[starts] * at + offset[starts]
        slope[starts] = 0.0
        pre = x.only(unit)
        shift = np.zeros((3, len(unit)))
        shift[2] = -t[unit, which]
        pre.affine = pre.affine.plus(exactly(shift))
        pre.error[0] += ROUNDING * np.abs(t[unit, which])
        names = bits, np.full(len(unit), i), unit, which
        places = state.add(self.depth[node.inputs[0]], pre, slopes, names, low, high)
        hinges = np.zeros((state.n_live, node.size))
        np.multiply(x.hinges, slope, out=hinges[: len(x.hinges)])
        hinges[places, unit] = 1.0
        shift = np.zeros((3, node.size))
        shift[2] = offset
        plain = (slope == 0) | (np.frexp(np.abs(slope))[0] == 0.5)
        magnitude = x.magnitude()
        error = np.abs(slope) * x.error
        error[0] += np.where(
            plain & (offset == 0), 0.0, doubt + ROUNDING * (np.abs(slope) * magnitude[0] + np.abs(offset))
        )
        error[1] += np.where(plain, 0.0, 2 * EPS * np.abs(slope) * magnitude[1])
        error[1, unit[~first]] += 4 * EPS  # the change of slope was rounded
        return _Columns(x.affine.times(slope).plus(exactly(shift)), hinges, error)

    def _affine(self, i: int, node: Node, x: list[_Columns]) -> _Columns:
        width = max(len(e.hinges) for e in x)
        match node:
            case Linear() | Sparse() | Convolution():
                return self._mapped(i, node, x[0])
            case Combine():
                hinges, error, size = np.zeros((width, node.size)), np.zeros((2, node.size)), np.zeros((2, node.size))
                shift = np.zeros((3, node.size))
                shift[2] = node.bias
                affine = exactly(shift)
                size[0] = np.abs(node.bias)
                for s, e in zip(node.scales, x, strict=True):
                    affine = affine.plus(e.affine.times(s))
                    hinges[: len(e.hinges)] += s * e.hinges
                    error += np.abs(s) * e.error
                    size += np.abs(s) * e.magnitude()
                exact = len(x) == 1 and not node.bias.any() and (np.frexp(np.abs(node.scales[0]))[0] == 0.5).all()
                rounding = np.array([[len(x) * ROUNDING], [(len(x) + 2) * EPS]])
                return _Columns(affine, hinges, error * (1 + 8 * EPS) + (0 if exact else rounding * size))
            case Select():
                start = np.cumsum([0, *(e.size for e in x)])
                hinges, error = np.zeros((width, node.size)), np.zeros((2, node.size))
                high, low = np.zeros((3, node.size)), np.zeros((3, node.size))
                for e, lo, hi in zip(x, start, start[1:], strict=False):
                    here = np.nonzero((node.index >= lo) & (node.index < hi))[0]
                    taken = e.only(node.index[here] - lo)
                    hinges[: len(e.hinges), here], error[:, here] = taken.hinges, taken.error
                    high[:, here], low[:, here] = taken.affine.hi, taken.affine.lo
                return _Columns(Doubled(high, low), hinges, error)
        raise AssertionError(f"no reduction of {type(node).__name__}")

    def _mapped(self, i: int, node: Linear | Sparse | Convolution, x: _Columns) -> _Columns:
        terms = linear_maps.terms(node) + 4
        shift = np.zeros((3, node.size))
        shift[2] = linear_maps.bias(node)
        affine = mapped(self.exact.pieces(i), x.affine).plus(exactly(shift))
        hinges = np.array(linear_maps.apply(node, x.hinges, device=self.device)) if len(x.hinges) else x.hinges
        if not len(hinges):
            hinges = np.zeros((0, node.size))
        # A cut leaves what is below 2**-100 of the largest number of its row.
        magnitude = x.magnitude()
        cut = 3 * 2.0**-100 * np.abs(x.affine.hi).max(initial=0.0) * (magnitude[0] > 0)
        into = x.error + np.stack([4 * ROUNDING * magnitude[0] + cut, 1.01 * terms * EPS * magnitude[1]])
        error = linear_maps.apply_abs(node, into) * (1 + 4 * terms * EPS)
        error[0] += ROUNDING * np.abs(shift[2])
        return _Columns(affine, hinges, error)


def refold(given: Reduced, outline: Outline) -> Reduced:
    """What is left of ``given`` over a smaller outline."""
    state = _Pass(outline)
    hinges: dict[int, _Columns] = {}
    for index, level in enumerate(given.levels):
        x = _combined(level, hinges, state.n_live)
        if index + 1 == len(given.levels):
            break
        above, live, low, high = state.sides(x, np.arange(level.n), np.zeros(level.n), level.breakpoints)
        slope = np.where(live, 0.0, np.where(above, level.slopes[:, 1], level.slopes[:, 0]))
        kept = np.nonzero(live)[0]
        names = level.breakpoints[kept], *(v[kept] for v in given.names[index])
        places = state.add(index, x.only(kept), level.slopes[kept], names, low[kept], high[kept])
        folded = np.zeros((state.n_live, level.n))
        np.multiply(x.hinges, slope, out=folded[: len(x.hinges)])
        folded[places, kept] = 1.0
        error = np.abs(slope) * (x.error + 2 * EPS * x.magnitude())
        hinges[index] = _Columns(exactly(x.affine.hi * slope), folded, error)
    state.active.append(given.folded.active)
    state.flat.append(given.folded.flat)
    return state.finish(x)


def _combined(level: Level, hinges: dict[int, _Columns], live: int) -> _Columns:
    """The rows of a level, its inputs put in."""
    affine, through = level.constant.T.copy(), np.zeros((live, level.n))
    size = np.stack([np.abs(level.constant).sum(1), np.zeros(level.n)])
    error, largest = np.stack([level.constant_slack, np.zeros(level.n)]), np.zeros(2)
    terms = 0
    for k, block in level.blocks.items():
        h = hinges[k]
        affine += h.affine.hi @ block.T
        through[: len(h.hinges)] += h.hinges @ block.T
        weight, reach = np.abs(block).T, h.magnitude()
        size += reach @ weight
        error += h.error @ weight
        largest = np.maximum(largest, (reach + h.error).max(1, initial=0.0))
        terms += block.shape[1]
    rounding = (terms + 8) * EPS if level.blocks else 0.0
    # The level's own error is relative to the largest of its inputs, each part of which is at most this.
    error += largest[:, None] * level.slack + rounding * size * (1 + 2 * rounding)
    return _Columns(exactly(affine), through, error)
