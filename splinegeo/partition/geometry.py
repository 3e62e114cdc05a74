"""Areas and inner points of polygons that share vertices."""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel
from splinegeo._types import Array


@kernel()
def _areas(vertices, offsets, corners, out):
    for r in range(offsets.shape[0] - 1):
        first = corners[offsets[r]]
        x0, y0 = vertices[first, 0], vertices[first, 1]
        total = 0.0
        # Relative to a corner of the region: the error is that of the region's size, not of its place.
        for k in range(offsets[r] + 1, offsets[r + 1] - 1):
            p, q = corners[k], corners[k + 1]
            total += (vertices[p, 0] - x0) * (vertices[q, 1] - y0) - (vertices[q, 0] - x0) * (vertices[p, 1] - y0)
        out[r] = max(0.0, 0.5 * total)  # a sliver's corners, rounded, may be the wrong way round


@kernel()
def _means(vertices, offsets, corners, out):
    for r in range(offsets.shape[0] - 1):
        first = corners[offsets[r]]
        x = y = 0.0
        for k in range(offsets[r], offsets[r + 1]):
            x += vertices[corners[k], 0] - vertices[first, 0]
            y += vertices[corners[k], 1] - vertices[first, 1]
        n = offsets[r + 1] - offsets[r]
        out[r, 0], out[r, 1] = vertices[first, 0] + x / n, vertices[first, 1] + y / n


def areas(vertices: Array, offsets: Array, corners: Array) -> Array:
    """Area (N,) of each polygon; corners of polygon k are ``corners[offsets[k]:offsets[k + 1]]``."""
    out = np.empty(len(offsets) - 1)
    _areas(vertices, offsets, corners, out)
    return out


def inner_points(vertices: Array, offsets: Array, corners: Array) -> Array:
    """The mean (N, 2) of the corners of each polygon."""
    out = np.empty((len(offsets) - 1, 2))
    _means(vertices, offsets, corners, out)
    return out
