"""What a pass through a network over a polygon finds: columns of its units, hinges that are live, sides of the others.

See `reduce` for a pass through the network itself, `refold` for one through what another has left of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.longs import Long
from splinegeo.partition.normal_form import Level, Places
from splinegeo.partition.outline import Outline
from splinegeo.partition.plan import Folded
from splinegeo.partition.relaxation import EPS, Relaxation
from splinegeo.partition.windows import Windows

DOUBTFUL = 16  # one live hinge in so many that owes it to errors is one too many
IMPRECISE = 2.0**-33  # error of a coefficient that leaves much to exact arithmetic later on


@dataclass(frozen=True, eq=False)
class Reduced:
    """What is left of a network over a polygon."""

    levels: list[Level]  # the outputs last; not scaled
    places: Places
    folded: Folded
    names: list[tuple[Array, Array, Array]]  # of each level's hinges the knot node, unit and breakpoint
    probes: tuple[int, ...] = ()  # breakpoints on the outline that the levels' probes belong to

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return sum(level.n for level in self.levels[:-1])


@dataclass
class Columns:
    """Values of n units: coefficients of (x, y, 1), (3, n), and of the live hinges so far, (live, n).

    Among the hinges are the probes, hinges on the outline: their values are in the affine part, and their columns say
    what would change were they on the other side.
    ``error`` (2, n) bounds the errors of the former, and of the latter relative to the largest hinge.
    """

    affine: Long
    hinges: Windows
    error: Array

    @property
    def size(self) -> int:
        """n."""
        return self.hinges.n

    def magnitude(self) -> Array:
        """(2, n) the sums of the absolute coefficients."""
        total = self.hinges.combined(np.ones((self.hinges.live, 1)), absolute=True)
        return np.concatenate([np.abs(self.affine.hi).sum(0)[None], total])

    def only(self, units: Array) -> Columns:
        """The units of these numbers."""
        return Columns(self.affine[:, units], self.hinges.taken(units), self.error[:, units])

    def rounded(self) -> Array:
        """``error`` for what is left of the coefficients when they are rounded to floats."""
        lost = np.abs(self.affine.hi).sum(0), self.magnitude()[1] if self.hinges.long else np.zeros(self.size)
        return np.asarray(self.error + 2 * EPS * np.stack(lost))


class Pass:
    """What a pass over levels of hinges has found so far: the live ones, the sides of the others."""

    def __init__(self, outline: Outline) -> None:
        self.relaxation = Relaxation(outline.rows()[:, :3])
        self.active: list[Array] = [np.zeros(0, np.int64)]
        self.flat: list[Array] = [np.zeros(0, np.int64)]
        self._found: dict[int, list[tuple[Array, ...]]] = {}
        self._columns: dict[int, list[Array]] = {}
        self._fixed = np.array(sorted(outline.fixed), np.int64)
        self._fixed_side = np.array([outline.fixed[k] for k in sorted(outline.fixed)], np.int64)
        self._alone = np.array([k for k, all_ in outline.kinks.items() if len(all_) == 1], np.int64)
        self.n_doubtful = 0  # live hinges that only errors keep from being settled
        self.worst = 0.0  # error of a coefficient of a hinge, relative to the largest
        self.probes: dict[int, int] = {}  # places of the breakpoints that alone make an edge of the outline

    @property
    def n_live(self) -> int:
        """Number of live hinges."""
        return self.relaxation.n_live

    @property
    def n_first(self) -> int:
        """Number of those in the first level that has any."""
        return sum(map(len, self._columns[min(self._columns)])) if self._columns else 0

    @property
    def imprecise(self) -> bool:
        """Whether more digits would leave fewer hinges live, or vouch for more of what is left."""
        return self.n_doubtful > max(8, self.n_live // DOUBTFUL) or self.worst > IMPRECISE

    def clearer_than(self, other: Pass | None) -> bool:
        """Whether more digits than in another pass were worth while."""
        return other is None or 2 * self.n_doubtful < other.n_doubtful or 2 * self.worst < other.worst > IMPRECISE

    def sides(self, x: Columns, unit: Array, at: Array, breakpoints: Array) -> tuple[Array, Array, Array, Array]:
        """For the hinges where units ``unit`` (m,) have the values ``at``: which lie above, which are live; ranges."""
        low, high, doubt = self.relaxation.ranges(x.affine.hi, x.hinges, x.error)
        low, high, doubt = low[unit] - at, high[unit] - at, doubt[unit]
        margin = 4 * EPS * (np.abs(low) + np.abs(high) + np.abs(at))
        above, below = low > margin, high < -margin
        nothing = np.asarray(~(x.magnitude().any(0) | x.error.any(0)))
        flat = nothing[unit] & (at == 0)
        if len(self._fixed):
            place = np.minimum(np.searchsorted(self._fixed, breakpoints), len(self._fixed) - 1)
            known = self._fixed[place] == breakpoints
            above = np.where(known, self._fixed_side[place] > 0, above)
            below = np.where(known, self._fixed_side[place] < 0, below)
        self.active.append(breakpoints[above])
        self.flat.append(breakpoints[flat])
        live = ~(above | below | flat)
        self.n_doubtful += int(np.count_nonzero(live & ((low + doubt > 0) | (high - doubt < 0))))
        return above, live, low, high

    def add(self, level: int, x: Columns, slopes: Array, names: tuple[Array, ...], low: Array, high: Array) -> Array:
        """Take in live hinges, all units of ``x``; the places (n,) that they are given among all.

        ``names`` are breakpoints, knot nodes, units and breakpoints within the unit, (n,) each.
        """
        places = self.n_live + np.arange(x.size)
        if not x.size:
            return places
        self.worst = max(self.worst, float(x.error[1].max()))
        error = x.rounded()
        tiny = 1e-30 + 2 * EPS * np.maximum(np.abs(low), np.abs(high))
        self._found.setdefault(level, []).append((x.affine.hi, x.hinges.dense(), error, slopes, *names))
        self._columns.setdefault(level, []).append(places)
        self.relaxation.add(x.affine.hi, x.hinges, error, np.minimum(low, -tiny), np.maximum(high, tiny), slopes)
        return places

    def add_probes(self, breakpoints: Array) -> tuple[Array, Array]:
        """Take in those of the breakpoints that are to be probed: which of them (m,), and their places (m,)."""
        which = np.nonzero(np.isin(breakpoints, self._alone))[0] if len(self._alone) else np.zeros(0, np.int64)
        places = self.n_live + np.arange(len(which))
        if len(which):
            self.probes.update(zip(breakpoints[which].tolist(), places.tolist(), strict=True))
            self.relaxation.add_known(len(which))
        return which, places

    def finish(self, out: Columns, shared: Array | None = None) -> Reduced:
        """The levels of the live hinges, and that of the outputs; ``shared`` as in `Level`."""
        order, probes = sorted(self._found), list(self.probes.values())
        columns = [np.concatenate(self._columns[level]) for level in order]
        levels, places, names = [], {}, []
        for index, level in enumerate(order):
            parts = self._found[level]
            hinges = np.concatenate([_widened(p[1], self.n_live) for p in parts], 1)
            affine, error = (np.concatenate([p[k] for p in parts], 1) for k in (0, 2))
            slopes, bits, node, unit, which = (np.concatenate([p[k] for p in parts]) for k in range(3, 8))
            levels.append(_level(affine, hinges, columns[:index], probes, error, slopes, bits))
            names.append((node, unit, which))
            places[index] = list(zip(node.tolist(), unit.tolist(), which.tolist(), strict=True))
        hinges, ones = _widened(out.hinges.dense(), self.n_live), np.ones((out.size, 2))
        levels.append(_level(out.affine.hi, hinges, columns, probes, out.rounded(), ones, np.full(out.size, -1)))
        if shared is not None:
            levels[-1].shared = shared
        folded = Folded(np.concatenate(self.active), np.concatenate(self.flat))
        return Reduced(levels, places, folded, names, tuple(self.probes))


def _widened(hinges: Array, live: int) -> Array:
    if len(hinges) == live:
        return hinges
    return np.concatenate([hinges, np.zeros((live - len(hinges), hinges.shape[1]))])


def _level(
    affine: Array, hinges: Array, columns: list[Array], probes: list[int], error: Array, slopes: Array, bits: Array
) -> Level:
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
        probes=np.ascontiguousarray(hinges[probes].T),
    )


def whole(x: Array) -> Array:
    """Which rows hold nothing but small integers, whose sums and products are exact."""
    return np.asarray(((x == np.rint(x)) & (np.abs(x) < 2**20)).all(1))
