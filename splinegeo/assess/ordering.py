"""Samples in the order of a descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.assess.arrays import samples


@dataclass(frozen=True, eq=False)
class Extremes:
    """Indices of the samples with the lowest and the highest values, the most extreme first."""

    lowest: Array  # (k,) int64
    highest: Array  # (k,) int64


def extremes(values: Any, k: int = 16) -> Extremes:
    """The ``k`` samples with the lowest and the ``k`` with the highest of ``values`` (N,); ties by their index.

    Raises:
        InvalidArgument: k > N.

    >>> found = extremes([3.0, 1.0, 2.0, 5.0], 2)
    >>> found.lowest.tolist(), found.highest.tolist()
    ([1, 2], [3, 0])
    """
    array = samples("extremes", "values", values)
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or not 1 <= k <= len(array):
        raise InvalidArgument(f"extremes(k={k!r}): from 1 to {len(array)} samples can be picked")
    return Extremes(np.argsort(array, kind="stable")[:k], np.argsort(-array, kind="stable")[:k])


def quantile_bins(values: Any, n_bins: int) -> Array:
    """The bin (N,) of each sample, 0 to n_bins - 1: bins of equal numbers of samples, up to one, by rising value.

    Ties are broken by index, so that bins stay of equal size.

    >>> quantile_bins([5.0, 1.0, 3.0, 2.0], 2).tolist()
    [1, 0, 1, 0]
    """
    array = samples("quantile_bins", "values", values)
    if not isinstance(n_bins, int | np.integer) or isinstance(n_bins, bool) or not 1 <= n_bins <= len(array):
        raise InvalidArgument(f"quantile_bins(n_bins={n_bins!r}): from 1 to {len(array)} bins are possible")
    bins = np.empty(len(array), np.int64)
    bins[np.argsort(array, kind="stable")] = np.arange(len(array)) * n_bins // len(array)
    return bins
