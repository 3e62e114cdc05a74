"""A small dense simplex: can a few strict inequalities be satisfied inside the unit ℓ1 ball, or inside a box?

It maximises the smallest margin s over the ball,

    s <= g_j·v + c_j for all rows j,    v = p - q,    p, q >= 0,    sum(p) + sum(q) <= 1,

from the centre v = 0, where s is the smallest c_j, and stops as soon as s is positive enough. What it returns is only a
suggestion: a point that `inside` then proves to satisfy all rows, or multipliers that `outside` proves to combine the
rows to one that is negative in the whole ball. Both proofs account for every rounding; `splinegeo.lp.judge`
decides what they leave open. `splinegeo.lp.bounded` is the same for boxes; the proofs are here for both, with the box's
half-widths in ``reach``, which is empty for the ball.

The dictionary has a row for each basic variable, x_basic = T[i, -1] + sum_j T[i, j] x_j over the others: first s, then
the slacks. Of p_i and q_i at least one is zero, and their columns say the same: turning coordinate i around makes the
one into the other, so there is one column for both. Variables are numbered by coordinate (0 ... d-1), slack of the rows
(d ... d+m-1) and of the norm (d + m); s is -1.
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel

EPS = 2.0**-53
SHRINK = 1.0 - 2.0**-40  # points are drawn in from the boundary of the ball, which is open
ENOUGH = 0.02  # a margin, of rows scaled to largest entry 1/2 to 1, at which a point is good enough to stop at
NOISE = 1e-11  # below it an entry of the dictionary is taken for zero

POSITIVE, OPTIMAL, STUCK = 1, 0, -1


@kernel(inner=True)
def begin(g, c, m, d, table, basis, others, turned):
    """The dictionary at v = 0, where s is the smallest c: its rows for s and the slacks; how many they are."""
    last, star = d + 1, 0
    for j in range(1, m):
        if c[j] < c[star]:
            star = j
    for i in range(d):
        table[0, i] = g[star, i]
        others[i] = i
        turned[i] = 1
    table[0, d] = -1.0
    table[0, last] = c[star]
    others[d] = d + star
    basis[0] = -1
    row = 1
    for j in range(m):
        if j == star:
            continue
        for i in range(d):
            table[row, i] = g[j, i] - g[star, i]
        table[row, d] = 1.0
        table[row, last] = c[j] - c[star]
        basis[row] = d + j
        row += 1
    return row


@kernel(inner=True)
def maximise(g, c, m, d, table, basis, others, turned, enough):
    """Run the simplex on rows g (m, d), c (m,); POSITIVE, OPTIMAL or STUCK.

    table (m + 1, d + 2), basis (m + 1,), others (d + 1,) and turned (d,), 1 or -1 for each coordinate, are filled in.
    """
    last = d + 1
    row = begin(g, c, m, d, table, basis, others, turned)
    for i in range(d):
        table[row, i] = -1.0
    table[row, d] = 0.0
    table[row, last] = 1.0
    basis[row] = d + m
    norm_row, norm_column = row, -1  # where the slack of the norm is
    for _ in range(50 + 10 * (m + d)):
        if table[0, last] >= enough:
            return POSITIVE
        twice = 2.0 * table[0, norm_column] if norm_column >= 0 else 0.0
        enter, best, turn = -1, NOISE, False
        for j in range(last):
            a = table[0, j]
            if a > best:
                best, enter, turn = a, j, False
            elif others[j] < d and twice - a > best:
                best, enter, turn = twice - a, j, True
        if enter < 0:
            return OPTIMAL
        if turn:
            turned[others[enter]] *= -1
            for r in range(m + 1):
                table[r, enter] = -table[r, enter]
                if norm_column >= 0:
                    table[r, enter] += 2.0 * table[r, norm_column]
            if norm_row >= 0:
                table[norm_row, enter] -= 2.0
        leave, ratio, slope = -1, np.inf, 0.0
        for r in range(1, m + 1):
            a = -table[r, enter]
            if a > NOISE:
                q = max(table[r, last], 0.0)
                # Of equal ratios the one with the largest pivot.
                if q < ratio * a - 1e-14 or (q <= ratio * a + 1e-14 and a > slope):
                    ratio = q / a
                    slope = a
                    leave = r
        if leave < 0:
            return STUCK
        _pivot(table, m + 1, d + 2, leave, enter)
        basis[leave], others[enter] = others[enter], basis[leave]
        if leave == norm_row:
            norm_row, norm_column = -1, enter
        elif enter == norm_column:
            norm_row, norm_column = leave, -1
    return STUCK


@kernel({"contract"}, inner=True)
def _pivot(table, rows, width, leave, enter):
    inverse = 1.0 / table[leave, enter]
    pivot = table[leave]
    pivot[enter] = -1.0
    for j in range(width):
        pivot[j] *= -inverse
    for r in range(rows):
        if r == leave:
            continue
        factor = table[r, enter]
        if factor == 0.0:
            continue
        row = table[r]
        row[enter] = 0.0
        for j in range(width):
            row[j] += factor * pivot[j]


@kernel(inner=True)
def point_of(table, basis, turned, m, d, point):
    """The point (d,) of a dictionary, drawn in a little."""
    for i in range(d):
        point[i] = 0.0
    for r in range(1, m + 1):
        b = basis[r]
        if 0 <= b < d:
            point[b] = table[r, d + 1] * SHRINK * turned[b]


@kernel(inner=True)
def multipliers_of(table, others, m, d, weights):
    """The multipliers (m,) >= 0 of the rows in a dictionary."""
    for j in range(m):
        weights[j] = 0.0
    for k in range(d + 1):
        j = others[k] - d
        if 0 <= j < m and table[0, k] < 0:
            weights[j] = -table[0, k]


@kernel(inner=True)
def inside(g, c, error, m, d, point, reach):
    """Whether a point is proved to lie in the open domain and strictly inside all rows, known up to error (m,).

    Here and in `outside` no entry of a row is larger than 1, so that over a box, whose half-widths are 1 or less, d + 1
    entries may add up where over the ball it is 2.
    """
    norm, terms = 0.0, 2.0
    if len(reach) > 0:
        terms = d + 1.0
        for i in range(d):
            if not abs(point[i]) < reach[i]:
                return False
    else:
        for i in range(d):
            norm += abs(point[i])
        if not norm * (1.0 + (d + 2) * EPS) < 1.0:
            return False
    for j in range(m):
        value = c[j]
        for i in range(d):
            value += g[j, i] * point[i]
        if not value > 1.01 * (error[j] + terms * (d + 4) * EPS):
            return False
    return True


@kernel(inner=True)
def steepness(row, d, reach):
    """A bound on what d coefficients contribute over the domain; ``reach`` must not be too small here."""
    steepest = 0.0
    if len(reach) > 0:
        for i in range(d):
            steepest += abs(row[i]) * reach[i]
        return steepest * (1.0 + (d + 1) * EPS)
    for i in range(d):
        steepest = max(steepest, abs(row[i]))
    return steepest


@kernel(inner=True)
def outside(g, c, error, m, d, weights, scratch, reach):
    """Whether the rows, so weighted, are proved to add up to a row that is negative all over the domain.

    Half-widths ``reach`` of a box must be rounded up.
    """
    for i in range(d):
        scratch[i] = 0.0
    total, slack = 0.0, 0.0
    terms = d + 1.0 if len(reach) > 0 else 2.0
    for j in range(m):
        w = weights[j]
        if w == 0.0:
            continue
        for i in range(d):
            scratch[i] += w * g[j, i]
        total += w * c[j]
        slack += w * (error[j] + terms * (m + 4) * EPS)
    steepest = steepness(scratch, d, reach)
    return total + steepest + 1.01 * slack + 4 * EPS * (abs(total) + steepest) < 0.0
