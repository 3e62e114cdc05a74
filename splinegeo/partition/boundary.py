"""Decision boundaries: level sets of an output and ties between two, as exact segments.

The set where a function of the outputs changes sign is the kink of one more unit. So the network is continued by
units for the differences in question, partitioned again by the same engine, and the edges of those units are read
off; what touches zero without changing sign is found among the other edges, and decided exactly.
"""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import InvalidArgument, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.graph import Knot, Linear, SplineNetwork
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import LARGE, Problem, enumerate_regions, n_threads, subtrees

if TYPE_CHECKING:
    from splinegeo.partition.exact import Value
    from splinegeo.partition.result import Partition


@dataclass(frozen=True, eq=False)
class Boundary:
    """A decision boundary: segments in slice coordinates, and the regions where equality holds throughout."""

    segments: Array  # (S, 2, 2) end points
    regions: Array  # (S,) a region of the partition that each segment bounds or crosses
    everywhere: Array  # (K,) regions on all of which equality holds; they are not outlined by segments
    patches: tuple[Array, ...]  # polygons (k, 2) on which equality holds, those regions and parts of others

    def __len__(self) -> int:
        return len(self.segments)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.segments, dtype=dtype, copy=copy)

    @property
    def length(self) -> float:
        """Total length in slice coordinates."""
        return float(np.linalg.norm(self.segments[:, 1] - self.segments[:, 0], axis=1).sum())

    def __repr__(self) -> str:
        return f"<Boundary {len(self):,} segments, {len(self.patches):,} patches>"


def decision_boundary(part: Partition, i: int, j: int | None, level: float) -> Boundary:
    """See `Partition.decision_boundary`."""
    net = part.network
    n = net.n_outputs
    for name, value in (("i", i), ("j", j)):
        number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (number and 0 <= value < n) and not (name == "j" and value is None):  # type: ignore[operator]
            raise InvalidArgument(f"decision_boundary({name}={value!r}): outputs are numbered 0 to {n - 1}")
    if i == j:
        raise InvalidArgument(f"decision_boundary(i={i}, j={j}): an output always ties with itself")
    if isinstance(level, bool) or not isinstance(level, numbers.Real) or not abs(level) <= sys.float_info.max:
        raise InvalidArgument(f"decision_boundary(level={level!r}): a finite number is expected")
    if j is not None and level != 0:
        raise InvalidArgument(f"decision_boundary(level={level!r}): a level goes with a single output, not with a tie")
    if net.n_breakpoints > LARGE:
        raise UnsupportedOperation(
            f"decision_boundary: the network has {net.n_breakpoints:,} breakpoints; up to {LARGE:,} are supported. "
            f"Append the difference of the outputs and a ReLU to the network, and partition that."
        )
    others = [k for k in range(n) if k not in (i, j)] if j is not None else []
    weight = np.zeros((1 + len(others), n))
    weight[:, i] = 1
    for row, k in enumerate([j, *others] if j is not None else []):
        weight[row, k] = -1
    bias = np.zeros(len(weight))
    bias[0] = -float(level)
    refined, problem, base_bits = _refined(part, weight, bias)
    return _read(part, refined, problem, base_bits, len(weight))


def _refined(part: Partition, weight: Array, bias: Array) -> tuple[dict[str, Array], Problem, int]:
    net, size, end = part.network, len(weight), len(part.network.nodes)
    step = np.tile([0.0, 1.0], (size, 1))
    extra = (
        Linear("decision", size, (net.output,), weight, bias),
        Knot("decision", size, (end,), np.zeros((size, 1)), step, np.zeros(size)),
    )
    longer = SplineNetwork((*net.nodes, *extra), end + 1, net.input_shape, (size,))
    problem = Problem.of(longer, part.slice.origin, part.slice.basis, part.domain.vertices)
    # Nobody asks for singular values here: those of differences of which most are cut off are zero in most regions, and
    # to settle that exactly takes longer than all the rest.
    arrays, _, _ = enumerate_regions(subtrees(problem), Budget(), n_threads(None), lambda _: None, settled=False)
    return arrays, problem, net.n_breakpoints


