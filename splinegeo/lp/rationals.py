"""Strict inequalities inside the open unit ℓ1 ball, or inside an open box, decided in rational arithmetic.

The linear programme is that of `splinegeo.lp.simplex`: the largest s with s <= a·v + c for all rows. Where floating
point ended is almost always the right vertex, and solving for it exactly settles the matter: its point proves that
there is room, its multipliers that there is none. Where it is not, a simplex with Bland's rule starts afresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import fmpq, fmpq_mat

from splinegeo._errors import SplineGeoError

Row = Sequence[int]  # d coefficients and a constant, up to a positive factor
Bounds = Sequence[tuple[Fraction, Fraction]]  # (low, high) of each coordinate


def satisfiable(rows: Sequence[Row], basis: Sequence[int]) -> bool:
    """Whether some v with |v_1| + ... + |v_d| < 1 has a·v + c > 0 for all rows (a, c).

    ``basis`` are the basic variables to try first: s is -1, p are 0 ... d-1, q d ... 2d-1 where v = p - q, then the
    slacks of the rows and that of the norm.
    """
    scaled = [_scaled(row) for row in rows]
    answer = _at_basis(scaled, basis)
    if answer is not None:
        return answer
    d = len(scaled[0]) - 1
    return _search(*_in_ball(scaled, d)) is not None


def satisfiable_in_box(rows: Sequence[Row], bounds: Bounds, tight: Sequence[int], rests: Sequence[int | None]) -> bool:
    """Whether some v with low < v < high has a·v + c > 0 for all rows (a, c).

    To be tried first: rows that are ``tight``, a·v + c = s, and for each coordinate -1, 0 or 1 if it ``rests`` at its
    lower bound, at 0 or at its upper bound.
    """
    scaled = [_scaled(row) for row in rows]
    low, high = _ends(bounds)
    answer = _at_rest(scaled, low, high, tight, rests)
    if answer is not None:
        return answer
    return _search(*_in_box(scaled, low, high)) is not None


def inner_point(rows: Sequence[Row], d: int, bounds: Bounds) -> list[Fraction]:
    """A point of the open box, or without ``bounds`` of the open ball, at which all rows are positive, as some are."""
    scaled = [_scaled(row) for row in rows]
    low, high = _ends(bounds)
    x = _search(*_in_box(scaled, low, high)) if bounds else _search(*_in_ball(scaled, d))
    if x is None:
        raise SplineGeoError("partition: a region has no point; this is a bug, please report the network")
    point = (
        [a + v for a, v in zip(low, x, strict=True)] if bounds else [p - q for p, q in zip(x[:d], x[d:], strict=True)]
    )
    share = fmpq(1, 2)
    while True:  # off the boundary of the domain, towards its centre, as far as the rows allow
        moved = [v * (1 - share) for v in point]
        if all(_dot(row, moved) + row[d] > 0 for row in scaled):
            return [Fraction(int(v.p), int(v.q)) for v in moved]
        share = share / 2


def _ends(bounds: Bounds) -> tuple[list[fmpq], list[fmpq]]:
    both = [[fmpq(v.numerator, v.denominator) for v in pair] for pair in bounds]
    return [low for low, _ in both], [high for _, high in both]


def _in_ball(rows: list[list[fmpq]], d: int) -> tuple[list[list[fmpq]], list[list[fmpq]]]:
    """Rows and limits in terms of p and q, v = p - q; see `_search`."""
    return [[*row[:d], *(-v for v in row[:d]), row[d]] for row in rows], [[fmpq(1)] * (2 * d + 1)]


def _in_box(rows: list[list[fmpq]], low: list[fmpq], high: list[fmpq]) -> tuple[list[list[fmpq]], list[list[fmpq]]]:
    """Rows and limits in terms of v - low."""
    d = len(low)
    moved = [[*row[:d], row[d] + _dot(row, low)] for row in rows]
    return moved, [[*(fmpq(int(i == j)) for j in range(d)), high[i] - low[i]] for i in range(d)]


def proportional(a: Row, b: Row) -> int:
    """1 or -1 if b is that times a positive multiple of a, 0 if it is no multiple."""
    lead = next((i for i, v in enumerate(a) if v), None)
    if lead is None or not b[lead]:
        return 0
    p, q = a[lead], b[lead]
    if any(x * q != y * p for x, y in zip(a, b, strict=True)):
        return 0
    return 1 if (p > 0) == (q > 0) else -1


def _scaled(row: Row) -> list[fmpq]:
    """The row with a largest entry of 1/2 to 1, as floating point has it."""
    size = fmpq(1, 1 << (max(map(abs, row)) - 1).bit_length()) if any(row) else fmpq(1)
    return [v * size for v in row]


def _dot(row: Sequence[fmpq], point: Sequence[fmpq]) -> fmpq:
    return sum((a * v for a, v in zip(row, point, strict=False) if a and v), fmpq(0))


def _mixed(rows: list[list[fmpq]], weights: Sequence[fmpq]) -> list[fmpq]:
    width = range(len(rows[0]))
    return [sum((w * row[i] for w, row in zip(weights, rows, strict=True) if w), fmpq(0)) for i in width]


def _at_rest(
    rows: list[list[fmpq]], low: list[fmpq], high: list[fmpq], tight: Sequence[int], rests: Sequence[int | None]
) -> bool | None:
    """What an exact solution at a vertex of the box's programme proves, if anything."""
    d = len(low)
    free = [i for i in range(d) if rests[i] is None]
    if len(tight) != len(free) + 1:
        return None
    point = [fmpq(0) if side is None or side == 0 else (low, high)[side > 0][i] for i, side in enumerate(rests)]
    n = len(tight)
    matrix = fmpq_mat(n, n, [v for j in tight for v in (fmpq(1), *(-rows[j][i] for i in free))])
    right = fmpq_mat(n, 1, [rows[j][d] + _dot(rows[j], point) for j in tight])
    try:
        solution = matrix.solve(right).entries()
        weights = matrix.transpose().solve(fmpq_mat(n, 1, [fmpq(1)] + [fmpq(0)] * (n - 1))).entries()
    except ZeroDivisionError:
        return None
    for i, v in zip(free, solution[1:], strict=True):
        point[i] = v
    # Room at a point of the closed box is room at points of the open box beside it.
    inside = all(a <= v <= b for a, v, b in zip(low, point, high, strict=True))
    if inside and all(_dot(row, point) + row[d] > 0 for row in rows):
        return True
    if all(w >= 0 for w in weights):
        mixed = _mixed([rows[j] for j in tight], weights)
        if mixed[d] + sum((max(g * a, g * b) for g, a, b in zip(mixed, low, high, strict=False)), fmpq(0)) <= 0:
            return False
    return None


