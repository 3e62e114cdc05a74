"""Everything the walk reads, as flat arrays: rows scaled to one, error factors, twins among the units, hash keys."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.partition.frame import Frame
from splinegeo.partition.normal_form import Level
from splinegeo.partition.outline import Outline

TINY = 1e-300
# How well a vertex (two lines may be almost parallel) has to be known; otherwise it is rounded from its exact position.
# That only has to be rare, and to leave room for the predicates' own error. Rows of a reduced network carry bounds that
# are a hundred thousand times their error, and exact positions take long there.
LOOSE, LOOSE_IN_PART = 1e-7, 1e-4
# A singular value this many times above the error of the maps is not mistaken for zero; below, rows are made afresh. In
# a part that would not help: the bound is that of the weights.
SURE, SURE_IN_PART = 1e6, 0.0


@dataclass(frozen=True, eq=False)
class Folded:
    """Breakpoints that are no hinges because their side is known all over the outline."""

    active: Array  # those above
    flat: Array  # those on which the unit lies throughout
    part: bool = True  # of a larger problem


def build(levels: list[Level], frame: Frame, outline: Outline, folded: Folded) -> tuple[dict[str, Array], int]:
    """The arrays of `memory.PLAN` for levels (from `hinge_levels`) in a frame, and the exponent of the output rows."""
    scale_rows(levels)
    counts = [lv.n for lv in levels]
    offsets = np.r_[0, np.cumsum(counts)].astype(np.int64)
    n_hinges = int(offsets[-2])
    constant = np.concatenate([lv.constant for lv in levels])
    starts, sources, places, flat = [0], [], [], [np.zeros(0)]
    for lv in levels:
        for k, block in sorted(lv.blocks.items()):
            sources.append(k)
            places.append(sum(map(len, flat)))
            flat.append(np.ascontiguousarray(block.T).ravel())
        starts.append(len(sources))
    slopes = np.concatenate([lv.slopes for lv in levels[:-1]] or [np.zeros((0, 2))])
    rho = np.concatenate([lv.weight for lv in levels])
    row_slack = np.concatenate([lv.slack for lv in levels]) * 1.01
    slack = [float(lv.slack.max(initial=0.0) + lv.shared[1]) * 1.01 for lv in levels]
    hash_bit, hash_zero = hashes(np.concatenate([lv.breakpoints for lv in levels[:-1]] or [np.zeros(0, np.int64)]))
    twin, sign = twins(levels, offsets)
    order = np.argsort(twin, kind="stable")  # a class is named after its first hinge, which therefore leads it
    hash_side, hash_class = np.zeros((n_hinges, 2), np.uint64), np.zeros(n_hinges, np.uint64)
    np.bitwise_xor.at(hash_side, (twin, (sign > 0).astype(np.int64)), hash_bit)
    np.bitwise_xor.at(hash_class, twin, hash_zero)
    polygon = outline.rows()
    exact, grid = _exact_levels(levels, polygon, slack)
    exponent = int(levels[-1].exponents[0]) if levels[-1].n else 0
    with np.errstate(over="ignore"):
        column_scale = np.ldexp(1 / np.array(frame.scale), exponent)
    if not np.isfinite(column_scale).all():
        raise InvalidArgument("partition: the network's outputs leave the range of float64; scale its last layer down")
    plan = {
        "offsets": offsets,
        "constant": np.ascontiguousarray(constant.T).ravel(),
        "block_start": np.array(starts, np.int64),
        "block_source": np.array(sources, np.int64),
        "block_offset": np.array(places, np.int64),
        "inputs": np.array([sum(g.shape[1] for g in lv.blocks.values()) for lv in levels], np.int64),
        "weights": np.concatenate(flat),
        "slopes": slopes,
        "rho": rho,
        "rho_max": np.array([lv.weight.max(initial=0.0) for lv in levels]),
        "steep_max": np.array([np.abs(lv.slopes).max(initial=0.0) for lv in levels]),
        "row_slack": row_slack,
        "slack": np.array(slack),
        "shared": levels[-1].shared * 1.01,
        "has_constant": np.array([bool(lv.constant.any()) for lv in levels], np.int8),
        "exact": exact,
        "grid": grid,
        "loose": np.array([LOOSE_IN_PART if folded.part else LOOSE]),
        "sure": np.array([SURE_IN_PART if folded.part else SURE]),
        "twin": twin,
        "twin_start": np.r_[0, np.cumsum(np.bincount(twin, minlength=n_hinges))].astype(np.int64),
        "twin_index": order,
        "twin_sign": sign[order],
        "hash_bit": hash_bit,
        "hash_side": hash_side,
        "hash_zero": hash_class,
        **_start(outline, polygon, folded, n_hinges),
        "column_scale": column_scale,
    }
    return plan, exponent


def hashes(breakpoints: Array) -> tuple[Array, Array]:
    """Two random numbers for each breakpoint, the same in every problem: for its activation, and for its vanishing."""
    return _mixed(2 * breakpoints.astype(np.uint64)), _mixed(2 * breakpoints.astype(np.uint64) + np.uint64(1))


def _mixed(x: Array) -> Array:
    """Splitmix64, a bijection of 64-bit numbers that looks random."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _start(outline: Outline, polygon: Array, folded: Folded, n_hinges: int) -> dict[str, Array]:
    """The polygon to start from. A label is that of the domain's edge, or n_hinges + k for edge k of the outline."""
    sides = np.array(outline.sides)
    k = np.arange(len(sides))
    labels = np.where(sides < 0, sides, n_hinges + k)
    active, flat = hashes(folded.active)[0], hashes(folded.flat)[1]
    base = np.array([np.bitwise_xor.reduce(flat), np.bitwise_xor.reduce(active)], np.uint64)
    own = np.zeros((len(sides), 2), np.uint64)
    for e, name in enumerate(outline.sides):
        if name >= 0:
            here = np.array(outline.kinks[name])
            above = here[np.array([outline.fixed[r] for r in outline.kinks[name]]) > 0]
            own[e] = np.bitwise_xor.reduce(hashes(here)[1]) ^ base[0], np.bitwise_xor.reduce(hashes(above)[0])
    return {
        "corners": polygon,
        "corner_labels": np.stack([np.roll(labels, 1), labels, np.full(len(k), -1), labels], 1),
        "corner_hashes": own,
        "base_hash": base,
    }


