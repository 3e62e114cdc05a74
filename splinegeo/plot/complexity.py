"""`plot_complexity` and `plot_comparison`: exact values beside estimates of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo.plot.axes import get_axes

if TYPE_CHECKING:
    from splinegeo.compare import Comparison

_FORMS = {
    "regions": ("regions less one", "#1b4965", "-", "o"),
    "crossing": ("crossing units", "#c1440e", "-", "s"),
    "vertices": ("vertex sign changes (estimate)", "#222222", "--", "x"),
}


def plot_complexity(comparison: Comparison, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the three forms of local complexity over the radius, from `splinegeo.compare.complexity`.

    Means over latents and frames, a line each form, with the range from the 10th to the 90th percentile shaded. Regions
    are drawn less one, so that the three forms would agree on hyperplanes that do not meet. Balls whose regions were
    not all counted enter with their lower bounds, and their radii are drawn hollow. ``kwargs`` go to the lines.

    Raises:
        WrongType: another kind of comparison.
        InvalidArgument: several dimensions P at once; an empty table.
    """
    call = "plot_complexity"
    table = getattr(comparison, "table", {})
    if not {"radius", "vertices", "crossing", "regions", "dim"} <= set(table):
        raise WrongType(f"{call} draws what splinegeo.compare.complexity returns; got {comparison!r}")
    dims = np.unique(table["dim"])
    if len(dims) != 1:
        raise InvalidArgument(f"{call}: draw one dimension at a time; the table has P = {dims.tolist()}")
    ax = get_axes(call, ax)
    radii = np.unique(table["radius"])
    for name, (label, color, line, marker) in _FORMS.items():
        if name == "regions" and (table["regions"] < 0).all():
            continue
        values = table[name] - (name == "regions")
        here = [values[table["radius"] == r] for r in radii]
        low, high = (np.array([np.quantile(v, q) for v in here]) for q in (0.1, 0.9))
        style: dict[str, Any] = {"color": color, "linestyle": line, "marker": marker, "markersize": 5, **kwargs}
        (drawn,) = ax.plot(radii, [v.mean() for v in here], label=label, **style)
        if name == "regions":
            open_ = [not table["complete"][table["radius"] == r].all() for r in radii]
            means = np.array([v.mean() for v in here])
            ax.plot(radii[open_], means[open_], color="white", marker=marker, markersize=3, linestyle="none", zorder=3)
        if name != "vertices":
            ax.fill_between(radii, low, high, color=drawn.get_color(), alpha=0.13, linewidth=0)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=1)
    if ax.get_ylim()[0] < 1:  # there are zeros, which the scale is to hold
        ax.set_ylim(bottom=0)
    ax.set_xlabel(r"radius of the $\ell_1$ ball")
    ax.set_ylabel(f"local complexity, P = {int(dims[0])}")
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_comparison(comparison: Comparison, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a comparison: estimates over exact values, with the diagonal on which they would agree.

    The worst row is marked. ``kwargs`` go to the markers.

    Raises:
        WrongType: not a `Comparison`.
        InvalidArgument: no row with two finite numbers.
    """
    call = "plot_comparison"
    if not hasattr(comparison, "table") or not hasattr(comparison, "exact"):
        raise WrongType(f"{call} draws a Comparison; got {type(comparison).__name__}")
    x = np.asarray(comparison.table[comparison.exact], float)
    y = np.asarray(comparison.table[comparison.estimate], float)
    both = np.isfinite(x) & np.isfinite(y)
    if not both.any():
        raise InvalidArgument(f"{call}: none of the {len(x):,} rows has two finite numbers")
    ax = get_axes(call, ax)
    low, high = min(x[both].min(), y[both].min()), max(x[both].max(), y[both].max())
    margin = 0.04 * (high - low) or 1.0
    ends = [low - margin, high + margin]
    ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    style: dict[str, Any] = {"s": 9, "color": "#3b6fa0", "alpha": 0.5, "linewidths": 0, **kwargs}
    ax.scatter(x[both], y[both], rasterized=both.sum() > 20_000, **style)
    worst = comparison.worst
    if worst >= 0 and comparison.errors[worst] and both[worst]:
        ax.scatter(x[worst], y[worst], s=70, facecolors="none", edgecolors="#c1440e", linewidths=1.4, label="worst")
        ax.legend(frameon=False, fontsize="small")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    ax.set_xlabel(comparison.exact.replace("_", " "))
    ax.set_ylabel(comparison.estimate.replace("_", " "))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
