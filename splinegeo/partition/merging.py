"""Linear regions: neighbours whose affine maps are the same, joined.

Maps that differ by more than their error bounds are different. The rest is decided by the structure (nothing that
the flipped units feed reaches an output), or by comparing the two maps in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    SplineNetwork,
)
from splinegeo.partition.maps import knot_pieces, patterns_at_a_time, unpack
from splinegeo.partition.pushing import surely_differ
from splinegeo.partition.ranks import fresh_rows

if TYPE_CHECKING:
    from splinegeo.partition.enumerate import Problem
    from splinegeo.partition.setting import Setting


@kernel()
def _spread(offsets, block_start, block_source, block_offset, weights, slopes, a, b, reached):
    """Whether a difference between two activations can reach an output: through non-zero weights and slopes."""
    levels = offsets.shape[0] - 2
    for level in range(levels + 1):
        n = offsets[level + 1] - offsets[level]
        for i in range(offsets[level], offsets[level + 1]):
            reached[i] = False
        for block in range(block_start[level], block_start[level + 1]):
            source = block_source[block]
            for j in range(offsets[source], offsets[source + 1]):
                if a[j] != b[j] or (reached[j] and slopes[j, np.int64(a[j])] != 0.0):
                    place = block_offset[block] + (j - offsets[source]) * n
                    for i in range(n):
                        if weights[place + i] != 0.0:
                            reached[offsets[level] + i] = True
    found = False
    for i in range(offsets[levels], offsets[levels + 1]):
        found |= reached[i]
    return found


@kernel()
def _close_pairs(maps, noise, sides, close):
    rows = maps.shape[1]
    for e in range(sides.shape[0]):
        p, q = sides[e, 0], sides[e, 1]
        close[e] = False
        if q >= 0:
            gap = 0.0
            for i in range(rows):
                for k in range(3):
                    gap = max(gap, abs(maps[p, i, k] - maps[q, i, k]))
            close[e] = not gap > 1.01 * (noise[p] + noise[q])


def projected_rows(problem: Problem, packed: Array, errors: Array) -> tuple[Array, Array]:
    """A few random combinations of the outputs (N, 4, 3), to tell maps apart that were not kept, and their errors (N,).

    Rows that agree prove nothing, rows that differ by more than their errors do.
    """
    n_rows = len(fresh_rows(problem, packed[:1])[0])
    weights = np.random.default_rng(0).choice([-1.0, 1.0], (4, n_rows))
    step = max(1, (1 << 23) // (3 * n_rows))
    parts = [weights @ fresh_rows(problem, packed[k : k + step]) for k in range(0, len(packed), step)]
    # A fresh pass is no worse than the kernel's rows; the sum over n_rows of them adds its own rounding.
    return np.ascontiguousarray(np.concatenate(parts)), 4.0 * n_rows * errors


def linear_labels(
    problem: Problem, bits: Array, maps: Array, map_errors: Array, edge_regions: Array
) -> tuple[Array, int]:
    """The linear region (N,) of each region, numbered in order of appearance, and their number.

    bits (N, .) packed hinge activations, maps (N, rows, 3) engine rows with entrywise errors map_errors (N,).
    """
    close = np.zeros(len(edge_regions), np.bool_)
    _close_pairs(maps, map_errors, edge_regions, close)
    plan = problem.plan
    hinges = int(plan["offsets"][-2])
    reached = np.zeros(int(plan["offsets"][-1]), np.bool_)
    weights_exact = not plan["slack"].any()
    graph = tuple(plan[k] for k in ("offsets", "block_start", "block_source", "block_offset", "weights", "slopes"))
    exact: dict[int, tuple] = {}
    doubtful = np.nonzero(close)[0]
    if problem.has_maxima:  # only the graph knows who wins, and that nobody else matters
        doubtful = doubtful[_noticed(problem, bits, edge_regions[doubtful])]
    for e in doubtful:
        p, q = (int(r) for r in edge_regions[e])
        a, b = np.unpackbits(bits[[p, q]], axis=1, count=hinges, bitorder="little").astype(np.int8)
        if weights_exact and not _spread(*graph, a, b, reached):
            continue
        for r in (p, q):
            if r not in exact:
                value = problem.judge(bits[r]).maps(len(problem.layout.places))
                exact[r] = (value.e, value.rows)
        (ep, rows_p), (eq, rows_q) = exact[p], exact[q]
        close[e] = _equal(ep, rows_p, eq, rows_q)
    return components(edge_regions[close], len(bits))


def _noticed(problem: Problem, bits: Array, pairs: Array) -> Array:
    """Whether (n,) the difference between the regions of each pair (n, 2) can reach an output of the graph."""
    used, place = np.unique(pairs, return_inverse=True)
    packed, place = problem.patterns(bits[used]), place.reshape(-1, 2)
    network, out = problem.network, np.ones(len(pairs), bool)
    step = patterns_at_a_time(network)
    for k in range(0, len(pairs), step):
        a, b = (unpack(packed[side], network.n_breakpoints) for side in place[k : k + step].T)
        out[k : k + step] = reaches_output(network, a, b)
    return out


def labels_by_graph(
    setting: Setting, packed: Array, sigma: Array, errors: Array, edge_regions: Array
) -> tuple[Array, int]:
    """`linear_labels` for networks that are too large for dense rows; see `same_by_graph`."""
    return components(same_by_graph(setting, packed, sigma, errors, edge_regions), len(packed))


def same_by_graph(setting: Setting, packed: Array, sigma: Array, errors: Array, edge_regions: Array) -> Array:
    """The pairs (m, 2) among ``edge_regions`` (M, 2) whose maps are the same; entries below 0 are no regions.

    packed (N, .) patterns, singular values (N, 2) with errors (N,). Maps with different singular values are different,
    and so are those between which a single unit changes sides that the outputs notice. Maps are the same where nothing
    that the changed units feed reaches an output. What is left is compared in exact arithmetic.
    """
    p, q = edge_regions.T
    inner = np.nonzero(q >= 0)[0]
    p, q = p[inner], q[inner]
    doubt = 1.01 * (errors[p] + errors[q])[:, None] + 1e-13 * (sigma[p] + sigma[q])
    doubtful = np.nonzero((np.abs(sigma[p] - sigma[q]) <= doubt).all(1))[0]
    pairs = np.stack([p[doubtful], q[doubtful]], 1)
    return pairs[same_maps(setting.network, setting.maps, packed, pairs)]


def same_maps(network: SplineNetwork, exact: Callable[[Array], tuple[int, list]], packed: Array, pairs: Array) -> Array:
    """Whether (n,) the regions of a pair (n, 2) of neighbours have one map; see `same_by_graph`.

    packed (N, .) patterns; ``exact`` gives the outputs under a pattern (B,): e, and rows of integers times 2**-e.
    """
    same = np.ones(len(pairs), bool)
    step = patterns_at_a_time(network)
    for k in range(0, len(pairs), step):
        a, b = (unpack(packed[r], network.n_breakpoints) for r in pairs[k : k + step].T)
        different = surely_differ(network, a, b)
        same[k : k + step][different] = False
        left = np.nonzero(~different)[0]
        for e in left[reaches_output(network, a[left], b[left])]:
            (ep, rows_p), (eq, rows_q) = exact(a[e]), exact(b[e])
            same[k + e] = _equal(ep, rows_p, eq, rows_q)
    return same


def reaches_output(network: SplineNetwork, a: Array, b: Array) -> Array:
    """Whether (n,) the difference between patterns a and b (n, B) can reach an output.

    It cannot where every path from a unit whose activation differs has a weight or, in both, a slope of zero.
    """
    pieces_a, pieces_b = knot_pieces(network, a), knot_pieces(network, b)
    values: list[Array] = []
    for i, node in enumerate(network.nodes):
        x = [values[k] for k in node.inputs]
        match node:
            case Input():
                out = np.zeros((len(a), node.size))
            case Linear() | Sparse() | Convolution():
                out = linear_maps.apply_abs(node, x[0])
            case Combine():
                out = sum((np.abs(s) * v for s, v in zip(node.scales, x, strict=True)), np.zeros_like(x[0]))
            case Select():
                out = np.concatenate(x, 1)[:, node.index]
            case Maximum():
                chosen = (np.take_along_axis(x[0], pieces[i], 1) for pieces in (pieces_a, pieces_b))
                out = np.maximum(*chosen) + (pieces_a[i] != pieces_b[i])
            case Knot():
                unit = np.arange(node.size)
                slopes = (np.abs(node.slopes[unit, pieces[i]]) for pieces in (pieces_a, pieces_b))
                out = np.maximum(*slopes) * x[0] + (pieces_a[i] != pieces_b[i])
            case _:
                raise AssertionError(f"no paths through {type(node).__name__}")
        values.append((out > 0).astype(np.float64))  # zero or not is all that matters, and cannot underflow
    return np.asarray(values[network.output].any(1))


def _equal(ep: int, rows_p: list, eq: int, rows_q: list) -> bool:
    """Whether integer rows times 2**-e are the same."""
    top = max(ep, eq)
    return all(
        v << (top - ep) == w << (top - eq)
        for row_p, row_q in zip(rows_p, rows_q, strict=True)
        for v, w in zip(row_p, row_q, strict=True)
    )


def components(pairs: Array, n: int) -> tuple[Array, int]:
    """Labels (n,) of what the pairs (m, 2) connect, numbered in order of appearance, and their number."""
    from scipy.sparse import coo_array  # a fifth of a second that most sessions do not need
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, found = connected_components(graph, directed=False)
    _, first = np.unique(found, return_index=True)
    rank = np.empty(count, np.int64)
    rank[np.argsort(first)] = np.arange(count)
    return rank[found], int(count)
