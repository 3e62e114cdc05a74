"""How a partition hands out its parts: one region as a value, rows of different length as a sequence."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from splinegeo._types import Array


@dataclass(frozen=True)
class Region:
    """One region, as iteration over a partition gives it."""

    index: int
    polygon: Array  # (k, 2) counter-clockwise
    pattern: Array  # (B,) activation bits
    neighbors: Array  # (k,) region across the edge behind each corner; -1 boundary, -2 not enumerated
    A: Array  # (D, 2) on slice coordinates
    b: Array  # (D,)
    psi: float
    nu: float
    volume: float


class Ragged(Sequence[Array]):
    """Rows of different length in one flat array: ``ragged[k]`` is a view."""

    def __init__(self, flat: Array, offsets: Array) -> None:
        self.flat, self.offsets = flat, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, k: int) -> Array: ...
    @overload
    def __getitem__(self, k: slice) -> list[Array]: ...
    def __getitem__(self, k: int | slice) -> Array | list[Array]:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        k = position(k, len(self), "row")
        return self.flat[self.offsets[k] : self.offsets[k + 1]]

    def __repr__(self) -> str:
        return f"<{len(self):,} rows, {len(self.flat):,} entries>"


def position(k: Any, n: int, what: str) -> int:
    """The index k, which may count from the end, as one from 0 to n - 1.

    Raises:
        TypeError: not an integer.
        IndexError: out of range.
    """
    try:
        k = operator.index(k)
    except TypeError:
        raise TypeError(f"{what}s are numbered by integers, not by {type(k).__name__}") from None
    if not -n <= k < n:
        raise IndexError(f"{what} {k} of {n} {what}s")
    return k % n
