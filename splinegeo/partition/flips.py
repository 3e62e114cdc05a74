"""Whether a unit's change of sides changes the outputs: derivatives by hinges, with bounds on their errors.

Two regions on both sides of one hinge's kink have maps that differ by the outer product of what the outputs take of
the hinge and of the kink's normal. In the difference of two maps the terms that they share leave their rounding errors;
the first factor has no such terms. One pass from a random combination of the outputs downwards gives it for all hinges
of a region at once. A derivative that is further from zero than its error proves maps to be different; the others prove
nothing. The same pass proves the two columns of a region's map to be independent.

Hinges on the outline of a part have fixed sides there and are folded into the rest; `Level.probes` keep what each row
takes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.partition.normal_form import Level
from splinegeo.partition.outline import Outline
from splinegeo.partition.rows import FAST, UNIT

if TYPE_CHECKING:
    from splinegeo.partition.enumerate import Problem

TINY = 1e-290


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Of combinations of the outputs, by the hinges that these read themselves; and the outline's probes."""

    combinations: Array  # (3, rows) a random one, and the left singular vectors of the map in the middle
    direct: Array  # (3, H)
    direct_error: Array  # (3, H) bounds on the errors
    probes: Array  # (R, K) what rows take of the hinges on the outline
    probe_slack: Array  # (R,) error of an entry
    labels: dict[int, int]  # of the outline's edges that are a single hinge's kink, the column of `probes`

    @classmethod
    def of(cls, levels: list[Level], plan: dict[str, Array], outline: Outline, probes: tuple[int, ...]) -> Derivatives:
        """From levels that `plan.build` has scaled; ``probes`` are the breakpoints of their probes."""
        offsets, last = plan["offsets"], levels[-1]
        random = np.random.default_rng(0).choice([-1.0, 1.0], (1, last.n))
        w = np.concatenate([random, _singular_vectors(levels, plan["corners"])])
        direct, error = np.zeros((3, int(offsets[-2]))), np.zeros((3, int(offsets[-2])))
        for k, block in last.blocks.items():
            direct[:, offsets[k] : offsets[k + 1]] = w @ block
            rounding = (last.n + 4) * UNIT * (np.abs(w) @ np.abs(block))
            doubt = np.abs(w) @ last.slack + np.linalg.norm(w, axis=1) * plan["shared"][1]
            error[:, offsets[k] : offsets[k + 1]] = 1.01 * (rounding + doubt[:, None]) + TINY
        column = {name: k for k, name in enumerate(probes)}
        hinges = int(offsets[-2])
        return cls(
            w,
            direct,
            error,
            np.concatenate([lv.probes if len(probes) else np.zeros((lv.n, 0)) for lv in levels]),
            np.concatenate([lv.probe_slack for lv in levels]),
            {hinges + e: column[name] for e, name in enumerate(outline.sides) if name in column},
        )


def _singular_vectors(levels: list[Level], corners: Array) -> Array:
    """Left singular vectors (2, rows) of the outputs' map in the middle of a polygon; rough ones will do."""
    middle = (corners[:, :3] / corners[:, 2:3]).mean(0)
    hinges: list[Array] = []
    rows = np.zeros((0, 3))
    for level in levels:
        rows = level.constant + sum((b @ hinges[k] for k, b in level.blocks.items()), np.zeros((level.n, 3)))
        above = rows @ middle > 0
        hinges.append(np.where(above, level.slopes[:, 1], level.slopes[:, 0])[:, None] * rows)
    vectors = np.linalg.svd(rows[:, :2], full_matrices=False)[0].T
    return np.concatenate([vectors, np.zeros((2 - len(vectors), len(rows)))])


