"""Matrices of mostly zeros: rows over the units of a layer that are zero outside a box of the layer's space.

A unit of a convolutional layer feeds a few neighbours in the next layer, and so does its hinge: of the columns that a
reduction carries through a network most are local. Rows are kept as windows, those of one size together, and cost what
their windows cost. A layer without a space is one row of channels, and its rows are whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution

WHOLE = 0.5  # of the space: larger windows are made whole
COLUMNS = 4096  # of a matrix looked at together
STEP = 4  # where windows are looked for, their sizes are multiples of this, to have few of them

Shape: TypeAlias = tuple[int, int, int, int]  # channels, and three dimensions of space


@dataclass(frozen=True, eq=False)
class Group:
    """Rows with windows of one size."""

    rows: Array  # (m,) their numbers
    start: Array  # (m, 3) first position of the window
    data: Array  # (m, channels, ., ., .)

    @property
    def size(self) -> tuple[int, ...]:
        """Size of the window."""
        return self.data.shape[2:]


@dataclass(frozen=True, eq=False)
class Windows:
    """A matrix (live, n) of float64 over the n units of a layer of this shape. No row is in two groups."""

    shape: Shape
    live: int
    groups: tuple[Group, ...]

    @classmethod
    def whole(cls, matrix: Array, shape: tuple[int, ...] = ()) -> Windows:
        """A matrix as it is."""
        live, n = matrix.shape
        full = padded(shape or (n,))
        group = Group(np.arange(live), np.zeros((live, 3), np.int64), matrix.reshape(live, *full))
        return cls(full, live, (group,) if live else ())

    @property
    def n(self) -> int:
        """Number of columns."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the windows take."""
        return sum(g.data.nbytes for g in self.groups)

    def _is_whole(self, group: Group) -> bool:
        return group.size == self.shape[1:]

    def dense(self) -> Array:
        """The matrix; not to be written to."""
        if len(self.groups) == 1:
            (g,) = self.groups
            if self._is_whole(g) and np.array_equal(g.rows, np.arange(self.live)):
                return g.data.reshape(self.live, self.n)
        out = np.zeros((self.live, *self.shape))
        for g in self.groups:
            if self._is_whole(g):
                out[g.rows] = g.data
            else:
                _place(g.data, g.start, g.rows, out)
        return out.reshape(self.live, self.n)

    def only(self, units: Array) -> Array:
        """Some columns (live, len(units)), as a matrix of its own."""
        out = np.zeros((self.live, len(units)))
        c, *place = np.unravel_index(units, self.shape)
        for g in self.groups:
            if self._is_whole(g):
                out[g.rows] = g.data.reshape(len(g.rows), self.n)[:, units]
            else:
                _take(g.data, g.start, g.rows, c, *place, out)
        return out

    def times(self, factors: Array) -> Windows:
        """Column k times factors[k]."""
        f = np.ascontiguousarray(factors, np.float64).reshape(self.shape)
        groups = []
        for g in self.groups:
            data = np.empty_like(g.data)
            _multiply(g.data, g.start, f, data)
            groups.append(replace(g, data=data))
        return replace(self, groups=tuple(groups))

    def combined(self, weights: Array, absolute: bool = False) -> Array:
        """(k, n) the transposed weights (live or more, k) times the matrix, or times its absolute values."""
        k = weights.shape[1]
        out = np.zeros((k, *self.shape))
        for g in self.groups:
            w = np.ascontiguousarray(weights[g.rows])
            if self._is_whole(g):
                flat = g.data.reshape(len(w), self.n)
                for start in range(0, self.n, COLUMNS):  # in parts, for the sake of memory
                    part = flat[:, start : start + COLUMNS]
                    out.reshape(k, self.n)[:, start : start + COLUMNS] += w.T @ (np.abs(part) if absolute else part)
            else:
                _combine(g.data, g.start, w, absolute, out)
        return out.reshape(k, self.n)

    def with_units(self, rows: Array, units: Array, live: int) -> Windows:
        """More rows, ``live`` of them in all: rows[k] is one at units[k] and zero elsewhere."""
        if not len(rows):
            return replace(self, live=live)
        channels, *space = self.shape
        c, *place = np.unravel_index(units, self.shape)
        if math.prod(space) == 1:
            start = np.zeros((len(rows), 3), np.int64)
        else:
            start = np.stack(place, 1).astype(np.int64)
        data = np.zeros((len(rows), channels, 1, 1, 1))
        data[np.arange(len(rows)), c] = 1.0
        return replace(self, live=live, groups=(*self.groups, Group(np.asarray(rows), start, data)))

    def shaped(self, shape: tuple[int, ...]) -> Windows:
        """The same for a layer of another shape with as many units; windows are looked for anew."""
        full = padded(shape)
        if full == self.shape:
            return self
        if math.prod(full[1:]) == 1:
            return Windows.whole(self.dense(), shape)
        return windows_of(self.dense(), full)

    def through(self, node: Convolution, room: Callable[[int], None]) -> Windows:
        """Every row through the convolution; ``room`` is told the bytes of each group of results before it is made."""
        x, d = self.shaped(node.in_shape), len(node.stride)
        shape = padded(node.out_shape)
        groups = []
        for g in x.groups:
            if x._is_whole(g):
                room(8 * len(g.rows) * node.size)
                out = linear_maps.apply(node, g.data.reshape(len(g.rows), -1))
                groups.append(Group(g.rows, g.start, out.reshape(len(g.rows), *shape)))
            else:
                groups.append(_through(node, g, shape, 3 - d, room))
        return Windows(shape, self.live, tuple(groups))


