"""Polytopes from halfspaces: exact vertices, exact refusals."""

from __future__ import annotations

import pickle
from itertools import product
from math import factorial

import numpy as np
import pytest

import splinegeo as sg
from benchmarks.nets import make_network
from splinegeo.polytopes import Polytope


def cross(d: int) -> Polytope:
    return Polytope([[*signs, -1.0] for signs in product((-1, 1), repeat=d)])


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_cubes_simplices_and_cross_polytopes(d: int) -> None:
    eye = np.eye(d)
    cube = Polytope(np.vstack([np.c_[eye, -np.ones(d)], np.c_[-eye, -np.ones(d)]]))
    assert cube.volume == 2.0**d
    assert {tuple(v) for v in cube.vertices.tolist()} == set(product((-1.0, 1.0), repeat=d))
    simplex = Polytope(np.vstack([np.c_[-eye, np.zeros(d)], [*np.ones(d), -1.0]]))
    assert simplex.volume == 1 / factorial(d)
    assert len(simplex.vertices) == d + 1
    assert cross(d).volume == pytest.approx(2**d / factorial(d), rel=1e-15)
    assert {tuple(v) for v in cross(d).vertices.tolist()} == {tuple(v) for v in np.vstack([eye, -eye]).tolist()}


def test_redundant_halfspaces_do_no_harm() -> None:
    """Repeated, touching in a corner, touching along an edge, far away."""
    triangle = [[-1, 0, 0], [0, -1, 0], [1, 1, -1]]
    more = Polytope([*triangle, [2, 2, -2], [1, 0, -1], [1, 0, -5], [-1, -1, 0]])
    assert np.array_equal(more.vertices, Polytope(triangle).vertices)
    assert more.volume == 0.5


def test_contains_is_exact() -> None:
    third = Polytope([[3, 0, -1], [-1, 0, 0], [0, 1, -1], [0, -1, 0]])
    below, above = np.nextafter(1 / 3, 0), np.nextafter(1 / 3, 1)
    # 1/3 in float64 lies below a third.
    assert third.contains([[below, 0.5], [1 / 3, 0.5], [above, 0.5], [0, 1], [0, 1.5]]).tolist() == [
        True,
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("halfspaces", "words"),
    [
        ([[1, 0, 0]], "unbounded"),
        ([[-1, 0, 0], [0, -1, 0]], "unbounded"),
        ([[1, 0, 1], [-1, 0, 1], [0, 1, -1], [0, -1, -1]], "empty"),
        ([[1, 0, 0], [-1, 0, 0], [0, 1, -1], [0, -1, -1]], "flat"),
        ([[0, 0, -1], [1, 0, 0]], "normal 0"),
        ([[1, np.inf, 0]], "finite"),
        ([[1.0]], "shape"),
    ],
)
def test_refusals(halfspaces: list[list[float]], words: str) -> None:
    with pytest.raises(sg.InvalidArgument, match=words):
        Polytope(halfspaces)


def test_value() -> None:
    p = cross(3)
    assert pickle.loads(pickle.dumps(p)) == p
    assert hash(p) == hash(cross(3))
    assert repr(p) == "<Polytope of 8 halfspaces in R^3>"


@pytest.mark.parametrize("widths", [(3, 8, 8, 1), (4, 6, 6, 1)])
def test_as_a_domain(widths: tuple[int, ...]) -> None:
    """Vertices with more facets than dimensions; the regions are those of the box that meet it."""
    domain = cross(widths[0])
    net = make_network(widths)
    part = sg.partition(net, domain, threads=1)
    assert part.complete
    assert part.volumes.sum() == pytest.approx(domain.volume)
    assert part.euler_characteristic == 1
    assert domain.contains(part.vertices * (1 - 1e-12)).all()
    box = sg.partition(net, sg.Box([-1] * widths[0], [1] * widths[0]), threads=1)
    points = np.random.default_rng(0).uniform(-1, 1, (5_000, widths[0]))
    points = points[domain.contains(points)]
    assert np.array_equal(part.packed_patterns[part.locate(points)], box.packed_patterns[box.locate(points)])