@kernel(FAST, inner=True)
def _dot(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


@kernel(inner=True)
def _backward(
    offsets, block_start, block_source, block_offset, weights, slopes, row_slack, direct, direct_error,
    bits, v, u, ev, eu,
):  # fmt: skip
    """Derivatives by the hinges' values, v (H,), and by their pre-activations, u (H,), under activations ``bits``.

    ev and eu (H,) bound their errors.
    """
    levels = offsets.shape[0] - 2
    doubts = np.empty(v.shape[0])
    for j in range(v.shape[0]):
        v[j], ev[j] = direct[j], direct_error[j]
    for level in range(levels - 1, -1, -1):
        lo, hi = offsets[level], offsets[level + 1]
        lost = 0.0
        for j in range(lo, hi):
            slope = slopes[j, np.int64(bits[j])]
            u[j] = v[j] * slope
            eu[j] = 1.01 * (ev[j] * abs(slope) + 2.0 * UNIT * abs(u[j]))
            # What a source hinge inherits through a weight, and the rounding of that.
            doubts[j] = 1.01 * (eu[j] + (hi - lo + 8.0) * UNIT * abs(u[j]))
            lost += 1.01 * row_slack[j] * (abs(u[j]) + eu[j])
        for block in range(block_start[level], block_start[level + 1]):
            source = block_source[block]
            first, last = offsets[source], offsets[source + 1]
            for j in range(first, last):
                place = block_offset[block] + (j - first) * (hi - lo)
                column = weights[place : place + hi - lo]
                v[j] += _dot(column, u[lo:hi])
                ev[j] += _dot_abs(column, doubts[lo:hi]) + lost + (hi - lo) * TINY


@kernel(FAST, inner=True)
def _dot_abs(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        total += abs(x[i]) * y[i]
    return total


@kernel()
def _matters(graph, bits, regions, starts, flips, sure):
    """For flips[starts[k] : starts[k + 1]], hinges that change sides across edges of regions[k], whether it matters."""
    hinges = graph[5].shape[0]
    v, u, active = np.zeros(hinges), np.zeros(hinges), np.zeros(hinges, np.int8)
    ev, eu = np.zeros(hinges), np.zeros(hinges)
    for k in range(regions.shape[0]):
        if starts[k] == starts[k + 1]:
            continue
        for j in range(hinges):
            active[j] = (bits[regions[k], j >> 3] >> np.uint8(j & 7)) & 1
        _backward(*graph, active, v, u, ev, eu)
        for e in range(starts[k], starts[k + 1]):
            j = flips[e]
            sure[e] = abs(v[j]) > 1.01 * ev[j]


@kernel()
def _probed(graph, bits, regions, columns, combination, probes, probe_slack, shared, sure):
    """The same for edges of ``regions`` that are kinks of the probes ``columns``."""
    hinges = graph[5].shape[0]
    v, u, active = np.zeros(hinges), np.zeros(hinges), np.zeros(hinges, np.int8)
    ev, eu = np.zeros(hinges), np.zeros(hinges)
    before = -1
    for e in range(regions.shape[0]):
        if regions[e] != before:
            before = regions[e]
            for j in range(hinges):
                active[j] = (bits[before, j >> 3] >> np.uint8(j & 7)) & 1
            _backward(*graph, active, v, u, ev, eu)
        total, doubt, size = 0.0, shared, 0.0
        for r in range(probes.shape[0]):
            x = probes[r, columns[e]]
            y = u[r] if r < hinges else combination[r - hinges]
            total += x * y
            size += abs(x * y)
            inherited = eu[r] if r < hinges else 0.0
            doubt += probe_slack[r] * abs(y) + inherited * (abs(x) + probe_slack[r])
        sure[e] = abs(total) > 1.02 * (doubt + (probes.shape[0] + 8.0) * UNIT * size) + probes.shape[0] * TINY


@kernel()
def _independent(graphs, constant, bits, combinations, shared, sure):
    """Whether the columns of A are proved to be independent on each region, or A not to be zero if it has one row."""
    hinges = graphs[0][5].shape[0]
    rows = constant.shape[0] // 3
    slack = graphs[0][6]
    v, u, active = np.zeros(hinges), np.zeros(hinges), np.zeros(hinges, np.int8)
    ev, eu = np.zeros(hinges), np.zeros(hinges)
    g, doubt = np.zeros((2, 2)), np.zeros((2, 2))
    for n in range(bits.shape[0]):
        for j in range(hinges):
            active[j] = (bits[n, j >> 3] >> np.uint8(j & 7)) & 1
        for k in range(2):
            if k == 0:
                _backward(*graphs[0], active, v, u, ev, eu)
            else:
                _backward(*graphs[1], active, v, u, ev, eu)
            for c in range(2):
                total, size, e = 0.0, 0.0, shared[k]
                for r in range(rows):
                    x = constant[c * rows + r]
                    y = u[r] if r < hinges else combinations[1 + k, r - hinges]
                    inherited = eu[r] if r < hinges else 0.0
                    total += x * y
                    size += abs(x * y)
                    e += slack[r] * (abs(y) + inherited) + inherited * abs(x)
                g[k, c], doubt[k, c] = total, 1.02 * (e + (rows + 8.0) * UNIT * size) + rows * TINY
        if combinations.shape[1] == 1:
            sure[n] = abs(g[0, 0]) > doubt[0, 0] or abs(g[0, 1]) > doubt[0, 1]
        else:
            a, b, c, d = g[0, 0], g[0, 1], g[1, 0], g[1, 1]
            ea, eb, ec, ed = doubt[0, 0], doubt[0, 1], doubt[1, 0], doubt[1, 1]
            bound = abs(a) * ed + abs(d) * ea + ea * ed + abs(b) * ec + abs(c) * eb + eb * ec
            bound += 4.0 * UNIT * (abs(a * d) + abs(b * c))
            sure[n] = abs(a * d - b * c) > 1.01 * bound + TINY


def _graph(problem: Problem, k: int = 0) -> tuple[Array, ...]:
    names = ("offsets", "block_start", "block_source", "block_offset", "weights", "slopes", "row_slack")
    of = problem.derivatives
    assert of is not None
    return (*(problem.plan[name] for name in names), of.direct[k], of.direct_error[k])


def surely_full_rank(problem: Problem, bits: Array) -> Array:
    """Whether (N,) A is proved to have the rank that its shape (rows, 2) allows, under packed activations (N, .).

    The determinant of two combinations of its rows is further from zero than its error.
    """
    sure = np.zeros(len(bits), np.bool_)
    if problem.derivatives is not None:
        graphs = _graph(problem, 1), _graph(problem, 2)
        combinations = problem.derivatives.combinations
        shared = np.linalg.norm(combinations[1:], axis=1) * problem.plan["shared"][1]
        _independent(graphs, problem.plan["constant"], bits, combinations, shared, sure)
    return sure


def different_within(problem: Problem, bits: Array, sides: Array) -> Array:
    """Whether (M,) the maps of two regions with an edge in common, sides (M, 2), are proved to be different.

    bits (N, .) are packed activations of the problem's hinges.
    """
    sure = np.zeros(len(sides), np.bool_)
    if not len(sides) or not len(problem.bits):
        return sure
    a, b = bits[sides[:, 0]], bits[sides[:, 1]]
    change = a ^ b
    single = np.nonzero(np.bitwise_count(change).sum(1) == 1)[0]
    byte = change[single].argmax(1)
    hinge = 8 * byte + np.log2(change[single, byte]).astype(np.int64)
    # Of two regions that differ by one hinge one has an even number of active ones: those serve all edges.
    odd = np.bitwise_count(a[single]).sum(1) % 2
    region = np.where(odd == 0, sides[single, 0], sides[single, 1])
    order = np.argsort(region, kind="stable")
    regions, counts = np.unique(region, return_counts=True)
    found = np.zeros(len(single), np.bool_)
    _matters(_graph(problem), bits, regions, np.r_[0, np.cumsum(counts)], hinge[order], found)
    sure[single[order]] = found
    return sure


def different_across(problem: Problem, bits: Array, regions: Array, labels: Array, keys: Array) -> Array:
    """Whether (F,) the maps on both sides of half-edges on the outline of a part are proved to be different.

    Of each half-edge the region behind it, with packed activations bits (N, .), the label, and the key.
    """
    of = problem.derivatives
    assert of is not None
    sure = np.zeros(len(labels), np.bool_)
    columns = np.array([of.labels.get(label, -1) for label in labels.tolist()], np.int64)
    # The key of an edge is the hash of what vanishes there and of all else that is active: here, the probe and nothing.
    some = np.nonzero((columns >= 0) & (_lonely_keys(problem, bits, regions, labels) == keys))[0]
    if len(some):
        some = some[np.argsort(regions[some], kind="stable")]
        found = np.zeros(len(some), np.bool_)
        shared = np.linalg.norm(of.combinations[0]) * problem.plan["shared"][0]
        arguments = of.combinations[0], of.probes, of.probe_slack, float(shared)
        _probed(_graph(problem), bits, regions[some], columns[some], *arguments, found)
        sure[some] = found
    return sure


def _lonely_keys(problem: Problem, bits: Array, regions: Array, labels: Array) -> Array:
    """Keys (F,) of half-edges on the outline if nothing but the outline's own hinges vanishes on them."""
    plan, hinges = problem.plan, len(problem.bits)
    behind, place = np.unique(regions, return_inverse=True)
    active = np.unpackbits(bits[behind], axis=1, count=hinges, bitorder="little").astype(bool)
    hashes = np.bitwise_xor.reduce(np.where(active, plan["hash_bit"], np.uint64(0)), axis=1, initial=np.uint64(0))
    side = np.clip(labels - hinges, 0, len(plan["corner_hashes"]) - 1)
    own = plan["corner_hashes"][side]
    return hashes[place] ^ plan["base_hash"][1] ^ own[:, 0] ^ own[:, 1]
