"""What a picture shows per region: a name, a callable or an array becomes values with a label and a kind of scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo.descriptors import output_densities

if TYPE_CHECKING:
    from splinegeo.partition import Partition

Color: TypeAlias = "str | Callable[[Partition], Any] | Array | None"

_MOST_CLASSES = 8  # as many as there are colours that everyone can tell apart


@dataclass(frozen=True, eq=False)
class RegionValues:
    """Values of the regions: numbers (N,), classes (N,) of int64, or colours (N, 4)."""

    values: Array
    kind: Literal["linear", "log", "classes", "rgba"]
    label: str


def _named(part: Partition) -> dict[str, Callable[[], RegionValues]]:
    dimension = part.vertices.shape[1]
    measure = {1: "length", 2: "area"}.get(dimension, "volume")
    return {
        "psi": lambda: RegionValues(part.psi, "linear", r"local scaling $\psi$"),
        "nu": lambda: RegionValues(part.nu, "linear", r"local rank $\nu$"),
        "exp_psi": lambda: RegionValues(np.exp(part.psi), "log", r"local scaling $e^{\psi}$"),
        "volume": lambda: RegionValues(part.volumes, "log", f"{measure} of the region"),
        "rank": lambda: RegionValues(np.asarray(part.rank, np.int64), "classes", "rank"),
        "density": lambda: RegionValues(
            output_densities(part.psi, part.rank, part.domain.volume, dimension),
            "log",
            rf"output density $e^{{-\psi}} / ${measure}",
        ),
    }


def region_values(call: str, part: Partition, color: Color) -> RegionValues:
    """Resolve ``color`` for ``part``; ``call`` is the name of the function in error messages.

    Raises:
        InvalidArgument: an unknown name (the message lists the known ones), colours outside [0, 1].
        ShapeMismatch: an array that does not have one entry for each region.
        WrongType: neither a name, nor a callable, nor an array of real numbers.
    """
    if isinstance(color, str):
        named = _named(part)
        if color not in named:
            raise InvalidArgument(
                f"{call}: unknown color {color!r}; the names are {', '.join(map(repr, named))}; "
                "or pass an array with one value a region, or a function of the partition that returns one"
            )
        return named[color]()
    what, label = "color", ""
    if callable(color):
        what, label = "the array returned by color", getattr(color, "__name__", "").replace("<lambda>", "")
        color = color(part)
    values = np.asarray(color)
    if values.dtype.kind not in "fiub":
        raise WrongType(
            f"{call}: color must be a name, a function of the partition or an array of numbers; got {color!r:.80}"
        )
    n = part.n_regions
    if values.shape[:1] != (n,) or values.shape[1:] not in ((), (3,), (4,)):
        raise ShapeMismatch(
            f"{call}: {what} must have shape ({n},), one value a region, or ({n}, 3) or ({n}, 4) for RGB(A); "
            f"it has shape {values.shape}"
        )
    if values.ndim == 2:
        if not ((values >= 0) & (values <= 1)).all():
            span = f"{values.min()}..{values.max()}"
            raise InvalidArgument(f"{call}: RGB(A) colours must lie in [0, 1]; {what} spans {span}")
        return RegionValues(values.astype(np.float64), "rgba", label)
    if values.dtype.kind in "iub" and len(np.unique(values)) <= _MOST_CLASSES:
        return RegionValues(values.astype(np.int64), "classes", label)
    return RegionValues(values.astype(np.float64), "linear", label)
