"""`partition` in any dimension: a network and a domain go in, a `SpacePartition` comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo.balls import L1Ball
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.lp.enumerate import enumerate_regions
from splinegeo.networks import SplineNetwork, capture
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads
from splinegeo.partition.regions import frozen
from splinegeo.polytopes import Polytope
from splinegeo.space.outline import Domain, Hull, extremes
from splinegeo.space.problem import Problem
from splinegeo.space.programmes import place_of
from splinegeo.space.result import SpacePartition
from splinegeo.space.walk import walk

if TYPE_CHECKING:
    from torch import nn

LARGEST = 1e30  # coordinates within this bound have volumes in up to nine dimensions


def partition(
    net: nn.Module | SplineNetwork,
    domain: Domain,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> SpacePartition:
    """Enumerate the regions of a network over a domain in any dimension, exactly.

    `splinegeo.partition` calls this for domains that do not lie in a plane. Regions are found with their vertices, of
    which there are about 2^d each. Boxes and balls of seven dimensions and more are taken to linear programmes instead,
    which find a point of each region; see `SpacePartition`. They cope with any number of dimensions, as long as there
    are not too many regions.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the set of slice coordinates to look at.
        slice: the embedding z = origin + basis @ u with basis (E, d). May be left out for E = d; an `L1Ball` has
            its own.
        budget: limits on regions (with maxima on the pieces of which they are made), seconds and memory. When one is
            reached, or on Ctrl-C, the result holds what was found, with ``complete=False``.
        threads: number of threads, all cores by default. The result does not depend on it.
        progress: show a progress bar on stderr.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        UnsupportedOperation: the network is too large, or cannot be read, see `capture`.
        NotPiecewiseLinear, CaptureMismatch: the module cannot be read; see `capture`.
    """
    network, plane = checked_scene(net, domain, slice)
    if budget is not None and not isinstance(budget, Budget):
        raise WrongType(f"partition: budget is a Budget or None, not {type(budget).__name__}")
    if not isinstance(progress, (bool, np.bool_)):
        raise WrongType(f"partition(progress={progress!r}): True or False is expected")
    count = n_threads(threads)
    with tqdm(unit=" regions", unit_scale=True, disable=not progress, desc="partition") as bar:
        place = place_of(domain, plane)
        if place is not None:
            found = enumerate_regions(network, place, budget or Budget(), count, bar.update)
            packed, points, geometry, reason = found.packed_patterns, found.points, None, found.reason
        else:
            problem = Problem.of(network, plane.origin, plane.basis, Hull.of_domain(domain))
            packed, geometry, reason = walk(problem, budget or Budget(), count, bar.update)
            points = np.zeros((0, domain.dim))
    return SpacePartition(
        network=network,
        domain=domain,
        slice=plane,
        packed_patterns=frozen(packed),
        points=frozen(points),
        stored_geometry=geometry,
        complete=not reason,
        stop_reason=reason,
    )


def checked_scene(net: Any, domain: Any, plane: Any) -> tuple[SplineNetwork, Slice]:
    """The captured network and the slice.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    if not isinstance(domain, (Box, Polygon, Polytope, L1Ball)):
        raise WrongType(
            f"partition: the domain is a Box, a Polygon, a Polytope or an L1Ball, not {type(domain).__name__}"
        )
    if isinstance(domain, L1Ball):
        if plane is not None:
            raise InvalidArgument("partition: an L1Ball has its slice with it; leave slice out")
        plane = domain.slice
    if plane is not None and not isinstance(plane, Slice):
        raise WrongType(f"partition: slice is a Slice or None, not {type(plane).__name__}")
    if not np.abs(extremes(domain)).max() <= LARGEST:
        raise InvalidArgument(
            f"partition: the domain reaches beyond {LARGEST:g}, where volumes leave float64; rescale the slice"
        )
    if isinstance(net, SplineNetwork):
        network = net
    else:
        network = _captured(net, domain.dim if plane is None else plane.ambient_dim, given=plane is not None)
    where = Slice.identity(network.n_inputs) if plane is None else plane
    if where.ambient_dim != network.n_inputs:
        raise ShapeMismatch(
            f"partition: the slice lies in R^{where.ambient_dim}, the network takes {network.n_inputs} inputs"
        )
    if where.dim != domain.dim:
        raise ShapeMismatch(
            f"partition: the domain has {domain.dim} coordinates, "
            + (f"the network takes {network.n_inputs} inputs; " if plane is None else f"the slice {where.dim}; ")
            + "give a slice with as many, slice=Slice(origin, basis) with basis (E, d)"
        )
    return network, where


def _captured(net: Any, size: int, *, given: bool) -> SplineNetwork:
    if given:
        return capture(net, (size,))
    try:
        return capture(net)  # a plain Sequential knows how many inputs it takes, and may want a slice
    except InvalidArgument:
        return capture(net, (size,))
