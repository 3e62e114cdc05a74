"""The parts of a summary by themselves: sums, histograms that widen, half-edges that wait, estimates."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import splinegeo as sg
from benchmarks.nets import REGIONS, WIDTHS, make_network
from splinegeo.streaming import estimate_regions
from splinegeo.streaming.frontier import Frontier
from splinegeo.streaming.histograms import Bins
from splinegeo.streaming.sums import MomentSums
from splinegeo.testing import mlp

BOX = sg.Box([-2, -2], [2, 2])
FINITE = st.floats(-1e12, 1e12)


def exact_moments(x: list[float], w: list[float]) -> tuple[float, float]:
    weight = sum(map(Fraction, w))
    mean = sum(Fraction(a) * Fraction(b) for a, b in zip(x, w, strict=True)) / weight
    square = sum(Fraction(a) ** 2 * Fraction(b) for a, b in zip(x, w, strict=True)) / weight
    return float(mean), math.sqrt(square - mean**2)


@given(st.lists(st.tuples(FINITE, st.floats(1e-6, 1.0)), min_size=1, max_size=40), st.integers(0, 40))
def test_moments_are_those_of_exact_arithmetic(pairs: list[tuple[float, float]], cut: int) -> None:
    """To the last digits, however the regions are spread over tasks."""
    x, w = (np.array(v) for v in zip(*pairs, strict=True))
    whole = MomentSums(1)
    for part in (slice(0, cut), slice(cut, None)):
        one = MomentSums(1)
        one.add(x[None, part], w[part])
        whole.merge(one)
    mean, std = exact_moments(x.tolist(), w.tolist())
    found = whole.moments(0)
    assert found.mean == pytest.approx(mean, rel=1e-15, abs=1e-14 * np.abs(x).max())
    assert found.std == pytest.approx(std, rel=1e-9, abs=1e-14 * np.abs(x).max())
    assert (found.min, found.max, found.count, found.omitted) == (x.min(), x.max(), len(x), 0)


def test_a_small_variance_far_from_zero() -> None:
    """Where plain sums of squares lose everything."""
    x = 1e9 + np.arange(1000.0) * 1e-3
    sums = MomentSums(1)
    sums.add(x[None], np.full(1000, 0.1))
    assert sums.moments(0).std == pytest.approx(exact_moments(x.tolist(), [0.1] * 1000)[1], rel=1e-12)


def test_moments_of_nothing_and_of_what_is_not_finite() -> None:
    """Nan, and counted."""
    sums = MomentSums(2)
    assert math.isnan(sums.moments(0).mean)
    sums.add(np.array([[math.inf, math.nan, -math.inf], [3.0, 3.0, 1e200]]), np.array([1.0, 2.0, 3.0]))
    assert (sums.moments(0).count, sums.moments(0).omitted) == (0, 3)
    found = sums.moments(1)
    assert (found.count, found.omitted, found.mean, found.std) == (2, 1, 3.0, 0.0)
    sums = MomentSums(1)
    sums.add(np.array([[1.0, 2.0]]), np.zeros(2))
    assert (sums.moments(0).count, sums.moments(0).min, sums.moments(0).max) == (2, 1.0, 2.0)
    assert math.isnan(sums.moments(0).mean)


VALUES = st.lists(st.one_of(FINITE, st.floats(allow_nan=True, allow_infinity=True)), max_size=30)


@example([[0.0]], 4)
@given(st.lists(VALUES, max_size=5), st.integers(1, 20))
def test_a_grid_that_widens_counts_what_its_final_edges_count(groups: list[list[float]], most: int) -> None:
    """Nothing is lost, whatever comes in whatever order."""
    bins = Bins(most)
    for group in groups:
        one = Bins(most)
        one.add(np.array(group, np.float64), np.full(len(group), 0.25))
        bins.merge(one)
    values = np.array([x for group in groups for x in group], np.float64)
    finite = values[np.isfinite(values)]
    found = bins.result()
    assert len(found.counts) <= max(2, most)
    outside = [(values == -np.inf).sum(), (values == np.inf).sum(), np.isnan(values).sum()]
    assert found.outside_counts.tolist() == outside
    assert found.counts.sum() == len(finite)
    assert np.array_equal(found.areas, 0.25 * found.counts)
    assert np.allclose(found.outside_areas, 0.25 * found.outside_counts)
    for k, (low, high) in enumerate(zip(found.edges, found.edges[1:], strict=False)):
        assert found.counts[k] == ((finite >= low) & (finite < high)).sum()
    if len(finite):
        assert found.edges[0] <= finite.min()
        assert finite.max() < found.edges[-1]  # which may be infinite
        # No coarser than it has to be: half the number of cells would do with cells of twice the size.
        with np.errstate(over="ignore"):
            spread = np.ptp(finite)
        if np.isfinite(found.edges).all() and np.isfinite(spread) and spread > 1e-9 * np.abs(finite).max():
            assert spread > (most // 4 - 1) * (found.edges[1] - found.edges[0])


@given(st.lists(VALUES, max_size=5))
def test_edges_that_were_given(groups: list[list[float]]) -> None:
    """As `numpy.histogram` counts, and what is outside beside it."""
    edges = np.array([-3.0, 0.0, 1.0, 1e6])
    bins = Bins(edges)
    for group in groups:
        bins.add(np.array(group, np.float64), np.ones(len(group)))
    values = np.array([x for group in groups for x in group], np.float64)
    found = bins.result()
    expected = np.histogram(values[np.isfinite(values)], edges)[0]
    assert np.array_equal(found.counts, expected)
    assert np.array_equal(found.areas, expected)
    assert found.outside_counts.tolist() == [(values < -3).sum(), (values > 1e6).sum(), np.isnan(values).sum()]


def test_numbers_at_the_ends_of_the_range() -> None:
    """Subnormal and huge ones, a single one, zero."""
    for values in ([5e-324], [0.0], [1.7e308, -1.7e308], [1e-300, 2e-300], [5e-324, 1e308], [-1.0]):
        bins = Bins(8)
        bins.add(np.array(values), np.ones(len(values)))
        found = bins.result()
        assert found.counts.sum() == len(values)
        assert len(found.counts) <= 8


def test_half_edges_meet() -> None:
    """Each key twice leaves nothing; what is left is counted."""
    frontier = Frontier(linear=False, n_bytes=1)
    keys = np.arange(1, 9, dtype=np.uint64) << np.uint64(60)
    frontier.add(keys[:5])
    assert len(frontier) == 5
    frontier.add(keys[2:])
    assert (len(frontier), frontier.n_matched) == (5, 3)
    other = Frontier(linear=False, n_bytes=1)
    other.restore(frontier.arrays())
    other.add(keys[[0, 1, 5, 6, 7]])
    assert (len(other), other.n_matched) == (0, 8)


@pytest.mark.parametrize("name", ["toy", "mid", "deep", "wide", "big"])
def test_estimates(name: str) -> None:
    """Within a factor of two of the truth; the same for the same seed."""
    net = make_network(WIDTHS[name])
    found = estimate_regions(net, BOX)
    assert REGIONS[name] / 2 < found.regions < 2 * REGIONS[name]
    assert abs(found.regions - REGIONS[name]) < 5 * found.standard_error
    assert found == estimate_regions(net, BOX, rng=0)
    assert found != estimate_regions(net, BOX, rng=1)
    assert float(found) == found.regions
    assert "regions" in repr(found)


def test_estimates_of_few_regions() -> None:
    """None, one line, duplicated lines; a plane in three dimensions; a triangle."""
    linear = mlp([np.eye(2)], [np.zeros(2)])
    assert estimate_regions(linear, BOX).regions == 1
    line = mlp([np.array([[1.0, 0.3]]), np.ones((1, 1))], [np.array([0.1]), np.zeros(1)])
    assert estimate_regions(line, BOX).regions == 2
    net, plane = make_network((3, 30, 30, 2)), sg.Slice.through([0, 0, 0], [1, 0, 1], [0, 1, -1])
    triangle = sg.Polygon([[-1, -1], [2, 0], [0, 1]])
    true = sg.partition(net, triangle, plane).n_regions
    assert true / 2 < estimate_regions(net, triangle, plane).regions < 2 * true


def test_estimates_name_their_arguments() -> None:
    """As `partition` does."""
    with pytest.raises(sg.WrongType, match="estimate_regions: the domain"):
        estimate_regions(make_network(WIDTHS["toy"]), 3)
