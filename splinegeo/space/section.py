"""A partition in d dimensions cut by a plane: the engine for planes on the same network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from splinegeo._errors import ShapeMismatch, WrongType
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.partition.api import partition
from splinegeo.partition.result import Partition

if TYPE_CHECKING:
    from splinegeo.space.result import SpacePartition


def section(part: SpacePartition, plane: Any, domain: Box | Polygon) -> Partition:
    """See `SpacePartition.section`. The embeddings are multiplied in float64: exact if one is the identity."""
    if not isinstance(plane, Slice):
        raise WrongType(f"section: the plane is a Slice, not {type(plane).__name__}")
    if (plane.ambient_dim, plane.dim) != (part.dim, 2):
        raise ShapeMismatch(
            f"section: the plane has dimension {plane.dim} in R^{plane.ambient_dim}; "
            f"one of dimension 2 in the R^{part.dim} of slice coordinates is expected"
        )
    whole = Slice(part.slice.embed(plane.origin), part.slice.basis @ plane.basis)
    found: Partition = partition(part.network, domain, whole)
    return found
