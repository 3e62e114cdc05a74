"""Pictures of samples and their descriptors: bands, contact sheets, histograms, maps, bins. Axes in, Axes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.plot.axes import get_axes

if TYPE_CHECKING:
    from splinegeo.assess import Band, PlaneGrid, Separation

_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999", "#000000")  # Okabe and Ito


def plot_trajectories(
    steps: Any, bands: Mapping[str, Band] | Band, ax: Axes | None = None, *, label: str = "", **kwargs: Any
) -> Axes:
    """Draw means over seeds along the steps of a sampler, with their confidence bands.

    Args:
        steps: (T,) positions of the steps; they are drawn in the order of sampling, first to last, left to right.
        bands: one band, or several by name.
        ax: where; a new figure by default.
        label: of the vertical axis.
        kwargs: for the lines.
    """
    call = "plot_trajectories"
    x = float_array(steps, f"{call}: steps", ndim=1)
    several = bands if isinstance(bands, Mapping) else {"": bands}
    if not several:
        raise InvalidArgument(f"{call}: no bands to draw")
    for name, band in several.items():
        if len(band.mean) != len(x):
            raise ShapeMismatch(f"{call}: band {name!r} has {len(band.mean)} steps and there are {len(x)}")
    ax = get_axes(call, ax)
    for k, (name, band) in enumerate(several.items()):
        style: dict[str, Any] = {"color": _LINES[k % len(_LINES)], "linewidth": 1.5, **kwargs}
        ax.plot(x, band.mean, label=name, **style)
        ax.fill_between(x, band.low, band.high, color=style["color"], alpha=0.2, linewidth=0)
    if len(x) > 1 and x[0] > x[-1] and not ax.xaxis_inverted():  # steps count down to the data
        ax.invert_xaxis()
    first = next(iter(several.values()))
    ax.set_xlabel(f"step ({100 * first.level:g} % bands over {first.count} seeds)")
    ax.set_ylabel(label)
    if any(several):
        ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_contact_sheet(
    images: Any, indices: Any = None, ax: Axes | None = None, *, columns: int = 8, title: str = "", **kwargs: Any
) -> Axes:
    """Draw images side by side, in the order of ``indices``.

    Args:
        images: (N, h, w), (N, h, w, 3) or channels first (N, 1 or 3, h, w).
        indices: which of them, in which order; all by default.
        ax: where; a new figure by default.
        columns: images in a row.
        title: of the axes.
        kwargs: for ``imshow``; limits of the colours are those of the images shown.
    """
    call = "plot_contact_sheet"
    array = float_array(images, f"{call}: images")
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise ShapeMismatch(f"{call}: images (N, h, w), (N, h, w, 3) or (N, 1 or 3, h, w); got {np.shape(images)}")
    if not isinstance(columns, int | np.integer) or columns < 1:
        raise InvalidArgument(f"{call}(columns={columns!r}): at least one column is needed")
    chosen = np.arange(len(array)) if indices is None else np.asarray(indices)
    if not (chosen.ndim == 1 and len(chosen) and chosen.dtype.kind in "iu"):
        raise InvalidArgument(f"{call}: indices are a list of numbers of images, at least one")
    if chosen.min() < 0 or chosen.max() >= len(array):
        raise InvalidArgument(f"{call}: indices run from 0 to {len(array) - 1}; got {chosen.min()} to {chosen.max()}")
    shown = array[chosen]
    ax = get_axes(call, ax)
    low, high = float(shown.min()), float(shown.max())
    if shown.ndim == 4:
        shown = (shown - low) / ((high - low) or 1.0)
        low, high = 0.0, 1.0
    style: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest", **kwargs}
    ax.imshow(_sheet(shown, columns), **style)
    ax.set_axis_off()
    ax.set_title(title, fontsize="medium")
    return ax


def _sheet(images: Array, columns: int) -> np.ma.MaskedArray | Array:
    """One image of all, a pixel between them; what is no image is masked, or white in colour."""
    n, h, w = images.shape[:3]
    columns = min(columns, n)
    rows = -(-n // columns)
    colour = images.shape[3:]
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1, *colour), 1.0 if colour else np.nan)
    for k, image in enumerate(images):
        i, j = divmod(k, columns)
        sheet[i * (h + 1) : i * (h + 1) + h, j * (w + 1) : j * (w + 1) + w] = image
    return sheet if colour else np.ma.masked_invalid(sheet)


def plot_separation(
    reference: Any,
    others: Mapping[str, Any],
    ax: Axes | None = None,
    *,
    name: str = "reference",
    label: str = "",
    bins: int = 40,
    separations: Mapping[str, Separation] | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw histograms of a score for one data set and for others, on shared bins, each with area 1.

    Args:
        reference: (N,) scores in distribution.
        others: scores of other data sets by name.
        ax: where; a new figure by default.
        name: of the reference, in the legend.
        label: of the horizontal axis.
        bins: over the range of all scores but the outermost 0.5 % at each end; what lies beyond goes into the last bin.
        separations: what `splinegeo.assess.separation` says of some of the others; the legend tells their AUROC.
        kwargs: for the outlines.
    """
    call = "plot_separation"
    groups = {name: float_array(reference, f"{call}: reference", ndim=1)}
    groups |= {k: float_array(v, f"{call}: {k}", ndim=1) for k, v in others.items()}
    if any(len(v) == 0 for v in groups.values()):
        raise InvalidArgument(f"{call}: a data set has no scores")
    low, high = np.quantile(np.concatenate(list(groups.values())), [0.005, 0.995])
    if not low < high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    ax = get_axes(call, ax)
    for k, (which, values) in enumerate(groups.items()):
        found = (separations or {}).get(which)
        text = which if found is None else f"{which} (AUROC {found.auroc:.3f})"
        color = _LINES[k % len(_LINES)]
        heights, _ = np.histogram(np.clip(values, low, high), edges)
        heights = heights / heights.sum() / np.diff(edges)
        ax.stairs(heights, edges, fill=True, color=color, alpha=0.2)
        ax.stairs(heights, edges, **{"color": color, "linewidth": 1.5, "label": text, **kwargs})
    ax.set_xlabel(label)
    ax.set_ylabel("density")
    ax.margins(y=0.12 + 0.08 * len(groups))  # room for the legend above the bars
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="upper left", ncols=1)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_plane_map(
    grid: PlaneGrid, values: Any, ax: Axes | None = None, *, label: str = "", anchors: bool = True, **kwargs: Any
) -> Axes:
    """Draw a descriptor over the plane through three latents, with the latents on it.

    Args:
        grid: from `splinegeo.assess.plane_grid`.
        values: (rows, columns), or flat in the same order.
        ax: where; a new figure by default.
        label: of the colour bar; none without it.
        anchors: mark the three latents.
        kwargs: for ``imshow``.
    """
    call = "plot_plane_map"
    array = float_array(values, f"{call}: values")
    shape = len(grid.v), len(grid.u)
    if array.size != shape[0] * shape[1]:
        raise ShapeMismatch(f"{call}: the grid has {shape[0]} x {shape[1]} points and there are {array.size} values")
    ax = get_axes(call, ax)
    du, dv = ((c[-1] - c[0]) / (len(c) - 1) / 2 for c in (grid.u, grid.v))
    extent = (grid.u[0] - du, grid.u[-1] + du, grid.v[0] - dv, grid.v[-1] + dv)
    image = ax.imshow(array.reshape(shape), **{"origin": "lower", "extent": extent, "cmap": "viridis", **kwargs})
    if anchors:
        ax.plot(*grid.anchors.T, "o", color="white", markeredgecolor="black", markersize=6)
    if label:
        ax.figure.colorbar(image, ax=ax, label=label)
    ax.set_xlabel("$u_1$")
    ax.set_ylabel("$u_2$")
    return ax


