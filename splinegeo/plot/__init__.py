"""Pictures of partitions, comparisons, and samples with their descriptors: Axes in, Axes out.

Matplotlib is imported when a plotting function is first looked up, not before: `import splinegeo` stays light, and
`splinegeo.plot.svg` works without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splinegeo.plot.assess import (
        plot_bins,
        plot_contact_sheet,
        plot_plane_map,
        plot_separation,
        plot_trajectories,
    )
    from splinegeo.plot.boundary import plot_decision_boundary
    from splinegeo.plot.complexity import plot_comparison, plot_complexity
    from splinegeo.plot.histogram import plot_histogram
    from splinegeo.plot.image import plot_image
    from splinegeo.plot.raster import plot_raster
    from splinegeo.plot.regions import plot_partition
    from splinegeo.plot.space import plot_space, plot_surface

_HOME = {
    "plot_bins": "assess",
    "plot_comparison": "complexity",
    "plot_complexity": "complexity",
    "plot_contact_sheet": "assess",
    "plot_decision_boundary": "boundary",
    "plot_histogram": "histogram",
    "plot_image": "image",
    "plot_partition": "regions",
    "plot_plane_map": "assess",
    "plot_raster": "raster",
    "plot_separation": "assess",
    "plot_space": "space",
    "plot_surface": "space",
    "plot_trajectories": "assess",
}

__all__ = [
    "plot_bins",
    "plot_comparison",
    "plot_complexity",
    "plot_contact_sheet",
    "plot_decision_boundary",
    "plot_histogram",
    "plot_image",
    "plot_partition",
    "plot_plane_map",
    "plot_raster",
    "plot_separation",
    "plot_space",
    "plot_surface",
    "plot_trajectories",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
