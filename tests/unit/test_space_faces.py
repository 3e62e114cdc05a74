"""Faces of every dimension against those that all choices of facets cut out of a region."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

import splinegeo as sg
from splinegeo import space
from splinegeo._types import Array
from splinegeo.testing import mlp


def _by_choices(part: space.SpacePartition, dim: int) -> list[tuple[int, ...]]:
    """Vertices that lie on some facets of a region and span ``dim`` dimensions, each set once."""
    found = set()
    for k in range(part.n_regions):
        here = slice(part.region_offsets[k], part.region_offsets[k + 1])
        names, tight = part.corner_vertices[here], part.corner_facets[here, 0]
        n = int(part.facet_offsets[k + 1] - part.facet_offsets[k])
        for chosen in combinations(range(n), part.dim - dim):
            mask = np.uint64(sum(1 << j for j in chosen))
            on = names[tight & mask == mask]
            if len(on) > dim and np.linalg.matrix_rank(part.vertices[on[1:]] - part.vertices[on[0]], tol=1e-6) == dim:
                found.add(tuple(sorted(on.tolist())))
    return sorted(found)


@pytest.mark.parametrize(("widths", "biased"), [((3, 5, 3, 1), True), ((4, 4, 2, 1), True), ((3, 5, 3, 1), False)])
def test_faces_are_what_choices_of_facets_cut_out(widths: tuple[int, ...], biased: bool) -> None:
    """Also where more than d facets meet: without biases, all hyperplanes of the first layer go through the origin."""
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal((b, a)) for a, b in pairwise(widths)]
    biases: list[Array] = [(0.5 if biased else 0.0) * rng.standard_normal(b) for b in widths[1:]]
    d = widths[0]
    part = space.partition(mlp(weights, biases), sg.Box([-2] * d, [2] * d), threads=1)
    bits = np.array([bin(int(mask)).count("1") for mask in part.corner_facets[:, 0]])
    assert (bits == d).all() == biased
    for dim in range(1, d):
        assert sorted(tuple(sorted(face.tolist())) for face in part.faces(dim)) == _by_choices(part, dim)
