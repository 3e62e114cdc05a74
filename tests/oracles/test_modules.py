"""`splinegeo.partition` of torch modules against the exact oracle: every operation, generic and degenerate weights."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import hypot
from pathlib import Path

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.testing import assert_maps, assert_watertight, magnitude, pattern_bits
from tests.oracles.compare import assert_equals_oracle
from tests.oracles.modules import KINDS, MODULES, ModuleCase, make_module_case
from tests.oracles.rational import Dyadic, ExactPartition, exact_partition, split

ALL = [(name, kind, seed) for name in MODULES for kind in KINDS for seed in range(4)]


def chosen(name: str, kind: str, seed: int) -> bool:
    """Generic weights and two other kinds of each module, all kinds of maxima; the rest takes minutes."""
    place = (KINDS.index(kind) - list(MODULES).index(name)) % len(KINDS)
    return seed == 0 and (kind == "generic" or place < 2 or "max" in name)


def enumerate_both(case: ModuleCase) -> tuple[sg.Partition, ExactPartition]:
    """The engine's partition and the oracle's."""
    plane = None if case.slice is None else sg.Slice(*case.slice)
    part = sg.partition(case.network, sg.Polygon(case.polygon), plane)
    return part, exact_partition(case.network, case.polygon, *(case.slice or ()))


@pytest.mark.parametrize(
    ("name", "kind", "seed"), [pytest.param(*case, marks=[] if chosen(*case) else pytest.mark.slow) for case in ALL]
)
def test_engine_equals_oracle(name: str, kind: str, seed: int) -> None:
    """Everything that both know; and what the maps give is what the module gives."""
    case = make_module_case(name, kind, seed)
    part, exact = enumerate_both(case)
    assert_equals_oracle(part, exact)
    assert_watertight(part)
    assert_maps(part)
    maps, offsets = part.affine_maps()
    got = np.einsum("nij,nj->ni", maps, part.interior_points) + offsets
    slack = 1e-11 * (1 + magnitude(part).max())
    np.testing.assert_allclose(got, case.outputs(part.interior_points), rtol=0, atol=slack)
    points = np.concatenate([list(interesting_points(part, seed))])
    found = part.locate(points)
    bits = pattern_bits(part)
    for point, k in zip(points, found, strict=True):
        if k == -1:
            assert not part.domain.contains(point[None])[0]
        else:
            assert enters(exact, exact.index[tuple(bits[k].astype(int).tolist())], point)
    assert_level_set(part, exact, case)


def interesting_points(part: sg.Partition, seed: int) -> Iterator[Array]:
    """At random, on edges, at vertices, on the domain's boundary and beyond it."""
    rng = np.random.default_rng(seed)
    corners = part.domain.vertices
    yield from rng.dirichlet(np.ones(len(corners)), 6) @ corners
    yield from part.vertices[rng.integers(len(part.vertices), size=6)]
    yield from part.vertices[part.edge_vertices[rng.integers(len(part.edge_vertices), size=6)]].mean(1)
    yield from corners
    yield corners.max(0) + 1.0
    yield np.zeros(2)


def enters(exact: ExactPartition, k: int, point: Array) -> bool:
    """Whether a short step from the point to the mean of the domain's corners, then to its left, ends in the region."""
    x, y = (Fraction(float(v)) for v in point)
    centre = [sum((Fraction(p[i], p[2]) for p in exact.domain), Fraction(0)) / len(exact.domain) for i in (0, 1)]
    dx, dy = centre[0] - x, centre[1] - y
    if not dx and not dy:
        dx = Fraction(1)
    v = exact.regions[k].vertices
    for p, q in zip(v, (*v[1:], v[0]), strict=True):
        a, b = p[1] - q[1], q[0] - p[0]
        side = a * (x - p[0]) + b * (y - p[1]), a * dx + b * dy, -a * dy + b * dx
        if not side > (0, 0, 0):
            return False
    return True


def assert_level_set(part: sg.Partition, exact: ExactPartition, case: ModuleCase) -> None:
    """The set where the first output vanishes has the exact length, and the exact regions where it vanishes throughout.

    A segment runs through a region in which the output takes both signs, or along an edge between two where it does
    not vanish throughout.
    """
    boundary = part.decision_boundary(0)
    rows = {k: tuple(region.output.ints[0]) for k, region in enumerate(exact.regions)}
    flat = {k for k, row in rows.items() if not any(row)}
    length = 0.0
    for k, region in enumerate(exact.regions):
        below, above = split(region.polygon, rows[k])
        if below and above:
            both = sorted(set(below) & set(above))
            length += _distance(both[0], both[1])
    for edge, sides in exact.edges.items():
        row = rows[sides[0]]
        on = all(sum(a * b for a, b in zip(row, p, strict=True)) == 0 for p in edge)
        if len(sides) == 2 and on and not flat & set(sides):
            length += _distance(*edge)
    assert boundary.length == pytest.approx(length, rel=1e-9, abs=1e-12)
    bits = pattern_bits(part).astype(int)
    assert {exact.index[tuple(bits[k].tolist())] for k in boundary.everywhere} == flat
    size = magnitude(part)[0]
    for t in (0.0, 0.4, 1.0):
        u = (1 - t) * boundary.segments[:, 0] + t * boundary.segments[:, 1]
        assert (np.abs(case.outputs(u)[:, 0]) <= 1e-11 * (1 + size)).all() if len(u) else True


def _distance(p: tuple[int, int, int], q: tuple[int, int, int]) -> float:
    return hypot(p[0] / p[2] - q[0] / q[2], p[1] / p[2] - q[1] / q[2])


@pytest.mark.parametrize("name", ["generator", "max pool, overlapping", "upsample bilinear", "float16", "maxout"])
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    """A file gives back the same partition, network included, and it answers the same."""
    part, _ = enumerate_both(make_module_case(name, "generic"))
    part.save(tmp_path / "part.npz")
    again = sg.load(tmp_path / "part.npz")
    assert again == part
    points = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    assert (again.locate(points) == part.locate(points)).all()
    assert again.n_linear_regions == part.n_linear_regions
    assert [type(a) for a in again.network.nodes] == [type(b) for b in part.network.nodes]


def test_dyadic_arithmetic_is_that_of_fractions() -> None:
    """What the oracle rests on."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)) * 2.0 ** rng.integers(-40, 40, (4, 2))
    product = (Dyadic.of(a) @ Dyadic.of(b)).fractions()
    for i, j in np.ndindex(3, 2):
        assert product[i, j] == sum(Fraction(a[i, k]) * Fraction(b[k, j]) for k in range(4))
