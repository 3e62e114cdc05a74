"""`partition`: a network and a domain go in, a partition comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork, capture
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import enumerate_regions, n_threads
from splinegeo.partition.result import Partition
from splinegeo.partition.tasks import tasks

# Squares of coordinates within this bound, and sums of them, stay finite.
LARGEST = 1e150

if TYPE_CHECKING:
    from torch import nn


def partition(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Partition:
    """Enumerate the regions of a network over a domain, exactly.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the polygon of slice coordinates to look at.
        slice: the plane z = origin + basis @ u in latent space. May be left out for E = 2.
        budget: limits on regions, seconds and memory. When one is reached, or on Ctrl-C, the result holds what was
            found, with ``complete=False``.
        threads: number of threads, all cores by default. The result does not depend on it.
        progress: show a progress bar on stderr.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    if not isinstance(domain, (Box, Polygon)):
        raise WrongType(f"partition: the domain is a Box or a Polygon, not {type(domain).__name__}")
    if domain.dim != 2:
        raise ShapeMismatch(
            f"partition: the domain is {domain.dim}-dimensional; partitions are of 2-dimensional slices"
        )
    if slice is not None and not isinstance(slice, Slice):
        raise WrongType(f"partition: slice is a Slice or None, not {type(slice).__name__}")
    if budget is not None and not isinstance(budget, Budget):
        raise WrongType(f"partition: budget is a Budget or None, not {type(budget).__name__}")
    if not isinstance(progress, (bool, np.bool_)):
        raise WrongType(f"partition(progress={progress!r}): True or False is expected")
    count = n_threads(threads)
    if not np.abs(domain.vertices).max() <= LARGEST:
        raise InvalidArgument(
            f"partition: the domain reaches beyond {LARGEST:g}, where areas leave float64; rescale the slice"
        )
    if not isinstance(net, SplineNetwork):
        net = _captured(net, slice)
    plane = Slice.identity(2) if slice is None else slice
    if plane.ambient_dim != net.n_inputs:
        if slice is None:
            raise ShapeMismatch(
                f"partition: the network takes {net.n_inputs} inputs, the domain has 2 coordinates; "
                f"give a plane through its latent space, slice=Slice(origin, basis) or Slice.through(z0, z1, z2)"
            )
        raise ShapeMismatch(
            f"partition: the slice lies in R^{plane.ambient_dim}, the network takes {net.n_inputs} inputs"
        )
    if plane.dim != 2:
        raise ShapeMismatch(f"partition: the slice is {plane.dim}-dimensional, the domain 2-dimensional")
    parts = tasks(net, plane.origin, plane.basis, domain.vertices)
    with tqdm(unit=" regions", unit_scale=True, disable=not progress, desc="partition") as bar:
        arrays, first, reason = enumerate_regions(parts, budget or Budget(), count, bar.update)
    arrays["output_basis"] = first.outputs.basis
    return _result(net, domain, plane, arrays, first.outputs.exponent, reason)


def _captured(net: nn.Module, plane: Slice | None) -> SplineNetwork:
    if plane is not None:
        return capture(net, (plane.ambient_dim,))
    try:
        return capture(net)  # a plain Sequential knows how many inputs it takes, and may want a slice
    except InvalidArgument:
        return capture(net, (2,))


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
