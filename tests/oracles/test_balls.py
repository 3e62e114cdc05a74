"""Regions and crossing units in balls against the plane's engine and against brute force in rationals."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.balls import random_frame
from splinegeo.networks.graph import SplineNetwork
from splinegeo.testing import mlp
from tests.oracles.balls import BallOracle
from tests.oracles.families import CHANGES, FAMILIES, GRAPHS, KNOTS, PLANAR, gaussian, make_case


def count(net: SplineNetwork, ball: sg.L1Ball, kind: str) -> int:
    found = sg.local_complexity(net, ball.center, ball.radius, kind=kind, frame=ball.frame, threads=1)
    assert found.complete
    return int(found)


def balls(dim: int, latents: int, seed: int) -> Iterator[sg.L1Ball]:
    """On the kinks of nets without biases, on grids, and in general position."""
    rng = np.random.default_rng([7, seed])
    yield sg.L1Ball(np.zeros(latents), 1.0, np.eye(latents, dim))
    yield sg.L1Ball(rng.integers(-8, 9, latents) / 8, 0.5, np.eye(latents, dim))
    yield sg.L1Ball(rng.normal(size=latents), 0.7, dim=dim, rng=seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_regions_in_a_plane_are_those_of_the_plane_engine(family: str) -> None:
    for seed in range(2):
        net = make_case(family, seed).network
        for ball in balls(2, net.n_inputs, seed):
            part = sg.partition(net, ball.polygon, ball.slice, threads=1)
            assert count(net, ball, "regions") == part.n_regions, ball


def spatial(family: str, seed: int, widths: tuple[int, ...]) -> SplineNetwork:
    """A small network of a family with any number of inputs."""
    rng = np.random.default_rng([FAMILIES.index(family), 100 + seed])
    layers = gaussian(rng, widths)
    if family in CHANGES:
        return mlp(*zip(*CHANGES[family](rng, layers), strict=True))
    if family in KNOTS:
        return KNOTS[family](rng, mlp(*zip(*layers, strict=True)))
    return GRAPHS[family](rng, layers)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in PLANAR])
def test_brute_force_in_space(family: str) -> None:
    net = spatial(family, 0, (3, 4, 3, 1))
    for ball in balls(3, 3, FAMILIES.index(family)):
        small = sg.L1Ball(ball.center, ball.radius / 2, ball.frame)
        oracle = BallOracle(net, small.center, small.radius, small.frame)
        assert count(net, small, "regions") == oracle.regions, ball
        assert count(net, small, "crossing") == oracle.crossing, ball


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in PLANAR])
def test_balls_in_space_are_octahedra(family: str) -> None:
    """Against the enumeration of vertices over the polytope; both centre and radius are dyadic."""
    net = spatial(family, 1, (3, 5, 4, 2))
    signs = np.array(list(product([-1.0, 1.0], repeat=3)))
    for center, radius in ((np.zeros(3), 1.0), (np.array([0.25, -0.5, 0.125]), 0.75)):
        octahedron = sg.Polytope(np.c_[signs, -signs @ center - radius])
        part = sg.partition(net, octahedron, threads=1)
        assert count(net, sg.L1Ball(center, radius, np.eye(3)), "regions") == part.n_regions


@pytest.mark.parametrize("radius", [1e-13, 1e-10, 1e-6, 1e-2])
def test_balls_of_any_size_on_and_beside_kinks(radius: float) -> None:
    for seed in range(6):
        rng = np.random.default_rng([seed, 9])
        widths = (int(rng.integers(2, 6)), *rng.integers(4, 30, rng.integers(1, 4)).tolist(), 2)
        net = mlp(*zip(*gaussian(rng, widths), strict=True))
        z, (weight, bias) = rng.normal(size=widths[0]), (net.nodes[1].weight, net.nodes[1].bias)  # type: ignore[attr-defined]
        for two in (weight[:1], weight[:2]):  # a point on one kink, and one on two
            b = bias[: len(two)] - (radius / 3 if seed % 2 else 0)
            on = z - np.linalg.lstsq(two, two @ z + b, rcond=None)[0]
            ball = sg.L1Ball(on, radius, dim=2, rng=seed)
            part = sg.partition(net, ball.polygon, ball.slice, threads=1)
            assert count(net, ball, "regions") == part.n_regions, ball


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", ["generic", "ternary", "bias_free", "duplicated", "quarter", "residual"])
def test_brute_force_in_more_dimensions(family: str, seed: int) -> None:
    dim = 4 if seed % 2 else 3
    net = spatial(family, seed, (dim, 4, 3 if dim == 3 else 2, 1))
    for ball in balls(dim, dim, seed):
        oracle = BallOracle(net, ball.center, ball.radius, ball.frame)
        assert count(net, ball, "regions") == oracle.regions, ball
        assert count(net, ball, "crossing") == oracle.crossing, ball


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 8])
def test_hyperplanes_in_general_position_make_as_many_regions_as_there_can_be(dim: int) -> None:
    rng = np.random.default_rng(dim)
    normals, n = rng.normal(size=(9, dim)), 9
    net = mlp([normals, np.ones((1, n))], [rng.normal(size=n) * 1e-3, [0.0]])
    ball = sg.L1Ball(np.zeros(dim), 1e6, np.eye(dim))
    assert count(net, ball, "regions") == sg.complexity.buck(n, dim)
    assert count(net, ball, "crossing") == n


def test_a_line_is_cut_where_its_units_change_sign() -> None:
    """P = 1: every region is an interval, found by walking along the line from kink to kink."""
    rng = np.random.default_rng(3)
    net = mlp(*zip(*gaussian(rng, (4, 12, 12, 1)), strict=True))
    for seed in range(5):
        ball = sg.L1Ball(rng.normal(size=4), 1.5, random_frame(4, 1, seed))
        assert count(net, ball, "regions") == _intervals(net, ball)


def _intervals(net: SplineNetwork, ball: sg.L1Ball) -> int:
    t = np.linspace(-1, 1, 200_001)[1:-1] * ball.radius
    values: list[Array] = net.forward(ball.embed(t[:, None]))
    patterns = np.concatenate([values[net.nodes[i].inputs[0]] > 0 for i in net.knots], 1)
    return 1 + int((patterns[1:] != patterns[:-1]).any(1).sum())
