"""Bits at points with twice the precision: certain ones are true, and vertices of generic networks are certain."""

from __future__ import annotations

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.locate as locate_module
from benchmarks.nets import WIDTHS, make_network
from splinegeo._types import Array
from splinegeo.partition.doubled_pass import doubled_bits
from splinegeo.partition.locate import exact_bits, float_bits
from splinegeo.testing import mlp
from tests.oracles.families import Case, cases
from tests.oracles.modules import KINDS, MODULES, make_module_case

BOX = sg.Box([-2, -2], [2, 2])


def share_certain(part: sg.Partition, points: Array) -> float:
    """Every certain bit is that of exact arithmetic."""
    setting = part._setting
    bits, sure = doubled_bits(setting, part.slice.origin, part.slice.basis, points)
    assert bits.shape == (len(points), part.network.n_breakpoints)
    for k in np.nonzero(sure)[0]:
        assert np.array_equal(bits[k], exact_bits(setting, points[k]))
    return float(sure.mean())


def near_edges(part: sg.Partition, n: int) -> Array:
    vertices = part.vertices[:: max(1, len(part.vertices) // n)]
    middles = part.vertices[part.edge_vertices[:: max(1, part.n_edges // n)]].mean(1)
    points = np.concatenate([vertices, middles, part.interior_points[:n]])
    return points[part.domain.contains(points)]


@pytest.mark.parametrize("case", list(cases(1)), ids=lambda case: case.name)
def test_every_family(case: Case) -> None:
    """Also where lines meet, coincide and vanish, in weights of any size."""
    part = sg.partition(case.network, sg.Polygon(case.polygon), None if case.slice is None else sg.Slice(*case.slice))
    share_certain(part, near_edges(part, 8))


@pytest.mark.parametrize("name", list(MODULES))
def test_every_operation(name: str) -> None:
    """Convolutions, sparse maps, several breakpoints a unit, maxima taken apart."""
    case = make_module_case(name, KINDS[list(MODULES).index(name) % len(KINDS)])
    part = sg.partition(case.network, sg.Polygon(case.polygon), None if case.slice is None else sg.Slice(*case.slice))
    share_certain(part, near_edges(part, 4))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-20, 1e20, 1e150, 1e300])
def test_numbers_at_the_ends_of_the_range(scale: float) -> None:
    """What overflows or loses its low parts is in doubt, and never wrong."""
    rng = np.random.default_rng(0)
    weights = [scale * rng.normal(size=(6, 2)), rng.normal(size=(6, 6)), rng.normal(size=(2, 6)) / scale**0.5]
    part = sg.partition(mlp(weights, [scale * rng.normal(size=6), scale * rng.normal(size=6), np.zeros(2)]), BOX)
    share = share_certain(part, near_edges(part, 10))
    assert share == 1 if 1e-151 < scale < 1e151 else share <= 1


@pytest.mark.parametrize("name", ["toy", "mid", "deep"])
def test_vertices_need_no_exact_arithmetic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded to floats they lie beside their edges; float64 cannot tell on which side."""
    part = sg.partition(make_network(WIDTHS[name]), BOX)
    inner = part.vertices[(np.abs(part.vertices) < 2).all(1)][:200]
    assert not float_bits(part.network, part.slice.origin, part.slice.basis, inner)[1].any()
    exact = np.array([exact_bits(part._setting, u) for u in inner[:20]])

    def fail(*_: object) -> None:
        raise AssertionError("exact arithmetic was asked for")

    monkeypatch.setattr(locate_module, "exact_bits", fail)
    found = part.locate(inner)
    assert (found >= 0).all()
    assert np.array_equal(part.patterns[found[:20]], exact)


def test_bounds_that_grow_with_depth() -> None:
    """Behind ten layers of 128 units bounds in float64 leave random points open; sharper ones leave none."""
    net = make_network((2, *[128] * 10, 2))
    points = np.random.default_rng(0).uniform(-2, 2, (40, 2))
    part = sg.partition(net, sg.Box([0.5, 0.5], [0.51, 0.51]))
    origin, basis = part.slice.origin, part.slice.basis
    assert float_bits(net, origin, basis, points)[1].mean() < 0.95
    bits, sure = doubled_bits(part._setting, origin, basis, points)
    assert sure.all()
    assert np.array_equal(bits[:3], [exact_bits(part._setting, u) for u in points[:3]])
