"""Vertex sign changes <= crossing units <= regions - 1, and where that fails."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import splinegeo as sg
from splinegeo.testing import mlp

BATCH = 25
IDENTITY = np.eye(2)


@st.composite
def scenes(draw: st.DrawFn):
    """A generic network, latents and balls: weights and centres in general position, any depth, width and radius."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    e = draw(st.integers(1, 6))
    widths = [e, *draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)), 2]
    weights = [rng.normal(size=(b, a)) * (2 / a) ** 0.5 for a, b in pairwise(widths)]
    biases = [rng.normal(size=b) * draw(st.sampled_from([0.1, 0.5])) for b in widths[1:]]
    activation = draw(st.sampled_from(["relu", "leaky", "abs", "hardtanh"]))
    dim = draw(st.integers(1, e))
    radius = draw(st.sampled_from([1e-6, 1e-2, 0.1, 0.5, 1.0]))
    return mlp(weights, biases, activation), rng.normal(size=(BATCH, e)), radius, dim, draw(st.integers(0, 99))


# 80 times 25 balls.
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenes())
def test_the_three_forms_are_ordered(scene):
    net, z, radius, dim, seed = scene
    regions, crossing, vertices = (
        sg.local_complexity(net, z, radius, dim, kind, rng=seed, threads=1)
        for kind in ("regions", "crossing", "vertices")
    )
    assert regions.exact
    assert crossing.exact
    assert (vertices.values <= crossing.values).all()
    assert (crossing.values <= regions.values - 1).all()
    assert (regions.crossing == crossing.values).all()
    assert (regions.per_layer == crossing.per_layer).all()
    assert (regions.values <= regions.upper).all()
    assert (regions.values <= [sg.complexity.most_regions(row, dim) for row in crossing.per_layer]).all()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_the_estimate_is_a_lower_bound_on_degenerate_networks_too(seed):
    """Weights, latents and balls on a coarse grid, where nothing rounds and everything coincides."""
    rng = np.random.default_rng(seed)
    e = int(rng.integers(1, 5))
    widths = [e, *rng.integers(2, 7, rng.integers(1, 4)).tolist(), 1]
    weights = [rng.integers(-2, 3, (b, a)) / 2 for a, b in pairwise(widths)]
    net = mlp(weights, [rng.integers(-2, 3, b) / 4 for b in widths[1:]])
    z, frame = rng.integers(-4, 5, (6, e)) / 4, np.eye(e)
    regions, crossing, vertices = (
        sg.local_complexity(net, z, 0.5, kind=kind, frame=frame, threads=1)
        for kind in ("regions", "crossing", "vertices")
    )
    assert (vertices.values <= crossing.values).all()
    assert ((crossing.values == 0) == (regions.values == 1)).all()
    assert (regions.crossing == crossing.values).all()


def forms(net, z, radius=1.0, frame=IDENTITY):
    return [int(sg.local_complexity(net, z, radius, kind=k, frame=frame)) for k in ("vertices", "crossing", "regions")]


def test_units_that_share_a_kink_cross_together_and_cut_once():
    """The exception: coinciding kinks are counted for each unit, and make regions once."""
    assert forms(mlp([[[1, 0], [2, 0], [-3, 0]], [[1, 1, 1]]], [[0, 0, 0], [0]]), [0, 0]) == [3, 3, 2]


def test_a_unit_whose_kink_is_made_of_others_cuts_nothing():
    """relu(x) - relu(-x) = x changes sign exactly where the units below it do."""
    net = mlp([[[1, 0], [-1, 0]], [[1, -1]], [[1]]], [[0, 0], [0], [0]])
    assert forms(net, [0, 0]) == [3, 3, 2]


def test_concurrent_kinks_keep_the_order():
    normals = [[np.cos(t), np.sin(t)] for t in np.arange(7) / 7 * np.pi + 0.1]
    net = mlp([normals, np.ones((1, 7))], [np.zeros(7), [0]])
    assert forms(net, [0, 0]) == [7, 7, 14]


def test_a_unit_that_only_touches_the_ball_does_not_cross():
    """Zero at one vertex and positive in the ball: it has no negative side there, and the ball is open."""
    net = mlp([[[1, 0], [0, 1]], [[1, 1]]], [[1, 3], [0]])
    assert forms(net, [0, 0]) == [0, 0, 1]


def test_a_corner_that_is_cut_off_has_a_vertex_but_a_later_unit_may_not():
    """The estimate misses what lies between vertices: |x| + |y| - 3/4 is positive at all four, negative inside."""
    first = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    net = mlp([first, [[1, 1, 1, 1]], [[1]]], [[0] * 4, [-0.75], [0]])
    assert forms(net, [0, 0]) == [4, 5, 8]
    net = mlp([first, [[-1, -1, -1, -1]], [[1]]], [[0] * 4, [0.75], [0]])
    assert forms(net, [0.0, 0.0], 0.5) == [4, 4, 4]


@pytest.mark.parametrize("weight", [0.0, 1e-300])
def test_units_that_are_zero_or_nearly_so(weight):
    net = mlp([[[weight, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
    cut = int(weight > 0)
    assert forms(net, [0, 0]) == [1 + cut, 1 + cut, 2 + 2 * cut]
