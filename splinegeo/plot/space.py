"""`plot_space` and `plot_surface`: partitions and zero sets in three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array
from splinegeo.plot.axes import collection_style, get_axes
from splinegeo.plot.scale import Limits, add_colorbar, colors, paint, scale
from splinegeo.plot.values import Color, region_values
from splinegeo.space.polygons import cycles

if TYPE_CHECKING:
    from splinegeo.space import SpacePartition, Surface

LIGHT = np.array([-0.35, -0.55, 0.75])  # from where surfaces are lit, in the viewer's fixed box


def plot_space(
    part: SpacePartition,
    ax: Axes | None = None,
    color: Color = "psi",
    *,
    edges: bool = True,
    cmap: str | Colormap | None = None,
    limits: Limits = "full",
    colorbar: bool = True,
    label: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the outside of a partition in three dimensions: the regions' facets on the boundary of the domain.

    To look inside, draw a `SpacePartition.section` with `plot_partition`, or partition a smaller box.

    Args:
        part: a partition in three dimensions.
        ax: 3-D axes to draw into; None makes a new figure.
        color: what fills the facets, one value or colour a region: see `plot_partition`.
        edges: draw the edges.
        cmap: a Matplotlib colour map.
        limits: ``"full"``; (low, high); ``"robust"`` leaves out 1 % of the volume at an end with a long tail.
        colorbar: draw one, with ``label`` (default: what ``color`` is).
        label: text of the colour bar.
        **kwargs: for `mpl_toolkits.mplot3d.art3d.Poly3DCollection`.

    Returns:
        The axes, with the collection as the last of ``ax.collections``.

    Raises:
        InvalidArgument, ShapeMismatch, WrongType: an argument makes no sense.
    """
    call = "plot_space"
    _check(call, part)
    shown = None if color is None else region_values(call, cast("Any", part), color)
    chosen = None
    if shown is not None and shown.kind != "rgba":
        chosen = scale(call, shown, part.volumes, limits, cmap, label, "volume")
    space: Any = get_axes(call, ax, dimension=3)
    outer = np.flatnonzero(part.facet_sides >= 0)
    polygons = [_closed(part.vertices[loop]) for loop in cycles(vars(part.geometry), outer)]
    regions = part.facet_regions[outer, 0]

    def fill() -> Array:
        assert shown is not None
        return np.asarray(colors(shown, chosen))[regions]

    style = collection_style(space, len(outer), edges, None if shown is None else fill, kwargs)
    collection = Poly3DCollection(polygons, **style)
    if shown is not None:
        paint(collection, type(shown)(shown.values[regions], shown.kind, shown.label), chosen)
    space.add_collection3d(collection, autolim=False)  # which would read what pads polygons to one length
    _frame(space, part.vertices)
    if colorbar and chosen is not None:
        add_colorbar(space, collection, chosen)
    drawn: Axes = space
    return drawn


def plot_surface(surface: Surface, ax: Axes | None = None, color: Any = "#8fb8de", **kwargs: Any) -> Axes:
    """Draw a zero set, lit from above.

    Args:
        surface: from `splinegeo.space.zero_set`.
        ax: 3-D axes to draw into; None makes a new figure.
        color: a colour, or an array (F, 3) of one a face.
        **kwargs: for `mpl_toolkits.mplot3d.art3d.Poly3DCollection`.

    Raises:
        InvalidArgument, WrongType: ``ax`` is not 3-D, ``surface`` is no surface or has no faces.
    """
    call = "plot_surface"
    if not hasattr(surface, "face_offsets"):
        raise WrongType(f"{call}: surface must be a Surface; got {type(surface).__name__}")
    if surface.n_faces == 0:
        raise InvalidArgument(f"{call}: the surface has no faces")
    base = np.asarray(color, float) if not isinstance(color, str) else np.array(to_rgb(color))
    space: Any = get_axes(call, ax, dimension=3)
    shade = 0.55 + 0.45 * np.clip(surface.normals @ (LIGHT / np.linalg.norm(LIGHT)), -1, 1)
    faces = np.clip(base * shade[:, None], 0, 1)
    style = {"facecolors": faces, "edgecolors": faces, "linewidths": 0.3} | kwargs
    faces3d = Poly3DCollection([_closed(surface.vertices[face]) for face in surface.faces], **style)
    space.add_collection3d(faces3d, autolim=False)
    _frame(space, surface.vertices)
    drawn: Axes = space
    return drawn


def _closed(polygon: Array) -> Array:
    """A polygon that ends where it begins: Matplotlib pads polygons to one length, and closes only the longest."""
    return np.concatenate([polygon, polygon[:1]])


def _check(call: str, part: Any) -> None:
    if not hasattr(type(part), "facet_sides"):  # asking the partition itself would work out its facets
        raise WrongType(f"{call}: part must be a SpacePartition; got {type(part).__name__}")
    if part.dim != 3:
        raise InvalidArgument(f"{call}: partitions in 3 dimensions can be drawn; this one has d = {part.dim}")
    if part.n_regions == 0:
        raise InvalidArgument(f"{call}: the partition has no regions")


def _frame(space: Any, points: Array) -> None:
    low, high = points.min(0), points.max(0)
    space.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    space.set_box_aspect(high - low)
    space.set(xlabel="$u_1$", ylabel="$u_2$", zlabel="$u_3$")
    space.locator_params(nbins=5)
