"""`plot_image`: the image of the regions, a surface in the plane or in space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo.plot.axes import check_plane, collection_style, corner_polygons, get_axes
from splinegeo.plot.scale import Limits, add_colorbar, colors, paint, scale
from splinegeo.plot.values import Color, region_values

if TYPE_CHECKING:
    from splinegeo.partition import Partition


def plot_image(
    part: Partition,
    ax: Axes | None = None,
    color: Color = "psi",
    *,
    project: Sequence[int] | Array | None = None,
    edges: bool = True,
    cmap: str | Colormap | None = None,
    limits: Limits = "robust",
    colorbar: bool = True,
    label: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the image of each region under its own affine map: a patch of the output manifold.

    Outputs in R^2 and R^3 are drawn as they are. For others ``project`` says what to look at: two or three output
    indices, or a matrix (2, D) or (3, D) applied to the output. Where the map folds, patches lie over each other; in
    the plane later regions cover earlier ones (``alpha=0.5`` shows both).

    The other arguments are those of `plot_partition`. ``ax`` must be three-dimensional for a surface in space.

    Raises:
        InvalidArgument: D = 1; D > 3 without ``project``; an index out of range.
        ShapeMismatch: a ``project`` of the wrong shape.
    """
    call = "plot_image"
    check_plane(call, part)
    points, names = _image_of_corners(call, part, project)
    dimension = points.shape[1]
    shown = None if color is None else region_values(call, part, color)
    chosen = None
    if shown is not None and shown.kind != "rgba":
        chosen = scale(call, shown, part.volumes, limits, cmap, label)
    ax = get_axes(call, ax, dimension)
    fill = None if shown is None else partial(colors, shown, chosen)
    style = collection_style(ax, part.n_regions, edges, fill, kwargs)
    polygons = corner_polygons(part, points)
    canvas: Any = ax
    collection: Any = (Poly3DCollection if dimension == 3 else PolyCollection)(polygons, **style)
    if shown is not None:
        paint(collection, shown, chosen)
    if dimension == 3:
        canvas.add_collection3d(collection, autolim=False)
    else:
        ax.add_collection(collection, autolim=False)
    _frame(ax, points, names)
    if colorbar and chosen is not None:
        add_colorbar(ax, collection, chosen)
    return ax


def _image_of_corners(call: str, part: Partition, project: Sequence[int] | Array | None) -> tuple[Array, list[str]]:
    """(C, 2 or 3) drawn coordinates of each corner under its region's map, and the names of the coordinates."""
    a, b = part.affine_maps()
    n_outputs = a.shape[1]
    names = [f"$x_{{{k + 1}}}$" for k in range(n_outputs)] if n_outputs <= 3 else []
    if project is None:
        if n_outputs not in (2, 3):
            cure = (
                "use plot_partition with color=lambda p: p.network(p.slice.embed(p.interior_points))[:, 0]"
                if n_outputs < 2
                else "pass project=(0, 1, 2), or a matrix of shape (3, D) such as the leading principal directions"
            )
            raise InvalidArgument(f"{call}: outputs have D = {n_outputs} dimensions and a picture has 2 or 3; {cure}")
    else:
        p = np.asarray(project)
        if p.ndim == 1 and p.dtype.kind in "iu" and len(p) in (2, 3):
            if not ((p >= 0) & (p < n_outputs)).all():
                raise InvalidArgument(f"{call}: project={p.tolist()} has an index outside 0..{n_outputs - 1}")
            a, b = a[:, p], b[:, p]
            names = [f"$x_{{{k + 1}}}$" for k in p.tolist()]
        elif p.ndim == 2 and p.dtype.kind in "fiu" and p.shape[0] in (2, 3) and p.shape[1] == n_outputs:
            a, b = np.matmul(p, a), b @ p.T
            names = [f"projection {k + 1}" for k in range(len(p))]
        else:
            raise ShapeMismatch(
                f"{call}: project must be 2 or 3 output indices, or a real matrix of shape (2, {n_outputs}) or "
                f"(3, {n_outputs}); it has shape {p.shape} and dtype {p.dtype}"
            )
    counts = np.diff(part.region_offsets)
    u = part.vertices[part.corner_vertices]
    owner = np.repeat(np.arange(len(counts)), counts)
    points = a[owner, :, 0] * u[:, :1] + a[owner, :, 1] * u[:, 1:] + b[owner]
    return points, names


def _frame(ax: Axes, points: Array, names: list[str]) -> None:
    low, high = points.min(0), points.max(0)
    if len(names) == 2:
        ax.set_aspect("equal")
        ax.update_datalim([low, high])
        ax.margins(0.03)
        ax.autoscale_view()
        ax.locator_params(nbins=5)
        ax.set_xlabel(names[0])
        ax.set_ylabel(names[1])
        return
    space: Any = ax
    fresh = len(ax.collections) + len(ax.lines) == 1
    pad = 0.02 * max(float((high - low).max()), 1e-12 * float(np.abs(points).max(initial=1.0)))
    for k, axis in enumerate("xyz"):
        a, b = low[k] - pad, high[k] + pad
        if not fresh:
            old = getattr(space, f"get_{axis}lim")()
            a, b = min(a, old[0]), max(b, old[1])
        getattr(space, f"set_{axis}lim")(a, b)
        getattr(space, f"set_{axis}label")(names[k], labelpad=8)
        coordinate = getattr(space, f"{axis}axis")
        coordinate.set_pane_color((1, 1, 1, 0))
        coordinate.pane.set_edgecolor("#d0d0d0")
        coordinate.set_major_locator(MaxNLocator(4))
    space.grid(visible=False)
    limits = np.array([space.get_xlim(), space.get_ylim(), space.get_zlim()])
    space.set_box_aspect(limits[:, 1] - limits[:, 0], zoom=1.03)  # equal units
