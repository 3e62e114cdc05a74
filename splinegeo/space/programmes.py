"""Where space meets the engine of linear programmes: the place of a domain, and the neighbours of its regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.domains import Box, Slice
from splinegeo.lp.adjacency import neighbouring
from splinegeo.lp.places import Place
from splinegeo.partition.enumerate import n_threads
from splinegeo.space.outline import Domain

if TYPE_CHECKING:
    from splinegeo.space.result import SpacePartition

DIMENSIONS = 7  # from which linear programmes are faster than vertices


def place_of(domain: Domain, plane: Slice) -> Place | None:
    """The domain as linear programmes take it; None where vertices are the better way."""
    if domain.dim < DIMENSIONS:
        return None
    if isinstance(domain, L1Ball):
        return Place.ball(domain.center, domain.radius, domain.frame)
    return Place.box(domain, plane) if isinstance(domain, Box) else None


def adjacency_of(part: SpacePartition) -> Array:
    """Pairs (M, 2) of regions that share a facet.

    Raises:
        UnsupportedOperation: the partition is incomplete.
    """
    place = place_of(part.domain, part.slice)
    if place is None or not part.complete:
        raise UnsupportedOperation(f"{part!r} is incomplete and its neighbours are not known; raise its budget")
    return neighbouring(part.network, place, part.packed_patterns, n_threads(None))
