"""Units that are the same function on a whole slice, found before anything is partitioned.

Images have constant borders, and on a plane through a few of them most pixels are constant: what a convolution makes of
such places is one function many times over. Entries of a maximum that are equal everywhere tie everywhere, and no
error bound can say so. Every unit is therefore given a number, such that units with the same number are the same
function of the slice's coordinates: the same knot of the same function, or the same weights of the same functions in
whatever order. That is a proof; functions that are equal for other reasons are given different numbers, which costs
time and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Node,
    Select,
    Sparse,
    SplineNetwork,
)

NEAR = 1e-9  # random values that differ by less than this are looked at; equal functions differ by rounding only
CHUNK = 1 << 22  # weights that are compared at a time


def function_classes(network: SplineNetwork, origin: Array, basis: Array) -> list[Array]:
    """For each node the numbers (size,) of its units on z = origin + basis @ u.

    Nodes that no maximum reads are left out: theirs are empty.
    """
    wanted = _below_maxima(network)
    numbers = _Numbers()
    found: list[Array] = []
    for i, node in enumerate(network.nodes):
        x = [found[k] for k in node.inputs]
        found.append(_of(node, x, numbers, origin, basis) if i in wanted else np.zeros(0, np.int64))
    return found


def _below_maxima(network: SplineNetwork) -> set[int]:
    wanted: set[int] = set()
    for i in range(len(network.nodes) - 1, -1, -1):
        node = network.nodes[i]
        if i in wanted or isinstance(node, Maximum):
            wanted.update(node.inputs)
    return wanted


@dataclass
class _Numbers:
    """Numbers given so far. Constants are known by their value; 0 is the function that vanishes."""

    used: int = 1
    constants: dict[float, int] = field(default_factory=lambda: {0.0: 0})

    def fresh(self, kinds: Array) -> Array:
        """New numbers for units (n,): as many as there are ``kinds``."""
        places = np.unique(kinds, return_inverse=True)[1].astype(np.int64)
        first, self.used = self.used, self.used + int(places.max(initial=-1)) + 1
        return first + places

    def constant(self, value: float) -> int:
        """The number of a constant."""
        if value not in self.constants:
            self.constants[value] = self.used
            self.used += 1
        return self.constants[value]


def _of(node: Node, x: list[Array], numbers: _Numbers, origin: Array, basis: Array) -> Array:
    match node:
        case Input():
            # Stored numbers are exact, and equal rows are equal functions.
            return _rows([basis + 0.0, origin[:, None] + 0.0], numbers, np.asarray(basis.any(1)), origin)
        case Select():
            return np.concatenate(x)[node.index]
        case Combine():
            return _combined(node, x, numbers)
        case Linear() | Sparse() | Convolution():
            return _mapped(node, x[0], numbers)
        case Knot():
            return _bent(node, x[0], numbers)
        case Maximum():
            return _largest(np.sort(x[0][node.groups], 1), numbers)
    raise AssertionError(f"no functions of {type(node).__name__}")


def _rows(columns: list[Array], numbers: _Numbers, varies: Array, value: Array) -> Array:
    """Numbers of units whose functions are the rows of ``columns``; those that do not vary are constants."""
    kinds = np.unique(np.concatenate(columns, 1), axis=0, return_inverse=True)[1].reshape(-1)
    out = numbers.fresh(kinds)
    for unit in np.nonzero(~varies)[0].tolist():
        out[unit] = numbers.constant(float(value[unit]))
    return out


def _combined(node: Combine, x: list[Array], numbers: _Numbers) -> Array:
    scales, inputs = np.stack(node.scales, 1) + 0.0, np.stack(x, 1)
    # What a zero multiplies, and what is zero, counts for nothing; the order of terms neither.
    inputs = np.where(scales == 0, 0, inputs)
    scales = np.where(inputs == 0, 0.0, scales)
    order = np.lexsort((scales, inputs), axis=1)
    inputs, scales = np.take_along_axis(inputs, order, 1), np.take_along_axis(scales, order, 1)
    out = _rows([inputs.astype(float), scales, node.bias[:, None] + 0.0], numbers, np.asarray(inputs.any(1)), node.bias)
    same = (np.count_nonzero(inputs, 1) == 1) & (scales[:, -1] == 1) & (node.bias == 0)  # zero sorts to the front
    return np.where(same, inputs[:, -1], out)


def _bent(knot: Knot, x: Array, numbers: _Numbers) -> Array:
    bends = np.concatenate([knot.breakpoints, knot.slopes, knot.value[:, None]], 1) + 0.0
    how = np.zeros(knot.size, np.int64)
    if (bends != bends[:1]).any():
        how = np.unique(bends, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    pairs, unit, place = np.unique(x * (how.max(initial=0) + 1) + how, return_index=True, return_inverse=True)
    out = numbers.fresh(np.arange(len(pairs)))
    values = {number: value for value, number in numbers.constants.items()}
    for k, u in enumerate(unit.tolist()):
        if (at := values.get(int(x[u]))) is not None:
            true = _exactly(knot, u, Fraction(at))
            if abs(true) < 2**1000 and Fraction(float(true)) == true:
                out[k] = numbers.constant(float(true))
    return out[place.reshape(-1)]


def _exactly(knot: Knot, unit: int, z: Fraction) -> Fraction:
    """The value of a unit at z."""
    t, s = ([Fraction(float(v)) for v in row[unit]] for row in (knot.breakpoints, knot.slopes))
    if not t:
        return Fraction(float(knot.value[unit])) + s[0] * z
    total = Fraction(float(knot.value[unit])) + s[0] * min(z - t[0], Fraction(0))
    for k, low in enumerate(t):
        upper = min(z, t[k + 1]) if k + 1 < len(t) else z
        total += s[k + 1] * max(upper - low, Fraction(0))
    return total


def _largest(entries: Array, numbers: _Numbers) -> Array:
    """Of sorted entries: a maximum is the set of them."""
    repeated = np.zeros(entries.shape, bool)
    repeated[:, 1:] = entries[:, 1:] == entries[:, :-1]
    entries = np.sort(np.where(repeated, entries[:, -1:], entries), 1)
    out = numbers.fresh(np.unique(entries, axis=0, return_inverse=True)[1].reshape(-1))
    return np.where(entries[:, 0] == entries[:, -1], entries[:, 0], out)


def _mapped(node: Linear | Sparse | Convolution, x: Array, numbers: _Numbers) -> Array:
    """Candidates are found by putting in a random number for each function; their weights are compared."""
    bias = linear_maps.bias(node) + 0.0
    random = np.random.default_rng(0).normal(size=numbers.used)
    random[0] = 0.0
    values = np.stack([random[x], (x > 0).astype(float)])
    y, size = linear_maps.apply(node, values[:1])[0], linear_maps.apply_abs(node, np.abs(values))
    out = numbers.fresh(np.arange(node.size))
    reads = size[1] > 0  # some weight of a function that is not zero: these sums have no products that could vanish
    for unit in np.nonzero(~reads)[0].tolist():
        out[unit] = numbers.constant(float(bias[unit]))
    scale = NEAR * float(size[0].max(initial=0.0))
    order = np.lexsort((y, bias))
    apart = (np.diff(y[order]) > scale) | (np.diff(bias[order]) != 0)
    group = np.r_[0, np.cumsum(apart)]
    several = np.bincount(group)[group] > 1
    units, group = order[several], group[several]
    units, group = units[reads[units]], group[reads[units]]
    step = max(1, CHUNK // max(1, linear_maps.terms(node)))
    known: dict[tuple[int, bytes], int] = {}
    for k in range(0, len(units), step):
        here = units[k : k + step]
        for unit, g, terms in zip(here.tolist(), group[k : k + step].tolist(), _terms(node, x, here), strict=True):
            out[unit] = known.setdefault((g, terms), int(out[unit]))
    return out


def _terms(node: Linear | Sparse | Convolution, x: Array, units: Array) -> list[bytes]:
    """Of each unit the functions that it reads and their weights, in an order that depends on nothing else."""
    weights = linear_maps.rows(node, units)
    row = np.repeat(np.arange(len(units)), np.diff(weights.indptr))
    inputs = x[weights.indices]
    order = np.lexsort((weights.data, inputs, row))
    order = order[inputs[order] > 0]
    pairs = np.stack([inputs[order].astype(np.int64), weights.data[order].view(np.int64)], 1)
    ends = np.cumsum(np.bincount(row[order], minlength=len(units))).tolist()
    return [pairs[lo:hi].tobytes() for lo, hi in zip([0, *ends], ends, strict=False)]