def _read(part: Partition, found: dict[str, Array], problem: Problem, first: int, size: int) -> Boundary:
    index = part._pattern_index
    owner = _owners(found["packed_patterns"], first, index)
    bits = np.unpackbits(found["packed_patterns"], axis=1, count=first + size, bitorder="little")
    above = bits[:, first:].astype(bool)
    sides, offsets, flips = found["edge_regions"], found["edge_breakpoint_offsets"], found["edge_breakpoints"]
    crossing = np.zeros(len(sides), bool)
    crossing[np.repeat(np.arange(len(sides)), np.diff(offsets))[flips == first]] = True
    exact = _Exact(problem, found)
    is_flat = np.zeros(len(owner), bool)
    for r in np.nonzero(exact.maybe_flat(0) & ~above[:, 0])[0].tolist():
        is_flat[r] = exact.flat(r, 0)
    chosen = crossing.copy()
    for e in np.nonzero(exact.maybe_zero(0) & ~crossing)[0].tolist():
        chosen[e] = exact.zero(e, 0)
    inner = sides[:, 1] >= 0
    chosen &= ~is_flat[sides[:, 0]] & ~(inner & is_flat[sides[:, 1]])
    whole = is_flat.copy()
    for k in range(1, size):
        # The other outputs must not be larger: above on one side at least, or equal throughout.
        wins = above[sides[:, 0], k] | (inner & above[sides[:, 1], k])
        ties = exact.maybe_zero(k)
        for e in np.nonzero(chosen & ~wins)[0].tolist():
            chosen[e] = ties[e] and exact.zero(e, k)
        equal = exact.maybe_flat(k)
        for r in np.nonzero(whole & ~above[:, k])[0].tolist():
            whole[r] = equal[r] and exact.flat(r, k)
    chosen &= owner[sides[:, 0]] >= 0
    segments = found["vertices"][found["edge_vertices"][chosen]].reshape(-1, 2, 2)
    partly = np.unique(owner[~whole])  # a region that is whole only in part is no whole region
    everywhere = np.setdiff1d(owner[whole & (owner >= 0)], partly)
    o, corners = found["region_offsets"], found["vertices"][found["corner_vertices"]]
    patches = tuple(corners[o[r] : o[r + 1]] for r in np.nonzero(whole)[0])
    return Boundary(segments, owner[sides[chosen, 0]], everywhere, patches)


def _owners(packed: Array, n_breakpoints: int, index: dict[bytes, int]) -> Array:
    """The region of the coarser partition for each refined one: the same pattern without the last bits."""
    if not n_breakpoints:
        return np.zeros(len(packed), np.int64)
    bits = np.unpackbits(packed, axis=1, count=n_breakpoints, bitorder="little")
    return np.array([index.get(row.tobytes(), -1) for row in np.packbits(bits, axis=1, bitorder="little")], np.int64)


class _Exact:
    """Whether a difference vanishes on an edge or a region of the refined partition: floats first, then exactly."""

    def __init__(self, problem: Problem, found: dict[str, Array]) -> None:
        self.problem, self.found = problem, found
        net = problem.network
        # The last node but one, in the network and in the one without maxima that exact arithmetic sees.
        self._decision, self._lowered = len(net.nodes) - 2, len(problem.exact.network.nodes) - 2
        self._values: dict[int, Value] = {}
        values = net.forward(problem.origin + found["vertices"] @ problem.basis.T)
        # Far beyond the rounding of vertices and forward pass, which is relative to what the sums would be if nothing
        # cancelled. What passes is decided exactly, so it need only be rare.
        size = net.magnitudes(np.abs(problem.origin) + np.abs(found["vertices"]) @ np.abs(problem.basis).T)
        self._near_zero = np.abs(values[self._decision]) <= 1e-6 * size[self._decision]

    def maybe_zero(self, k: int) -> Array:
        """(M,) edges at both ends of which difference k may vanish."""
        return self._near_zero[self.found["edge_vertices"], k].all(1)

    def maybe_flat(self, k: int) -> Array:
        """(N,) regions at all corners of which difference k may vanish."""
        near = self._near_zero[self.found["corner_vertices"], k]
        return np.logical_and.reduceat(near, self.found["region_offsets"][:-1])

    def _row(self, r: int, k: int) -> tuple[int, ...]:
        if r not in self._values:
            judge = self.problem.judge(self.found["bits"][r])
            self._values[r] = judge.values(len(self.problem.layout.places))[self._lowered]
        return self._values[r].rows[k]

    def flat(self, r: int, k: int) -> bool:
        """Whether difference k vanishes on region r."""
        return not any(self._row(r, k))

    def zero(self, e: int, k: int) -> bool:
        """Whether difference k, which is positive on neither side of edge e or on both, vanishes along it.

        If it is not zero throughout on one side, it has to fall off, or rise, in opposite directions.
        """
        r, other = (int(v) for v in self.found["edge_regions"][e])
        row = self._row(r, k)
        if not any(row):
            return True
        if other < 0:
            return False  # along the domain's own boundary nothing is separated
        across = self._row(other, k)
        (a, b, c), (x, y, w) = row, across
        parallel = a * y == b * x and a * w == c * x and b * w == c * y
        return parallel and a * x + b * y + c * w <= 0
