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
from typing import Protocol

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Node, Select, Sparse
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.limbs import Pieces
from splinegeo.partition.live import Columns, Pass, Reduced, whole
from splinegeo.partition.longs import Long, cut_error, exactly, mapped, nearest, rounding
from splinegeo.partition.maps import piece_offsets
from splinegeo.partition.outline import Outline
from splinegeo.partition.relaxation import EPS
from splinegeo.partition.selections import separated, wanted_shapes
from splinegeo.partition.stopping import checkpoint
from splinegeo.partition.windows import LIMBS, Shape, Windows, padded, total

MOST_LIVE = 2000  # what is left is reduced again for each part, at a cost that grows with its square


class Room(Protocol):
    """Is told what is about to be taken; raises `TooLarge` where that is too much."""

    def __call__(self, more: int, hinges: int = 0) -> None:
        """``more`` bytes, and so many live hinges."""


class TooLarge(Exception):
    """The columns of a pass would take more memory than allowed."""


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
        self._shapes = wanted_shapes(self.nodes)
        self._selections: dict[tuple[int, Shape], tuple[Array, ...] | None] = {}
        self._peak = self._most_live = 0  # bytes at a time, live hinges
        self._growth = (0.0, 0.0)  # bytes and live hinges for each hinge of the first level, as last seen
        self._latent = nearest(list(zip(*(exact.row(0, k) for k in range(self.nodes[0].size)), strict=True)), 3)
        self.long = False  # columns have twice the digits
        self._given_up: Pass | None = None  # for want of digits
        self._offsets = {i: piece_offsets(n) for i, n in enumerate(self.nodes) if isinstance(n, Knot)}

    def reduce(self, outline: Outline, limited: bool = True) -> Reduced:
        """The network over ``outline``; unless ``limited``, with as much memory as it takes.

        Raises:
            TooLarge: more columns than memory allows.
        """
        while True:
            state = Pass(outline)
            failed: TooLarge | None = None
            try:
                columns = self._run(state, range(len(self.nodes)), limited)
            except TooLarge as error:
                failed = error
            # Of a pass that was given up it is at least this.
            self._growth = self._peak / max(1, state.n_first), self._most_live / max(1, state.n_first)
            if self._given_up is None and state.imprecise:
                self._given_up, self.long = state, True
                continue
            # What is exactly zero does not become clearer by more digits, which take several times as long.
            if self.long and not state.clearer_than(self._given_up):
                self.long = False
            if failed:
                raise failed
            return state.finish(columns[self.exact.network.output])

    def promising(self, first: Reduced) -> bool:
        """Whether a reduction with these hinges in its first level is likely to fit into memory.

        Going by the last one; a wrong guess costs time, nothing else.
        """
        size, live = (rate * first.n_live for rate in self._growth)
        return size <= 1.2 * self.memory and live <= 1.2 * MOST_LIVE

    def first_level(self, outline: Outline) -> Reduced:
        """The hinges that no other hinge precedes, without outputs."""
        state = Pass(outline)
        self._run(state, [i for i, n in enumerate(self.nodes) if all(self.depth[k] == 0 for k in n.inputs)], False)
        return state.finish(Columns(exactly(np.zeros((3, 1))), Windows.whole(np.zeros((0, 1))), np.zeros((2, 1))))

    def _run(self, state: Pass, order: Iterable[int], limited: bool) -> dict[int, Columns]:
        kept: dict[int, Columns] = {}
        self._peak = self._most_live = 0

        def room(more: int, hinges: int = 0) -> None:
            """Note that so many bytes are about to be taken, and that there are so many more live hinges."""
            self._most_live = max(self._most_live, state.n_live + hinges)
            self._peak = max(self._peak, more + sum(c.hinges.nbytes for c in kept.values()))
            if limited and state.n_live and (self._peak > self.memory or self._most_live > MOST_LIVE):
                raise TooLarge

        for i in order:
            checkpoint()
            node = self.nodes[i]
            x = [kept[k] for k in node.inputs]
            if isinstance(node, Input):
                doubt = np.zeros((2, node.size))
                doubt[0] = self._rounding * np.abs(self._latent.hi).sum(0)
                latent = self._latent if self.long else Long(self._latent.parts[:2])
                kept[i] = Columns(latent, Windows.whole(np.zeros((0, node.size))), doubt)
            elif isinstance(node, Knot):
                kept[i] = self._knot(i, node, x[0], state, room)
            else:
                kept[i] = self._affine(i, node, x, room)
            room(0)
            for k in set(node.inputs):
                if self._last_use[k] == i:
                    del kept[k]
        return kept

    def _knot(self, i: int, node: Knot, x: Columns, state: Pass, room: Room) -> Columns:
        t, s, able = node.breakpoints, node.slopes, node.slopes[:, 1:] != node.slopes[:, :-1]
        k = t.shape[1]
        unit, which = np.nonzero(able)
        bits = self._first[i] + unit * k + which
        above, live, low, high = state.sides(x, unit, t[unit, which], bits)
        room(0, int(np.count_nonzero(live)))
        probed, probes = state.add_probes(bits)
        probed = unit[probed]
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
        pre.error[0] += self._rounding * np.abs(t[unit, which])
        names = bits, np.full(len(unit), i), unit, which
        places = state.add(self.depth[node.inputs[0]], pre, slopes, names, low, high)
        hinges = x.hinges.times(slope).with_units(np.r_[probes, places], np.r_[probed, unit], state.n_live, self.long)
        shift = np.zeros((3, node.size))
        shift[2] = offset
        plain = (slope == 0) | (np.frexp(np.abs(slope))[0] == 0.5)
        magnitude = x.magnitude()
        error = np.abs(slope) * x.error
        error[0] += np.where(
            plain & (offset == 0), 0.0, doubt + self._rounding * (np.abs(slope) * magnitude[0] + np.abs(offset))
        )
        error[1] += np.where(plain, 0.0, 2 * self._eps * np.abs(slope) * magnitude[1])
        error[1, unit[~first]] += 4 * EPS  # the change of slope was rounded
        return Columns(x.affine.times(slope).plus(exactly(shift)), hinges, error)

    def _affine(self, i: int, node: Node, x: list[Columns], room: Room) -> Columns:
        match node:
            case Linear() | Sparse() | Convolution():
                return self._mapped(i, node, x[0], room)
            case Combine():
                error, size = np.zeros((2, node.size)), np.zeros((2, node.size))
                shift = np.zeros((3, node.size))
                shift[2] = node.bias
                affine = exactly(shift)
                size[0] = np.abs(node.bias)
                for s, e in zip(node.scales, x, strict=True):
                    affine = affine.plus(e.affine.times(s))
                    error += np.abs(s) * e.error
                    size += np.abs(s) * e.magnitude()
                exact = len(x) == 1 and not node.bias.any() and (np.frexp(np.abs(node.scales[0]))[0] == 0.5).all()
                # Differences of hinges are exact: where these are zero, it is certain that nothing is left.
                size[1, _sums_of_whole(node, x)] = 0
                lost = np.array([[len(x) * self._rounding], [(len(x) + 2) * self._eps]])
                error = error * (1 + 8 * EPS) + (0 if exact else lost * size)
                return Columns(affine, _added(node, x, room), error)
            case Select():
                axes = self._axes(i, node, x[0].hinges.shape) if len(x) == 1 else None
                if axes is not None:
                    affine, error = x[0].affine[:, node.index], x[0].error[:, node.index]
                    return Columns(affine, x[0].hinges.selected(axes, room), error)
                return self._selected(node, x, room)
        raise AssertionError(f"no reduction of {type(node).__name__}")

    def _axes(self, i: int, node: Select, given: Shape) -> tuple[Array, ...] | None:
        """See `separated`."""
        key = i, given
        if key not in self._selections:
            self._selections[key] = separated(node.index, given, self._shapes.get(i, padded((node.size,))))
        return self._selections[key]

    def _selected(self, node: Select, x: list[Columns], room: Room) -> Columns:
        """A selection that windows do not follow: whole rows."""
        start, width = np.cumsum([0, *(e.size for e in x)]), max(e.hinges.live for e in x)
        room((16 if self.long else 8) * width * node.size)
        hinges, error = np.zeros((2 if self.long else 1, width, node.size)), np.zeros((2, node.size))
        affine = np.zeros((max(len(e.affine.parts) for e in x), 3, node.size))
        for e, lo, hi in zip(x, start, start[1:], strict=False):
            here = np.nonzero((node.index >= lo) & (node.index < hi))[0]
            taken = e.only(node.index[here] - lo)
            hinges[0, : e.hinges.live, here] = taken.hinges.dense().T
            if taken.hinges.long:
                hinges[1, : e.hinges.live, here] = taken.hinges.low.dense().T
            error[:, here] = taken.error
            affine[: len(taken.affine.parts), :, here] = taken.affine.parts
        return Columns(Long(affine), Windows.whole(hinges[0], low=hinges[1] if self.long else None), error)

    def _mapped(self, i: int, node: Linear | Sparse | Convolution, x: Columns, room: Room) -> Columns:
        terms, pieces = linear_maps.terms(node) + 4, self.exact.pieces(i)
        shift = np.zeros((3, node.size))
        shift[2] = linear_maps.bias(node)
        limbs = 7 if self.long else 4
        affine = mapped(pieces, node, x.affine, limbs, linear_maps.apply).plus(exactly(shift))
        if isinstance(node, Convolution) and self.device in (None, "cpu"):
            hinges = x.hinges.through(node, room, pieces)
        else:
            hinges = self._mapped_whole(node, pieces, x.hinges, room)
        magnitude = x.magnitude()
        lost = np.stack([4 * self._rounding * magnitude[0], 1.01 * terms * EPS * magnitude[1]])
        lost[0] += cut_error(limbs, terms) * np.abs(x.affine.hi).max(1).sum() * (magnitude[0] > 0)
        if self.long:
            cut = cut_error(LIMBS, terms) * x.hinges.peaks() * (magnitude[1] > 0)
            lost[1] = 4 * self._eps * magnitude[1] + cut
        error = linear_maps.apply_abs(node, x.error + lost) * (1 + 4 * terms * EPS)
        error[0] += self._rounding * np.abs(shift[2])
        return Columns(affine, hinges, error)

    def _mapped_whole(self, node: Linear | Sparse | Convolution, pieces: Pieces, x: Windows, room: Room) -> Windows:
        room((16 if self.long else 8) * x.live * node.size)
        if not x.live:
            return Windows.whole(np.zeros((0, node.size)))

        def apply(layer: Linear | Sparse | Convolution, rows: Array) -> Array:
            return linear_maps.apply(layer, rows, device=self.device)

        if not self.long:
            return Windows.whole(apply(node, x.dense()))
        rows = Long(np.stack([x.dense(), x.low.dense()]))
        hi, low = mapped(pieces, node, rows, LIMBS, apply).parts
        return Windows.whole(hi, low=low)

    @property
    def _rounding(self) -> float:
        """Of the affine parts."""
        return rounding(3 if self.long else 2)

    @property
    def _eps(self) -> float:
        """Of the hinges' coefficients."""
        return rounding(2) if self.long else EPS


def _added(node: Combine, x: list[Columns], room: Room) -> Windows:
    parts = [(s, e.hinges) for s, e in zip(node.scales, x, strict=True) if e.hinges.live]
    if not parts:
        return Windows.whole(np.zeros((0, node.size)))
    return parts[0][1].times(parts[0][0]) if len(parts) == 1 else total(parts, room)


def _sums_of_whole(node: Combine, x: list[Columns]) -> Array:
    """Units (size,) that are sums of small whole numbers of hinges."""
    out = np.ones(node.size, bool)
    for s, e in zip(node.scales, x, strict=True):
        out &= whole(s[:, None])
        if out.any():
            out &= e.hinges.whole_numbers()
    return out
