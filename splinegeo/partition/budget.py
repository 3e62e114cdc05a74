"""How much work a call may do before it returns what it has."""

from __future__ import annotations

import math
import numbers
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, WrongType


@dataclass(frozen=True)
class Budget:
    """Limits of an enumeration; None is no limit.

    Args:
        regions: keep at most this many regions. The regions kept are the first in the canonical order.
        seconds: stop after this much wall time, not counting the compilation of kernels in a first call.
        memory: stop when the regions found take this many bytes.

    Raises:
        InvalidArgument: a limit is not positive.
    """

    regions: int | None = None
    seconds: float | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("regions", "seconds", "memory"):
            value: Any = getattr(self, name)
            if value is None:
                continue
            whole = name != "seconds"
            kind = "a whole number" if whole else "a number"
            if not _is_number(value):
                raise WrongType(f"Budget({name}={value!r}): {kind} is expected, or None for no limit")
            if not value > 0:
                raise InvalidArgument(f"Budget({name}={value!r}): a limit is positive; None means no limit")
            if whole and (value == math.inf or value != int(value)):
                raise WrongType(f"Budget({name}={value!r}): {kind} is expected, or None for no limit")
            # Beyond what a machine can do there is no difference; numbers that fit spare every later check.
            object.__setattr__(self, name, min(int(value), 1 << 62) if whole else float(min(value, 1e300)))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


class Clock:
    """Watches a budget: `reason` says which limit is reached, if any."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._deadline = math.inf if budget.seconds is None else time.monotonic() + budget.seconds

    def excuse(self, since: float) -> None:
        """Do not count the time since ``time.monotonic()`` was this."""
        self._deadline += time.monotonic() - since

    def reason(self, held_bytes: int) -> str:
        """Empty while work may go on."""
        if time.monotonic() > self._deadline:
            return f"budget of {self.budget.seconds:g} seconds"
        if self.budget.memory is not None and held_bytes > self.budget.memory:
            return f"budget of {self.budget.memory:,} bytes"
        return ""
