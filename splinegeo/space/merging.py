"""Linear regions in d dimensions: neighbours whose affine maps are the same, joined."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.merging import components, same_maps
from splinegeo.space.judge import SpaceJudge
from splinegeo.space.problem import Problem


def linear_labels(problem: Problem, packed: Array, facet_regions: Array) -> tuple[Array, int]:
    """The linear region (N,) of each region, numbered in order of appearance, and their number.

    packed (N, .) patterns. Maps are told apart, or found to be the same, as `partition.merging.same_by_graph` does.
    """

    @lru_cache(maxsize=1024)
    def known(bits: bytes) -> tuple[int, list]:
        here = np.frombuffer(bits, np.uint8)[problem.hinges].astype(np.int8)
        value = SpaceJudge(problem.exact, problem.layout, here).maps(len(problem.layout.places))
        return value.e, value.rows

    def exact(bits: Array) -> tuple[int, list]:
        return known(np.ascontiguousarray(bits, np.uint8).tobytes())

    inner = facet_regions[facet_regions[:, 1] >= 0]
    return components(inner[same_maps(problem.network, exact, packed, inner)], len(packed))
