"""`plot_raster`: a picture that `splinegeo.summarise` made pixel by pixel, with axes and a colour bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo.plot.axes import get_axes
from splinegeo.plot.scale import Limits, add_colorbar, scale
from splinegeo.plot.values import RegionValues

if TYPE_CHECKING:
    from splinegeo.streaming import RasterImage

_SMALLEST, _MARGIN = 4.0, 2.0  # inches: the longer side of a panel at least; beside it, for axis and colour bar
_LABELS = {
    "psi": ("linear", r"local scaling $\psi$"),
    "nu": ("linear", r"local rank $\nu$"),
    "volume": ("log", "area of the region"),
    "log_volume": ("linear", "log of the region's area"),
    "sigma_1": ("log", r"larger singular value $\sigma_1$"),
    "sigma_2": ("log", r"smaller singular value $\sigma_2$"),
    "count": ("linear", "regions in a pixel"),
}


def plot_raster(
    image: RasterImage,
    value: str | None = None,
    ax: Axes | None = None,
    *,
    cmap: str | Colormap | None = None,
    limits: Limits = "robust",
    colorbar: bool = True,
    label: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw one of the pictures of a raster, as in ``plot_raster(summary.raster, "psi")``.

    Args:
        image: `Summary.raster`.
        value: which of its pictures; the first by default.
        ax: where to draw; None makes a new figure.
        cmap: a Matplotlib colour map; viridis by default. Pixels without a value are grey.
        limits: ``"robust"`` cuts long tails at 1 % of the area and says so on the colour bar; ``"full"``; (low, high).
        colorbar: draw one, with ``label`` (default: what ``value`` is).
        label: text of the colour bar.
        **kwargs: for `matplotlib.axes.Axes.imshow`, such as ``interpolation``.

    Returns:
        The axes, with the picture as the last of ``ax.images``.

    Raises:
        InvalidArgument: the raster has no such picture; ``limits`` or ``cmap`` make no sense.
        WrongType: ``image`` is no raster, ``ax`` no axes.
    """
    call = "plot_raster"
    images = getattr(image, "images", None)
    if not isinstance(images, dict) or not images:
        raise WrongType(f"{call}: image must be a RasterImage, such as summary.raster; got {type(image).__name__}")
    name = next(iter(images)) if value is None else value
    if name not in images:
        raise InvalidArgument(f"{call}: the raster has no picture of {value!r}; it has {', '.join(images)}")
    kind, text = _LABELS[name]
    pixels = np.asarray(images[name], np.float64)
    shown = RegionValues(pixels.ravel(), "log" if kind == "log" else "linear", text)
    chosen = scale(call, shown, np.ones(pixels.size), limits, cmap, label)
    ax = get_axes(call, ax)
    style: dict[str, Any] = {"origin": "lower", "extent": image.extent, "cmap": chosen.cmap, "norm": chosen.norm}
    drawn = ax.imshow(np.ma.masked_invalid(pixels), **style, **kwargs)
    ax.locator_params(nbins=5)
    ax.set_xlabel("$u_1$")
    ax.set_ylabel("$u_2$")
    if colorbar:
        add_colorbar(ax, drawn, chosen)
    return ax


def plot_panels(image: RasterImage, dpi: float) -> list[Axes]:
    """Draw all pictures of a raster side by side in a new figure; saved at ``dpi`` none is smaller than its pixels."""
    height, width = next(iter(image.images.values())).shape
    long = max(_SMALLEST, max(height, width) / dpi)  # inches
    panel = long * width / max(height, width) + _MARGIN, long * height / max(height, width) + _MARGIN
    n = len(image.images)
    _, axes = plt.subplots(1, n, figsize=(n * panel[0], panel[1]), layout="compressed", squeeze=False)
    return [plot_raster(image, name, ax) for name, ax in zip(image.images, axes[0], strict=True)]
