"""An exact oracle in d dimensions, of another design than the engine: no bounds, no bit sets, no adjacency.

A cell is a list of hyperplanes and the rational points where enough of them meet. A cut takes *every* pair of points on
different sides and keeps those of the meeting points at which the hyperplanes of the cell have full rank. Maps are
matrices of fractions, node by node. A maximum is cut by winners: for each entry the part of a cell where no other one
is larger, so there are no comparisons among losers, and nothing has to be joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

from flint import fmpq, fmpq_mat

from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    SplineNetwork,
)
from tests.oracles.dense import dense
from tests.oracles.rational import first_seed, matches

Point: TypeAlias = tuple[fmpq, ...]
Row: TypeAlias = tuple[fmpq, ...]  # d coefficients and a constant
Pattern: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A polytope: hyperplanes that bound it (some perhaps no longer), and its vertices."""

    planes: tuple[Row, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Region:
    cell: Cell
    pattern: Pattern
    output: tuple[Row, ...]


def exact(x: float) -> fmpq:
    return fmpq(*float(x).as_integer_ratio())


def at(row: Row, point: Point) -> fmpq:
    return sum((a * x for a, x in zip(row, point, strict=False)), row[-1])


def rank(rows: list[Row] | list[Point]) -> int:
    if not rows or not rows[0]:
        return 0
    return int(fmpq_mat(len(rows), len(rows[0]), [v for row in rows for v in row]).rref()[1])


def split(cell: Cell, row: Row) -> tuple[Cell | None, Cell | None]:
    """The parts below and above; split only where both strict signs occur, zero everywhere is below."""
    values = [at(row, p) for p in cell.points]
    if max(values) <= 0:
        return cell, None
    if min(values) >= 0:
        return None, cell
    planes = (*cell.planes, row)
    meets = set()
    for (p, s), (q, r) in combinations(zip(cell.points, values, strict=True), 2):
        if s * r < 0:
            meets.add(tuple((a * r - b * s) / (r - s) for a, b in zip(p, q, strict=True)))
    d = len(row) - 1
    new = [p for p in sorted(meets) if rank([n[:-1] for n in planes if at(n, p) == 0]) == d]
    old = set(cell.points)
    sides = []
    for sign in (-1, 1):
        kept = [p for p, v in zip(cell.points, values, strict=True) if v * sign >= 0]
        sides.append(Cell(planes, (*kept, *(p for p in new if p not in old))))
    return sides[0], sides[1]


@dataclass(frozen=True)
class ExactSpace:
    """The regions of a network over a box, exactly."""

    dim: int
    regions: tuple[Region, ...]

    @cached_property
    def adjacency(self) -> set[frozenset[Pattern]]:
        """Patterns of regions that share a facet: the vertices that they have in common span a hyperplane."""
        owners: dict[Point, list[int]] = {}
        for i, region in enumerate(self.regions):
            for p in region.cell.points:
                owners.setdefault(p, []).append(i)
        shared: dict[tuple[int, int], list[Point]] = {}
        for p, found in owners.items():
            for pair in combinations(found, 2):
                shared.setdefault(pair, []).append(p)
        return {
            frozenset((self.regions[i].pattern, self.regions[j].pattern))
            for (i, j), points in shared.items()
            if len(points) >= self.dim
            and rank([tuple(a - b for a, b in zip(p, points[0], strict=True)) for p in points[1:]]) == self.dim - 1
        }

    @cached_property
    def n_vertices(self) -> int:
        return len({p for region in self.regions for p in region.cell.points})

    @cached_property
    def n_linear_regions(self) -> int:
        parent = {region.pattern: region.pattern for region in self.regions}
        output = {region.pattern: region.output for region in self.regions}

        def root(p: Pattern) -> Pattern:
            while parent[p] != p:
                p = parent[p]
            return p

        for p, q in (tuple(pair) for pair in self.adjacency):
            if output[p] == output[q]:
                parent[root(p)] = root(q)
        return len({root(p) for p in parent})


def exact_space(
    network: SplineNetwork, lower: list[float], upper: list[float], latent: list[Row] | None = None
) -> ExactSpace:
    """Partition of a box; ``latent`` are the rows (E) of z in slice coordinates, the identity by default."""
    d = len(lower)
    one = [tuple(fmpq(int(i == j)) for j in range(d + 1)) for i in range(d)]
    planes, points = [], [()]
    for i, (a, b) in enumerate(zip(lower, upper, strict=True)):
        ends = exact(a), exact(b)
        planes += [(*one[i][:-1], -end) for end in ends]
        points = [(*p, end) for p in points for end in ends]
    cell = Cell(tuple(planes), tuple(points))
    return ExactSpace(d, tuple(_visit(network, [tuple(latent or one)], cell, ())))


def _visit(network: SplineNetwork, values: list[tuple[Row, ...]], cell: Cell, bits: Pattern) -> Iterator[Region]:
    while len(values) < len(network.nodes):
        node = network.nodes[len(values)]
        x = [values[i] for i in node.inputs]
        if isinstance(node, Knot):
            for piece, added, out in _bent(node, x[0], cell):
                yield from _visit(network, [*values, out], piece, bits + added)
            return
        if isinstance(node, Maximum):
            for piece, added, members in _won(node, x[0], cell):
                yield from _visit(network, [*values, tuple(x[0][k] for k in members)], piece, bits + added)
            return
        values = [*values, _affine(node, x)]
    yield Region(cell, bits, values[network.output])


def _shift(row: Row, c: fmpq) -> Row:
    return (*row[:-1], row[-1] + c)


def _scaled(row: Row, s: fmpq) -> Row:
    return tuple(s * v for v in row)


def _sum(rows: list[Row], width: int) -> Row:
    return tuple(sum((row[k] for row in rows), fmpq(0)) for k in range(width))


def _affine(node: object, x: list[tuple[Row, ...]]) -> tuple[Row, ...]:
    width = len(x[0][0])
    match node:
        case Linear() | Sparse() | Convolution():
            weight, bias = dense(node)
            return tuple(
                _shift(_sum([_scaled(row, exact(w)) for w, row in zip(line, x[0], strict=True) if w], width), exact(b))
                for line, b in zip(weight.tolist(), bias.tolist(), strict=True)
            )
        case Combine():
            return tuple(
                _shift(
                    _sum([_scaled(v[k], exact(s[k])) for s, v in zip(node.scales, x, strict=True)], width),
                    exact(node.bias[k]),
                )
                for k in range(node.size)
            )
        case Select():
            whole = [row for v in x for row in v]
            return tuple(whole[k] for k in node.index.tolist())
        case Input():
            raise AssertionError("the input is node 0")
    raise AssertionError(f"unknown node {node!r}")


def _bent(node: Knot, x: tuple[Row, ...], cell: Cell) -> Iterator[tuple[Cell, Pattern, tuple[Row, ...]]]:
    """The cell cut by all breakpoints, with the bits and the knot's values on each part."""
    pieces: list[tuple[Cell, Pattern]] = [(cell, ())]
    for unit in range(node.size):
        for k in range(node.breakpoints.shape[1]):
            live = node.slopes[unit, k] != node.slopes[unit, k + 1]
            row = _shift(x[unit], -exact(node.breakpoints[unit, k]))
            after = []
            for piece, bits in pieces:
                below, above = split(piece, row) if live else (piece, None)
                after += [(part, (*bits, bit)) for part, bit in ((below, 0), (above, 1)) if part]
            pieces = after
    width = node.breakpoints.shape[1]
    for piece, bits in pieces:
        out = []
        for unit in range(node.size):
            t = [exact(v) for v in node.breakpoints[unit]]
            s = [exact(v) for v in node.slopes[unit]]
            # The function at hand, a sum of bends: its value at the first breakpoint, and a change of slope at each.
            start = exact(node.value[unit]) - (s[0] * t[0] if t else 0)
            slope, constant = s[0], start
            highest = max((k + 1 for k in range(width) if bits[unit * width + k]), default=0)
            for k in range(highest):
                slope, constant = slope + s[k + 1] - s[k], constant - (s[k + 1] - s[k]) * t[k]
            out.append(_shift(_scaled(x[unit], slope), constant))
        yield piece, bits, tuple(out)


def _won(node: Maximum, x: tuple[Row, ...], cell: Cell) -> Iterator[tuple[Cell, Pattern, tuple[int, ...]]]:
    """The cell cut into parts on which one entry of each group is the largest: the bits, and the winning members."""
    pieces: list[tuple[Cell, Pattern, tuple[int, ...]]] = [(cell, (), ())]
    for members in node.groups.tolist():
        entries: dict[Row, set[int]] = {}
        for entry, member in enumerate(members):
            entries.setdefault(x[member], set()).add(entry)
        found = []
        for piece, bits, chosen in pieces:
            for row, same in entries.items():
                here: Cell | None = piece
                for other in entries:
                    if here and other != row:
                        here = split(here, tuple(a - b for a, b in zip(row, other, strict=True)))[1]
                if here:
                    winner = first_seed(len(members), same)
                    added = tuple(int(winner in left) for left, _ in matches(len(members)))
                    found.append((here, bits + added, (*chosen, members[winner])))
        pieces = found
    return iter(pieces)
