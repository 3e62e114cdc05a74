"""Axes, corners and edge widths: what every picture of regions needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.collections import PolyCollection

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array

if TYPE_CHECKING:
    from splinegeo.partition import Partition

_PADDED_CORNERS = 20_000_000  # above this many, corners stay ragged: slower to draw, a few hundred MB lighter
_SEAM = 0.3  # width in points that hides the seams between polygons at 100 to 200 dots an inch
_DARKNESS = 0.75  # opacity of a line
_RASTER = 20_000  # regions from which a PDF or SVG holds the polygons as an image, or it takes minutes to open


def get_axes(call: str, ax: Axes | None, dimension: int = 2) -> Axes:
    """``ax`` if it fits, or the axes of a new figure."""
    if ax is None:
        size = (5.6, 4.6) if dimension == 2 else (6.4, 5.2)
        keywords: dict[str, Any] = {} if dimension == 2 else {"projection": "3d"}
        return plt.subplots(figsize=size, layout="compressed", subplot_kw=keywords)[1]
    if not isinstance(ax, Axes):
        raise WrongType(f"{call}: ax must be a Matplotlib Axes or None; got {type(ax).__name__}")
    if (ax.name == "3d") != (dimension == 3):
        cure = "plt.subplots(subplot_kw={'projection': '3d'})" if dimension == 3 else "plt.subplots()"
        raise InvalidArgument(
            f"{call}: this picture is {dimension}-dimensional and ax is {ax.name!r}; make ax by {cure}"
        )
    return ax


def check_plane(call: str, part: Partition) -> None:
    """Raise unless ``part`` is a partition of something two-dimensional with at least one region."""
    vertices = getattr(part, "vertices", None)
    if vertices is None or not hasattr(part, "region_offsets"):
        raise WrongType(f"{call}: part must be a Partition; got {type(part).__name__}")
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise InvalidArgument(f"{call}: only partitions of a plane can be drawn; this one has d = {vertices.shape[-1]}")
    if part.n_regions == 0:
        raise InvalidArgument(f"{call}: the partition has no regions")


def corner_table(part: Partition) -> Array:
    """(N, k) positions among the corners, k the largest corner count; regions with fewer repeat their last corner."""
    first, counts = part.region_offsets[:-1], np.diff(part.region_offsets)
    return first[:, None] + np.minimum(np.arange(counts.max())[None, :], counts[:, None] - 1)


def corner_polygons(part: Partition, points: Array) -> Any:
    """Polygons through ``points`` (C, m), one a corner: an array (N, k, m), or a list where that would be too large."""
    counts = np.diff(part.region_offsets)
    if len(counts) * int(counts.max()) > _PADDED_CORNERS:
        return np.split(points, part.region_offsets[1:-1])
    return points[corner_table(part)]


def line_width(n: int, extent: float) -> float:
    """Width in points of the edges between ``n`` regions on ``extent`` points: a small part of their typical size."""
    width = 0.035 * extent / np.sqrt(n)
    return float(min(width, 0.8)) if width >= 0.04 else 0.0  # fainter than that they would only dull the colours


def collection_style(
    ax: Axes, n: int, edges: bool, fill: Callable[[], Array] | None, keywords: dict[str, Any]
) -> dict[str, Any]:
    """Keywords for a collection of ``n`` polygons; what the user gives wins. ``fill`` makes their colours (N, 3 or 4).

    A line much thinner than a pixel does not cover the seam that antialiasing leaves between two polygons, which shows
    as pale dashes. So lines stop getting thinner at some point and instead fade into the colours of their polygons.
    """
    keywords = normalize_kwargs(keywords, PolyCollection)
    box = ax.get_window_extent()
    width = line_width(n, min(box.width, box.height) * 72 / ax.figure.dpi)
    style: dict[str, Any] = {"rasterized": n > _RASTER, "linewidth": max(width, _SEAM)}
    if fill is None:
        style |= {"facecolor": "none", "edgecolor": "black", "linewidth": max(width, 0.1) if edges else 0.0}
    elif "edgecolor" not in keywords:
        darkness = _DARKNESS * min(1.0, float(np.max(keywords.get("linewidth", width))) / _SEAM) if edges else 0.0
        if darkness == _DARKNESS:
            style["edgecolor"] = (0, 0, 0, darkness)
        elif darkness > 0 or ax.name == "3d":  # in space "face" would be looked up before there are faces
            faces = fill()
            style["edgecolor"] = faces * np.array([1 - darkness] * 3 + [1.0])[: faces.shape[1]]
        else:
            style["edgecolor"] = "face"
    if ax.name != "3d":
        style["joinstyle"] = "bevel"
    return {**style, **keywords}


def coordinate_labels(part: Partition) -> tuple[str, str]:
    """Names of the axes: z for the latent's own coordinates, u for those of a slice."""
    basis, origin = np.asarray(part.slice.basis), np.asarray(part.slice.origin)
    whole = basis.shape == (2, 2) and (basis == np.eye(2)).all() and not origin.any()
    return ("$z_1$", "$z_2$") if whole else ("$u_1$", "$u_2$")


def plain_frame(ax: Axes, part: Partition) -> None:
    """Axes of a picture in slice coordinates: equal aspect, labels, the domain in view."""
    ax.set_aspect("equal")
    ax.update_datalim(np.asarray(part.domain.vertices))
    ax.margins(0)
    ax.autoscale_view()
    ax.locator_params(nbins=5)
    x, y = coordinate_labels(part)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
