"""A convex polygon in exact coordinates: the domain, or the part of it on one side of some hinges' kinks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.frame import Frame, line_rows, point_rows

Triple = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Outline:
    """Corners (X, Y, W), W > 0, counter-clockwise, and the line a x + b y + c >= 0 of the edge behind each.

    ``sides`` says what an edge is: -1 - e for edge e of the domain, else the breakpoint whose kink it lies on.
    ``fixed`` are the breakpoints whose sides the polygon fixes, with that side (1 or -1): all that vanish on an inner
    edge, duplicates included.
    """

    corners: tuple[Triple, ...]
    lines: tuple[Triple, ...]
    sides: tuple[int, ...]
    fixed: dict[int, int]
    kinks: dict[int, tuple[int, ...]]  # for each breakpoint among `sides` all that vanish there

    @classmethod
    def of(cls, frame: Frame) -> Outline:
        """The domain itself."""
        corners = []
        for x, y in frame.exact_corners:
            w = x.denominator * y.denominator // gcd(x.denominator, y.denominator)
            corners.append((int(x * w), int(y * w), w))
        n = len(corners)
        return cls(tuple(corners), tuple(frame.exact_edges), tuple(-1 - k for k in range(n)), {}, {})

    def signs(self, line: Triple) -> list[int]:
        """Signs of a x + b y + c at the corners."""
        values = [line[0] * x + line[1] * y + line[2] * w for x, y, w in self.corners]
        return [(v > 0) - (v < 0) for v in values]

    def cut(self, line: Triple, kinks: dict[int, int]) -> tuple[Outline, Outline] | None:
        """The parts where the line's function is positive and where it is negative; None if it does not cross.

        ``kinks`` are the breakpoints whose kink the line is, with the sign (1 or -1) of their function relative to it.
        """
        signs = self.signs(line)
        if not (max(signs) > 0 > min(signs)):
            return None
        return self._half(line, kinks, signs, 1), self._half(line, kinks, signs, -1)

    def _half(self, line: Triple, kinks: dict[int, int], signs: list[int], side: int) -> Outline:
        name = min(kinks)
        inward = line if side > 0 else (-line[0], -line[1], -line[2])
        corners, lines, sides = [], [], []
        n = len(signs)
        for k in range(n):
            here, after = signs[k] * side, signs[(k + 1) % n] * side
            if here >= 0:
                corners.append(self.corners[k])
                if after < 0 and here == 0:
                    lines.append(inward)
                    sides.append(name)
                    continue
                lines.append(self.lines[k])
                sides.append(self.sides[k])
                if after < 0:
                    corners.append(_meet(self.lines[k], line))
                    lines.append(inward)
                    sides.append(name)
            elif after > 0:
                corners.append(_meet(self.lines[k], line))
                lines.append(self.lines[k])
                sides.append(self.sides[k])
        fixed = {**self.fixed, **{k: s * side for k, s in kinks.items()}}
        known = {**self.kinks, name: tuple(kinks)}
        return Outline(
            tuple(corners), tuple(lines), tuple(sides), fixed, {k: v for k, v in known.items() if k in sides}
        )

    def rows(self) -> Array:
        """What `memory.PLAN` calls corners: (k, 8) float corners, edges and bounds on their errors."""
        corners, corner_error = point_rows([(Fraction(x, w), Fraction(y, w)) for x, y, w in self.corners])
        edges, edge_error = line_rows(self.lines)
        return np.concatenate([corners, corner_error[:, None], edges, edge_error[:, None]], 1)


def _meet(p: Triple, q: Triple) -> Triple:
    (a, b, c), (d, e, f) = p, q
    x, y, w = b * f - c * e, c * d - a * f, a * e - b * d
    g = gcd(x, y, w) * (1 if w > 0 else -1)
    return x // g, y // g, w // g
