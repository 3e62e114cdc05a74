"""`partition`: a network and a domain go in, a partition comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import WrongType
from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.arguments import Reduction, checked_reduction, checked_scene
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import enumerate_regions, n_threads
from splinegeo.partition.result import Partition
from splinegeo.partition.tasks import tasks
from splinegeo.polytopes import Polytope

if TYPE_CHECKING:
    from torch import nn

    from splinegeo.space import SpacePartition


@overload
def partition(
    net: nn.Module | SplineNetwork,
    domain: Polygon,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    reduction: Reduction | None = None,
) -> Partition: ...


@overload
def partition(
    net: nn.Module | SplineNetwork,
    domain: Polytope,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    reduction: None = None,
) -> SpacePartition: ...


@overload
def partition(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon | Polytope | L1Ball,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    reduction: Reduction | None = None,
) -> Partition | Any: ...


def partition(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon | Polytope | L1Ball,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    reduction: Reduction | None = None,
) -> Partition | Any:
    """Enumerate the regions of a network over a domain, exactly.

    Domains in the plane give a `Partition`. Boxes and ℓ1 balls of another dimension and polytopes give a
    `SpacePartition`, which has the same names as far as they make sense there; see `splinegeo.space.partition`. Type
    checkers cannot see how many dimensions a box has: to them its partition is a `Partition`, of which they let pass
    whatever it is given to. Where it is none, `splinegeo.space.partition` says what it is.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the set of slice coordinates to look at.
        slice: the plane z = origin + basis @ u in latent space. May be left out where the domain lies in latent space;
            an `L1Ball` has its own.
        budget: limits on regions, seconds and memory. When one is reached, or on Ctrl-C, the result holds what was
            found, with ``complete=False``.
        threads: number of threads, all cores by default. The result does not depend on it.
        progress: show a progress bar on stderr.
        reduction: memory and device for networks with thousands of units, which are reduced first; planes only.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    if isinstance(domain, L1Ball) and domain.dim == 2 and slice is None:
        slice, domain = domain.slice, domain.polygon
    if isinstance(domain, (Polytope, L1Ball)) or (isinstance(domain, Box) and domain.dim != 2):
        from splinegeo import space

        if reduction is not None:
            raise WrongType("partition: a reduction is for domains in the plane; leave reduction out for this one")
        return space.partition(net, domain, slice, budget=budget, threads=threads, progress=progress)
    net, plane = checked_scene("partition", net, domain, slice)
    if budget is not None and not isinstance(budget, Budget):
        raise WrongType(f"partition: budget is a Budget or None, not {type(budget).__name__}")
    if not isinstance(progress, (bool, np.bool_)):
        raise WrongType(f"partition(progress={progress!r}): True or False is expected")
    count, options = n_threads(threads), checked_reduction("partition", reduction)
    parts = tasks(net, plane.origin, plane.basis, domain.vertices, reduction=options)
    with tqdm(unit=" regions", unit_scale=True, disable=not progress, desc="partition") as bar:
        arrays, first, reason = enumerate_regions(parts, budget or Budget(), count, bar.update)
    arrays["output_basis"] = first.outputs.basis
    return _result(net, domain, plane, arrays, first.outputs.exponent, reason)


def _result(
    net: SplineNetwork, domain: Box | Polygon, plane: Slice, arrays: dict[str, Array], exponent: int, reason: str
) -> Partition:
    stored = {k: v for k, v in arrays.items() if k in Partition.__dataclass_fields__}
    for array in stored.values():
        array.flags.writeable = False
    return Partition(
        network=net,
        domain=domain,
        slice=plane,
        output_exponent=exponent,
        complete=not reason,
        stop_reason=reason,
        **stored,
    )
