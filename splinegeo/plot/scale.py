"""From values to colours: robust limits that say so, norms, colour bars."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.ticker import FixedFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.descriptors import weighted_quantiles
from splinegeo.plot.values import RegionValues

Limits: TypeAlias = "Literal['robust', 'full'] | tuple[float, float]"

_NO_VALUE = "#c8c8c8"  # regions without a finite value; not in any of the maps below

# Okabe and Ito's colours, told apart by people with any common colour blindness; the yellow last, black left to lines
_CLASSES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#999999", "#f0e442")

# A tail shorter than this part of the bulk's range is shown in full: clipping it would gain nothing.
_SHORT_TAIL = 0.25


@dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours, and what a colour bar says about it."""

    norm: Normalize
    cmap: Colormap
    extend: str  # 'neither', 'min', 'max' or 'both': the sides on which values lie outside the limits
    label: str
    ticks: tuple[list[float], list[str]] | None = None  # positions and labels, for classes


def robust_limits(values: Array, volumes: Array) -> tuple[float, float]:
    """Limits that hold 98 % of the area or volume, 1 % off each end, except that a short tail is taken in whole."""
    low, high = weighted_quantiles(values, volumes, [0.01, 0.99]).tolist()
    least, most = float(values.min()), float(values.max())
    tail = _SHORT_TAIL * (high - low)
    return (least if low - least <= tail else low), (most if most - high <= tail else high)


def _classes(shown: RegionValues, cmap: str | Colormap | None) -> Scale:
    classes = np.unique(shown.values).tolist() or [0]
    if cmap is None:
        colors: Any = _CLASSES[: len(classes)]
    else:
        colors = colormaps.get_cmap(cmap)(np.linspace(0, 1, len(classes)))
    bounds = [classes[0] - 0.5, *((a + b) / 2 for a, b in pairwise(classes)), classes[-1] + 0.5]
    middles = [(a + b) / 2 for a, b in pairwise(bounds)]
    norm = BoundaryNorm(bounds, len(classes))
    return Scale(norm, ListedColormap(colors), "neither", shown.label, (middles, [str(c) for c in classes]))


def scale(
    call: str,
    shown: RegionValues,
    volumes: Array,
    limits: Limits,
    cmap: str | Colormap | None,
    label: str | None,
    measure: str = "area",
) -> Scale:
    """The scale for ``shown``; robust limits weigh the regions by ``volumes`` (N,), whose name is ``measure``."""
    if label is not None:
        shown = RegionValues(shown.values, shown.kind, label)
    if isinstance(cmap, str) and cmap not in colormaps:
        raise InvalidArgument(f"{call}: Matplotlib has no colour map {cmap!r}; 'viridis', 'cividis', 'magma' suit")
    if shown.kind == "classes":
        return _classes(shown, cmap)
    log = shown.kind == "log"
    shows = np.isfinite(shown.values) & ((shown.values > 0) | (not log))
    values, volumes = shown.values[shows], volumes[shows]
    note = ""
    if isinstance(limits, str):
        if limits not in ("robust", "full"):
            raise InvalidArgument(f"{call}: limits must be 'robust', 'full' or (low, high); got {limits!r}")
        if len(values) == 0:
            low, high = 1.0, 1.0
        elif limits == "full" or not volumes.sum() > 0:
            low, high = float(values.min()), float(values.max())
        elif log:
            low, high = np.exp(robust_limits(np.log(values), volumes)).tolist()
        else:
            low, high = robust_limits(values, volumes)
    else:
        low, high = _pair(call, limits, log)
    # rounding in exp(log) must not invent a clipped side
    below = len(values) > 0 and float(values.min()) < low * (1 - 1e-12 * np.sign(low))
    above = len(values) > 0 and float(values.max()) > high * (1 + 1e-12 * np.sign(high))
    if limits == "robust" and (below or above):
        where = (
            f"1 % of the {measure} at each end"
            if below and above
            else f"the {'lowest' if below else 'highest'} 1 % of the {measure}"
        )
        note = f"\n(without {where})"
    if not low < high:  # one value: give it the middle of the map
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    chosen = colormaps.get_cmap(cmap if cmap is not None else "viridis").with_extremes(bad=_NO_VALUE)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]
    norm = LogNorm(low, high) if log else Normalize(low, high)
    return Scale(norm, chosen, extend, shown.label + note)


def _pair(call: str, limits: Any, log: bool) -> tuple[float, float]:
    try:
        low, high = (float(x) for x in limits)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{call}: limits must be 'robust', 'full' or (low, high); got {limits!r}") from None
    if not (np.isfinite([low, high]).all() and low < high and (low > 0 or not log)):
        condition = "0 < low < high on a logarithmic scale" if log else "low < high, both finite"
        raise InvalidArgument(f"{call}: limits must satisfy {condition}; got ({low:g}, {high:g})")
    return low, high


def colors(shown: RegionValues, scale: Scale | None) -> Array:
    """Colours (N, 3 or 4) of the regions."""
    return shown.values if scale is None else np.asarray(scale.cmap(scale.norm(np.ma.masked_invalid(shown.values))))


def paint(collection: Any, shown: RegionValues, scale: Scale | None) -> None:
    """Give a collection of polygons its colours."""
    if scale is None:
        collection.set_facecolor(shown.values)
        return
    collection.set_norm(scale.norm)
    collection.set_cmap(scale.cmap)
    collection.set_array(np.ma.masked_invalid(shown.values))


def add_colorbar(ax: Axes, collection: Any, scale: Scale) -> None:
    """A colour bar beside the axes, or below them where they are wide and low; shorter beside a 3-D box."""
    shape: dict[str, Any] = {}
    if ax.name == "3d":
        shape = {"shrink": 0.6, "pad": 0.12}
    elif ax.dataLim.height < 0.55 * ax.dataLim.width:
        shape = {"location": "bottom", "aspect": 40}
    elif ax.figure.get_layout_engine() is None:
        # the fraction at which a bar is as tall as square axes of equal aspect; a layout engine does better by itself
        shape = {"fraction": 0.046, "pad": 0.04}
    bar = ax.figure.colorbar(collection, ax=ax, extend=scale.extend, **shape)
    bar.outline.set_linewidth(0.5)
    if scale.ticks is not None:
        bar.set_ticks(scale.ticks[0])
        bar.long_axis.set_major_formatter(FixedFormatter(scale.ticks[1]))
        bar.long_axis.set_minor_locator(NullLocator())
        bar.ax.tick_params(length=0)
    elif isinstance(scale.norm, LogNorm) and np.divide(*collection.get_clim()) > 1e-3:
        # over a few decades powers of ten alone are too few ticks, and 6 x 10^-1 is no way to write 0.6
        bar.set_ticks(LogLocator(subs=(1, 2, 5)))
        bar.long_axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        bar.long_axis.set_minor_formatter(NullFormatter())
    if scale.label:
        bar.set_label(scale.label)
