"""Batches of cells, hinge by hinge: the rows of a level, and on which sides of a hinge a cell has points.

A cell is the part of the open domain, the unit ball or a box, where the hinges so far have given sides. Its state has
an entry for each: -1 or 1 for a hinge that does not change sides in the cell that it came from, -2 or 2 for one that
split it, a wall.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.lp.bounded import bounded_point_of, maximise_bounded
from splinegeo.lp.simplex import (
    ENOUGH,
    EPS,
    POSITIVE,
    inside,
    maximise,
    multipliers_of,
    outside,
    point_of,
    steepness,
)

YES, NO, OPEN = 1, 0, -1


@kernel()
def fill_rows(
    first,
    last,
    constant,
    hinges,
    slopes,
    error,
    state,
    block,
    old,
    old_error,
    old_scale,
    old_copy,
    rows,
    errors,
    scales,
    copies,
    outer,
):
    """Rows of hinges first ... last - 1 for each of n cells, those of lower levels copied from the cell's old block.

    rows (n, N, d + 1), errors (n, N); a row is what `Live` has, in terms of (v, 1). scales (n, N) are powers of two
    that bring rows to a largest entry of 1 or less, and above 1/2 unless it is tiny. copies (n, N) says which hinge's
    row a row is a multiple of, exactly: 1 + its number, negative for a negative multiple, 0 for none.
    """
    width = constant.shape[1]
    d = width - 1
    for i in range(len(state)):
        b = block[i]
        for j in range(first):
            errors[i, j] = old_error[b, j]
            scales[i, j] = old_scale[b, j]
            copies[i, j] = old_copy[b, j]
            for x in range(width):
                rows[i, j, x] = old[b, j, x]
        for k in range(first, last):
            row = rows[i, k]
            for x in range(width):
                row[x] = constant[k, x]
            size = steepness(row, d, outer) + abs(row[d])
            doubt = error[k]
            plain, terms, only = doubt == 0.0 and size == 0.0, 0, 0
            for j in range(first):
                factor = hinges[k, j] * slopes[j, 1 if state[i, j] > 0 else 0]
                if factor == 0.0:
                    continue
                terms += 1
                only = j + 1 if factor > 0.0 else -j - 1
                lower = rows[i, j]
                for x in range(width):
                    row[x] += factor * lower[x]
                size += abs(factor) * (steepness(lower, d, outer) + abs(lower[d]))
                doubt += abs(factor) * errors[i, j]
            if size > 0.0:
                doubt = (doubt + (first + 4) * EPS * size) * (1.0 + (2 * first + 8) * EPS) + 1e-300
            errors[i, k] = doubt
            copies[i, k] = only if plain and terms == 1 else 0
            largest = 0.0
            for x in range(width):
                largest = max(largest, abs(row[x]))
            scales[i, k] = 2.0 ** -max(np.ceil(np.log2(largest)), -1000.0) if largest > 0.0 else 1.0


@kernel(inner=True)
def _gather(row, doubt, scale, g, c, error, j):
    """Row j of a linear programme, from a row times its scale, with the sign of the side."""
    d = len(row) - 1
    for x in range(d):
        g[j, x] = scale * row[x]
    c[j] = scale * row[d]
    error[j] = abs(scale) * doubt


@kernel()
def look(k, rows, errors, scales, copies, block, state, witness, found, points, inner, outer):
    """On which sides of hinge k each of n cells has points: found (n, 2), below and above, YES, NO or OPEN.

    witness (n, d) is a point of each cell, or NaN where none is known; points (n, 2, d) are those of the two sides.
    ``inner`` and ``outer`` are those of `splinegeo.lp.places.Place`, empty for the ball.
    """
    n, d = witness.shape
    g, c, error = np.empty((k + 1, d)), np.empty(k + 1), np.empty(k + 1)
    table, basis = np.empty((k + 2, d + 2)), np.empty(k + 2, np.int64)
    others, turned, full = np.empty(d + 1, np.int64), np.empty(d, np.int64), np.empty(d, np.int64)
    weights, scratch = np.empty(k + 1), np.empty(d)
    boxed = len(inner) > 0
    for i in range(n):
        row, doubt = rows[block[i], k], errors[block[i], k]
        steepest, constant = steepness(row, d, outer), row[d]
        tolerance = 1.01 * doubt + 4 * EPS * (steepest + abs(constant))
        found[i, 0] = NO
        found[i, 1] = NO
        points[i] = np.nan
        if tolerance == 0.0:  # zero, exactly
            continue
        copy = copies[block[i], k]
        if copy != 0:
            sign = state[i, abs(copy) - 1]
            if sign > 0 or sign == -2:  # of -1 it may be that the row is zero
                side = 1 if (sign > 0) == (copy > 0) else 0
                found[i, side] = YES
                points[i, side] = witness[i]
                continue
        if constant - steepest > tolerance or constant + steepest < -tolerance:
            side = 1 if constant > 0 else 0
            found[i, side] = YES
            points[i, side] = witness[i]
            continue
        value = constant
        for x in range(d):
            value += row[x] * witness[i, x]
        known = -1  # the side of the witness, if that is certain
        if value > tolerance + 2 * d * EPS * steepest:
            known = 1
        elif value < -tolerance - 2 * d * EPS * steepest:
            known = 0
        m = 0
        for j in range(k):
            if abs(state[i, j]) == 2:
                scale = scales[block[i], j]
                _gather(rows[block[i], j], errors[block[i], j], scale if state[i, j] > 0 else -scale, g, c, error, m)
                m += 1
        scale = scales[block[i], k]
        for side in range(2):
            if side == known:
                found[i, side] = YES
                points[i, side] = witness[i]
                continue
            _gather(row, doubt, scale if side else -scale, g, c, error, m)
            found[i, side] = OPEN
            if boxed:
                status = maximise_bounded(g, c, m + 1, d, inner, table, basis, others, turned, full, ENOUGH)
            else:
                status = maximise(g, c, m + 1, d, table, basis, others, turned, ENOUGH)
            if status == POSITIVE or table[0, d + 1] > 0:
                if boxed:
                    bounded_point_of(table, basis, others, turned, full, m + 1, d, inner, scratch)
                else:
                    point_of(table, basis, turned, m + 1, d, scratch)
                if inside(g, c, error, m + 1, d, scratch, inner):
                    found[i, side] = YES
                    points[i, side] = scratch
            if found[i, side] == OPEN and status != POSITIVE:
                multipliers_of(table, others, m + 1, d, weights)
                if outside(g, c, error, m + 1, d, weights, scratch, outer):
                    found[i, side] = NO


@kernel()
def branch(k, found, points, block, state, witness, new_block, new_state, new_witness):
    """The cells on either side of hinge k, below first; their number. The new arrays have room for 2 n of them."""
    n, d = witness.shape
    out = 0
    for i in range(n):
        split = found[i, 0] == YES and found[i, 1] == YES
        for side in range(2):
            if found[i, side] != YES and not (side == 0 and found[i, 1] != YES):  # zero all over counts as below
                continue
            new_block[out] = block[i]
            for j in range(k):
                new_state[out, j] = state[i, j]
            new_state[out, k] = (2 * side - 1) * (2 if split else 1)
            for x in range(d):
                new_witness[out, x] = points[i, side, x] if found[i, side] == YES else witness[i, x]
            out += 1
    return out


@kernel()
def final_state(rows, errors, scales, state, side, k, inner, basis, others, turned, full):
    """Where the simplex ends for one cell and one side of hinge k, see `maximise` and `maximise_bounded`.

    The number of rows; of the last three arrays boxes need all, balls the first two.
    """
    d = rows.shape[1] - 1
    g, c, error = np.empty((k + 1, d)), np.empty(k + 1), np.empty(k + 1)
    table = np.empty((k + 2, d + 2))
    m = 0
    for j in range(k):
        if abs(state[j]) == 2:
            _gather(rows[j], errors[j], scales[j] if state[j] > 0 else -scales[j], g, c, error, m)
            m += 1
    _gather(rows[k], errors[k], scales[k] if side else -scales[k], g, c, error, m)
    if len(inner) > 0:
        maximise_bounded(g, c, m + 1, d, inner, table, basis, others, turned, full, np.inf)
    else:
        maximise(g, c, m + 1, d, table, basis, others, turned, np.inf)
    return m + 1
