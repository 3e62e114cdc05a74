"""Matrices of mostly zeros: rows over the units of a layer that are zero outside a box of the layer's space.

A unit of a convolutional layer feeds a few neighbours in the next layer, and so does its hinge: of the columns that a
reduction carries through a network most are local. Rows are kept as windows, those of one size together, and cost what
their windows cost. A layer without a space is one row of channels, and its rows are whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution
from splinegeo.partition import window_kernels as kernels
from splinegeo.partition.limbs import Pieces
from splinegeo.partition.longs import Long, mapped

WHOLE = 0.5  # of the space: larger windows are made whole
LIMBS = 3  # that rows with low parts are cut into
COLUMNS = 4096  # of a matrix looked at together
STEP = 4  # where windows are looked for, their sizes are multiples of this, to have few of them

Shape: TypeAlias = tuple[int, int, int, int]  # channels, and three dimensions of space


@dataclass(frozen=True, eq=False)
class Group:
    """Rows with windows of one size."""

    rows: Array  # (m,) their numbers
    start: Array  # (m, 3) first position of the window
    data: Array  # (m, channels, ., ., .)
    low: Array | None = None  # the same; numbers are data + low, see `longs`

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
    def whole(cls, matrix: Array, shape: tuple[int, ...] = (), low: Array | None = None) -> Windows:
        """A matrix as it is, of floats or, with ``low``, of twice as many digits."""
        live, n = matrix.shape
        full = padded(shape or (n,))
        low = None if low is None else low.reshape(live, *full)
        group = Group(np.arange(live), np.zeros((live, 3), np.int64), matrix.reshape(live, *full), low)
        return cls(full, live, (group,) if live else ())

    @property
    def n(self) -> int:
        """Number of columns."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the windows take."""
        return sum(g.data.nbytes * (1 if g.low is None else 2) for g in self.groups)

    @property
    def long(self) -> bool:
        """Whether there are low parts."""
        return any(g.low is not None for g in self.groups)

    @property
    def low(self) -> Windows:
        """The low parts as a matrix of their own."""
        return replace(self, groups=tuple(replace(g, data=g.low, low=None) for g in self.groups if g.low is not None))

    def _is_whole(self, group: Group) -> bool:
        return group.size == self.shape[1:]

    def dense(self) -> Array:
        """The matrix, rounded; not to be written to."""
        if len(self.groups) == 1:
            (g,) = self.groups
            if self._is_whole(g) and np.array_equal(g.rows, np.arange(self.live)):
                return g.data.reshape(self.live, self.n)
        out = np.zeros((self.live, *self.shape))
        for g in self.groups:
            if self._is_whole(g):
                out[g.rows] = g.data
            else:
                kernels.place(g.data, g.start, g.rows, out)
        return out.reshape(self.live, self.n)

    def only(self, units: Array) -> Array:
        """Some columns (live, len(units)), rounded."""
        out = np.zeros((self.live, len(units)))
        c, *place = np.unravel_index(units, self.shape)
        for g in self.groups:
            if self._is_whole(g):
                out[g.rows] = g.data.reshape(len(g.rows), self.n)[:, units]
            else:
                kernels.take(g.data, g.start, g.rows, c, *place, out)
        return out

    def taken(self, units: Array) -> Windows:
        """Some columns, as whole rows of a layer without a space."""
        return Windows.whole(self.only(units), low=self.low.only(units) if self.long else None)

    def times(self, factors: Array) -> Windows:
        """Column k times factors[k]."""
        f = np.ascontiguousarray(factors, np.float64).reshape(self.shape)
        groups = []
        for g in self.groups:
            data = np.empty_like(g.data)
            low = None if g.low is None else np.empty_like(data)
            more = (g.data, data) if low is None else (g.low, low)
            kernels.multiply(low is not None, g.data, more[0], g.start, f, data, more[1])
            groups.append(replace(g, data=data, low=low))
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
                kernels.combine(g.data, g.start, w, absolute, out)
        return out.reshape(k, self.n)

    def with_units(self, rows: Array, units: Array, live: int, long: bool = False) -> Windows:
        """More rows, ``live`` of them in all: rows[k] is one at units[k], else zero; ``long`` adds low parts."""
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
        more = Group(np.asarray(rows), start, data, np.zeros_like(data) if long else None)
        return replace(self, live=live, groups=(*self.groups, more))

    def shaped(self, shape: tuple[int, ...]) -> Windows:
        """The same for a layer of another shape with as many units; windows are looked for anew."""
        full = padded(shape)
        if full == self.shape:
            return self
        low = self.low.dense() if self.long else None
        if math.prod(full[1:]) == 1:
            return Windows.whole(self.dense(), shape, low)
        return windows_of(self.dense(), full, low)

    def selected(self, axes: tuple[Array, ...], room: Callable[[int], None]) -> Windows:
        """A layer whose unit at (k, p, q, r) is the unit at (axes[0][k], ..., axes[3][r]) of this one."""
        channels = axes[0]
        shape = padded(tuple(map(len, axes)))
        space, groups = np.array(shape[1:]), []
        for g in self.groups:
            first, last = np.empty_like(g.start), np.empty_like(g.start)
            for d, (axis, width) in enumerate(zip(axes[1:], g.size, strict=True)):
                taken = (axis >= g.start[:, d, None]) & (axis < g.start[:, d, None] + width)
                first[:, d], last[:, d] = taken.argmax(1), len(axis) - taken[:, ::-1].argmax(1)
                last[~taken.any(1), d] = 0
            size = _rounded(np.maximum(last - first, 1).max(0), space)
            start = np.minimum(first, space - size)
            full = len(g.rows), shape[0], *size.tolist()
            room((8 if g.low is None else 16) * math.prod(full))
            data, low = np.zeros(full), None if g.low is None else np.zeros(full)
            kernels.select(g.data, g.start, channels, *axes[1:], start, data)
            if g.low is not None:
                kernels.select(g.low, g.start, channels, *axes[1:], start, low)
            groups.append(Group(g.rows, start, data, low))
        return Windows(shape, self.live, tuple(groups))

    def peaks(self) -> float:
        """The sum of the rows' largest absolute entries."""
        return float(sum(np.abs(g.data).reshape(len(g.rows), -1).max(1).sum() for g in self.groups))

    def whole_numbers(self) -> Array:
        """The units (n,) that have small whole numbers in all rows."""
        out = np.ones(self.shape, bool)
        for g in self.groups:
            kernels.whole_numbers(g.data, g.data if g.low is None else g.low, g.start, out)
        return out.ravel()

    def through(self, node: Convolution, room: Callable[[int], None], pieces: Pieces | None = None) -> Windows:
        """Every row through the convolution; ``room`` is told the bytes of each group of results before it is made.

        ``pieces`` are those of the convolution, where rows have low parts.
        """
        x, d = self.shaped(node.in_shape), len(node.stride)
        shape = padded(node.out_shape)
        groups = []
        for g in x.groups:
            if x._is_whole(g):
                room((8 if g.low is None else 16) * len(g.rows) * node.size)
                out = [np.empty((len(g.rows), *shape)) for x in (g.data, g.low) if x is not None]
                for here, found in _applied(node, pieces, g.data, g.low, linear_maps.apply, node.size):
                    for y, part in zip(out, found, strict=True):
                        y[here] = part.reshape(-1, *shape)
                groups.append(Group(g.rows, g.start, *out))
            else:
                groups.append(_through(node, g, shape, 3 - d, room, pieces))
        return Windows(shape, self.live, tuple(groups))


