"""Maxima taken apart: a network whose only knots are piecewise-linear functions of single units.

max(x, y) = y + relu(x - y), so a maximum of k entries is the knockout tournament of `splinegeo.networks.tournament`,
one knot a round. Not every sign in it matters: which of two entries is larger is nobody's business where a third one
is larger than both. The engine cuts along all of them; `unite` then joins what only such signs tell apart.

Of entries that are the same function on the slice (`classes`) one takes part. Who meets nobody goes through, and the
bit of that comparison is known; whether it matters is for `unite` to say, as with all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Knot, Maximum, Node, Select, SplineNetwork
from splinegeo.networks.tournament import contenders, schedule
from splinegeo.partition.classes import function_classes

NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network without maxima, and the breakpoint of the given network that each of its breakpoints is."""

    network: SplineNetwork
    breakpoints: Array  # (B',)
    active: Array = field(default_factory=lambda: NONE)  # breakpoints of the given network that are above everywhere


def lower(network: SplineNetwork, origin: Array | None = None, basis: Array | None = None) -> Lowered:
    """The same function without `Maximum` nodes; with a slice, the same on z = origin + basis @ u."""
    if not any(isinstance(node, Maximum) for node in network.nodes):
        return Lowered(network, np.arange(network.n_breakpoints))
    classes = None if origin is None or basis is None else function_classes(network, origin, basis)
    nodes: list[Node] = []
    place: list[int] = []  # of each old node among the new ones
    breakpoints, active = [NONE], [NONE]
    first = 0
    for node in network.nodes:
        inputs = tuple(place[k] for k in node.inputs)
        if isinstance(node, Maximum):
            there = np.ones(node.groups.shape, bool)
            if classes is not None:
                there = contenders(classes[node.inputs[0]][node.groups])
            tournament = _Tournament(nodes, node, inputs[0], there)
            place.append(tournament.value)
            breakpoints.append(first + tournament.played)
            active.append(first + tournament.won)
        else:
            nodes.append(replace(node, inputs=inputs))
            place.append(len(nodes) - 1)
            if isinstance(node, Knot):
                breakpoints.append(np.arange(first, first + node.breakpoints.size))
        if isinstance(node, Knot | Maximum):
            first += node.size * node.breakpoints_per_unit
    lowered = SplineNetwork(tuple(nodes), place[network.output], network.input_shape, network.output_shape)
    return Lowered(lowered, np.concatenate(breakpoints), np.concatenate(active))


@dataclass
class _Standing:
    """Of each unit what came through a comparison, or entered: a node, a place in it, and whether anybody is there."""

    node: Array
    place: Array
    there: Array

    def only(self, units: Array) -> _Standing:
        return _Standing(self.node[units], self.place[units], self.there[units])


class _Tournament:
    """The knots of a maximum, a round in each, appended to ``nodes``.

    Attributes:
        value: the node of the maximum.
        played: its breakpoints that the knots' are, in order.
        won: its breakpoints that are above because there is nobody on the right.
    """

    def __init__(self, nodes: list[Node], node: Maximum, x: int, contends: Array) -> None:
        size, k = node.groups.shape
        self._nodes, self._name = nodes, node.name
        standing = [
            _Standing(np.full(size, x), members, there)
            for members, there in zip(node.groups.T, contends.T, strict=True)
        ]
        played, won = [NONE], [NONE]
        for pairs in _rounds(k):
            units = [np.nonzero(standing[left].there & standing[right].there)[0] for left, right in pairs]
            sides = [[standing[pair[side]].only(u) for pair, u in zip(pairs, units, strict=True)] for side in (0, 1)]
            value, start = self._larger(*sides) if any(map(len, units)) else -1, 0
            for (left, right), here in zip(pairs, units, strict=True):
                a, b = standing[left], standing[right]
                winner = _Standing(
                    np.where(b.there, b.node, a.node), np.where(b.there, b.place, a.place), a.there | b.there
                )
                winner.node[here], winner.place[here] = value, start + np.arange(len(here))
                start += len(here)
                comparison = len(standing) - k
                played.append(here * (k - 1) + comparison)
                won.append(np.nonzero(a.there & ~b.there)[0] * (k - 1) + comparison)
                standing.append(winner)
        self.played, self.won = np.concatenate(played), np.concatenate(won)
        last = standing[-1]
        whole = (last.node == last.node[0]).all() and np.array_equal(last.place, np.arange(nodes[last.node[0]].size))
        self.value = int(last.node[0]) if whole else self._select([last])

    def _larger(self, left: list[_Standing], right: list[_Standing]) -> int:
        """Left sides against right sides."""
        a, b = self._select(left), self._select(right)
        m = self._nodes[a].size
        ones, zero = np.ones(m), np.zeros(m)
        gap = self._added(Combine(self._name, m, (a, b), (ones, -ones), zero))
        slopes = np.tile([0.0, 1.0], (m, 1))
        rise = self._added(Knot(self._name, m, (gap,), np.zeros((m, 1)), slopes, zero))
        return self._added(Combine(self._name, m, (rise, b), (ones, ones), zero))

    def _select(self, parts: list[_Standing]) -> int:
        node, place = np.concatenate([p.node for p in parts]), np.concatenate([p.place for p in parts])
        sources, which = np.unique(node, return_inverse=True)
        start = np.cumsum([0, *(self._nodes[s].size for s in sources)])
        index = start[which.reshape(-1)] + place
        return self._added(Select(self._name, len(index), tuple(sources.tolist()), index))

    def _added(self, node: Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1


def _rounds(k: int) -> list[list[tuple[int, int]]]:
    """The comparisons of a tournament, grouped by what can be played at the same time."""
    rounds: list[list[tuple[int, int]]] = []
    round_of = [-1] * k
    for left, right in schedule(k).pairs:
        here = max(round_of[left], round_of[right]) + 1
        if here == len(rounds):
            rounds.append([])
        rounds[here].append((left, right))
        round_of.append(here)
    return rounds
