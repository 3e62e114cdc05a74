"""Pictures of a partition: Axes in, Axes out.

Matplotlib is imported when a plotting function is first looked up, not before: `import splinegeo` stays light, and
`splinegeo.plot.svg` works without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splinegeo.plot.boundary import plot_decision_boundary
    from splinegeo.plot.histogram import plot_histogram
    from splinegeo.plot.image import plot_image
    from splinegeo.plot.regions import plot_partition
    from splinegeo.plot.space import plot_space, plot_surface

_HOME = {
    "plot_decision_boundary": "boundary",
    "plot_histogram": "histogram",
    "plot_image": "image",
    "plot_partition": "regions",
    "plot_space": "space",
    "plot_surface": "space",
}

__all__ = ["plot_decision_boundary", "plot_histogram", "plot_image", "plot_partition", "plot_space", "plot_surface"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
