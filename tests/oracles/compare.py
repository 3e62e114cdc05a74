"""A partition and the oracle's, compared in everything that both know."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.testing import magnitude, pattern_bits
from tests.oracles.rational import ExactPartition, ExactRegion


def assert_equals_oracle(part: sg.Partition, exact: ExactPartition) -> None:
    """Counts, patterns, adjacency, edges, polygons, areas and maps."""
    bits = [tuple(row) for row in pattern_bits(part).astype(int).tolist()]
    assert part.complete
    n_true = len(exact.regions)
    assert part.n_regions == n_true
    assert len(set(bits)) == len(bits)
    assert set(bits) == set(exact.index)
    assert part.n_linear_regions == exact.n_linear_regions
    assert (len(part.vertices), len(part.edge_vertices), part.n_regions) == exact.counts
    v, e, f = exact.counts
    assert v - e + f == 1
    inner = part.edge_regions[part.edge_regions[:, 1] >= 0]
    assert {frozenset((bits[i], bits[j])) for i, j in inner} == exact.adjacency
    assert len(inner) == len(exact.adjacency)

    maps, offsets = part.affine_maps()
    size = magnitude(part)  # the reach of every domain here is at least 1/4 in each coordinate
    whole = float(exact.area)
    for k, pattern in enumerate(bits):
        region = exact.regions[exact.index[pattern]]
        corners = part.corner_vertices[part.region_offsets[k] : part.region_offsets[k + 1]]
        compare_polygons(part.vertices[corners], region)
        assert abs(part.volumes[k] - float(region.area)) <= 1e-9 * whole
        a, b = (x.astype(float) for x in region.affine_map)
        assert (np.abs(maps[k] - a).max(1) <= 1e-12 * size).all()
        assert (np.abs(offsets[k] - b) <= 1e-12 * size).all()


def compare_polygons(polygon: Array, region: ExactRegion, tolerance: float = 1e-9) -> None:
    """Corners in counter-clockwise order agree wherever the exact corner is well conditioned."""
    exact = np.array([[float(x), float(y)] for x, y in region.vertices])
    assert polygon.shape == exact.shape
    good = np.array(list(well_conditioned(exact)))
    shifts = [np.abs(np.roll(polygon, -s, 0) - exact).max(1) for s in range(len(exact))]
    # The cyclic shift that fits best overall, then every good corner by itself.
    best = min(shifts, key=lambda d: float(np.sort(d)[len(d) // 2] + d[good].sum()))
    assert (best[good] <= tolerance).all(), (polygon, exact)


def well_conditioned(polygon: Array) -> Iterator[bool]:
    """Per corner: both edges are long and meet at an angle that is neither flat nor sharp."""
    closed = np.vstack([polygon[-1:], polygon, polygon[:1]])
    steps = np.diff(closed, axis=0)
    for p, q in pairwise(steps):
        size = np.hypot(*p) * np.hypot(*q)
        long = min(np.hypot(*p), np.hypot(*q)) > 1e-4
        yield bool(long and abs(p[0] * q[1] - p[1] * q[0]) > 1e-3 * size)
