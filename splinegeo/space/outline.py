"""The domain in exact coordinates: its facets, its vertices, and which lie on which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm
from typing import TypeAlias

import numpy as np

from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.domains import Box, Polygon
from splinegeo.partition.frame import Frame, error_bound, nearest_float
from splinegeo.polytopes import Polytope

Domain: TypeAlias = Box | Polygon | Polytope | L1Ball


@dataclass(frozen=True, eq=False)
class Hull:
    """A polytope in frame coordinates."""

    frame: Frame
    facets: tuple[tuple[int, ...], ...]  # integer rows (d + 1), positive inside
    vertices: tuple[tuple[Fraction, ...], ...]
    tight: Array  # (V, F) bool: which facets go through a vertex

    @classmethod
    def of(cls, halfspaces: Sequence[tuple[Fraction, ...]], vertices: Sequence[tuple[Fraction, ...]]) -> Hull:
        """Halfspaces (d + 1) with a . u + b <= 0 and the vertices (d) of what they enclose, in slice coordinates."""
        near = np.array([[nearest_float(v) for v in point] for point in vertices])
        frame = Frame.of(near)
        centre, scale = [Fraction(c) for c in frame.centre], [Fraction(s) for s in frame.scale]
        facets = []
        for *a, b in halfspaces:
            shifted = b + sum((v * c for v, c in zip(a, centre, strict=True)), Fraction(0))
            row = [*(-v * s for v, s in zip(a, scale, strict=True)), -shifted]
            m = lcm(*(v.denominator for v in row))
            facets.append(tuple(int(v * m) for v in row))
        points = tuple(tuple((v - c) / s for v, c, s in zip(point, centre, scale, strict=True)) for point in vertices)
        tight = np.array([[_at(row, point) == 0 for row in facets] for point in points])
        return cls(frame, tuple(facets), points, tight)

    @classmethod
    def of_domain(cls, domain: Domain) -> Hull:
        """The domain, exactly as its float64 numbers say."""
        if isinstance(domain, Polytope):
            rows = [tuple(Fraction(v) for v in row) for row in domain.halfspaces.tolist()]
            return cls.of(rows, domain.exact_vertices)
        if isinstance(domain, Polygon):
            points = [(Fraction(x), Fraction(y)) for x, y in domain.vertices.tolist()]
            edges = zip(points, points[1:] + points[:1], strict=True)
            return cls.of([(y1 - y0, x0 - x1, x1 * y0 - x0 * y1) for (x0, y0), (x1, y1) in edges], points)
        if isinstance(domain, L1Ball):
            r, units = (
                Fraction(domain.radius),
                [[Fraction(int(i == j)) for j in range(domain.dim)] for i in range(domain.dim)],
            )
            signs = product((Fraction(-1), Fraction(1)), repeat=domain.dim)
            return cls.of([(*row, -r) for row in signs], [tuple(s * r * v for v in e) for s in (1, -1) for e in units])
        ends = list(zip(domain.lower.tolist(), domain.upper.tolist(), strict=True))
        halfspaces = []
        for axis, pair in enumerate(ends):
            for sign, end in zip((-1, 1), pair, strict=True):
                row = [Fraction(0)] * (domain.dim + 1)
                row[axis], row[-1] = Fraction(sign), -sign * Fraction(end)
                halfspaces.append(tuple(row))
        return cls.of(halfspaces, [tuple(map(Fraction, point)) for point in product(*ends)])

    def start(self) -> tuple[Array, Array]:
        """Float vertices (V, d) in frame coordinates, and bounds (V,) on the errors of their entries."""
        near = np.array([[nearest_float(v) for v in point] for point in self.vertices])
        error = [
            max(error_bound(x, v) for x, v in zip(row, point, strict=True))
            for row, point in zip(near.tolist(), self.vertices, strict=True)
        ]
        return near, np.array(error)

    def to_slice(self, t: Array) -> Array:
        """Slice coordinates of points (n, d); what is a vertex's own coordinate in the frame stays so in the slice."""
        out = np.asarray(self.frame.centre) + np.asarray(self.frame.scale) * t
        near, _ = self.start()
        for axis in range(t.shape[1]):
            back = self.frame.centre[axis] + self.frame.scale[axis] * near[:, axis]
            for own, given, moved in zip(near[:, axis], self.frame.corners[:, axis], back, strict=True):
                if given != moved:
                    out[t[:, axis] == own, axis] = given
        return out

    def rows(self) -> Array:
        """Float rows of the facets, largest entry in [1/2, 1], and a bound on their error: (F, d + 2)."""
        out = np.zeros((len(self.facets), self.frame.dim + 2))
        for k, row in enumerate(self.facets):
            size = 1 << max(abs(v) for v in row).bit_length()
            true = [Fraction(v, size) for v in row]
            out[k, :-1] = [nearest_float(v) for v in true]
            out[k, -1] = max(error_bound(r, v) for r, v in zip(out[k, :-1].tolist(), true, strict=True))
        return out


def centre_of(domain: Domain) -> list[Fraction]:
    """A point inside, in slice coordinates, exactly."""
    if isinstance(domain, Polytope):
        points = domain.exact_vertices
    else:  # of a box and a ball, any two opposite points will do
        points = [tuple(map(Fraction, point)) for point in extremes(domain).tolist()]
    return [sum(column, Fraction(0)) / len(points) for column in zip(*points, strict=True)]


def extremes(domain: Domain) -> Array:
    """Points (k, d) in slice coordinates whose bounding box is the domain's."""
    if isinstance(domain, Box):
        return np.stack([domain.lower, domain.upper])
    if isinstance(domain, L1Ball):
        return np.outer([-domain.radius, domain.radius], np.ones(domain.dim))
    return domain.vertices


def _at(row: tuple[int, ...], point: tuple[Fraction, ...]) -> Fraction:
    return sum((a * v for a, v in zip(row, point, strict=False)), Fraction(row[-1]))
