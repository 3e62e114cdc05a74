"""Values that do not depend on the latent, and how names from a file are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from splinegeo._types import Array
from splinegeo.networks.ops import Live
from splinegeo.networks.ops.values import Mask

SHOWN = 60  # characters of a name in a message: names in a file may have any length


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor of numbers, twice.

    ``exact`` holds real numbers in float64 and is what enters the network. ``native`` is what the file's own types
    give: where constants decide something (a size rounded down, a comparison), the file's rounding is its meaning.
    """

    exact: Array
    native: Array
    initialiser: str = ""  # its name, if the numbers stand in the file as they are

    @classmethod
    def of(cls, native: Any, initialiser: str = "") -> Constant:
        """A constant that is stored, or made of integers."""
        native = np.asarray(native)
        return cls(widened(native), native, initialiser)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.exact.shape

    @property
    def size(self) -> int:
        """Number of scalars."""
        return self.exact.size

    def tensor(self) -> torch.Tensor:
        """As the operations want it: float64, integers or booleans."""
        exact = self.exact
        if exact.dtype.kind == "u" and exact.dtype != np.uint8:
            exact = exact.astype(np.int64)
        return torch.from_numpy(np.array(exact, order="C"))


Value: TypeAlias = Live | Mask | Constant | None  # None: an optional input that is not there


def is_real(array: Array) -> bool:
    """Whether an array holds floating numbers; bfloat16 is a type of its own to NumPy."""
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def widened(array: Array) -> Array:
    """Real numbers in float64, which holds all of them exactly; anything else as it is."""
    return array.astype(np.float64) if is_real(array) else array


def shown(name: Any) -> str:
    """A name from a file, fit for a message of one line."""
    text = str(name)
    if not text.isprintable():
        text = repr(text)[1:-1]
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def first_line(error: BaseException) -> str:
    """What an error of another library says first, without its full stop."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[0].strip().rstrip(".") if lines else type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
