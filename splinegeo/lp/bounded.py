"""The simplex of `splinegeo.lp.simplex` for boxes: the largest margin s of a few rows over |v_i| <= reach_i.

    s <= g_j·v + c_j for all rows j,    v_i = ± x_i,    0 <= x_i <= reach_i

Bounds take no rows of their own. A coordinate that is not basic rests at 0, where turning it around lets it grow either
way, or at its bound, where the dictionary speaks of how far it is below (the bounded simplex: G. Dantzig, "Upper
bounds, secondary constraints, and block triangularity in linear programming", Econometrica 23, 1955).
"""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo.lp.simplex import NOISE, OPTIMAL, POSITIVE, SHRINK, STUCK, _pivot, begin


@kernel(inner=True)
def maximise_bounded(g, c, m, d, reach, table, basis, others, turned, full, enough):
    """Run the simplex on rows g (m, d), c (m,); POSITIVE, OPTIMAL or STUCK.

    table (m, d + 2), basis (m,), others (d + 1,), turned (d,), 1 or -1 for each coordinate, and full (d,), 1 where the
    dictionary counts down from the bound, are filled in.
    """
    last = d + 1
    begin(g, c, m, d, table, basis, others, turned)
    for i in range(d):
        full[i] = 0
    for _ in range(50 + 10 * (m + d)):
        if table[0, last] >= enough:
            return POSITIVE
        enter, best, turn = -1, NOISE, False
        for j in range(last):
            a = table[0, j]
            if a > best:
                best, enter, turn = a, j, False
            elif -a > best and others[j] < d and full[others[j]] == 0:
                best, enter, turn = -a, j, True
        if enter < 0:
            return OPTIMAL
        if turn:
            turned[others[enter]] *= -1
            for r in range(m):
                table[r, enter] = -table[r, enter]
        leave, ratio, slope, at_bound = -1, np.inf, 0.0, False
        if others[enter] < d:
            ratio = reach[others[enter]]
        for r in range(1, m):
            a, b = -table[r, enter], basis[r]
            if a > NOISE:
                q = max(table[r, last], 0.0)
            elif a < -NOISE and b < d:
                a = -a
                q = max(reach[b] - table[r, last], 0.0)
            else:
                continue
            # Of equal ratios the one with the largest pivot.
            if q < ratio * a - 1e-14 or (q <= ratio * a + 1e-14 and a > slope):
                ratio = q / a
                slope = a
                leave = r
                at_bound = table[r, enter] > 0
        if leave < 0:
            if others[enter] >= d:
                return STUCK
            for r in range(m):  # it runs through to its other end, and no basic variable stops it
                table[r, last] += table[r, enter] * ratio
                table[r, enter] = -table[r, enter]
            full[others[enter]] ^= 1
            continue
        if at_bound:
            b = basis[leave]
            for j in range(last):
                table[leave, j] = -table[leave, j]
            table[leave, last] = reach[b] - table[leave, last]
            full[b] ^= 1
        _pivot(table, m, d + 2, leave, enter)
        basis[leave], others[enter] = others[enter], basis[leave]
    return STUCK


@kernel(inner=True)
def bounded_point_of(table, basis, others, turned, full, m, d, reach, point):
    """The point (d,) of a dictionary, drawn in a little."""
    for j in range(d + 1):
        if others[j] < d:
            i = others[j]
            point[i] = reach[i] * turned[i] * SHRINK if full[i] else 0.0
    for r in range(1, m):
        i = basis[r]
        if 0 <= i < d:
            x = reach[i] - table[r, d + 1] if full[i] else table[r, d + 1]
            point[i] = x * turned[i] * SHRINK
