"""`plot_partition`: the regions in slice coordinates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap

from splinegeo.plot.axes import check_plane, collection_style, corner_polygons, get_axes, plain_frame
from splinegeo.plot.scale import Limits, add_colorbar, colors, paint, scale
from splinegeo.plot.values import Color, region_values

if TYPE_CHECKING:
    from splinegeo.partition import Partition


def plot_partition(
    part: Partition,
    ax: Axes | None = None,
    color: Color = "psi",
    *,
    edges: bool = True,
    cmap: str | Colormap | None = None,
    limits: Limits = "robust",
    colorbar: bool = True,
    label: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the regions of ``part`` as one collection of polygons.

    Args:
        part: a partition of a plane.
        ax: where to draw; None makes a new figure.
        color: what fills the regions. A name: ``"psi"``, ``"nu"``, ``"exp_psi"``, ``"volume"``, ``"rank"``,
            ``"density"`` (of the output under a uniform latent). An array: (N,) values, (N, 3) or (N, 4) colours in
            [0, 1]; at most eight different integers or booleans are classes. A function: it is called once with the
            partition and returns such an array, as ``lambda p: np.hypot(*p.interior_points.T)`` does. None: no fill.
        edges: draw the edges; they thin out as regions multiply, and vanish when they would hide the colours.
        cmap: a Matplotlib colour map; the default is viridis, or Okabe and Ito's colours for classes.
        limits: ``"robust"`` cuts long tails at 1 % of the area and says so on the colour bar; ``"full"``; (low, high).
        colorbar: draw one, with ``label`` (default: what ``color`` is).
        label: text of the colour bar.
        **kwargs: for `matplotlib.collections.PolyCollection`, such as ``linewidth``, ``edgecolor``, ``alpha``,
            ``rasterized`` (by default from 20,000 regions on, so that vector files stay small).

    Returns:
        The axes, with the collection as the last of ``ax.collections``.

    Raises:
        InvalidArgument, ShapeMismatch, WrongType: ``color``, ``limits``, ``cmap`` or ``ax`` make no sense.
    """
    call = "plot_partition"
    check_plane(call, part)
    shown = None if color is None else region_values(call, part, color)
    chosen = None
    if shown is not None and shown.kind != "rgba":
        chosen = scale(call, shown, part.volumes, limits, cmap, label)
    ax = get_axes(call, ax)
    polygons = corner_polygons(part, part.vertices[part.corner_vertices])
    fill = None if shown is None else partial(colors, shown, chosen)
    collection = PolyCollection(polygons, **collection_style(ax, part.n_regions, edges, fill, kwargs))
    if shown is not None:
        paint(collection, shown, chosen)
    ax.add_collection(collection, autolim=False)
    plain_frame(ax, part)
    if colorbar and chosen is not None:
        add_colorbar(ax, collection, chosen)
    return ax
