"""The counts that the engine must show: the benchmark nets and closed forms."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

import splinegeo as sg
from benchmarks.nets import REGIONS, WIDTHS, make_module, make_network
from splinegeo.testing import assert_tiles, assert_valid, assert_watertight, mlp

SQUARE = sg.Box([-2, -2], [2, 2])


@pytest.mark.parametrize("name", ["toy", "mid", "deep", "wide", pytest.param("big", marks=pytest.mark.slow)])
def test_benchmark_nets(name: str) -> None:
    """The published numbers of regions; the float areas add up and the mesh is closed."""
    part = sg.partition(make_network(WIDTHS[name]), SQUARE)
    assert part.n_regions == REGIONS[name]
    assert_watertight(part)
    assert_tiles(part)


def test_module_and_graph_are_one_network() -> None:
    """The torch module of a benchmark and its graph have the same partition."""
    assert sg.partition(make_module(WIDTHS["toy"]), SQUARE).n_regions == REGIONS["toy"]


@pytest.mark.parametrize("n", [1, 2, 5, 12, 40])
def test_zaslavsky(n: int) -> None:
    """n lines in general position that cross inside the domain make 1 + n + C(n, 2) regions."""
    rng = np.random.default_rng(n)
    angle = np.pi * (np.arange(n) + 0.5) / n
    normals = np.stack([np.cos(angle), np.sin(angle)], 1)
    net = mlp([normals, rng.normal(size=(1, n))], [rng.uniform(-0.001, 0.001, n), [0.0]])
    part = sg.partition(net, SQUARE)
    assert part.n_regions == 1 + n + comb(n, 2)
    assert_valid(part)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_pencil(n: int) -> None:
    """n lines through a point make 2n regions."""
    rng = np.random.default_rng(n)
    point = np.array([0.25, -0.5])
    normals = np.round(rng.normal(size=(n, 2)) * 2**20) / 2**20
    part = sg.partition(mlp([normals, np.ones((1, n))], [-normals @ point, [0.0]]), SQUARE)
    assert part.n_regions == 2 * n
    assert_valid(part)


def tents(k: int) -> sg.SplineNetwork:
    """The k-fold composition of the tent map T(x) = 2x below 1/2, 2 - 2x above, on each of two coordinates."""
    units = np.kron(np.eye(2), np.ones((2, 1)))  # (4, 2): each coordinate twice
    bias = np.tile([0.0, -0.5], 2)
    fold = np.kron(np.eye(2), [[2.0, -4.0]])  # 2 relu(x) - 4 relu(x - 1/2)
    weights = [units, *[units @ fold] * (k - 1), fold]
    return mlp(weights, [*[bias] * k, np.zeros(2)])


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_composed_tents(k: int) -> None:
    """T composed k times has 2^k pieces on [0, 1] (Telgarsky 2015), so two coordinates have 4^k squares.

    On [0, 1] every relu(x) sees x >= 0, so these units cut nothing and regions and linear regions agree.
    """
    part = sg.partition(tents(k), sg.Box([0, 0], [1, 1]))
    assert part.n_regions == part.n_linear_regions == 4**k
    assert np.abs(part.volumes * 4**k - 1).max() <= 1e-12
    assert_valid(part)


@pytest.mark.parametrize("net", ["toy", "deep"])
def test_split_along_a_unit_line(net: str) -> None:
    """Domains that meet along a unit's own line add up: no region is cut by the seam."""
    network = make_network(WIDTHS[net])
    layer = network.nodes[1]
    # Another network with the same units, moved so that the first unit's line is exactly x = 0.5.
    weight, bias = layer.weight.copy(), layer.bias.copy()
    weight[0], bias[0] = [1.0, 0.0], -0.5
    nodes = list(network.nodes)
    nodes[1] = type(layer)(layer.name, layer.size, layer.inputs, weight, bias)
    moved = sg.SplineNetwork(tuple(nodes), network.output, network.input_shape, network.output_shape)
    whole = sg.partition(moved, SQUARE).n_regions
    left = sg.partition(moved, sg.Box([-2, -2], [0.5, 2])).n_regions
    right = sg.partition(moved, sg.Box([0.5, -2], [2, 2])).n_regions
    assert left + right == whole
