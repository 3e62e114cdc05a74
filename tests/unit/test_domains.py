"""Boxes, polygons and slices: values, and exact decisions."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splinegeo._errors import InvalidArgument, ShapeMismatch, SplineGeoError, WrongType
from splinegeo.domains import Box, Polygon, Slice

NAN, INF = float("nan"), float("inf")
STAR = [[math.cos(4 * math.pi * k / 5), math.sin(4 * math.pi * k / 5)] for k in range(5)]
EPS = 2.0**-52


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "same", "other"),
    [
        (Box([-2, -2], [2, 2]), Box(np.array([-2.0, -2.0]), (2, 2)), Box([-2, -2], [2, 3])),
        (Box([0], [1]), Box(torch.zeros(1), torch.ones(1, dtype=torch.bfloat16)), Box([0, 0], [1, 1])),
        (Box([-0.0], [1]), Box([0.0], [1]), Box([5e-324], [1])),
        (Polygon([[0, 0], [1, 0], [0, 1]]), Polygon([[0, 1], [1, 0], [0, 0]]), Polygon([[0, 0], [1, 0], [0, 2]])),
        (Slice([0, 0], np.eye(2)), Slice.identity(2), Slice([0, 0], [[0, 1], [1, 0]])),
    ],
    ids=["box", "tensors", "signed zero", "polygon", "slice"],
)
def test_domains_are_values(a: Any, same: Any, other: Any) -> None:
    assert a == same
    assert hash(a) == hash(same)
    assert a != other
    assert a != 1
    copy = pickle.loads(pickle.dumps(a))
    assert copy == a
    for domain in (a, copy):
        for array in vars(domain).values():
            assert array.dtype == np.float64
            assert not array.flags.writeable
    with pytest.raises(AttributeError):
        a.extra = 1


def test_domains_do_not_share_memory_with_their_arguments() -> None:
    lower = np.zeros(2)
    box = Box(lower, [1, 1])
    lower[0] = 5
    assert box.lower[0] == 0


def test_reprs_are_short_and_never_fail() -> None:
    assert repr(Box([-2, 0.5], [2, 1e300])) == "Box([-2, 0.5], [2, 1e+300])"
    assert repr(Box(np.zeros(100), np.ones(100))) == "<Box in R^100>"
    assert repr(Polygon([[0, 0], [1, 0], [0, 1]])) == "<Polygon of 3 vertices>"
    assert repr(Slice.identity(3)) == "<Slice of dimension 3 in R^3>"
    for kind in (Box, Polygon, Slice):
        assert repr(object.__new__(kind)) == f"<{kind.__name__}>"


# Box ------------------------------------------------------------------------------------------------------------------


def test_box() -> None:
    box = Box([-1, 0], [1, 3])
    assert (box.dim, box.volume) == (2, 6.0)
    assert box.vertices.tolist() == [[-1, 0], [1, 0], [1, 3], [-1, 3]]
    assert box.contains([[0, 0], [1, 3], [1 + EPS, 3], [-1, -1]]).tolist() == [True, True, False, False]
    assert box.contains([0, 1]).shape == ()
    assert box.contains(np.zeros((4, 5, 2))).shape == (4, 5)
    assert Box([-1e308], [1e308]).volume == INF
    assert Box([0] * 3, [2] * 3).volume == 8
    with pytest.raises(InvalidArgument, match="dimension 3"):
        _ = Box([0] * 3, [2] * 3).vertices


# Polygon --------------------------------------------------------------------------------------------------------------


def test_polygon_is_stored_counter_clockwise_from_its_smallest_vertex() -> None:
    square = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    for start in range(4):
        for step in (1, -1):
            loop = [square[(start + step * k) % 4] for k in range(4)]
            assert Polygon(loop).vertices.tolist() == square


def test_repeated_and_collinear_vertices_are_dropped() -> None:
    loop = [[0, 0], [0, 0], [1, 0], [1, 0], [2, 0], [2, 2], [1, 2], [0, 2], [0, 1], [0, 0]]
    assert Polygon(loop) == Polygon([[0, 0], [2, 0], [2, 2], [0, 2]])


def test_convexity_is_exact() -> None:
    # 1 + eps is above the straight line by one unit in the last place: convex on one side, reflex on the other.
    assert len(Polygon([[0, 0], [2, 0], [2, 1], [1, 1 + EPS], [0, 1]]).vertices) == 5
    assert len(Polygon([[0, 0], [2, 0], [2, 1], [1, 1], [0, 1]]).vertices) == 4
    with pytest.raises(InvalidArgument, match=r"not convex: it turns the other way at vertex 3, \(1, 1\)"):
        Polygon([[0, 0], [2, 0], [2, 1], [1, 1 - EPS], [0, 1]])
    # A needle whose area underflows is a polygon all the same.
    needle = Polygon([[0, 0], [1e-200, 0], [1e-200, 1e-200]])
    assert len(needle.vertices) == 3
    assert needle.volume == 0.0
    assert Polygon(np.array([[0, 0], [1, 0], [0, 1]]) * 1e300).volume == INF


def test_polygon_volume_and_contains() -> None:
    triangle = Polygon([[0, 0], [1, 0], [0, 1]])
    assert triangle.volume == 0.5
    assert triangle.contains([[0.5, 0.5], [0.5, 0.5 + EPS], [0, 0], [-5e-324, 0]]).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert triangle.contains(np.zeros((2, 3, 2))).shape == (2, 3)
    assert triangle.contains(np.full((1, 2), 1e308)).tolist() == [False]


def test_containment_is_exact_where_float64_is_not() -> None:
    # Kettner et al., "Classroom examples of robustness problems": next to the diagonal float64 sees wrong sides.
    polygon = Polygon([[-12, -12], [24, 24], [-12, 24]])
    steps = 0.5 + np.arange(40) * 2.0**-53
    points = np.stack(np.meshgrid(steps, steps), -1)
    assert (polygon.contains(points) == (points[..., 1] >= points[..., 0])).all()


@given(st.lists(st.tuples(*[st.integers(-20, 20)] * 2), min_size=3, max_size=12))
def test_hulls_are_polygons_and_contain_exactly_what_rationals_say(points: list[tuple[int, int]]) -> None:
    def turn(p: Any, q: Any, r: Any) -> Fraction:
        a, b, c = ([Fraction(x) for x in v] for v in (p, q, r))
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    def half(ordered: list[Any]) -> list[Any]:
        chain: list[Any] = []
        for p in ordered:
            while len(chain) > 1 and turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    unique = sorted({(x / 3, y / 3) for x, y in points})
    hull = half(unique) + half(unique[::-1])
    if len(hull) < 3:
        with pytest.raises(InvalidArgument, match=r"zero area|at least 3"):
            Polygon(unique)
        return
    polygon = Polygon(hull[::-1])
    assert polygon.vertices.tolist() == [list(p) for p in hull]
    inside = [all(turn(p, q, r) >= 0 for p, q in pairwise([*hull, hull[0]])) for r in [*hull, (0.0, 0.0), (1 / 3, 1.0)]]
    assert polygon.contains([*hull, (0.0, 0.0), (1 / 3, 1.0)]).tolist() == inside


# Slice ----------------------------------------------------------------------------------------------------------------


def test_slice_through_three_latents() -> None:
    z = np.random.default_rng(0).integers(-8, 8, (3, 7)).astype(float)
    plane = Slice.through(*z)
    assert (plane.dim, plane.ambient_dim) == (2, 7)
    assert (plane.embed([[0, 0], [1, 0], [0, 1]]) == z).all()
    metric = Slice.through(*z, orthonormal=True)
    u = metric.coordinates(z)
    np.testing.assert_allclose(metric.basis.T @ metric.basis, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(metric.embed(u), z, atol=1e-13)
    np.testing.assert_allclose(u[0], 0, atol=1e-13)
    np.testing.assert_allclose(u[1], [np.linalg.norm(z[1] - z[0]), 0], atol=1e-13)
    assert u[2, 1] > 0
    assert plane.embed(np.zeros((4, 5, 2))).shape == (4, 5, 7)
    assert plane.coordinates(np.zeros((4, 5, 7))).shape == (4, 5, 2)


def test_rank_is_decided_exactly() -> None:
    for scale in (1e-300, 1e-30, 1.0, 1e30, 1e300):
        Slice([0, 0], [[1, scale], [0, scale]])
        with pytest.raises(InvalidArgument, match="column 1"):
            Slice([0, 0, 0], np.array([[1, 3 * scale], [2, 6 * scale], [4, 12 * scale]]))
    Slice([0, 0], [[1, 1], [1, 1 + EPS]])
    Slice([0, 0], [[1, 5e-324], [1, 1]])
    with pytest.raises(InvalidArgument, match="column 2"):
        Slice([0, 0, 0], [[1, 0, 1], [0, 1, 1], [0, 0, 0]])


# Bad input ------------------------------------------------------------------------------------------------------------

TABLE: dict[str, tuple[Any, type[SplineGeoError], str]] = {
    "box nan": (lambda: Box([0, NAN], [1, 1]), InvalidArgument, r"Box lower must be finite; found nan at \[1\]"),
    "box inf": (lambda: Box([0, 0], [1, INF]), InvalidArgument, r"Box upper must be finite; found inf at \[1\]"),
    "box flat": (lambda: Box([0, 1], [1, 1]), InvalidArgument, "coordinate 1 has lower 1.0 and upper 1.0"),
    "box inverted": (lambda: Box([0, 2], [1, 1]), InvalidArgument, "coordinate 1 has lower 2.0 and upper 1.0"),
    "box lengths": (lambda: Box([0, 0], [1, 1, 1]), ShapeMismatch, "one length; got 2 and 3"),
    "box scalar": (lambda: Box(0, 1), ShapeMismatch, "must have 1 dimension; got shape"),
    "box matrix": (lambda: Box([[0]], [[1]]), ShapeMismatch, "1 dimension"),
    "box empty": (lambda: Box([], []), ShapeMismatch, "at least one dimension"),
    "box complex": (lambda: Box([0j], [1j]), WrongType, "real numbers; got complex numbers"),
    "box object": (lambda: Box([None], [1]), WrongType, "got Python objects"),
    "box text": (lambda: Box(["0"], ["1"]), WrongType, "got text"),
    "box boolean": (lambda: Box([False], [True]), WrongType, "got booleans"),
    "box ragged": (lambda: Box([[0], [1, 2]], [1]), WrongType, "Box lower must be an array of numbers"),
    "box big integer": (lambda: Box([0], [2**53 + 1]), InvalidArgument, "float64 cannot hold exactly"),
    "box huge integer": (lambda: Box([0], [10**400]), WrongType, "Box upper"),
    "box points": (lambda: Box([0, 0], [1, 1]).contains([1, 2, 3]), ShapeMismatch, r"shape \(\.\.\., 2\); got \(3,\)"),
    "box nan points": (lambda: Box([0], [1]).contains([NAN]), InvalidArgument, "Box points must be finite"),
    "polygon two": (lambda: Polygon([[0, 0], [1, 1]]), InvalidArgument, "at least 3 vertices; got 2"),
    "polygon shape": (lambda: Polygon([[0, 0, 0]] * 3), ShapeMismatch, r"\(n, 2\); got \(3, 3\)"),
    "polygon flat list": (lambda: Polygon([0, 1, 2, 3]), ShapeMismatch, "2 dimensions"),
    "polygon nan": (lambda: Polygon([[0, 0], [1, 0], [NAN, 1]]), InvalidArgument, r"found nan at \[2, 0\]"),
    "polygon line": (lambda: Polygon([[0, 0], [1, 1], [3, 3]]), InvalidArgument, "zero area"),
    "polygon point": (lambda: Polygon([[1, 1]] * 5), InvalidArgument, "zero area"),
    "polygon there and back": (lambda: Polygon([[0, 0], [1, 0], [0, 0], [1, 0]]), InvalidArgument, "zero area"),
    "polygon reflex": (
        lambda: Polygon([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]),
        InvalidArgument,
        r"not convex: it turns the other way at vertex 3, \(2, 1\)\. Drop that vertex",
    ),
    "polygon reflex, clockwise": (
        lambda: Polygon([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]][::-1]),
        InvalidArgument,
        r"at vertex 1, \(2, 1\)",
    ),
    "polygon bow tie": (lambda: Polygon([[0, 0], [1, 1], [1, 0], [0, 1]]), InvalidArgument, "not convex.*sort the"),
    "polygon star": (lambda: Polygon(STAR), InvalidArgument, "intersects itself.*vertex 4"),
    "polygon twice": (lambda: Polygon([[0, 0], [1, 0], [0, 1]] * 2), InvalidArgument, "intersects itself.*vertex 3"),
    "polygon spike": (
        lambda: Polygon([[0, 0], [2, 0], [3, 0], [2, 0], [2, 2]]),
        InvalidArgument,
        r"vertex 2, \(3, 0\): the boundary turns back on itself",
    ),
    "slice rows": (lambda: Slice([0, 0, 0], np.eye(2)), ShapeMismatch, r"shape \(3, d\); got \(2, 2\)"),
    "slice transposed": (lambda: Slice([0, 0, 0], np.eye(3)[:2]), ShapeMismatch, "transpose it"),
    "slice wide": (lambda: Slice([0], [[1, 2]]), ShapeMismatch, "1 <= d <= E"),
    "slice no columns": (lambda: Slice([0, 0], np.zeros((2, 0))), ShapeMismatch, "1 <= d <= E"),
    "slice zero": (lambda: Slice([0, 0], [[0], [0]]), InvalidArgument, "column 0 is zero"),
    "slice dependent": (lambda: Slice([0, 0], [[1, 2], [2, 4]]), InvalidArgument, "column 1 .*not on one line"),
    "slice inf": (lambda: Slice([INF, 0], np.eye(2)), InvalidArgument, "Slice origin must be finite"),
    "slice line": (lambda: Slice.through([0, 0], [1, 1], [2, 2]), InvalidArgument, "independent"),
    "slice line, orthonormal": (
        lambda: Slice.through([0, 0], [1, 3], [2, 6], orthonormal=True),
        InvalidArgument,
        "independent",
    ),
    "slice latents": (lambda: Slice.through([0, 0], [1, 1, 1], [2, 2]), ShapeMismatch, r"one length; got \[2, 3, 2\]"),
    "slice overflow": (lambda: Slice.through([-1e308] * 2, [1e308] * 2, [0, 1]), InvalidArgument, "overflows"),
    "slice one latent": (lambda: Slice.through([0], [1], [2]), ShapeMismatch, "1 <= d <= E"),
    "identity 0": (lambda: Slice.identity(0), InvalidArgument, "dimension >= 1; got 0"),
    "identity true": (lambda: Slice.identity(True), InvalidArgument, "got True"),
    "embed": (lambda: Slice.identity(2).embed([1, 2, 3]), ShapeMismatch, r"shape \(\.\.\., 2\)"),
    "tensor that is complex": (lambda: Box(torch.zeros(1, dtype=torch.complex64), [1]), WrongType, "complex"),
}


@pytest.mark.parametrize("name", TABLE)
def test_bad_input(name: str) -> None:
    call, error, message = TABLE[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error


def test_tensors_with_gradients_are_taken() -> None:
    assert Box(torch.zeros(2, requires_grad=True), torch.ones(2)).dim == 2
