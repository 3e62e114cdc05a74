"""What operations work on, and the table that they are registered in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.networks.builder import Builder


@dataclass(frozen=True)
class Live:
    """A value that depends on the latent: a node, seen in the shape it has for a batch of one sample."""

    node: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)


Value: TypeAlias = Any  # Live, a constant torch.Tensor, or a Python number


@dataclass(frozen=True)
class Mask:
    """True, or 1, where left > right, at least one of them live; equality may count either way.

    It jumps, so it is not a value; `splinegeo.networks.ops.comparisons` tells which uses of it are continuous.
    """

    left: Value
    right: Value
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Positions:
    """Where maxima were found; nothing that depends on it is continuous."""


def leaves(value: Any) -> Iterator[Any]:
    """What nested lists, tuples and dictionaries of arguments hold."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


Op: TypeAlias = Callable[..., Any]

OPS: dict[str, Op] = {}


def op(*names: str) -> Callable[[Op], Op]:
    """Register a function for the aten operations of these names."""

    def register(function: Op) -> Op:
        OPS.update(dict.fromkeys(names, function))
        return function

    return register


def constant_array(b: Builder, value: Any) -> Array:
    """A constant as a finite float64 array."""
    if isinstance(value, Live):
        refuse_product(b)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        b.refuse(f" with a constant that is {bad}; networks need finite numbers.", InvalidArgument)
    return array


def refuse_product(b: Builder) -> NoReturn:
    """Raise for a product of live values."""
    b.refuse(
        ", a product of two values that depend on the input, which is not piecewise linear; "
        "splinegeo partitions piecewise-linear networks only."
    )


def refuse_training(b: Builder) -> NoReturn:
    """Raise for an operation in training mode."""
    b.refuse(" in training mode, which draws random numbers; call .eval() on the module first.", InvalidArgument)
