"""Answers to the questions that the walk asks: signs at a vertex, and the vertex itself, in exact arithmetic.

A vertex is the meet of two lines. Each is an edge of the domain or the kink of a hinge, whose affine function is fixed
by the activation pattern of the levels below it; the region at hand has that pattern. The net is continuous, so the
values at a vertex do not depend on the region from which it was reached: a vertex is looked up by its exact position,
and the net is evaluated there once, level by level.
"""

from __future__ import annotations

from collections import OrderedDict
from math import gcd

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Input, Knot
from splinegeo.partition.exact import ExactNetwork, Value
from splinegeo.partition.normal_form import Places
from splinegeo.partition.outline import Outline

Triple = tuple[int, int, int]
MOST_SIGNS = 1 << 18  # answers that are kept


class Layout:
    """Where the hinges of the engine's levels sit in the graph."""

    def __init__(
        self, exact: ExactNetwork, places: Places, offsets: Array, outline: Outline | None, active: Array
    ) -> None:
        nodes = exact.network.nodes
        self.outline = outline
        self.offsets = [int(v) for v in offsets]
        self.places = places
        self.depth = [0] * len(nodes)
        for i, n in enumerate(nodes):
            self.depth[i] = max((self.depth[k] for k in n.inputs), default=0) + isinstance(n, Knot)
        self.members: dict[int, list[tuple[int, int, int]]] = {
            i: [] for i, n in enumerate(nodes) if isinstance(n, Knot)
        }
        for level, here in places.items():
            for position, (node, unit, which) in enumerate(here):
                self.members[node].append((unit, which, self.offsets[level] + position))
        # Nodes needed for the pre-activations of a level, in graph order.
        self.level_depth = {level: self.depth[nodes[here[0][0]].inputs[0]] for level, here in places.items()}
        self.level_depth[len(places)] = self.depth[exact.network.output]
        self.hinge_level = np.repeat(np.arange(len(places)), np.diff(self.offsets[: len(places) + 1])).tolist()

        # Of each knot the breakpoints that its units are known to lie above: their number is the piece.
        self._known: dict[int, list[int]] = {}
        if len(active):
            above, first = np.zeros(exact.network.n_breakpoints, np.int64), 0
            above[active] = 1
            for i in exact.network.knots:
                n = nodes[i]
                assert isinstance(n, Knot)
                passed = above[first : first + n.breakpoints.size].reshape(n.breakpoints.shape)
                first += n.breakpoints.size
                # Breakpoints between equal slopes have no bit; those below an active one are passed all the same.
                self._known[i] = (passed * np.arange(1, passed.shape[1] + 1)).max(1).tolist()

    def pieces(self, node: int, size: int, bits: Array) -> list[int]:
        """The piece of each unit of a knot under activation bits of the engine."""
        out = list(self._known[node]) if self._known else [0] * size
        for unit, which, hinge in self.members[node]:
            if bits[hinge]:
                out[unit] = max(out[unit], which + 1)
        return out