def _at_basis(rows: list[list[fmpq]], basis: Sequence[int]) -> bool | None:
    """What an exact solution at a basis proves, if anything."""
    m, d = len(rows), len(rows[0]) - 1
    if len(set(basis)) != m + 1 or -1 not in basis:
        return None
    columns = [_column(rows, b) for b in basis]
    matrix = fmpq_mat(m + 1, m + 1, [columns[j][i] for i in range(m + 1) for j in range(m + 1)])
    right = fmpq_mat(m + 1, 1, [*(row[d] for row in rows), fmpq(1)])
    objective = fmpq_mat(m + 1, 1, [fmpq(int(b == -1)) for b in basis])
    try:
        x = matrix.solve(right).entries()
        y = matrix.transpose().solve(objective).entries()
    except ZeroDivisionError:
        return None
    if all(v >= 0 for v, b in zip(x, basis, strict=True) if b != -1):
        margin = x[list(basis).index(-1)]
        if margin > 0:
            return True
    weights, norm = y[:m], y[m]
    if all(w >= 0 for w in weights):
        mixed = _mixed(rows, weights)
        if all(-norm <= v <= norm for v in mixed[:d]) and mixed[d] + norm <= 0:
            return False
    return None


def _column(rows: list[list[fmpq]], variable: int) -> list[fmpq]:
    """The coefficients of a variable in s - a·(p - q) + slack = c, and in sum(p) + sum(q) + slack = 1."""
    m, d = len(rows), len(rows[0]) - 1
    zero, one = fmpq(0), fmpq(1)
    if variable == -1:
        return [one] * m + [zero]
    if variable < d:
        return [*(-row[variable] for row in rows), one]
    if variable < 2 * d:
        return [*(row[variable - d] for row in rows), one]
    return [one if j == variable - 2 * d else zero for j in range(m + 1)]


def _search(rows: list[list[fmpq]], limits: list[list[fmpq]]) -> list[fmpq] | None:
    """An x at which all rows are positive, x >= 0 and l·x <= b for all ``limits`` (l, b), b >= 0, which bound x.

    The simplex with Bland's rule, which never cycles, from x = 0 until s is positive or cannot grow.
    """
    if not rows:
        return [fmpq(0)] * (len(limits[0]) - 1)
    m, n = len(rows), len(rows[0]) - 1
    star = min(range(m), key=lambda j: rows[j][n])
    lead = rows[star]
    table = [[*lead[:n], fmpq(-1), lead[n]]]
    basis, others = [-1], [*range(n), n + star]
    for j, row in enumerate(rows):
        if j != star:
            gap = [a - b for a, b in zip(row, lead, strict=True)]
            table.append([*gap[:n], fmpq(1), gap[n]])
            basis.append(n + j)
    for j, limit in enumerate(limits):
        table.append([*(-v for v in limit[:n]), fmpq(0), limit[n]])
        basis.append(n + m + j)
    while table[0][-1] <= 0:
        growing = [k for k in range(n + 1) if table[0][k] > 0]
        if not growing:
            return None
        enter = min(growing, key=others.__getitem__)
        shrinking = [r for r in range(1, len(table)) if table[r][enter] < 0]
        # The domain is bounded and so is s, so there is a row to leave.
        leave = min(shrinking, key=lambda r: (-table[r][-1] / table[r][enter], basis[r]))
        pivot = table[leave]
        inverse = -1 / pivot[enter]
        pivot[enter] = fmpq(-1)
        table[leave] = pivot = [v * inverse if v else v for v in pivot]
        for r, row in enumerate(table):
            if r != leave and row[enter]:
                factor, row[enter] = row[enter], fmpq(0)
                table[r] = [v + factor * w if w else v for v, w in zip(row, pivot, strict=True)]
        basis[leave], others[enter] = others[enter], basis[leave]
    x = [fmpq(0)] * n
    for r, b in enumerate(basis):
        if 0 <= b < n:
            x[b] = table[r][-1]
    return x
