"""Which region a point lies in: its activation pattern, exactly.

A point on a facet has no pattern of its own; it is given that of a point beside it, reached by an infinitesimal step
towards the domain's centre, and by infinitely smaller ones along the axes should that step run along a facet.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from splinegeo._types import Array
from splinegeo.domains import Slice
from splinegeo.partition.locate import bits_beside, float_bits
from splinegeo.partition.unite import decisive_patterns
from splinegeo.space.problem import Problem

CHUNK = 1 << 22


def patterns_at(problem: Problem, plane: Slice, points: Array) -> Array:
    """Packed patterns (n, ceil(B / 8)) at points (n, d) of the domain."""
    network = problem.network
    step = max(1, CHUNK // max(node.size for node in network.nodes))
    parts = [np.zeros((0, (network.n_breakpoints + 7) // 8), np.uint8)]
    for k in range(0, len(points), step):
        here = points[k : k + step]
        bits, sure = float_bits(network, plane.origin, plane.basis, here)
        for i in np.flatnonzero(~sure):
            bits[i] = 0
            bits[i, problem.lowered.breakpoints] = bits_beside(problem.exact, _beside(problem, here[i]))
            bits[i, problem.lowered.active] = 1
        packed = np.packbits(bits, axis=1, bitorder="little")
        parts.append(decisive_patterns(network, packed) if problem.has_maxima else packed)
    return np.concatenate(parts)


def _beside(problem: Problem, point: Array) -> list[list[Fraction]]:
    frame = problem.hull.frame
    rows = []
    for axis, (v, c, s, to) in enumerate(
        zip(point.tolist(), frame.centre, frame.scale, problem.hull.centre, strict=True)
    ):
        t = (Fraction(v) - Fraction(c)) / Fraction(s)
        rows.append([t, to - t, *(Fraction(int(k == axis)) for k in range(frame.dim))])
    return rows
