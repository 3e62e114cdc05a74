"""The walk in d dimensions from end to end: a network and a polytope go in, patterns, vertices and facets come out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import SplineGeoError, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads
from splinegeo.partition.interrupts import first_interrupt_waits
from splinegeo.space.enumerate import Job
from splinegeo.space.geometry import Geometry
from splinegeo.space.link import join
from splinegeo.space.outline import Hull
from splinegeo.space.problem import Problem
from splinegeo.space.unite import unite

if TYPE_CHECKING:
    from splinegeo.space.result import SpacePartition

_log = logging.getLogger(__name__)

MOST_BALL = 8  # dimensions in which a ball's 2^d facets may be listed


def walk(problem: Problem, budget: Budget, threads: int, progress: Callable[[int], Any]) -> tuple[Array, Geometry, str]:
    """Packed patterns (N, ceil(B / 8)), the geometry, and where regions are missing, the reason."""
    job = Job(problem, budget, threads)
    reason = job.run(progress)
    with first_interrupt_waits():
        arrays = join(job.parts(), problem, job.cap, not reason)
        if problem.has_maxima:
            arrays = unite(arrays, complete=not reason)
    return arrays.pop("packed_patterns"), Geometry(**arrays), reason


def geometry_of(part: SpacePartition) -> Geometry:
    """Vertices and facets of what linear programmes found, in the same order of regions.

    Raises:
        UnsupportedOperation: the partition is incomplete, or its domain is a ball of many dimensions.
        KeyboardInterrupt: Ctrl-C; half of the vertices are of no use.
    """
    if not part.complete:
        raise UnsupportedOperation(
            f"{part!r} is incomplete and has no vertices and facets; raise its budget, or partition a smaller domain"
        )
    if isinstance(part.domain, L1Ball) and part.dim > MOST_BALL:
        raise UnsupportedOperation(
            f"{part!r}: vertices and facets are for balls of up to {MOST_BALL} dimensions; a ball has 2^d facets"
        )
    _log.info("%r: working out vertices and facets, of which there are about 2^%d a region", part, part.dim)
    problem = Problem.of(part.network, part.slice.origin, part.slice.basis, Hull.of_domain(part.domain))
    packed, geometry, reason = walk(problem, Budget(), n_threads(None), lambda _: None)
    if reason:
        raise KeyboardInterrupt(f"{part!r}: interrupted while vertices and facets were worked out")
    number = {row.tobytes(): k for k, row in enumerate(packed)}
    order = np.array([number.pop(row.tobytes(), -1) for row in part.packed_patterns], np.int64)
    if number or (order < 0).any():
        raise SplineGeoError(f"{part!r}: the two engines disagree; this is a bug, please report the network")
    return geometry.renumbered(order)
