"""Descriptors along the steps of a sampler, with bands over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.assess.arrays import level_between


@dataclass(frozen=True, eq=False)
class Band:
    """The mean of a quantity at each of T steps, and a confidence interval for it at each."""

    mean: Array  # (T,)
    low: Array  # (T,)
    high: Array  # (T,)
    level: float
    count: int  # seeds


def confidence_band(values: Any, *, level: float = 0.95) -> Band:
    """The mean over seeds of ``values`` (seeds, steps), with Student's confidence interval at each step.

    Each interval covers the mean at its step with the probability ``level``; together, over all steps, with less.

    Raises:
        InvalidArgument: fewer than two seeds, or values that are not finite.

    >>> band = confidence_band([[1.0, 5.0], [3.0, 5.0]])
    >>> band.mean.tolist(), float(band.high[1] - band.low[1])
    ([2.0, 5.0], 0.0)
    """
    call = "confidence_band"
    array, level = float_array(values, f"{call}: values", ndim=2), level_between(call, level)
    n = len(array)
    if n < 2:
        raise InvalidArgument(f"{call}: a band needs at least two seeds; values have shape {array.shape}")
    mean = array.mean(0)
    half = student.ppf(0.5 + level / 2, n - 1) * array.std(0, ddof=1) / np.sqrt(n)
    return Band(mean, mean - half, mean + half, level, n)
