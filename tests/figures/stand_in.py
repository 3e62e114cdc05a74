"""A partition made by hand for the pictures: a grid of squares, each cut along a diagonal, bent by a known map."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from splinegeo.descriptors import nu, psi, rank, singular_values
from splinegeo.domains import Box, Slice
from splinegeo.streaming import RasterImage


def grid(n: int = 4, outputs: int = 3, squares: int = 0) -> SimpleNamespace:
    """2 n² - ``squares`` regions of [-1, 1]²; the first ``squares`` cells stay whole, so corner counts differ.

    The map interpolates (u, v, u² + v²/2, 0, ...) at the vertices of the grid, and so is continuous between triangles;
    on a whole square it is the map of its lower triangle.
    """
    side = np.linspace(-1, 1, n + 1)
    vertices = np.stack(np.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2)
    polygons = []
    for k in range(n * n):
        a = k // n * (n + 1) + k % n
        b, c, d = a + 1, a + n + 2, a + n + 1
        polygons += [[a, b, c, d]] if k < squares else [[a, b, c], [a, c, d]]
    counts = [len(p) for p in polygons]
    heights = np.stack([vertices[:, 0], vertices[:, 1], (vertices**2 @ [1, 0.5])], 1)
    values = np.concatenate([heights, np.zeros((len(vertices), max(0, outputs - 3)))], 1)[:, :outputs]
    a, b = np.empty((len(polygons), outputs, 2)), np.empty((len(polygons), outputs))
    for k, p in enumerate(polygons):
        solution = np.linalg.solve(np.column_stack([vertices[p[:3]], np.ones(3)]), values[p[:3]])
        a[k], b[k] = solution[:2].T, solution[2]
    sigma = singular_values(a)
    return SimpleNamespace(
        vertices=vertices,
        region_offsets=np.concatenate([[0], np.cumsum(counts)]),
        corner_vertices=np.concatenate(polygons).astype(np.int32),
        polygons=[vertices[p] for p in polygons],
        n_regions=len(polygons),
        volumes=np.array([(2 / n) ** 2 * (0.5 if c == 3 else 1.0) for c in counts]),
        interior_points=np.array([vertices[p].mean(0) for p in polygons]),
        singular_values=sigma,
        psi=psi(sigma, shape=(outputs, 2)),
        nu=nu(sigma),
        rank=rank(sigma, shape=(outputs, 2)),
        affine_maps=lambda: (a, b),
        domain=Box([-1, -1], [1, 1]),
        slice=Slice([0, 0], [[1, 0], [0, 1]]),
        decision_boundary=lambda i, j=None: np.array([[[-1.0, 0.0], [1.0, 0.5]]])[: 1 if j is None else 0],
    )


def raster() -> RasterImage:
    """Three rows of two pixels over [0, 2] x [0, 3]; the one at the top left is outside."""
    psi = np.array([[0.0, 1.0], [2.0, 3.0], [np.nan, 5.0]])
    return RasterImage(Box([0, 0], [2, 3]), {"psi": psi, "volume": np.exp(psi)})
