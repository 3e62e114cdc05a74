"""Arguments into arrays: real, finite, float64, read-only, and a named error for everything else."""

from __future__ import annotations

from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array


def float_array(value: Any, name: str, *, ndim: int | None = None) -> Array:
    """A read-only float64 copy of ``value``, -0.0 turned into 0.0 so that equal values have equal bytes.

    Takes real floats and integers as lists, arrays or tensors (on any device); ``name`` is the argument as the user
    wrote it.

    Raises:
        WrongType: complex, boolean, object or text entries, or a ragged list.
        InvalidArgument: NaN, infinity, or a number that float64 does not hold exactly.
        ShapeMismatch: the number of dimensions is not ``ndim``.
    """
    given = _as_array(value, name)
    if given.dtype.kind not in "fiu":
        raise WrongType(f"{name} must hold real numbers; got {_kind(given)}.")
    with np.errstate(over="ignore", under="ignore"):  # a wider float that does not fit is reported below
        array = given.astype(np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        at = f" at {list(where)}" if where else ""
        raise InvalidArgument(f"{name} must be finite; found {array[where]}{at}.")
    if given.dtype != np.float64 and not _held_exactly(given, array):
        raise InvalidArgument(f"{name} holds numbers of type {given.dtype} that float64 cannot hold exactly.")
    if ndim is not None and array.ndim != ndim:
        raise ShapeMismatch(f"{name} must have {ndim} dimension{'s' * (ndim != 1)}; got shape {array.shape}.")
    array += 0.0
    array.setflags(write=False)
    return array


def real_array(value: Any, name: str) -> Array:
    """``value`` as float64, NaN and infinities let through; `float_array` is for arguments that must be finite.

    Raises:
        WrongType: complex, boolean, object or text entries, or a ragged list.
    """
    given = _as_array(value, name)
    if given.dtype.kind not in "fiu":
        raise WrongType(f"{name} must hold real numbers; got {_kind(given)}.")
    return given.astype(np.float64)


def random_generator(rng: Any) -> np.random.Generator:
    """A random generator from a seed, or the one given.

    Raises:
        WrongType: neither a seed >= 0 nor a ``numpy.random.Generator``.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise WrongType(f"rng must be a seed >= 0 or a numpy.random.Generator; got {rng!r}")


def _as_array(value: Any, name: str) -> Array:
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor, without importing torch
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):  # NumPy has no such type; float32 holds it exactly
            value = value.float()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WrongType(f"{name} must be an array of numbers; {type(value).__name__} gave: {error}.") from error


def _held_exactly(given: Array, array: Array) -> bool:
    if given.dtype.kind in "iu":
        return bool((np.abs(array) < 2.0**53).all()) or all(
            int(a) == int(b) for a, b in zip(given.ravel(), array.ravel(), strict=True)
        )
    return bool((array.astype(given.dtype) == given).all())


def _kind(array: Array) -> str:
    names = {"c": "complex numbers", "b": "booleans", "O": "Python objects", "U": "text", "S": "bytes"}
    return names.get(array.dtype.kind, f"type {array.dtype}")
