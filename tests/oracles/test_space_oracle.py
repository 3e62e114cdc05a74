"""The engine in d dimensions against an exact rational oracle, on the families where enumerators go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq

import splinegeo as sg
from splinegeo import space
from splinegeo.networks.graph import SplineNetwork
from tests.oracles.rational_space import ExactSpace, exact, exact_space
from tests.oracles.space_families import FAMILIES, MAXIMA, maxima_network, space_network

FAST = ("ternary", "duplicated", "concurrent", "domain_facet", "mixed")  # in four dimensions


def number(v: fmpq) -> float:
    return int(v.p) / int(v.q)


def assert_equals_oracle(part: space.SpacePartition, true: ExactSpace) -> None:
    """Patterns, vertices, adjacency, facets, linear regions, maps."""
    assert part.complete
    bits = [tuple(row) for row in part.patterns.astype(int).tolist()]
    assert len(set(bits)) == len(bits)
    regions = {region.pattern: region for region in true.regions}
    assert set(bits) == set(regions)
    assert part.n_vertices == true.n_vertices
    inner = part.facet_regions[part.facet_regions[:, 1] >= 0]
    assert len(inner) == len(true.adjacency)
    assert {frozenset((bits[i], bits[j])) for i, j in inner.tolist()} == true.adjacency
    assert part.n_linear_regions == true.n_linear_regions
    assert part.euler_characteristic == 1
    maps, offsets = part.affine_maps()
    for k, pattern in enumerate(bits):
        region = regions[pattern]
        mine = part.corners[k]
        points = np.array([[number(v) for v in p] for p in region.cell.points])
        assert len(mine) == len(points)
        gaps = np.abs(mine[:, None] - points[None]).max(2)
        assert max(gaps.min(0).max(), gaps.min(1).max()) <= 1e-6
        rows = np.array([[number(v) for v in row] for row in region.output])
        size = max(1.0, np.abs(rows).max())
        assert np.abs(np.concatenate([maps[k], offsets[k][:, None]], 1) - rows).max() <= 1e-9 * size


def check(network: SplineNetwork, dim: int) -> None:
    part = space.partition(network, sg.Box([-2] * dim, [2] * dim), threads=1)
    assert_equals_oracle(part, exact_space(network, [-2] * dim, [2] * dim))
    assert part.volumes.sum() == pytest.approx(4**dim, rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_three_dimensions(family: str, seed: int) -> None:
    check(space_network(family, 3, seed), 3)


@pytest.mark.parametrize(
    "family", [*FAST, *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f not in FAST)]
)
def test_four_dimensions(family: str) -> None:
    check(space_network(family, 4, 2), 4)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("family", ["ternary", "duplicated", "pruned", "mixed", "residual"])
def test_one_and_two_dimensions(family: str, dim: int) -> None:
    check(space_network(family, dim, 2), dim)


@pytest.mark.parametrize("family", ["ternary", "quarter", "hardtanh"])
def test_slices(family: str) -> None:
    """A slice of three dimensions through five, with exact ties."""
    rng = np.random.default_rng(3)
    network = space_network(family, 5, 2)
    origin, basis = np.round(rng.normal(size=5) * 2) / 2, np.eye(5, 3) + np.tril(np.round(rng.normal(size=(5, 3))), -1)
    part = space.partition(network, sg.Box([-1, -1.5, 0], [2, 1, 1]), sg.Slice(origin, basis), threads=1)
    latent = [tuple(map(exact, row)) for row in np.column_stack([basis, origin]).tolist()]
    assert_equals_oracle(part, exact_space(network, [-1, -1.5, 0], [2, 1, 1], latent))


@pytest.mark.parametrize("family", MAXIMA)
@pytest.mark.parametrize(
    ("dim", "seed"),
    [(1, 1), (2, 1), (3, 0), (3, 1), (4, 1), *(pytest.param(d, 2, marks=pytest.mark.slow) for d in (3, 4))],
)
def test_maxima(family: str, dim: int, seed: int) -> None:
    """The oracle cuts by winners and joins nothing; the walk cuts along all comparisons and joins their pieces."""
    check(maxima_network(family, dim, seed), dim)


@pytest.mark.parametrize("family", ["maxout", "rectified", "equal"])
def test_slices_of_maxima(family: str) -> None:
    rng = np.random.default_rng(3)
    network = maxima_network(family, 5, 1)
    origin, basis = np.round(rng.normal(size=5) * 2) / 2, np.eye(5, 3) + np.tril(np.round(rng.normal(size=(5, 3))), -1)
    part = space.partition(network, sg.Box([-1, -1.5, 0], [2, 1, 1]), sg.Slice(origin, basis), threads=1)
    latent = [tuple(map(exact, row)) for row in np.column_stack([basis, origin]).tolist()]
    assert_equals_oracle(part, exact_space(network, [-1, -1.5, 0], [2, 1, 1], latent))
