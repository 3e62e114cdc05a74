"""`partition` in any dimension: a network and a domain go in, a `SpacePartition` comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork, capture
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads
from splinegeo.partition.interrupts import first_interrupt_waits
from splinegeo.polytopes import Polytope
from splinegeo.space.enumerate import Job
from splinegeo.space.link import join
from splinegeo.space.outline import Hull
from splinegeo.space.problem import Problem
from splinegeo.space.result import SpacePartition
from splinegeo.space.unite import unite

if TYPE_CHECKING:
    from torch import nn

LARGEST = 1e30  # coordinates within this bound have volumes in up to nine dimensions


def partition(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon | Polytope,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> SpacePartition:
    """Enumerate the regions of a network over a domain in any dimension, exactly.

    `splinegeo.partition` calls this for domains that do not lie in a plane. Cost grows with the number of regions and
    with their vertices, of which there are about 2^d each; up to eight dimensions or so are practical.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the set of slice coordinates to look at.
        slice: the embedding z = origin + basis @ u with basis (E, d). May be left out for E = d.
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
    problem = Problem.of(network, plane.origin, plane.basis, Hull.of_domain(domain))
    job = Job(problem, budget or Budget(), count)
    with tqdm(unit=" regions", unit_scale=True, disable=not progress, desc="partition") as bar:
        reason = job.run(bar.update)
    with first_interrupt_waits():
        arrays = join(job.parts(), problem, job.cap, not reason)
        if problem.has_maxima:
            arrays = unite(arrays, complete=not reason)
    return _result(network, domain, plane, arrays, reason)


def _result(
    network: SplineNetwork, domain: Box | Polygon | Polytope, plane: Slice, arrays: dict[str, Array], reason: str
) -> SpacePartition:
    for array in arrays.values():
        array.flags.writeable = False
    return SpacePartition(
        network=network, domain=domain, slice=plane, complete=not reason, stop_reason=reason, **arrays
    )


def checked_scene(net: Any, domain: Any, plane: Any) -> tuple[SplineNetwork, Slice]:
    """The captured network and the slice.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    if not isinstance(domain, (Box, Polygon, Polytope)):
        raise WrongType(f"partition: the domain is a Box, a Polygon or a Polytope, not {type(domain).__name__}")
    if plane is not None and not isinstance(plane, Slice):
        raise WrongType(f"partition: slice is a Slice or None, not {type(plane).__name__}")
    corners = np.stack([domain.lower, domain.upper]) if isinstance(domain, Box) else domain.vertices
    if not np.abs(corners).max() <= LARGEST:
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
