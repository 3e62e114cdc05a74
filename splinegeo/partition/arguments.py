"""What the calls that enumerate have in common: their arguments, checked and made definite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo.balls import L1Ball
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork, capture

# Squares of coordinates within this bound, and sums of them, stay finite.
LARGEST = 1e150


@dataclass(frozen=True)
class Reduction:
    """How networks with thousands of units are reduced to those that are live on a part of the domain.

    Args:
        memory: bytes that the columns of a reduction may take. More of it means larger parts, and fewer passes through
            the network.
        device: the torch device that convolutions run on, such as ``"cuda"``; the CPU by default. Everything else stays
            on the CPU.

    Raises:
        WrongType, InvalidArgument: a field is not what it should be.
    """

    memory: int = 320 << 20
    device: str | None = None

    def __post_init__(self) -> None:
        memory, device = self.memory, self.device
        if isinstance(memory, bool) or not isinstance(memory, (int, np.integer)):
            raise WrongType(f"Reduction(memory={memory!r}): a whole number of bytes is expected")
        if memory < 1 << 20:
            raise InvalidArgument(f"Reduction(memory={memory}): a reduction needs a megabyte (1 << 20) at least")
        if device is not None and not isinstance(device, str):
            raise WrongType(f"Reduction(device={device!r}): the name of a torch device is expected, or None")


def checked_reduction(call: str, reduction: Any) -> Reduction:
    """The options of a reduction, the default ones for None.

    Raises:
        WrongType: it is something else.
    """
    if reduction is not None and not isinstance(reduction, Reduction):
        raise WrongType(f"{call}: reduction is a Reduction or None, not {type(reduction).__name__}")
    return reduction or Reduction()


def checked_scene(call: str, net: Any, domain: Any, plane: Any) -> tuple[SplineNetwork, Slice]:
    """The captured network and the plane; ``call`` is the function's name, for messages.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    if not isinstance(domain, (Box, Polygon)):
        flat = isinstance(domain, L1Ball) and domain.dim == 2
        hint = "; of this ball give ball.polygon, and slice=ball.slice" if flat else ""
        raise WrongType(f"{call}: the domain is a Box or a Polygon, not {type(domain).__name__}{hint}")
    if domain.dim != 2:
        raise ShapeMismatch(f"{call}: the domain is {domain.dim}-dimensional; partitions are of 2-dimensional slices")
    if plane is not None and not isinstance(plane, Slice):
        raise WrongType(f"{call}: slice is a Slice or None, not {type(plane).__name__}")
    if not np.abs(domain.vertices).max() <= LARGEST:
        raise InvalidArgument(
            f"{call}: the domain reaches beyond {LARGEST:g}, where areas leave float64; rescale the slice"
        )
    network = net if isinstance(net, SplineNetwork) else _captured(net, plane)
    where = Slice.identity(2) if plane is None else plane
    if where.ambient_dim != network.n_inputs:
        if plane is None:
            raise ShapeMismatch(
                f"{call}: the network takes {network.n_inputs} inputs, the domain has 2 coordinates; "
                f"give a plane through its latent space, slice=Slice(origin, basis) or Slice.through(z0, z1, z2)"
            )
        raise ShapeMismatch(
            f"{call}: the slice lies in R^{where.ambient_dim}, the network takes {network.n_inputs} inputs"
        )
    if where.dim != 2:
        raise ShapeMismatch(f"{call}: the slice is {where.dim}-dimensional, the domain 2-dimensional")
    return network, where


def _captured(net: Any, plane: Slice | None) -> SplineNetwork:
    if plane is not None:
        return capture(net, (plane.ambient_dim,))
    try:
        return capture(net)  # a plain Sequential knows how many inputs it takes, and may want a slice
    except InvalidArgument:
        return capture(net, (2,))
