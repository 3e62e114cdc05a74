"""Linear regions in d dimensions: neighbours whose affine maps are the same, joined."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.merging import components, same_maps
from splinegeo.partition.setting import Setting


def linear_labels(setting: Setting, packed: Array, adjacency: Array) -> tuple[Array, int]:
    """The linear region (N,) of each region, numbered in order of appearance, and their number.

    packed (N, .) patterns, adjacency (M, 2) pairs of regions that share a facet. Maps are told apart, or found to be
    the same, as `partition.merging.same_by_graph` does.
    """

    @lru_cache(maxsize=1024)
    def known(bits: bytes) -> tuple[int, list]:
        return setting.maps(np.frombuffer(bits, np.uint8))

    def exact(bits: Array) -> tuple[int, list]:
        return known(np.ascontiguousarray(bits, np.uint8).tobytes())

    return components(adjacency[same_maps(setting.network, exact, packed, adjacency)], len(packed))
