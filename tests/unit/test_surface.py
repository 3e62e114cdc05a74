"""Zero sets in three dimensions: closed, on the zero set, and complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import splinegeo as sg
from splinegeo import space
from splinegeo.data import load_shipped_network
from splinegeo.io import save_mesh
from splinegeo.networks.graph import SplineNetwork
from splinegeo.testing import mlp

CUBE = sg.Box([-1] * 3, [1] * 3)


@pytest.fixture(scope="module")
def torus() -> SplineNetwork:
    return load_shipped_network("torus_sdf")


@pytest.fixture(scope="module")
def surface(torus: SplineNetwork) -> space.Surface:
    return space.zero_set(torus, CUBE, threads=1)


def octahedron() -> SplineNetwork:
    """|x| + |y| + |z| - 1/2, its absolute values made of pairs of units."""
    eye = np.eye(3)
    return mlp([np.vstack([eye, -eye]), np.ones((1, 6))], [np.zeros(6), [-0.5]])


def test_octahedron() -> None:
    found = space.zero_set(octahedron(), CUBE, threads=1)
    assert found.n_faces == 8
    assert {tuple(v) for v in found.vertices.tolist()} == {
        tuple(v) for v in (np.vstack([np.eye(3), -np.eye(3)]) / 2).tolist()
    }
    assert found.is_watertight
    assert found.euler_characteristic == 2
    assert found.area == pytest.approx(np.sqrt(3), rel=1e-14)
    assert found.volume == pytest.approx(1 / 6, rel=1e-14)  # outwards: the function is larger outside


def test_torus(torus: SplineNetwork, surface: space.Surface) -> None:
    """Closed, of genus one, close to the torus that was learnt, and zero at every vertex."""
    assert surface.complete
    assert surface.is_watertight
    assert surface.euler_characteristic == 0
    assert np.abs(torus(surface.vertices)).max() <= 1e-13
    assert surface.area == pytest.approx(4 * np.pi**2 * 0.6 * 0.25, rel=0.03)
    assert surface.volume == pytest.approx(2 * np.pi**2 * 0.6 * 0.25**2, rel=0.03)
    assert (np.diff(surface.face_offsets) >= 3).all()
    ends = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    assert (np.unique(ends, axis=0, return_counts=True)[1] == 2).all()


def test_neighbours_are_turned_alike(surface: space.Surface) -> None:
    """Each edge is run through once in each direction."""
    end = np.roll(surface.face_vertices, -1)
    end[surface.face_offsets[1:] - 1] = surface.face_vertices[surface.face_offsets[:-1]]
    directed = {*zip(surface.face_vertices.tolist(), end.tolist(), strict=True)}
    assert len(directed) == len(end)
    assert {(b, a) for a, b in directed} == directed


def test_nothing_is_pruned_away(torus: SplineNetwork, surface: space.Surface) -> None:
    """Every region on which the network takes both signs has a face, and each face lies in one region."""
    part = sg.partition(torus, CUBE, threads=1)
    values = torus(part.vertices)[:, 0][part.corner_vertices]
    low = np.minimum.reduceat(values, part.region_offsets[:-1])
    high = np.maximum.reduceat(values, part.region_offsets[:-1])
    assert surface.n_faces == ((low < -1e-12) & (high > 1e-12)).sum()
    centres = np.array([surface.vertices[face].mean(0) for face in surface.faces])
    regions = part.locate(centres)
    assert (low[regions] < 0).all()
    assert (high[regions] > 0).all()


def test_pieces_of_the_domain_fit_together(torus: SplineNetwork, surface: space.Surface) -> None:
    halves = [
        space.zero_set(torus, box, threads=1)
        for box in (sg.Box([-1, -1, -1], [0.25, 1, 1]), sg.Box([0.25, -1, -1], [1, 1, 1]))
    ]
    assert not halves[0].is_watertight
    assert sum(half.area for half in halves) == pytest.approx(surface.area, rel=1e-12)


def test_levels_slices_and_outputs(torus: SplineNetwork) -> None:
    two = mlp([np.eye(3), np.array([[1.0, 1, 1], [2, 0, 0]])], [np.ones(3) * 4, [-12.0, -9.0]])
    flat = space.zero_set(two, CUBE, output=1, level=0.5, threads=1)
    assert flat.n_faces == 1
    assert (flat.vertices[:, 0] == 0.75).all()
    tilted = sg.Slice([0, 0, 0, 0], np.eye(4, 3))
    four = mlp([np.eye(4), np.ones((1, 4))], [np.ones(4) * 4, [-16.0]])
    assert space.zero_set(four, CUBE, tilted, threads=1).area == pytest.approx(np.sqrt(3) * 3, rel=1e-12)
    empty = space.zero_set(torus, CUBE, level=50.0, threads=1)
    assert len(empty) == 0
    assert empty.complete
    assert empty.area == 0


def test_a_zero_set_along_facets() -> None:
    """relu(x) - relu(-x) + |y| - |y| vanishes where units do; |x| touches zero and does not pass it."""
    weight = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    through = mlp([weight, [[1.0, -1, 0, 0]]], [np.zeros(4), [0.0]])
    found = space.zero_set(through, CUBE, threads=1)
    assert found.area == 4
    assert (found.vertices[:, 0] == 0).all()
    touching = mlp([weight, [[1.0, 1, 0, 0]]], [np.zeros(4), [0.0]])
    assert len(space.zero_set(touching, CUBE, threads=1)) == 0


def test_files(surface: space.Surface, tmp_path: Path) -> None:
    surface.save(tmp_path / "torus.obj")
    lines = (tmp_path / "torus.obj").read_text().split("\n")
    points = np.array([line.split()[1:] for line in lines if line.startswith("v")], float)
    assert np.array_equal(points, surface.vertices)
    faces = [[int(v) - 1 for v in line.split()[1:]] for line in lines if line.startswith("f")]
    assert faces == [face.tolist() for face in surface.faces]

    surface.save(tmp_path / "torus.ply")
    raw = (tmp_path / "torus.ply").read_bytes()
    header, body = raw.split(b"end_header\n", 1)
    assert b"format binary_little_endian 1.0\nelement vertex %d\n" % len(surface.vertices) in header
    n = 24 * len(surface.vertices)
    assert np.array_equal(np.frombuffer(body[:n], "<f8").reshape(-1, 3), surface.vertices)
    rest, k = np.frombuffer(body[n:], "<i4"), 0
    for face in surface.faces:
        assert rest[k : k + 1 + len(face)].tolist() == [len(face), *face.tolist()]
        k += 1 + len(face)
    assert k == len(rest)
    with pytest.raises(sg.InvalidArgument, match=r"\.ply"):
        surface.save(tmp_path / "torus.stl")
    with pytest.raises(sg.WrongType, match="Surface"):
        save_mesh("torus", tmp_path / "torus.ply")  # type: ignore[arg-type]


def test_refusals(torus: SplineNetwork) -> None:
    with pytest.raises(sg.ShapeMismatch, match="3 dimensions"):
        space.zero_set(torus, sg.Box([-1, -1], [1, 1]), sg.Slice(np.zeros(3), np.eye(3, 2)))
    with pytest.raises(sg.InvalidArgument, match="output"):
        space.zero_set(torus, CUBE, output=1)
    with pytest.raises(sg.InvalidArgument, match="level"):
        space.zero_set(torus, CUBE, level=np.nan)


def test_budget(torus: SplineNetwork) -> None:
    found = space.zero_set(torus, CUBE, threads=1, budget=sg.Budget(regions=500))
    assert not found.complete
    assert 0 < found.n_faces <= 500
    assert repr(found).endswith("incomplete: budget of 500 regions>")