def padded(shape: tuple[int, ...]) -> Shape:
    """A shape (channels, ...) with three dimensions of space."""
    channels, *space = shape
    a, b, c = [1] * (3 - len(space)) + space
    return channels, a, b, c


def windows_of(matrix: Array, shape: Shape) -> Windows:
    """A matrix (live, n), cut to windows where its rows are local."""
    live = len(matrix)
    x = np.ascontiguousarray(matrix).reshape(live, *shape)
    low, high = np.empty((live, 3), np.int64), np.empty((live, 3), np.int64)
    _boxes(x, low, high)
    space = np.array(shape[1:])
    sizes = np.minimum(-(-np.maximum(high - low, 0) // STEP) * STEP, space)
    some = (high > low).all(1)
    sizes[some & (sizes.prod(1) > WHOLE * space.prod())] = space
    groups = []
    for size in np.unique(sizes[some], axis=0):
        rows = np.nonzero(some & (sizes == size).all(1))[0]
        start = np.minimum(low[rows], space - size)
        data = np.empty((len(rows), shape[0], *size.tolist()))
        _cut(x, rows, start, data)
        groups.append(Group(rows, start, data))
    return Windows(shape, live, tuple(groups))


def _through(node: Convolution, g: Group, shape: Shape, skip: int, room: Callable[[int], None]) -> Group:
    """A group of windows through a convolution whose space has 3 - skip dimensions."""
    space, size, start = np.array(shape[1:]), np.array(g.size), g.start
    one = [1] * skip
    stride, dilation = np.array([*one, *node.stride]), np.array([*one, *node.dilation])
    pad = np.array([*[0] * skip, *node.padding])
    reach = dilation * (np.array([*one, *node.kernel.shape[2:]]) - 1)
    data = g.data
    if node.transposed:
        first = start * stride - pad
        padding = np.zeros(3, np.int64)
    else:
        # Windows begin where an output's first product does, or a little before.
        late = (start + pad - reach) % stride
        if stride.max() > 1:
            data = np.zeros((*data.shape[:2], *(size + stride - 1)))
            _place(g.data, late, np.arange(len(data)), data)
            start, size = start - late, size + stride - 1
        first = (start + pad - reach) // stride
        padding = reach
    window = replace(node, in_shape=(node.in_shape[0], *size[skip:].tolist()), padding=tuple(padding[skip:].tolist()))
    found = linear_maps.spatial_size(window)
    window = replace(window, out_shape=(node.out_shape[0], *found), size=node.out_shape[0] * math.prod(found))
    target = np.minimum([*one, *found], space)
    if target.prod() > WHOLE * space.prod():
        target = space
    into = np.clip(first, 0, space - target)
    m = len(g.rows)
    room(8 * m * shape[0] * int(target.prod()))
    out = np.zeros((m, shape[0], *target.tolist()))
    step = max(1, linear_maps.CHUNK_BYTES // (8 * window.size))
    for k in range(0, m, step):
        part = linear_maps.apply_window(node, window, data[k : k + step].reshape(min(step, m - k), -1))
        here = slice(k, k + step)
        _place(part.reshape(len(part), shape[0], *one, *found), (first - into)[here], np.arange(m)[here], out)
    return Group(g.rows, into, out)


@kernel()
def _boxes(x, low, high):
    """The box (n, 3) of what is not zero in rows (n, channels, ., ., .); high <= low where all is zero."""
    for i in range(x.shape[0]):
        for d in range(3):
            low[i, d], high[i, d] = x.shape[2 + d], 0
        for c in range(x.shape[1]):
            for p in range(x.shape[2]):
                for q in range(x.shape[3]):
                    first, last = -1, -1
                    for r in range(x.shape[4]):
                        if x[i, c, p, q, r] != 0.0:
                            first = r if first < 0 else first
                            last = r
                    if first >= 0:
                        low[i, 0], high[i, 0] = min(low[i, 0], p), max(high[i, 0], p + 1)
                        low[i, 1], high[i, 1] = min(low[i, 1], q), max(high[i, 1], q + 1)
                        low[i, 2], high[i, 2] = min(low[i, 2], first), max(high[i, 2], last + 1)


@kernel()
def _cut(x, rows, start, data):
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for k in range(channels):
            for p in range(a):
                for q in range(b):
                    data[i, k, p, q] = x[rows[i], k, s + p, t + q, u : u + c]


@kernel()
def _take(data, start, rows, c, p, q, r, out):
    """Into out[rows] the entries at channels c and places (p, q, r) that lie in the windows."""
    for i in range(data.shape[0]):
        for k in range(c.shape[0]):
            x, y, z = p[k] - start[i, 0], q[k] - start[i, 1], r[k] - start[i, 2]
            if 0 <= x < data.shape[2] and 0 <= y < data.shape[3] and 0 <= z < data.shape[4]:
                out[rows[i], k] = data[i, c[k], x, y, z]


@kernel()
def _multiply(data, start, factors, out):
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for k in range(channels):
            for p in range(a):
                for q in range(b):
                    for r in range(c):
                        out[i, k, p, q, r] = data[i, k, p, q, r] * factors[k, s + p, t + q, u + r]


@kernel()
def _combine(data, start, weights, absolute, out):
    """Add to out[j] the sum over rows i of weights[i, j] times the window, or its absolute values."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for j in range(weights.shape[1]):
            w = weights[i, j]
            if w != 0.0:
                for k in range(channels):
                    for p in range(a):
                        for q in range(b):
                            for r in range(c):
                                x = data[i, k, p, q, r]
                                out[j, k, s + p, t + q, u + r] += w * (abs(x) if absolute else x)


@kernel()
def _place(data, start, rows, out):
    """Windows at ``start`` into rows of ``out``, as far as they lie within."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        low, high = max(0, -u), min(c, out.shape[4] - u)
        for k in range(channels):
            for p in range(max(0, -s), min(a, out.shape[2] - s)):
                for q in range(max(0, -t), min(b, out.shape[3] - t)):
                    for r in range(low, high):
                        out[rows[i], k, s + p, t + q, u + r] = data[i, k, p, q, r]
