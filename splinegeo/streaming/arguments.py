"""The arguments that `stream` and `summarise` share, checked and made definite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, SplineGeoError, WrongType
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import Maximum, SplineNetwork
from splinegeo.partition.arguments import Reduction, checked_reduction, checked_scene
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads


@dataclass(frozen=True, eq=False)
class Setting:
    """What is walked through: a network over a polygon in a plane."""

    network: SplineNetwork
    domain: Box | Polygon
    slice: Slice
    reduction: Reduction

    @property
    def has_maxima(self) -> bool:
        """Whether the walk finds pieces of regions."""
        return any(isinstance(node, Maximum) for node in self.network.nodes)

    @classmethod
    def of(cls, call: str, net: Any, domain: Any, plane: Any, reduction: Any = None) -> Setting:
        """Check and capture; ``call`` is the function's name, for messages.

        Raises:
            WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
            NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
        """
        network, where = checked_scene(call, net, domain, plane)
        return cls(network, domain, where, checked_reduction(call, reduction))


def checked_budget(call: str, budget: Any) -> Budget:
    """The budget, one without limits for None.

    Raises:
        WrongType: it is something else.
    """
    if budget is not None and not isinstance(budget, Budget):
        raise WrongType(f"{call}: budget is a Budget or None, not {type(budget).__name__}")
    return budget or Budget()


def checked_threads(call: str, threads: Any) -> int:
    """The number of threads, all cores for None.

    Raises:
        WrongType, InvalidArgument: not a positive whole number.
    """
    try:
        return n_threads(threads)
    except SplineGeoError as error:
        raise type(error)(str(error).replace("partition", call, 1)) from None


def checked_flag(call: str, name: str, value: Any) -> bool:
    """True or False.

    Raises:
        WrongType: it is neither.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise WrongType(f"{call}({name}={value!r}): True or False is expected")
    return bool(value)


def checked_count(call: str, name: str, value: Any, most: int = 1 << 62) -> int:
    """A whole number from 1 to ``most``.

    Raises:
        WrongType: no whole number.
        InvalidArgument: out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise WrongType(f"{call}({name}={value!r}): a whole number is expected")
    if not 1 <= value <= most:
        raise InvalidArgument(f"{call}({name}={value!r}): from 1 to {most:,} is expected")
    return int(value)
