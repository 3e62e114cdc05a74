"""Strict inequalities inside the unit ℓ1 ball, decided in rational arithmetic.

The linear programme is that of `splinegeo.complexity.simplex`. The basis where floating point ended is almost always
the right one, and solving it exactly settles the matter; where it is not, a simplex with Bland's rule starts afresh.
"""

from __future__ import annotations

from collections.abc import Sequence

from flint import fmpq, fmpq_mat

Row = Sequence[int]  # d coefficients and a constant, up to a positive factor


def satisfiable(rows: Sequence[Row], basis: Sequence[int]) -> bool:
    """Whether some v with |v_1| + ... + |v_d| < 1 has a·v + c > 0 for all rows (a, c).

    ``basis`` are the basic variables to try first: s is -1, p are 0 ... d-1, q d ... 2d-1, then the slacks of the rows
    and that of the norm.
    """
    scaled = [_scaled(row) for row in rows]
    answer = _at_basis(scaled, basis)
    return _search(scaled) if answer is None else answer


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
        mixed = [sum((w * row[i] for w, row in zip(weights, rows, strict=True) if w), fmpq(0)) for i in range(d + 1)]
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


def _search(rows: list[list[fmpq]]) -> bool:
    """The simplex with Bland's rule, which never cycles, until s is positive or cannot grow."""
    m, d = len(rows), len(rows[0]) - 1
    star = min(range(m), key=lambda j: rows[j][d])
    lead = rows[star]
    table = [[*lead[:d], *(-v for v in lead[:d]), fmpq(-1), lead[d]]]
    basis, others = [-1], [*range(2 * d), 2 * d + star]
    for j, row in enumerate(rows):
        if j != star:
            gap = [a - b for a, b in zip(row, lead, strict=True)]
            table.append([*gap[:d], *(-v for v in gap[:d]), fmpq(1), gap[d]])
            basis.append(2 * d + j)
    table.append([*([fmpq(-1)] * (2 * d)), fmpq(0), fmpq(1)])
    basis.append(2 * d + m)
    while table[0][-1] <= 0:
        growing = [k for k in range(2 * d + 1) if table[0][k] > 0]
        if not growing:
            return False
        enter = min(growing, key=others.__getitem__)
        shrinking = [r for r in range(1, m + 1) if table[r][enter] < 0]
        # The ball is bounded and so is s, so there is a row to leave.
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
    return True
