"""Faces against those that choices of facets cut out of a region; volumes against closed forms."""

from __future__ import annotations

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from scipy.spatial import ConvexHull

import splinegeo as sg
from splinegeo import space
from splinegeo._types import Array
from splinegeo.space import faces as listing
from splinegeo.space import volumes as measuring
from splinegeo.space.volumes import volumes
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


def _polytope(points: Array, normals: Array, sides: Array) -> tuple[Array, Array, Array, Array, Array]:
    """The hull of points, whose facets are normals @ x == sides, as one region: what `volumes` takes."""
    on = np.abs(points @ normals.T - sides) < 1e-9
    tight = np.zeros((len(points), -(-len(sides) // 64)), np.uint64)
    for j in range(len(sides)):
        tight[:, j // 64] |= on[:, j].astype(np.uint64) << np.uint64(j % 64)
    n = len(points)
    return points, np.arange(n, dtype=np.int32), tight, np.array([0, n]), np.array([len(sides)])


def _cube(d: int) -> tuple[Array, Array, Array]:
    return np.array(list(product([0.0, 1.0], repeat=d))), np.vstack([np.eye(d), -np.eye(d)]), np.repeat([1.0, 0.0], d)


def _simplex(d: int) -> tuple[Array, Array, Array]:
    return np.vstack([np.zeros(d), np.eye(d)]), np.vstack([-np.eye(d), np.ones(d)]), np.r_[np.zeros(d), 1.0]


def _cross(d: int) -> tuple[Array, Array, Array]:
    """More than d facets meet in a corner; from seven dimensions on there are more than 64 of them."""
    return np.vstack([np.eye(d), -np.eye(d)]), np.array(list(product([-1.0, 1.0], repeat=d))), np.ones(2**d)


def _product(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    points = np.array([np.r_[x, y] for x in a[0] for y in b[0]])
    (m, p), (n, q) = a[1].shape, b[1].shape
    return points, np.block([[a[1], np.zeros((m, q))], [np.zeros((n, p)), b[1]]]), np.r_[a[2], b[2]]


CLOSED_FORMS = (
    [(_cube(d), 1.0) for d in range(1, 10)]
    + [(_simplex(d), 1 / math.factorial(d)) for d in range(1, 10)]
    + [(_cross(d), 2**d / math.factorial(d)) for d in range(2, 8)]
    + [(_product(_simplex(3), _cross(4)), 16 / 24 / 6), (_product(_cross(3), _cube(5)), 8 / 6)]
    + [(_product(_product(_simplex(2), _simplex(2)), _simplex(4)), 1 / 96)]
)


@pytest.mark.parametrize(("polytope", "volume"), CLOSED_FORMS)
def test_volumes_are_those_of_closed_forms(polytope: tuple[Array, Array, Array], volume: float) -> None:
    """Whatever the affine map and the order of the corners."""
    rng = np.random.default_rng(0)
    points, corner, tight, offsets, n_facets = _polytope(*polytope)
    d = points.shape[1]
    shuffled = rng.permutation(len(points))
    matrix = np.eye(d) + 0.3 * rng.standard_normal((d, d))
    moved = points[shuffled] @ matrix + rng.standard_normal(d)
    (found,) = volumes(moved, corner, tight[shuffled], offsets, n_facets)
    np.testing.assert_allclose(found, volume * abs(np.linalg.det(matrix)), rtol=1e-12)


@pytest.mark.parametrize("widths", [(3, 8, 8, 1), (4, 7, 5, 1), (5, 6, 5, 1)])
@pytest.mark.parametrize("biased", [True, False])
def test_volumes_are_those_of_hulls_and_add_up(widths: tuple[int, ...], biased: bool) -> None:
    rng = np.random.default_rng(3)
    weights = [rng.standard_normal((b, a)) for a, b in pairwise(widths)]
    biases: list[Array] = [(0.5 if biased else 0.0) * rng.standard_normal(b) for b in widths[1:]]
    d = widths[0]
    part = space.partition(mlp(weights, biases), sg.Box([-2] * d, [2] * d), threads=1)
    assert (part.volumes > 0).all()
    np.testing.assert_allclose(part.volumes.sum(), 4.0**d, rtol=1e-13)
    for k in range(0, part.n_regions, 7):
        if part.volumes[k] > 1e-3:
            # qhull merges facets that are close to each other, so it is the coarser of the two.
            np.testing.assert_allclose(part.volumes[k], ConvexHull(part.corners[k]).volume, rtol=1e-9)


@pytest.mark.parametrize("d", [2, 4, 7])
@pytest.mark.parametrize("width", [1e-8, 1e-100, 0.0])
def test_slivers_have_a_volume(d: int, width: float) -> None:
    points, *rest = _polytope(*_product(_cube(1), _simplex(d - 1)))
    points[:, 0] *= width
    (found,) = volumes(points, *rest)
    np.testing.assert_allclose(found, width / math.factorial(d - 1), rtol=1e-12)
    turned = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))[0]
    (found,) = volumes(points @ turned, *rest)
    np.testing.assert_allclose(found, width / math.factorial(d - 1), atol=1e-14)
    assert found >= 0


def test_volumes_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between groups of regions; nothing of what was found is kept."""
    rng = np.random.default_rng(1)
    network = mlp([rng.standard_normal((6, 3)), rng.standard_normal((1, 6))], [rng.standard_normal(6), np.zeros(1)])
    part = space.partition(network, sg.Box([-2] * 3, [2] * 3), threads=1)
    monkeypatch.setattr(measuring, "_CORNERS", 1)
    kernel, calls = measuring._volumes, []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        kernel(*arguments)

    monkeypatch.setattr(measuring, "_volumes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _ = part.volumes
    np.testing.assert_allclose(part.volumes.sum(), 64.0, rtol=1e-14)
    assert len(calls) == 3 + part.n_regions  # a region at a time, all of them again


def test_faces_are_listed_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    network = mlp([rng.standard_normal((6, 3)), rng.standard_normal((1, 6))], [rng.standard_normal(6), np.zeros(1)])
    part = space.partition(network, sg.Box([-2] * 3, [2] * 3), threads=1)
    whole = [[face.tolist() for face in part.faces(dim)] for dim in range(4)]
    monkeypatch.setattr(listing, "_FACES", 5)
    assert [[face.tolist() for face in part.faces(dim)] for dim in range(4)] == whole
    assert [len(faces) for faces in whole] == list(part.f_vector())