def plot_bins(
    centres: Any, scores: Any, ax: Axes | None = None, *, label: str = "", value: str = "", **kwargs: Any
) -> Axes:
    """Draw a score of the samples in each bin of a descriptor, such as the Vendi score, over the bins' mean values.

    Args:
        centres: (n_bins,) values of the descriptor.
        scores: (n_bins,), or several by name.
        ax: where; a new figure by default.
        label: of the vertical axis.
        value: the name of the descriptor.
        kwargs: for the lines.
    """
    call = "plot_bins"
    x = float_array(centres, f"{call}: centres", ndim=1)
    several = scores if isinstance(scores, Mapping) else {"": scores}
    ax = get_axes(call, ax)
    for k, (name, ys) in enumerate(several.items()):
        y = float_array(ys, f"{call}: scores", ndim=1)
        if len(y) != len(x):
            raise ShapeMismatch(f"{call}: {len(x)} bins and {len(y)} scores")
        style: dict[str, Any] = {"color": _LINES[k % len(_LINES)], "marker": "o", "linewidth": 1.5, **kwargs}
        ax.plot(x, y, label=name, **style)
    if any(several):
        ax.legend(frameon=False)
    ax.set_xlabel(f"{value} (bins of equal numbers of samples)".strip())
    ax.set_ylabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
