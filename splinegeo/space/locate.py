"""Which region a point lies in: its activation pattern, exactly.

A point on a facet has no pattern of its own; it is given that of a point beside it, reached by an infinitesimal step
towards the domain's centre, and by infinitely smaller ones along the axes should that step run along a facet.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.locate import bits_beside, float_bits
from splinegeo.partition.setting import Setting
from splinegeo.partition.unite import decisive_patterns

CHUNK = 1 << 22


def patterns_at(setting: Setting, centre: Sequence[Fraction], points: Array) -> Array:
    """Packed patterns (n, ceil(B / 8)) at points (n, d) of the domain, whose centre is given."""
    network, exact = setting.network, setting.exact
    step = max(1, CHUNK // max(node.size for node in network.nodes))
    parts = [np.zeros((0, (network.n_breakpoints + 7) // 8), np.uint8)]
    for k in range(0, len(points), step):
        here = points[k : k + step]
        bits, sure = float_bits(network, exact.origin, exact.basis, here)
        for i in np.flatnonzero(~sure):
            bits[i, setting.breakpoints] = bits_beside(exact, _beside(setting, centre, here[i]))
        packed = np.packbits(bits, axis=1, bitorder="little")
        parts.append(decisive_patterns(network, packed) if setting.has_maxima else packed)
    return np.concatenate(parts)


def _beside(setting: Setting, centre: Sequence[Fraction], point: Array) -> list[list[Fraction]]:
    frame, rows = setting.frame, []
    for axis, (v, c, s, to) in enumerate(zip(point.tolist(), frame.centre, frame.scale, centre, strict=True)):
        t, goal = ((Fraction(x) - Fraction(c)) / Fraction(s) for x in (v, to))
        rows.append([t, goal - t, *(Fraction(int(k == axis)) for k in range(frame.dim))])
    return rows
