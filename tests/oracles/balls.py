"""An exact oracle of regions and crossing units in ℓ1 balls: all 2^d facets, all vertices, brute force, rationals.

It shares nothing with the library's walk but the network's graph: no linear programmes, no witness points, no folding.
A cell is a list of half-spaces; its vertices are all meets of d of their boundaries that satisfy the rest, and it has
an interior if and only if their mean satisfies all half-spaces strictly.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product

import numpy as np
from flint import fmpq, fmpq_mat

from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Select, Sparse, SplineNetwork
from tests.oracles.dense import dense

Row = tuple[fmpq, ...]  # d coefficients and a constant


def _rational(x: float) -> fmpq:
    return fmpq(*Fraction(float(x)).as_integer_ratio())


class BallOracle:
    """Regions of a network that meet the open ball |u|_1 < radius, z = center + frame @ u."""

    def __init__(self, network: SplineNetwork, center: Array, radius: float, frame: Array) -> None:
        self.network = network
        self.d = frame.shape[1]
        self.latent = [tuple(map(_rational, [*row, z])) for row, z in zip(frame, center, strict=True)]
        r = _rational(radius)
        self.facets = [(*map(fmpq, signs), r) for signs in product((1, -1), repeat=self.d)]
        self.signs: dict[tuple[int, int, int], set[int]] = {}
        self.regions = sum(1 for _ in self._visit([], self.facets, vertices(self.facets)))

    @property
    def crossing(self) -> int:
        """Number of breakpoints of which both sides were seen."""
        return sum(seen >= {-1, 1} for seen in self.signs.values())

    def _visit(self, values: list[list[Row]], walls: list[Row], corners: list[tuple[fmpq, ...]]) -> Iterator[None]:
        while len(values) < len(self.network.nodes):
            i = len(values)
            node = self.network.nodes[i]
            x = [values[k] for k in node.inputs]
            if isinstance(node, Knot):
                for choice, cell, around in self._cells(i, node, x[0], walls, corners):
                    yield from self._visit([*values, _bent(node, x[0], choice)], cell, around)
                return
            values = [*values, self.latent if isinstance(node, Input) else _affine(node, x, self.d)]
        yield

    def _cells(
        self, i: int, node: Knot, x: list[Row], walls: list[Row], corners: list[tuple[fmpq, ...]]
    ) -> list[tuple[dict[int, int], list[Row], list[tuple[fmpq, ...]]]]:
        """All cells that the knot cuts a cell into, with the piece of each unit."""
        cells: list[tuple[dict[int, int], list[Row], list[tuple[fmpq, ...]]]] = [({}, walls, corners)]
        for unit, k in np.ndindex(node.breakpoints.shape):
            if node.slopes[unit, k] == node.slopes[unit, k + 1]:
                continue
            row = (*x[unit][:-1], x[unit][-1] - _rational(node.breakpoints[unit, k]))
            seen = self.signs.setdefault((i, unit, k), set())
            cut = []
            for choice, cell, around in cells:
                heights = [_at(row, p) for p in around]
                if any(h > 0 for h in heights):
                    seen.add(1)
                if any(h < 0 for h in heights):
                    seen.add(-1)
                for side in (-1, 1):
                    there = any(side * h > 0 for h in heights)
                    if not there and not (side < 0 and not any(h > 0 for h in heights)):
                        continue
                    piece = {**choice, unit: k + 1} if side > 0 else choice
                    if all(side * h >= 0 for h in heights):
                        cut.append((piece, cell, around))
                    else:
                        part = [*cell, tuple(side * v for v in row)]
                        new = vertices(part)
                        cut.append((piece, [w for w in part if sum(_at(w, p) == 0 for p in new) >= self.d], new))
            cells = cut
        return cells


def vertices(walls: list[Row]) -> list[tuple[fmpq, ...]]:
    """The vertices of the polytope a·u + c >= 0."""
    d = len(walls[0]) - 1
    found = set()
    for chosen in combinations(walls, d):
        matrix = fmpq_mat(d, d, [v for row in chosen for v in row[:-1]])
        if matrix.det() == 0:
            continue
        point = tuple(matrix.solve(fmpq_mat(d, 1, [-row[-1] for row in chosen])).entries())
        if point not in found and all(_at(row, point) >= 0 for row in walls):
            found.add(point)
    corners = list(found)
    mean = tuple(sum(p, fmpq(0)) / len(corners) for p in zip(*corners, strict=True))
    assert all(_at(row, mean) > 0 for row in walls), "a cell without interior"
    return corners


def _at(row: Row, point: tuple[fmpq, ...]) -> fmpq:
    return sum((a * x for a, x in zip(row, point, strict=False)), row[-1])


def _affine(node: object, x: list[list[Row]], d: int) -> list[Row]:
    match node:
        case Linear() | Sparse() | Convolution():
            weight, bias = dense(node)
            out = []
            for w, b in zip(weight, bias, strict=True):
                terms = [(_rational(v), row) for v, row in zip(w, x[0], strict=True) if v]
                row = [sum((v * r[c] for v, r in terms), fmpq(0)) for c in range(d + 1)]
                row[-1] += _rational(b)
                out.append(tuple(row))
            return out
        case Combine():
            out = []
            for u, b in enumerate(node.bias):
                row = [
                    sum((_rational(s[u]) * v[u][c] for s, v in zip(node.scales, x, strict=True)), fmpq(0))
                    for c in range(d + 1)
                ]
                row[-1] += _rational(b)
                out.append(tuple(row))
            return out
        case Select():
            whole = [row for v in x for row in v]
            return [whole[k] for k in node.index.tolist()]
    raise AssertionError(f"unknown node {node!r}")


def _bent(node: Knot, x: list[Row], choice: dict[int, int]) -> list[Row]:
    out = []
    for u, row in enumerate(x):
        t, s = list(map(_rational, node.breakpoints[u])), list(map(_rational, node.slopes[u]))
        piece = choice.get(u, 0)
        offset = _rational(node.value[u]) - s[0] * t[0]
        for k in range(piece):
            offset += (s[k] - s[k + 1]) * t[k]
        scaled = [s[piece] * v for v in row]
        scaled[-1] += offset
        out.append(tuple(scaled))
    return out