class Evaluator:
    """Exact values for one thread, in any dimension.

    ``bits`` is the walk's current activation pattern, one int8 a hinge. Points are homogeneous, in lowest terms.
    """

    def __init__(self, exact: ExactNetwork, layout: Layout, bits: Array) -> None:
        self.exact, self.layout, self.bits = exact, layout, bits
        self._prefixes: OrderedDict[tuple[int, bytes], dict[int, Value]] = OrderedDict()
        self._ids: dict[tuple[int, ...], int] = {}
        self._points: list[tuple[int, ...]] = []
        self._signs: dict[tuple[int, int], Array] = {}
        self._progress: OrderedDict[int, dict[int, Value]] = OrderedDict()
        # Whole numbers take some hundred bytes each: of large networks little is kept.
        units = sum(node.size for node in exact.network.nodes)
        self._most_prefixes = min(64, 2 + 300_000 // units)
        self._most_vertices = min(4096, 4 + 1_000_000 // units)

    def identify(self, point: tuple[int, ...]) -> int:
        """The id of a point, given by integers with a last one that is not zero."""
        g = gcd(*point) * (1 if point[-1] > 0 else -1)
        point = tuple(v // g for v in point)
        if point not in self._ids:
            self._ids[point] = len(self._points)
            self._points.append(point)
        return self._ids[point]

    def position(self, vertex: int) -> tuple[float, ...]:
        """Frame coordinates of a vertex, correctly rounded."""
        *x, w = self._points[vertex]
        return tuple(v / w for v in x)  # int / int rounds correctly

    def kink(self, hinge: int) -> tuple[int, ...]:
        """Integer coefficients, up to a positive factor, of the function whose zeros are a hinge's kink."""
        level = self.layout.hinge_level[hinge]
        node, unit, which = self.layout.places[level][hinge - self.layout.offsets[level]]
        values = self.values(level)
        _, one = self.exact.identity()
        source = self.exact.network.nodes[node].inputs[0]
        row = Value([values[source].rows[unit]], values[source].e)
        return self.exact.above_one(node, unit, which, row, one)

    def maps(self, level: int) -> Value:
        """Coefficients of the outputs (level = number of levels) under the current pattern."""
        return self.values(level)[self.exact.network.output]

    def values(self, level: int) -> dict[int, Value]:
        """Values with all columns of the nodes that the pre-activations of a level need, under the current bits."""
        key = (level, self.bits[: self.layout.offsets[level]].tobytes())
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        values = dict(self.values(level - 1)) if level else {}
        coordinates, one = self.exact.identity()
        self._advance(values, level, coordinates, one, None)
        self._prefixes[key] = values
        if len(self._prefixes) > self._most_prefixes:
            self._prefixes.popitem(last=False)
        return values

    def _advance(self, values: dict[int, Value], level: int, coordinates: list, one: tuple, point: int | None) -> None:
        nodes, layout = self.exact.network.nodes, self.layout
        for i, node in enumerate(nodes):
            if i in values or layout.depth[i] > layout.level_depth[level]:
                continue
            x = [values[k] for k in node.inputs]
            if isinstance(node, Input):
                values[i] = self.exact.latent(coordinates, one)
            elif isinstance(node, Knot):
                if point is None:
                    pieces = layout.pieces(i, node.size, self.bits)
                else:
                    rows = self.exact.above(i, x[0], one)
                    pieces = [sum(r[0] > 0 for r in unit) for unit in rows]
                values[i] = self.exact.knot(i, x[0], pieces, one)
            else:
                values[i] = self.exact.apply(i, x, one)

    def signs(self, vertex: int, level: int) -> Array:
        """Signs (n,) of int8 of all hinges of a level at a vertex."""
        key = (vertex, level)
        if key in self._signs:
            return self._signs[key]
        values = self._progress.get(vertex, {})
        coordinates, one = ExactNetwork.at(self._points[vertex])
        self._advance(values, level, coordinates, one, vertex)
        self._progress[vertex] = values
        self._progress.move_to_end(vertex)
        if len(self._progress) > self._most_vertices:
            self._progress.popitem(last=False)
        rows: dict[int, list] = {}
        out = np.zeros(len(self.layout.places[level]), np.int8)
        for k, (node, unit, which) in enumerate(self.layout.places[level]):
            if node not in rows:
                rows[node] = self.exact.above(node, values[self.exact.network.nodes[node].inputs[0]], one)
            z = rows[node][unit][which][0]
            out[k] = (z > 0) - (z < 0)
        self._signs[key] = out
        if len(self._signs) > MOST_SIGNS:
            self._signs.pop(next(iter(self._signs)))
        return out


class Judge(Evaluator):
    """Exact answers for one thread in the plane."""

    def __init__(self, exact: ExactNetwork, layout: Layout, bits: Array) -> None:
        super().__init__(exact, layout, bits)
        self._edges: list[Triple] = exact.frame.exact_edges
        self._hinges = layout.offsets[len(layout.places)]
        self.questions = 0

    def vertex(self, p: int, q: int) -> int:
        """The id of the meet of two lines.

        A line is a hinge's number, the number of hinges plus that of an edge of the outline, or -1 - e for edge e of
        the domain.
        """
        self.questions += 1
        (a, b, c), (d, e, f) = self.line(p), self.line(q)
        x, y, w = b * f - c * e, c * d - a * f, a * e - b * d
        if w == 0:
            raise AssertionError(f"lines {p} and {q} do not meet")
        return self.identify((x, y, w))

    def line(self, p: int) -> Triple:
        """Integer coefficients of a line in frame coordinates, up to a positive factor."""
        if p < 0:
            return self._edges[-1 - p]
        if p >= self._hinges:
            assert self.layout.outline is not None
            return self.layout.outline.lines[p - self._hinges]
        a, b, c = self.kink(p)
        return a, b, c