def scale_rows(levels: list[Level]) -> None:
    """Scale every row by a power of two to a largest entry in [1/2, 1); outputs keep one exponent between them."""
    column: dict[int, Array] = {}
    for index, lv in enumerate(levels):
        parts = [(lv.constant, np.zeros(lv.constant.shape[1], np.int64))] + [
            (g, column[k]) for k, g in lv.blocks.items()
        ]
        exponent = np.full(lv.n, -(10**6), np.int64)
        for x, e in parts:
            _, size = np.frexp(x)
            size = np.where(x != 0, size + e, -(10**6))
            exponent = np.maximum(exponent, size.max(1, initial=-(10**6)))
        exponent = np.where(exponent == -(10**6), 0, exponent)
        if index == len(levels) - 1:
            exponent = np.full(lv.n, exponent.max(initial=0))
        fixed = _ldexp(lv.constant_slack, -exponent)
        lv.constant, lost = _scaled(parts[0][0], parts[0][1] - exponent[:, None])
        lv.probes = _ldexp(lv.probes, -exponent[:, None]) if lv.probes.shape[1] else np.zeros((lv.n, 0))
        lv.probe_slack = _ldexp(lv.slack, -exponent)
        # Errors of block entries were summed over entries of different columns: scale each sum by its largest column.
        widest = max((int(column[k].max(initial=-(10**6))) for k in lv.blocks), default=0)
        slack = _ldexp(lv.slack, widest - exponent)
        for k, (x, e) in zip(list(lv.blocks), parts[1:], strict=True):
            lv.blocks[k], more = _scaled(x, e - exponent[:, None])
            lost = lost + more
        if lv.shared.any():  # of outputs; for the probes, and as one bound, like the one below
            first, rest = lv.shared
            down = -int(exponent[0])
            lv.shared = np.array([np.ldexp(rest, down), np.ldexp(first, down) + np.ldexp(rest, down + widest)])
        doubt = (lv.slack > 0) | (lv.constant_slack > 0)
        # From here on one bound for both, relative to the largest hinge or to one.
        lv.slack = np.where(doubt, np.maximum(slack + fixed, 1e-300), 0.0) + np.where(lost > 0, 1e-300, 0.0)
        lv.exponents = exponent
        weight = np.abs(lv.constant).max(1, initial=0.0)
        for g in lv.blocks.values():
            weight = weight + np.abs(g).sum(1)
        lv.weight = weight * (1 + 1e-12)
        column[index] = exponent


def _ldexp(x: Array, e: Array) -> Array:
    return np.ldexp(x, np.clip(e, -5000, 5000).astype(np.int32))


