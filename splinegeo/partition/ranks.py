"""Singular values that are zero: rank decided by the pattern, or exactly, where rounding could be mistaken for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb, ctx

from splinegeo._types import Array
from splinegeo.partition.flips import surely_full_rank
from splinegeo.partition.maps import maps_of_patterns, unpack
from splinegeo.partition.pushing import surely_independent

if TYPE_CHECKING:
    from splinegeo.partition.enumerate import Problem

_PRECISION = threading.Lock()  # flint has one precision for all threads


def is_chain(problem: Problem) -> bool:
    """Whether each level reads the level below only, so that a level with few active hinges bounds the rank."""
    plan, levels = problem.plan, len(problem.layout.places)
    total = len(plan["rho"])
    above = slice(int(plan["offsets"][1]), None) if levels else slice(0, 0)
    direct = plan["constant"][:total][above].any() or plan["constant"][total : 2 * total][above].any()
    starts = plan["block_start"]
    narrow = (np.diff(starts) <= 1).all() and (
        plan["block_source"] == np.arange(levels)[: len(plan["block_source"])]
    ).all()
    return bool(levels and not direct and narrow and len(plan["block_source"]) == levels)


def rank_bounds(problem: Problem, bits: Array) -> Array:
    """(n,) upper bounds on the rank of A on regions with these packed hinge activations."""
    plan, levels = problem.plan, len(problem.layout.places)
    rows = int(plan["offsets"][-1] - plan["offsets"][-2])
    bound = np.full(len(bits), min(2, rows))
    if not is_chain(problem):
        return bound
    unpacked = np.unpackbits(bits, axis=1, count=int(plan["offsets"][-2]), bitorder="little").astype(bool)
    for level in range(levels):
        here = slice(int(plan["offsets"][level]), int(plan["offsets"][level + 1]))
        slopes = plan["slopes"][here] != 0
        bound = np.minimum(bound, np.where(unpacked[:, here], slopes[:, 1], slopes[:, 0]).sum(1))
    return bound


def settle(problem: Problem, arrays: dict[str, Array]) -> None:
    """`settle_parts` of what `join` returns."""
    names = ("singular_values", "compressed_maps", "map_errors", "bits", "packed_patterns")
    settle_parts(problem, *(arrays[name] for name in names))


class Patterns:
    """Packed patterns that are only made for the rows asked for: all of them may not fit into memory."""

    def __init__(self, problem: Problem, bits: Array) -> None:
        self._problem, self._bits = problem, bits

    def __getitem__(self, rows: Any) -> Array:
        return self._problem.patterns(self._bits[rows])


def settle_parts(
    problem: Problem, sigma: Array, maps: Array, noise: Array, bits: Array, patterns: Array | Patterns
) -> None:
    """Replace singular values that the error bound does not vouch for by exact ones, in place.

    sigma (N, 2), maps (N or 0, rows, 3) engine rows with entrywise errors noise (N,), bits and patterns (N, .) packed
    activations of hinges and of the network's breakpoints.
    """
    rows = int(problem.plan["offsets"][-1] - problem.plan["offsets"][-2])
    # An error of `noise` in every entry moves a singular value by at most its Frobenius norm.
    noise = noise * (np.sqrt(2.0 * rows) * problem.plan["column_scale"].max())
    # Bounds of a reduced network are far above its errors; there values only have to be told from zero.
    factor = 2.0 if problem.part else 1e4
    with np.errstate(invalid="ignore"):
        doubtful = np.nonzero(~(sigma[:, min(2, rows) - 1] > factor * noise))[0]
    if problem.part and len(doubtful):
        doubtful = doubtful[~surely_full_rank(problem, bits[doubtful])]
    if problem.part and len(doubtful):
        doubtful = doubtful[~surely_independent(problem.network, patterns[doubtful], problem.basis)]
    if not len(doubtful):
        return
    bound = rank_bounds(problem, bits[doubtful])
    sigma[doubtful[bound < 2], 1] = 0
    sigma[doubtful[bound == 0]] = 0
    if len(maps):
        # Updates leave residues of what was added and taken away; a fresh pass has exact zeros where nothing flows.
        maps[doubtful] = fresh_rows(problem, patterns[doubtful])
        maps[doubtful[bound == 0], :, :2] = 0
    with np.errstate(invalid="ignore"):
        vouched = (bound == 0) | ((bound == 1) & (sigma[doubtful, 0] > factor * noise[doubtful]))
    for region in doubtful[~vouched]:
        sigma[region], exact_rows = exact_sigma(problem, bits[region])
        if len(maps) and problem.outputs.q is None:
            maps[region] = exact_rows


def fresh_rows(problem: Problem, packed: Array) -> Array:
    """Engine rows (n, rows, 3) of regions with these packed patterns, from a masked pass through the graph."""
    frame, outputs = problem.frame, problem.outputs
    columns = np.concatenate([problem.basis * np.asarray(frame.scale), frame_origin(problem)[:, None]], 1)
    out = maps_of_patterns(problem.network, unpack(packed, problem.network.n_breakpoints), columns)
    return np.ldexp(out if outputs.q is None else outputs.q.T @ out, -outputs.exponent)


def frame_origin(problem: Problem) -> Array:
    """The latent (E,) at the frame's origin."""
    return problem.origin + problem.basis @ np.asarray(problem.frame.centre)


def exact_sigma(problem: Problem, bits: Array) -> tuple[Array, Array]:
    """Singular values (2,) in slice coordinates and engine rows (D, 3), correctly rounded, from packed activations."""
    value = problem.judge(bits).maps(len(problem.layout.places))
    scale = [round(np.log2(s)) for s in problem.frame.scale]
    low = min(-scale[0], -scale[1])
    p = [row[0] << (-scale[0] - low) for row in value.rows]
    q = [row[1] << (-scale[1] - low) for row in value.rows]
    pp, pq, qq = sum(v * v for v in p), sum(v * w for v, w in zip(p, q, strict=True)), sum(v * v for v in q)
    det = pp * qq - pq * pq
    with _PRECISION:
        precision = ctx.prec
        ctx.prec = 256 + 4 * max(pp.bit_length(), qq.bit_length())
        try:
            first = ((arb(pp + qq) + (arb(pp - qq) ** 2 + 4 * arb(pq) ** 2).sqrt()) / 2).sqrt()
            second = arb(det).sqrt() / first if det else arb(0)
            two = arb(2) ** (low - value.e)
            sigma = np.array([float(first * two), float(second * two)])
            shift = arb(2) ** (-value.e - problem.outputs.exponent)
            rows = np.array([[float(arb(v) * shift) for v in row] for row in value.rows]).reshape(-1, 3)
        finally:
            ctx.prec = precision
    return sigma, rows
