"""Maxima taken apart: a network whose only knots are piecewise-linear functions of single units.

max(x, y) = y + relu(x - y), so a maximum of k entries is the knockout tournament of `splinegeo.networks.tournament`,
one knot a round. Not every sign in it matters: which of two entries is larger is nobody's business where a third one
is larger than both. The engine cuts along all of them; `unite` then joins what only such signs tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Knot, Maximum, Node, Select, SplineNetwork
from splinegeo.networks.tournament import schedule


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network without maxima, and the breakpoint of the given network that each of its breakpoints is."""

    network: SplineNetwork
    breakpoints: Array  # (B,)


def lower(network: SplineNetwork) -> Lowered:
    """The same function without `Maximum` nodes."""
    if not any(isinstance(node, Maximum) for node in network.nodes):
        return Lowered(network, np.arange(network.n_breakpoints))
    nodes: list[Node] = []
    place: list[int] = []  # of each old node among the new ones
    breakpoints: list[Array] = [np.zeros(0, np.int64)]
    first = 0
    for node in network.nodes:
        inputs = tuple(place[k] for k in node.inputs)
        if isinstance(node, Maximum):
            place.append(_tournament(nodes, node, inputs[0], first, breakpoints))
        else:
            nodes.append(replace(node, inputs=inputs))
            place.append(len(nodes) - 1)
            if isinstance(node, Knot):
                breakpoints.append(np.arange(first, first + node.breakpoints.size))
        if isinstance(node, Knot | Maximum):
            first += node.size * node.breakpoints_per_unit
    lowered = SplineNetwork(tuple(nodes), place[network.output], network.input_shape, network.output_shape)
    return Lowered(lowered, np.concatenate(breakpoints))


def _tournament(nodes: list[Node], node: Maximum, x: int, first: int, breakpoints: list[Array]) -> int:
    """Append the knots of a maximum, a round in each, to ``nodes``; the place of its value."""
    size, k = node.groups.shape
    rounds = _rounds(k)
    # Values standing: of entry e the Select of its members, of comparison c a block of the Combine of its round.
    standing: list[tuple[int, Array]] = [(x, members) for members in node.groups.T]
    played = 0
    for pairs in rounds:
        m = len(pairs) * size
        sources = sorted({standing[e][0] for pair in pairs for e in pair})
        start = dict(zip(sources, np.cumsum([0, *(nodes[s].size for s in sources)]), strict=False))
        left, right = (
            _added(
                nodes,
                Select(
                    node.name,
                    m,
                    tuple(sources),
                    np.concatenate([start[standing[p[side]][0]] + standing[p[side]][1] for p in pairs]),
                ),
            )
            for side in (0, 1)
        )
        ones, zero = np.ones(m), np.zeros(m)
        gap = _added(nodes, Combine(node.name, m, (left, right), (ones, -ones), zero))
        slopes = np.tile([0.0, 1.0], (m, 1))
        rise = _added(nodes, Knot(node.name, m, (gap,), np.zeros((m, 1)), slopes, zero))
        value = _added(nodes, Combine(node.name, m, (rise, right), (ones, ones), zero))
        comparisons = played + np.arange(len(pairs))
        breakpoints.append((first + np.arange(size) * (k - 1) + comparisons[:, None]).ravel())
        standing += [(value, b * size + np.arange(size)) for b in range(len(pairs))]
        played += len(pairs)
    last, index = standing[-1]
    return last if nodes[last].size == size else _added(nodes, Select(node.name, size, (last,), index))


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


def _added(nodes: list[Node], node: Node) -> int:
    nodes.append(node)
    return len(nodes) - 1