def padded(shape: tuple[int, ...]) -> Shape:
    """A shape (channels, ...) with three dimensions of space."""
    channels, *space = shape
    a, b, c = [1] * (3 - len(space)) + space
    return channels, a, b, c


def windows_of(matrix: Array, shape: Shape, rest: Array | None = None) -> Windows:
    """A matrix (live, n), cut to windows where its rows are local; with ``rest`` one of twice as many digits."""
    live = len(matrix)
    x = np.ascontiguousarray(matrix).reshape(live, *shape)
    low, high = np.empty((live, 3), np.int64), np.empty((live, 3), np.int64)
    kernels.boxes(x, low, high)
    space = np.array(shape[1:])
    sizes = _rounded(np.maximum(high - low, 0), space)
    some = (high > low).all(1)
    groups = []
    for size in np.unique(sizes[some], axis=0):
        rows = np.nonzero(some & (sizes == size).all(1))[0]
        start = np.minimum(low[rows], space - size)
        low_part = None if rest is None else _cut(rest.reshape(x.shape), rows, start, size)
        groups.append(Group(rows, start, _cut(x, rows, start, size), low_part))
    return Windows(shape, live, tuple(groups))


def _cut(x: Array, rows: Array, start: Array, size: Array) -> Array:
    """Windows of one size out of rows of x."""
    data = np.empty((len(rows), x.shape[1], *size.tolist()))
    for k, (row, first, last) in enumerate(zip(rows, start, start + size, strict=True)):
        data[k] = x[(row, slice(None), *map(slice, first, last))]
    return data


