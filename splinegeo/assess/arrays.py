"""Checks that all functions over samples share."""

from __future__ import annotations

from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array


def samples(call: str, name: str, value: Any, least: int = 1) -> Array:
    """A finite float64 array (N,) of at least ``least`` values."""
    array = float_array(value, f"{call}: {name}", ndim=1)
    if len(array) < least:
        raise InvalidArgument(f"{call}: {name} must hold at least {least} values; it holds {len(array)}")
    return array


def same_length(call: str, **arrays: Array) -> None:
    """Raise unless the first axes agree."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise ShapeMismatch(f"{call}: one value a sample is expected in each; got {told}")


def level_between(call: str, level: Any) -> float:
    """A confidence level strictly between 0 and 1."""
    if not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise InvalidArgument(f"{call}(level={level!r}): a number between 0 and 1 is expected")
    return float(level)
