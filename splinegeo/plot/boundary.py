"""`plot_decision_boundary`: level sets and argmax ties as line segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import Normal, Stroke

from splinegeo._errors import ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo.plot.axes import get_axes, plain_frame

if TYPE_CHECKING:
    from splinegeo.partition import Partition


def plot_decision_boundary(
    source: Partition | Array, i: int | None = None, j: int | None = None, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw a decision boundary: ``source.decision_boundary(i, j)`` of a partition, or segments (S, 2, 2) as they are.

    A white halo keeps the black lines readable on any colour. ``kwargs`` go to `matplotlib.collections.LineCollection`
    (``color``, ``linewidth``, ``path_effects=[]`` for no halo). No segments is a fact, not an error: nothing is drawn.

    Raises:
        ShapeMismatch: segments that are not (S, 2, 2).
        WrongType: ``i`` and ``j`` with an array of segments, or no ``i`` with a partition.
    """
    call = "plot_decision_boundary"
    of_partition: Any = getattr(source, "decision_boundary", None)
    if of_partition is not None:
        if i is None:
            raise WrongType(f"{call}: say which output, i, or which pair of outputs, i and j, is at a tie")
        segments = np.asarray(of_partition(i) if j is None else of_partition(i, j))
    else:
        if i is not None or j is not None:
            raise WrongType(f"{call}: i and j choose outputs of a partition; source is an array of segments already")
        segments = np.asarray(source)
    if segments.ndim != 3 or segments.shape[1:] != (2, 2) or segments.dtype.kind not in "fiu":
        raise ShapeMismatch(
            f"{call}: segments must be numbers of shape (S, 2, 2), start and end in the plane; "
            f"they have shape {segments.shape} and dtype {segments.dtype}"
        )
    ax = get_axes(call, ax)
    width = kwargs.get("linewidth", kwargs.get("linewidths", kwargs.get("lw", 1.6)))
    halo = [Stroke(linewidth=np.max(width) + 1.8, foreground="white"), Normal()]
    names = kwargs.keys() & {"color", "colors", "linewidth", "linewidths", "lw", "edgecolor", "edgecolors"}
    style: dict[str, Any] = {"path_effects": halo, "zorder": 3, "capstyle": "round"}
    if not names & {"color", "colors", "edgecolor", "edgecolors"}:
        style["colors"] = "black"
    if not names & {"linewidth", "linewidths", "lw"}:
        style["linewidths"] = width
    ax.add_collection(LineCollection(list(segments), **{**style, **kwargs}), autolim=False)
    if of_partition is not None:
        plain_frame(ax, cast("Partition", source))
    else:
        ax.set_aspect("equal")
        if len(segments):
            ax.update_datalim(segments.reshape(-1, 2))
        ax.autoscale_view()
    return ax
