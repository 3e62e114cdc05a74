"""A grid on the plane through three latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array


@dataclass(frozen=True, eq=False)
class PlaneGrid:
    """Points z = origin + u · first + v · second on a grid, with the three latents in its coordinates."""

    points: Array  # (rows, columns, *shape) latents; rows are v, columns u
    u: Array  # (columns,) coordinates along the first direction, in units of latent distance
    v: Array  # (rows,)
    anchors: Array  # (3, 2) the three latents


def plane_grid(latents: Any, size: int = 64, *, margin: float = 0.25) -> PlaneGrid:
    """``size`` × ``size`` latents on the plane through three, an orthonormal frame of it as coordinates.

    The first direction leads from the first latent to the second. The grid is square and holds all three, with
    ``margin`` times its extent beyond them on every side.

    Args:
        latents: ``(3, *shape)``.
        size: points along each side, at least 2.
        margin: at least 0.

    Raises:
        InvalidArgument: the three are on a line.

    >>> plane_grid([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 5).anchors.tolist()
    [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]
    """
    call = "plane_grid"
    z = float_array(latents, f"{call}: latents")
    if z.ndim < 2 or len(z) != 3:
        raise ShapeMismatch(f"{call}: latents must have shape (3, *shape); they have {z.shape}")
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 2:
        raise InvalidArgument(f"{call}(size={size!r}): at least 2 points along a side are expected")
    if not margin >= 0:
        raise InvalidArgument(f"{call}(margin={margin!r}): a number >= 0 is expected")
    flat = z.reshape(3, -1)
    sides = (flat[1:] - flat[0]).T
    if flat.shape[1] < 2 or np.linalg.matrix_rank(sides) < 2:
        raise InvalidArgument(f"{call}: the three latents lie on a line; no plane goes through them alone")
    basis, r = np.linalg.qr(sides)
    signs = np.sign(np.diag(r))
    basis, r = basis * signs, r * signs[:, None]
    anchors = np.concatenate([np.zeros((1, 2)), r.T]) + 0.0
    anchors[1, 1] = 0.0
    low, high = anchors.min(0), anchors.max(0)
    half = (high - low).max() * (0.5 + margin)
    u, v = (np.linspace(c - half, c + half, size) for c in (low + high) / 2)
    grid = np.stack(np.meshgrid(u, v), -1)
    points = flat[0] + grid @ basis.T
    return PlaneGrid(points.reshape(size, size, *z.shape[1:]), u, v, anchors)