def _scaled(x: Array, e: Array) -> tuple[Array, Array]:
    """x * 2**e and, per row, the number of entries that lost digits to underflow (each less than 1e-305)."""
    y = _ldexp(x, e)
    if not ((np.abs(y) < 1e-290) & (x != 0)).any():
        return y, np.zeros(len(x), np.int64)
    return y, (_ldexp(y, -e) != x).sum(1)


def twins(levels: list[Level], offsets: Array) -> tuple[Array, Array]:
    """Hinges whose rows are exactly proportional within a level: representative and sign of the factor.

    Two units that share a kink are one decision. Finding them here saves the exact arithmetic, nothing else.
    """
    n = int(offsets[-2])
    twin, sign = np.arange(n), np.ones(n, np.int8)
    weights = np.random.default_rng(0).normal(size=levels[0].constant.shape[1] + n)
    for index, lv in enumerate(levels[:-1]):
        rows = np.concatenate([lv.constant, *(lv.blocks[k] for k in sorted(lv.blocks))], 1)
        sure = lv.slack == 0
        lead = np.argmax(np.abs(rows), 1) if rows.size else np.zeros(lv.n, int)
        head = rows[np.arange(lv.n), lead]
        with np.errstate(divide="ignore", invalid="ignore"):
            keys = np.round(rows / np.where(head == 0, 1, head)[:, None], 9) + 0.0
        # Rows with the same key have the same sum, and other rows hardly ever do.
        sums = (keys * weights[: keys.shape[1]]).sum(1)
        _, place, count = np.unique(sums, return_inverse=True, return_counts=True)
        groups: dict[bytes, list[int]] = {}
        for i in np.nonzero(sure & (head != 0) & (count[place] > 1))[0]:
            for r in groups.setdefault(keys[i].tobytes(), []):
                if _proportional(rows[r], rows[i], int(lead[r])):
                    twin[offsets[index] + i] = offsets[index] + r
                    sign[offsets[index] + i] = 1 if (rows[r, lead[r]] > 0) == (rows[i, lead[r]] > 0) else -1
                    break
            else:
                groups[keys[i].tobytes()].append(int(i))
    return twin, sign


def _proportional(x: Array, y: Array, lead: int) -> bool:
    if ((x == 0) != (y == 0)).any():
        return False
    if np.array_equal(x, y) or np.array_equal(x, -y):
        return True
    p, q = Fraction(float(x[lead])), Fraction(float(y[lead]))
    return all(Fraction(float(a)) * q == Fraction(float(b)) * p for a, b in zip(x, y, strict=True))


def _grid(x: Array) -> int:
    """The smallest e such that every entry of x is a multiple of 2**-e (-10000 for none)."""
    x = np.abs(x[x != 0])
    if not x.size:
        return -10000
    mantissa, exponent = np.frexp(x)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return int((53 - exponent - trailing).max())


def _exact_levels(levels: list[Level], polygon: Array, slack: list[float]) -> tuple[Array, Array]:
    """Levels at which 53 bits hold every line, vertex and predicate, whatever the pattern: there floats are exact.

    Coefficients of a level are multiples of 2**-k and at most b in size; a predicate multiplies three of them.
    """
    n = len(levels)
    exact, grid = np.zeros(n, np.int8), np.zeros(n)
    corners, edges = polygon[:, :3], polygon[:, 4:7]
    if polygon[:, 3].any() or polygon[:, 7].any():
        return exact, grid
    k_line, b_line = max(_grid(edges), 0), max(1.0, float(np.abs(edges).max()))
    k_point, b_point = max(_grid(corners), 0), 1.0
    ks: list[int] = []
    bs: list[float] = []
    for index, lv in enumerate(levels):
        if slack[index] > 0:
            break
        k, b = max(_grid(lv.constant), 0), np.abs(lv.constant).max(1, initial=0.0)
        for source, g in lv.blocks.items():
            s = levels[source].slopes
            k = max(k, max(_grid(g), 0) + max(_grid(s), 0) + ks[source])
            b = b + np.abs(g).sum(1) * (np.abs(s).max(initial=0.0) * bs[source])
        ks.append(k)
        bs.append(max(1.0, float(b.max(initial=0.0))))
        k_line, b_line = max(k_line, k), max(b_line, bs[-1])
        # A vertex is a corner, or 2 x 2 minors of two lines of levels up to this one.
        k_vertex, b_vertex = max(k_point, 2 * k_line), max(b_point, 2 * b_line**2)
        bits = k + k_vertex + np.log2(3 * bs[-1] * b_vertex) + 2
        if not bits <= 53 or k_line + np.log2(b_line) + 2 > 53:
            break
        exact[index] = 1
        grid[index] = 2.0 ** -(k + k_vertex) / 2
    return exact, grid
