"""Which walls of a cell are facets of it: a kernel like `splinegeo.lp.cells.look`, for cells that are regions."""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.lp.bounded import bounded_point_of, maximise_bounded
from splinegeo.lp.cells import NO, OPEN, YES, _gather
from splinegeo.lp.simplex import ENOUGH, EPS, POSITIVE, inside, maximise, multipliers_of, outside, point_of


@kernel()
def look_across(rows, errors, scales, block, state, found, inner, outer):
    """Whether cells have points beyond a wall that they lie above: found (n, N), YES, NO or OPEN; NO for other hinges.

    Beyond the wall, and on the same side of all others, there are points if and only if the wall is a facet.
    """
    n, hinges = state.shape
    d = rows.shape[2] - 1
    g, c, error = np.empty((hinges, d)), np.empty(hinges), np.empty(hinges)
    table, basis = np.empty((hinges + 1, d + 2)), np.empty(hinges + 1, np.int64)
    others, turned, full = np.empty(d + 1, np.int64), np.empty(d, np.int64), np.empty(d, np.int64)
    weights, scratch = np.empty(hinges), np.empty(d)
    boxed = len(inner) > 0
    for i in range(n):
        b = block[i]
        for wall in range(hinges):
            found[i, wall] = NO
            if state[i, wall] != 2:
                continue
            m = 0
            for j in range(hinges):
                if abs(state[i, j]) == 2:
                    up = (state[i, j] > 0) != (j == wall)
                    _gather(rows[b, j], errors[b, j], scales[b, j] if up else -scales[b, j], g, c, error, m)
                    m += 1
            found[i, wall] = OPEN
            if boxed:
                status = maximise_bounded(g, c, m, d, inner, table, basis, others, turned, full, ENOUGH)
            else:
                status = maximise(g, c, m, d, table, basis, others, turned, ENOUGH)
            if status == POSITIVE or table[0, d + 1] > 0:
                if boxed:
                    bounded_point_of(table, basis, others, turned, full, m, d, inner, scratch)
                else:
                    point_of(table, basis, turned, m, d, scratch)
                if inside(g, c, error, m, d, scratch, inner):
                    found[i, wall] = YES
            if found[i, wall] == OPEN and status != POSITIVE:
                multipliers_of(table, others, m, d, weights)
                if outside(g, c, error, m, d, weights, scratch, outer):
                    found[i, wall] = NO


@kernel()
def proportional_rows(rows, errors, scales, block, state, found, doubtful):
    """For facets found (n, N) whether a later hinge may vanish on the facet of each wall: doubtful (n, N), 1 if so.

    A hinge vanishes there if its row is a multiple of the wall's, or zero.
    """
    n, hinges = state.shape
    width = rows.shape[2]
    for i in range(n):
        b = block[i]
        for j in range(hinges):
            doubtful[i, j] = 0
            if found[i, j] != YES:
                continue
            wall, lead = rows[b, j], 0
            for x in range(width):
                if abs(wall[x]) > abs(wall[lead]):
                    lead = x
            for k in range(j + 1, hinges):
                factor = rows[b, k, lead] / wall[lead]
                gap, size = 0.0, abs(rows[b, k, lead])
                for x in range(width):
                    gap = max(gap, abs(rows[b, k, x] - factor * wall[x]))
                    size = max(size, abs(rows[b, k, x]))
                # Coefficients of affine functions that are within e of each other on a domain at least half as large
                # as the frame are within 2.1 e. Were the true rows multiples, the gap would be at most this:
                doubt = 7.0 * (errors[b, k] + abs(factor) * errors[b, j])
                tiny = abs(wall[lead]) <= 10.0 * errors[b, j]
                if tiny or not gap > doubt + 8 * EPS * (size + abs(factor) * abs(wall[lead])):
                    doubtful[i, j] = 1
                    break
