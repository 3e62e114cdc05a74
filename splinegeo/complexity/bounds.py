"""How many regions there can be at most, from how many units cross a ball level by level."""

from __future__ import annotations

import math
from collections.abc import Iterable


def buck(n: int, dim: int) -> int:
    """The number of regions that n hyperplanes in general position cut R^dim into; no n hyperplanes make more.

    R. C. Buck, "Partition of space", American Mathematical Monthly 50, 1943; T. Zaslavsky, "Facing up to arrangements",
    Memoirs of the AMS 154, 1975.

    >>> [buck(4, d) for d in range(1, 5)]
    [5, 11, 15, 16]
    """
    return sum(math.comb(n, j) for j in range(min(n, dim) + 1))


def most_regions(crossing: Iterable[int], dim: int) -> int:
    """An upper bound on the regions of a ball where so many units of each level may cross.

    Within a region of the levels below, the units of a level are affine: they cut it like hyperplanes.

    >>> most_regions([2, 3], dim=2)
    28
    """
    return math.prod(buck(n, dim) for n in crossing)
