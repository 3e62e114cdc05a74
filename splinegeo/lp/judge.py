"""Exact rows of hinges in a cell, and exact answers to what floating point leaves open about it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from splinegeo._types import Array
from splinegeo.lp import cells
from splinegeo.lp.fold import Folder, Live
from splinegeo.lp.places import Place
from splinegeo.lp.rationals import Row, inner_point, proportional, satisfiable, satisfiable_in_box
from splinegeo.networks.graph import Input, Knot
from splinegeo.partition.exact import ExactNetwork, Value
from splinegeo.partition.frame import nearest_float

MOST_PREFIXES = 32  # patterns whose values are kept, at most
MOST_NUMBERS = 2_000_000  # in all of them; a whole number takes some hundred bytes


class Judge:
    """Exact arithmetic on a network over one domain. For one thread."""

    def __init__(self, folder: Folder, live: Live, place: Place) -> None:
        scaling: Any = place.scaling
        self.exact = ExactNetwork(folder.network, place.origin, place.basis, scaling)
        self.place = place
        self.live, self._folder = live, folder
        self._coordinates = [tuple(int(i == j) for j in range(live.dim + 1)) for i in range(live.dim)]
        self._one = tuple(int(j == live.dim) for j in range(live.dim + 1))
        self._members: dict[int, list[tuple[int, int, int]]] = {}
        for hinge, (node, unit, which) in enumerate(live.places.tolist()):
            self._members.setdefault(node, []).append((unit, which, hinge))
        self._known = self._known_pieces()
        self._prefixes: OrderedDict[tuple[int, bytes], dict[int, Value]] = OrderedDict()
        numbers = (live.dim + 1) * sum(folder.network.nodes[i].size for i in folder.order)
        self._most_prefixes = min(MOST_PREFIXES, 2 + MOST_NUMBERS // numbers)
        self.questions = 0

    def _known_pieces(self) -> dict[int, list[int]]:
        network = self.exact.network
        above = np.zeros(network.n_breakpoints, np.int64)
        above[self.live.active] = 1
        known, first = {}, 0
        for i in network.knots:
            node = network.nodes[i]
            assert isinstance(node, Knot)
            passed = above[first : first + node.breakpoints.size].reshape(node.breakpoints.shape)
            first += node.breakpoints.size
            # Breakpoints between equal slopes have no bit; those below an active one are passed all the same.
            known[i] = (passed * np.arange(1, passed.shape[1] + 1)).max(1, initial=0).tolist()
        return known

    def row(self, hinge: int, state: Array) -> Row:
        """The pre-activation of a hinge in a cell with this state, as integers, up to a positive factor."""
        node, unit, which = self.live.places[hinge].tolist()
        level = int(np.searchsorted(self.live.levels, hinge, "right")) - 1
        source = self.exact.network.nodes[node].inputs[0]
        value = self._values(level, state)[source]
        return self.exact.above_one(node, unit, which, Value([value.rows[unit]], value.e), self._one)

    def _values(self, level: int, state: Array) -> dict[int, Value]:
        """Values of the nodes before the knot of a level under the sides of the hinges below it."""
        below = int(self.live.levels[level])
        key = (level, (state[:below] > 0).tobytes())
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        values = dict(self._values(level - 1, state)) if level else {}
        for i in self._folder.order:
            if i >= self.live.places[below, 0]:
                break
            if i in values:
                continue
            node = self.exact.network.nodes[i]
            x = [values[k] for k in node.inputs]
            if isinstance(node, Input):
                values[i] = self.exact.latent(self._coordinates, self._one)
            elif isinstance(node, Knot):
                values[i] = self.exact.knot(i, x[0], self._pieces(i, state), self._one)
            else:
                values[i] = self.exact.apply(i, x, self._one)
        self._prefixes[key] = values
        if len(self._prefixes) > self._most_prefixes:
            self._prefixes.popitem(last=False)
        return values

    def _pieces(self, node: int, state: Array) -> list[int]:
        pieces = list(self._known[node])
        for unit, which, hinge in self._members.get(node, ()):
            if state[hinge] > 0:
                pieces[unit] = max(pieces[unit], which + 1)
        return pieces

    def settle(self, hinge: int, state: Array, rows: Array, errors: Array, scales: Array, found: Array) -> None:
        """Replace OPEN in found (2,), below and above a hinge in a cell, by the exact answer; see `cells.look`."""
        self.questions += 1
        mine = self.row(hinge, state)
        if not any(mine):
            found[:] = cells.NO
            return
        walls = [j for j in range(hinge) if abs(state[j]) == 2]
        signed = [[v if state[j] > 0 else -v for v in self.row(j, state)] for j in walls]
        for row in signed:
            same = proportional(row, mine)
            if same:
                found[:] = (cells.NO, cells.YES) if same > 0 else (cells.YES, cells.NO)
                return
        for side in np.nonzero(found == cells.OPEN)[0]:
            last = mine if side else [-v for v in mine]
            room = self._room([*signed, last], (rows, errors, scales, state, side == 1, hinge))
            found[side] = cells.YES if room else cells.NO

    def settle_across(self, state: Array, rows: Array, errors: Array, scales: Array, found: Array) -> None:
        """Replace OPEN in found (N,) by whether there are points across a wall; see `facets.look_across`."""
        walls = [j for j in range(self.live.n) if abs(state[j]) == 2]
        exact = {j: self.row(j, state) for j in walls}
        for wall in np.nonzero(found == cells.OPEN)[0].tolist():
            self.questions += 1
            sides = state.copy()
            sides[wall] *= -1
            # The wall last, as if it came after all others.
            order = [*(j for j in walls if j != wall), wall]
            signed: list[Row] = [[v if sides[j] > 0 else -v for v in exact[j]] for j in order]
            n = len(order) - 1
            asked = (rows[order], errors[order], scales[order], sides[order], bool(sides[wall] > 0), n)
            found[wall] = cells.YES if self._room(signed, asked) else cells.NO

    def across(self, state: Array, wall: int) -> Array:
        """Sides (N,) of the hinges, above or not, in the region across the facet on a wall."""
        across = state.copy()
        across[wall] *= -1
        facet = [-v if state[wall] > 0 else v for v in self.row(wall, state)]  # positive across
        for k in range(wall + 1, self.live.n):
            before = self.row(k, state)
            if not any(before) or proportional(facet, before):  # it vanishes on the facet
                beyond = self.row(k, across)
                across[k] = proportional(facet, beyond) if any(beyond) else -1
        return across > 0

    def point(self, state: Array) -> Array:
        """A point (d,) of a cell that has some, rounded: in a sliver it may lie on a wall."""
        walls = [j for j in range(self.live.n) if abs(state[j]) == 2]
        signed = [[v if state[j] > 0 else -v for v in self.row(j, state)] for j in walls]
        return np.array([nearest_float(v) for v in inner_point(signed, self.live.dim, self.place.bounds)])

    def _room(self, signed: list[Row], question: tuple[Any, ...]) -> bool:
        """Whether rows can all be positive; ``question`` is what `cells.final_state` is asked for a first guess."""
        d, hinge = self.live.dim, question[-1]
        basis, others = np.empty(hinge + 2, np.int64), np.empty(d + 1, np.int64)
        turned, full = np.empty(d, np.int64), np.empty(d, np.int64)
        m = cells.final_state(*question, self.place.inner, basis, others, turned, full)
        if not self.place.bounds:  # p, q, slacks of rows and of the norm, as `satisfiable` numbers them
            found = basis[: m + 1]
            return satisfiable(
                signed, np.where((found >= d) | ((found >= 0) & (turned[found % d] < 0)), found + d, found).tolist()
            )
        rests: list[int | None] = [None] * d
        for i in others[others < d].tolist():
            rests[i] = int(turned[i] * full[i])
        return satisfiable_in_box(signed, self.place.bounds, (others[others >= d] - d).tolist(), rests)
