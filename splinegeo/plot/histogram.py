"""`plot_histogram`: how much of the domain has which value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.descriptors import weighted_histogram
from splinegeo.plot.axes import check_plane, get_axes
from splinegeo.plot.values import Color, region_values

if TYPE_CHECKING:
    from splinegeo.partition import Partition


def plot_histogram(
    part: Partition,
    color: Color = "psi",
    ax: Axes | None = None,
    *,
    bins: int | Sequence[float] | Array = 50,
    label: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the distribution of a per-region value over the domain: each region weighs what its area is.

    ``color`` chooses the values as in `plot_partition`; ``label`` names them on the axis. Areas and densities are
    binned by their logarithm, classes one bar each. Regions without a finite value are left out, and the axis says what
    share of the area that is. ``kwargs`` go to the patches (``color`` is taken; use ``facecolor``).

    Raises:
        InvalidArgument: colours instead of values; no region with a finite value.
    """
    call = "plot_histogram"
    check_plane(call, part)
    if color is None:
        raise InvalidArgument(f"{call}: color=None leaves nothing to count; name a value, such as 'psi'")
    shown = region_values(call, part, color)
    if shown.kind == "rgba":
        raise InvalidArgument(f"{call}: RGB(A) colours cannot be counted; pass one value a region")
    values, volumes = np.asarray(shown.values, np.float64), part.volumes
    counted = np.isfinite(values) & ((values > 0) | (shown.kind != "log"))
    if not counted.any():
        raise InvalidArgument(f"{call}: none of the {len(values):,} regions has a finite value to count")
    total, values, volumes = float(volumes.sum()), values[counted], volumes[counted]
    classes = np.unique(values)
    if shown.kind == "classes":
        shares = [float(volumes[values == c].sum()) / total for c in classes]
    else:
        heights, edges = weighted_histogram(np.log10(values) if shown.kind == "log" else values, volumes, bins)
        heights = heights / total
    ax = get_axes(call, ax)
    style: dict[str, Any] = {"facecolor": "#3b6fa0", "edgecolor": "white", "linewidth": 0.4, **kwargs}
    if shown.kind == "classes":
        names = [str(int(c)) for c in classes]
        ax.bar(np.arange(len(names)), shares, width=0.7, **style)
        ax.set_xticks(np.arange(len(names)), names)
    else:
        if shown.kind == "log":
            edges = 10.0**edges
            ax.set_xscale("log")
        ax.bar(edges[:-1], heights, width=np.diff(edges), align="edge", **style)
    ax.set_xlabel(shown.label if label is None else label)
    missing = 1 - float(volumes.sum()) / total
    ax.set_ylabel("share of the area" + (f" ({100 * missing:.2g} % without a value)" if missing > 1e-12 else ""))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
