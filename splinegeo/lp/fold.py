"""A network over a domain becomes a small network: units that keep their side are folded away.

What is left are the live hinges, and their pre-activations as functions of (v, 1) and of the live hinges before them,
with v in the unit ℓ1 ball or in a box (`splinegeo.lp.places`). The pass through the graph carries one column for each
of these, with a bound on the error of every unit. Sides are decided in float64 with that bound; whatever is in doubt
stays live.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.lp.places import EPS, Place
from splinegeo.lp.relaxation import Relaxation
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Node,
    Select,
    Sparse,
    SplineNetwork,
)
from splinegeo.partition.maps import piece_offsets

MEMORY = 1 << 31  # bytes that the columns of a fold may take


@dataclass(frozen=True, eq=False)
class Live:
    """The N live hinges of a network over a domain, level by level; a level is what is live of one knot.

    The pre-activation of hinge k is constant[k] @ (v, 1) + sum_j hinges[k, j] * h_j, within error[k] in the domain,
    over hinges j of lower levels; h_j is its pre-activation times slopes[j, 0] below 0 and slopes[j, 1] above.
    """

    constant: Array  # (N, d + 1)
    hinges: Array  # (N, N)
    slopes: Array  # (N, 2)
    error: Array  # (N,)
    levels: Array  # (L + 1,) where levels begin
    breakpoints: Array  # (N,) bits of the activation pattern
    places: Array  # (N, 3) knot node, unit and breakpoint
    active: Array  # breakpoints that are above all over the domain
    flat: Array  # breakpoints on which the unit lies throughout

    @property
    def n(self) -> int:
        """N."""
        return len(self.error)

    @property
    def dim(self) -> int:
        """d."""
        return self.constant.shape[1] - 1


@dataclass
class _Columns:
    """Values of n units: coefficients of (v, 1), (d + 1, n), and of the live hinges so far, (live, n), with errors."""

    affine: Array
    hinges: Array
    error: Array  # (n,) how far a unit is from these coefficients anywhere in the domain

    def only(self, units: Array) -> _Columns:
        return _Columns(self.affine[:, units], self.hinges[:, units], self.error[units])


def _unrounded(total: Array, part: Array, scale: Array) -> Array:
    """Whether (n,) adding columns (m, n) that were scaled rounds nothing: powers of two, and sums that are exact."""
    power = (np.frexp(np.abs(scale))[0] == 0.5) | (scale == 0)
    whole = total + part
    back = whole - total
    lost = (total - (whole - back)) + (part - back)  # the rounding error of a sum is itself a float (Knuth's two-sum)
    small = (part != 0) & (np.abs(part) < 1e-290)
    return power & ~((lost != 0) | small).any(0)


class TooLarge(Exception):
    """The columns of a fold would take more memory than allowed."""


class Folder:
    """Folds a network without maxima over one domain after another; columns take ``memory`` bytes at a time at most."""

    def __init__(self, network: SplineNetwork, memory: int | None = None) -> None:
        self.network = network
        self._memory = MEMORY if memory is None else memory
        # Convolutions run through torch, where they set switches that all threads share.
        convolutions = any(isinstance(node, Convolution) for node in network.nodes)
        self._turn = threading.Lock() if convolutions else nullcontext()
        # What comes after the last knot bends nothing.
        needed: set[int] = set()
        for i in reversed(range(len(network.nodes))):
            if i in needed or isinstance(network.nodes[i], Knot):
                needed.update(network.nodes[i].inputs)
                needed.add(i)
        self.order = sorted(needed | {0})
        self._last_use = {k: i for i in self.order for k in network.nodes[i].inputs}
        self._first: dict[int, int] = {}
        self._offsets: dict[int, Array] = {}
        bit = 0
        for i, node in enumerate(network.nodes):
            if isinstance(node, Knot):
                self._first[i], self._offsets[i] = bit, piece_offsets(node)
                bit += node.breakpoints.size

    def fold(self, place: Place) -> Live:
        """The network over a domain.

        Raises:
            TooLarge: so many units may change sides that the columns do not fit.
        """
        with self._turn:
            return self._fold(place)

    def _fold(self, place: Place) -> Live:
        run = _Run(place)
        kept: dict[int, _Columns] = {}
        for i in self.order:
            node = self.network.nodes[i]
            x = [kept[k] for k in node.inputs]
            if 8 * (run.dim + 1 + run.relaxation.n_live) * (node.size + sum(len(e.error) for e in x)) > self._memory:
                raise TooLarge
            if isinstance(node, Input):
                columns, error = place.columns()
                kept[i] = _Columns(columns, np.zeros((0, len(error))), error)
            elif isinstance(node, Knot):
                kept[i] = run.knot(i, node, self._first[i], self._offsets[i], x[0])
            else:
                kept[i] = run.affine(node, x)
            for k in set(node.inputs):
                if self._last_use[k] == i:
                    del kept[k]
        return run.finish()


class _Run:
    def __init__(self, place: Place) -> None:
        self.relaxation = Relaxation(place.dim, place.outer)
        self.dim = place.dim
        self._active = [np.zeros(0, np.int64)]
        self._flat = [np.zeros(0, np.int64)]
        self._found: list[tuple[_Columns, Array, Array, Array]] = []
        self._balance: list[Array] = []  # of each live hinge, how far its range is from lying on one side

    def _size(self, x: _Columns) -> Array:
        return self.relaxation.magnitude(x.affine, x.hinges)

    def affine(self, node: Node, x: list[_Columns]) -> _Columns:
        width = max(len(e.hinges) for e in x)
        match node:
            case Linear() | Sparse() | Convolution():
                (e,), bias, n = x, linear_maps.bias(node), linear_maps.terms(node) + 8
                out = linear_maps.apply(node, np.concatenate([e.affine, e.hinges]))
                out[self.dim] += bias
                size = self._size(e)
                into = np.stack([e.error + 1.01 * n * EPS * size, size > 0])
                error, touched = linear_maps.apply_abs(node, into) * (1 + 4 * n * EPS)
                error += 2 * EPS * np.abs(bias) + np.where(touched > 0, 1e-300, 0.0)
                return _Columns(out[: self.dim + 1], out[self.dim + 1 :], error)
            case Combine():
                columns = np.zeros((self.dim + 1 + width, node.size))
                columns[self.dim] = node.bias
                error, size, exact = np.zeros(node.size), np.abs(node.bias), np.ones(node.size, bool)
                for s, e in zip(node.scales, x, strict=True):
                    part = np.zeros_like(columns)
                    part[: self.dim + 1 + len(e.hinges)] = s * np.concatenate([e.affine, e.hinges])
                    exact &= _unrounded(columns, part, s)
                    columns = columns + part
                    error += np.abs(s) * e.error
                    size = size + np.abs(s) * self._size(e)
                error = error * (1 + 8 * EPS)
                # Entries that tie where both are zero, as behind a ReLU, are no matter for exact arithmetic.
                rounding = 1.01 * (len(x) + 4) * EPS * size + np.where(size > 0, 1e-300, 0.0)
                error += np.where(exact, 0.0, rounding)
                return _Columns(columns[: self.dim + 1], columns[self.dim + 1 :], error)
            case Select():
                hinges = np.concatenate([np.pad(e.hinges, ((0, width - len(e.hinges)), (0, 0))) for e in x], 1)[
                    :, node.index
                ]
                affine = np.concatenate([e.affine for e in x], 1)[:, node.index]
                return _Columns(affine, hinges, np.concatenate([e.error for e in x])[node.index])
        raise AssertionError(f"no fold of {type(node).__name__}")

    def knot(self, i: int, node: Knot, first_bit: int, offsets: Array, x: _Columns) -> _Columns:
        t, s, able = node.breakpoints, node.slopes, node.slopes[:, 1:] != node.slopes[:, :-1]
        unit, which = np.nonzero(able)
        at, bits = t[unit, which], first_bit + unit * t.shape[1] + which
        low, high, _ = self.relaxation.ranges(x.affine, x.hinges, x.error)
        low, high = low[unit] - at, high[unit] - at
        margin = 4 * EPS * (np.abs(low) + np.abs(high) + np.abs(at))
        size = self._size(x)
        above, below = low > margin, high < -margin
        flat = (size[unit] == 0) & (x.error[unit] == 0) & (at == 0)
        live = ~(above | below | flat)
        self._active.append(bits[above])
        self._flat.append(bits[flat])
        passed = np.zeros(t.shape, np.int64)
        passed[unit[above], which[above]] = which[above] + 1
        piece = passed.max(1, initial=0)
        everyone = np.arange(node.size)
        slope, offset = s[everyone, piece], offsets[everyone, piece]
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
        old = self.relaxation.n_live
        if len(unit):
            pre = x.only(unit)
            pre.affine[-1] -= t[unit, which]
            pre.error += 2 * EPS * (np.abs(pre.affine[-1]) + np.abs(t[unit, which])) * (t[unit, which] != 0)
            places = np.stack([np.full(len(unit), i), unit, which], 1)
            self._found.append((pre, slopes, bits, places))
            self._balance.append(np.minimum(-low, high) / np.maximum(np.maximum(-low, high), 1e-300))
            tiny = 1e-30 + 2 * EPS * np.maximum(np.abs(low), np.abs(high))
            self.relaxation.add(
                pre.affine, pre.hinges, pre.error, np.minimum(low, -tiny), np.maximum(high, tiny), slopes
            )
        hinges = np.zeros((old + len(unit), node.size))
        hinges[: len(x.hinges)] = slope * x.hinges
        hinges[old + np.arange(len(unit)), unit] = 1.0
        affine = slope * x.affine
        affine[-1] += offset
        plain = (slope == 0) | (np.frexp(np.abs(slope))[0] == 0.5)  # products round only where they underflow
        rounding = doubt + 4 * EPS * (np.where(plain, 0.0, np.abs(slope) * size) + np.abs(offset))
        unchanged = ((slope == 0) | (np.abs(slope) == 1)) & (offset == 0) | (size == 0) & (offset == 0)
        error = np.abs(slope) * x.error * (1 + 4 * EPS) + np.where(unchanged, 0.0, rounding + 1e-300)
        if len(unit):  # a change of slope was rounded
            np.add.at(error, unit[~first], 4 * EPS * self.relaxation.sizes[old:][~first])
        return _Columns(affine, hinges, error)

    def finish(self) -> Live:
        n = self.relaxation.n_live
        hinges, d = np.zeros((n, n)), self.dim
        start = np.cumsum([0, *(len(bits) for _, _, bits, _ in self._found)])
        for (pre, *_), k in zip(self._found, start, strict=False):
            hinges[k : k + len(pre.error), : len(pre.hinges)] = pre.hinges.T
        # Within a level those first that cut little: as long as there are few cells, questions are few.
        order = np.concatenate(
            [np.zeros(0, np.int64)]
            + [k + np.argsort(b, kind="stable") for k, b in zip(start, self._balance, strict=False)]
        )
        return Live(
            np.concatenate([np.zeros((0, d + 1)), *(p.affine.T for p, *_ in self._found)])[order],
            hinges[order][:, order],
            np.concatenate([np.zeros((0, 2)), *(s for _, s, _, _ in self._found)])[order],
            np.concatenate([np.zeros(0), *(p.error for p, *_ in self._found)])[order],
            start,
            np.concatenate([np.zeros(0, np.int64), *(b for _, _, b, _ in self._found)])[order],
            np.concatenate([np.zeros((0, 3), np.int64), *(p for _, _, _, p in self._found)])[order],
            np.concatenate(self._active),
            np.concatenate(self._flat),
        )
