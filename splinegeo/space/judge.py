"""Answers to the questions of the walk in d dimensions: a vertex, and the signs of a level's hinges there, exactly.

A vertex is the only point on all hyperplanes that are tight there: facets of the domain, or kinks of hinges, which are
affine functions under the pattern at hand. The net is continuous, so what it does at the point does not depend on the
region from which the point was reached; points are told apart by their exact coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flint import fmpz_mat

from splinegeo._types import Array
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.judge import Evaluator, Layout


class SpaceJudge(Evaluator):
    """Exact answers for one thread. ``facets`` are integer rows (d + 1) of the domain's hyperplanes."""

    def __init__(
        self, exact: ExactNetwork, layout: Layout, bits: Array, facets: Sequence[tuple[int, ...]] = ()
    ) -> None:
        super().__init__(exact, layout, bits)
        self._facets = facets

    def vertex(self, labels: Sequence[int]) -> int:
        """The id of the point on all these hyperplanes: a hinge's number, or -1 - k for facet k of the domain."""
        rows = [self._facets[-1 - p] if p < 0 else self.kink(p) for p in labels]
        d = self.exact.frame.dim
        matrix, nullity = fmpz_mat(len(rows), d + 1, [v for row in rows for v in row]).nullspace()
        point = tuple(int(matrix[k, 0]) for k in range(d + 1))
        if nullity != 1 or point[-1] == 0:
            raise AssertionError(f"hyperplanes {list(labels)} do not meet in a point")
        return self.identify(point)

    def point(self, vertex: int) -> Array:
        """Frame coordinates (d,) of a vertex, correctly rounded."""
        return np.array(self.position(vertex))