def total(parts: list[tuple[Array, Windows]], room: Callable[[int], None]) -> Windows:
    """The sum of matrices over the same units, columns times factors (n,) each."""
    shape = max((x.shape for _, x in parts), key=lambda s: math.prod(s[1:]))
    parts = [(np.ascontiguousarray(f, np.float64).reshape(shape), x.shaped(shape)) for f, x in parts]
    live, space, long = max(x.live for _, x in parts), np.array(shape[1:]), any(x.long for _, x in parts)
    first, last = np.tile(space, (live, 1)), np.zeros((live, 3), np.int64)
    for _, x in parts:
        for g in x.groups:
            first[g.rows] = np.minimum(first[g.rows], g.start)
            last[g.rows] = np.maximum(last[g.rows], g.start + g.size)
    some = (last > first).all(1)
    sizes = _rounded(np.maximum(last - first, 0), space)
    groups, place = [], np.zeros(live, np.int64)
    for size in np.unique(sizes[some], axis=0):
        rows = np.nonzero(some & (sizes == size).all(1))[0]
        start = np.minimum(first[rows], space - size)
        room((16 if long else 8) * len(rows) * shape[0] * int(size.prod()))
        data = np.zeros((len(rows), shape[0], *size.tolist()))
        rest = np.zeros_like(data) if long else None
        place[:] = -1
        place[rows] = np.arange(len(rows))
        for factors, x in parts:
            for g in x.groups:
                low = g.data if g.low is None else g.low
                into = data if rest is None else rest
                kernels.add(long, g.data, low, g.start, factors, place[g.rows], start, data, into)
        groups.append(Group(rows, start, data, rest))
    return Windows(shape, live, tuple(groups))


def _rounded(sizes: Array, space: Array) -> Array:
    """Sizes (..., 3) of windows rounded up, to have few of them, and to the whole space where that is not much more."""
    rounded = np.minimum(-(-sizes // STEP) * STEP, space)
    return np.where((rounded.prod(-1) > WHOLE * space.prod())[..., None], space, rounded)


def _applied(
    node: Convolution, pieces: Pieces | None, data: Array, low: Array | None, apply: Callable[..., Array], size: int
) -> Iterator[tuple[slice, list[Array]]]:
    """Slices of rows and what ``apply`` makes of them, (., size) with low parts if there are any."""
    m, step = len(data), max(1, linear_maps.CHUNK_BYTES // (8 * size))
    if low is None:
        for k in range(0, m, step):
            yield slice(k, k + step), [apply(node, data[k : k + step].reshape(min(step, m - k), -1))]
        return
    assert pieces is not None
    step = max(1, step // (4 * (1 + LIMBS * len(pieces.layers))))  # there are so many products, and copies of them
    for k in range(0, m, step):
        here = slice(k, k + step)
        x = Long(np.stack([part[here].reshape(min(step, m - k), -1) for part in (data, low)]))
        yield here, list(mapped(pieces, node, x, LIMBS, apply).parts)


def _through(
    node: Convolution, g: Group, shape: Shape, skip: int, room: Callable[[int], None], pieces: Pieces | None
) -> Group:
    """A group of windows through a convolution whose space has 3 - skip dimensions."""
    space, size, start = np.array(shape[1:]), np.array(g.size), g.start
    one = [1] * skip
    stride, dilation = np.array([*one, *node.stride]), np.array([*one, *node.dilation])
    pad = np.array([*[0] * skip, *node.padding])
    reach = dilation * (np.array([*one, *node.kernel.shape[2:]]) - 1)
    parts = [x for x in (g.data, g.low) if x is not None]
    if node.transposed:
        first = start * stride - pad
        padding = np.zeros(3, np.int64)
    else:
        # Windows begin where an output's first product does, or a little before.
        late = (start + pad - reach) % stride
        if stride.max() > 1:
            wider = [np.zeros((*g.data.shape[:2], *(size + stride - 1))) for _ in parts]
            for x, out in zip(parts, wider, strict=True):
                kernels.place(x, late, np.arange(len(x)), out)
            parts = wider
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
    room(8 * len(parts) * m * shape[0] * int(target.prod()))
    outs = [np.zeros((m, shape[0], *target.tolist())) for _ in parts]

    def apply(weights: Convolution, x: Array) -> Array:
        return linear_maps.apply_window(weights, window, x)

    for here, results in _applied(node, pieces, parts[0], parts[1] if len(parts) > 1 else None, apply, window.size):
        for out, result in zip(outs, results, strict=True):
            x = result.reshape(len(result), shape[0], *one, *found)
            kernels.place(x, (first - into)[here], np.arange(m)[here], out)
    return Group(g.rows, into, *outs)
