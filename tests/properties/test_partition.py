"""What holds for every network, domain and slice (Hypothesis), and at scale for the generic benchmark nets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flint import fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import splinegeo as sg
from benchmarks.nets import WIDTHS, make_network
from splinegeo._types import Array
from splinegeo.networks.graph import Knot, Linear, SplineNetwork
from splinegeo.testing import (
    assert_maps,
    assert_tiles,
    assert_valid,
    assert_watertight,
    domains,
    exact_polygon,
    networks,
    pattern_bits,
    slices,
)
from tests.oracles.rational import exact_partition

SQUARE = sg.Box([-2, -2], [2, 2])


def key(part: sg.Partition) -> tuple[int, int, int, int]:
    """What does not depend on coordinates or on the order of units."""
    return part.n_regions, part.n_linear_regions, len(part.edge_vertices), len(part.vertices)


@given(networks(), domains())
def test_every_partition_is_valid(network: SplineNetwork, domain: sg.Box | sg.Polygon) -> None:
    """Closed mesh, exact tiling with the right patterns, right maps; and the oracle finds the same patterns."""
    part = sg.partition(network, domain)
    assert_valid(part)
    exact = exact_partition(network, domain.vertices)
    assert {tuple(row) for row in pattern_bits(part).astype(int).tolist()} == set(exact.index)
    assert part.n_linear_regions == exact.n_linear_regions


@given(st.data())
def test_every_slice_is_valid(data: st.DataObject) -> None:
    """The same in planes of higher latent spaces."""
    e = data.draw(st.integers(3, 4))
    network, domain, plane = data.draw(networks(n_inputs=e)), data.draw(domains()), data.draw(slices(e))
    part = sg.partition(network, domain, plane)
    assert_valid(part)
    exact = exact_partition(network, domain.vertices, plane.origin, plane.basis)
    assert {tuple(row) for row in pattern_bits(part).astype(int).tolist()} == set(exact.index)


def permuted(network: SplineNetwork, rng: np.random.Generator) -> SplineNetwork:
    """The units of every hidden layer of an MLP in another order."""
    nodes = list(network.nodes)
    order: Array | None = None
    for i, node in enumerate(nodes):
        if isinstance(node, Linear):
            weight = node.weight if order is None else node.weight[:, order]
            last = i == network.output
            order = np.arange(node.size) if last else rng.permutation(node.size)
            nodes[i] = replace(node, weight=weight[order], bias=node.bias[order])
        elif isinstance(node, Knot) and order is not None:
            nodes[i] = replace(
                node, breakpoints=node.breakpoints[order], slopes=node.slopes[order], value=node.value[order]
            )
    return replace(network, nodes=tuple(nodes))


@given(networks(), domains(), st.integers(0, 2**32 - 1))
def test_units_have_no_order(network: SplineNetwork, domain: sg.Box | sg.Polygon, seed: int) -> None:
    """Permuting the units of the hidden layers changes no count."""
    other = permuted(network, np.random.default_rng(seed))
    assert key(sg.partition(network, domain)) == key(sg.partition(other, domain))


# Of determinant 1 or -1, so that the inverses are dyadic too.
DYADIC_MATRICES = st.sampled_from(
    [[[2.0, 0.0], [0.0, 0.5]], [[0.0, -1.0], [1.0, 0.0]], [[1.0, 0.5], [0.0, 1.0]], [[-1.0, 0.25], [2.0, 0.5]]]
)


@given(networks(n_inputs=3), domains(), slices(3), DYADIC_MATRICES, st.tuples(st.integers(-4, 4), st.integers(-4, 4)))
def test_slice_coordinates_do_not_matter(
    network: SplineNetwork,
    domain: sg.Box | sg.Polygon,
    plane: sg.Slice,
    matrix: list[list[float]],
    move: tuple[int, int],
) -> None:
    """With u = M v + c the domain in v and the slice change together, exactly, and the partition stays."""
    m, c = np.array(matrix), np.array(move) / 2
    moved = sg.Polygon(domain.vertices @ m.T + c)
    (a, b), (p, q) = m
    inverse = np.array([[q, -b], [-p, a]]) * (a * q - b * p)
    assert np.array_equal(inverse @ m, np.eye(2))
    other = sg.Slice(plane.origin - plane.basis @ inverse @ c, plane.basis @ inverse)
    assert key(sg.partition(network, domain, plane)) == key(sg.partition(network, moved, other))


def strictly_inside(polygon: list[tuple[fmpq, fmpq]], x: fmpq, y: fmpq) -> bool:
    """Whether a point lies in the interior of a counter-clockwise polygon, exactly."""
    sides = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return all((q[0] - p[0]) * (y - p[1]) > (q[1] - p[1]) * (x - p[0]) for p, q in sides)


@given(networks(), domains(), st.integers(0, 2**32 - 1))
def test_locate(network: SplineNetwork, domain: sg.Box | sg.Polygon, seed: int) -> None:
    """Interior points are in their regions, unless a region is too thin for one; points outside the domain in none."""
    part = sg.partition(network, domain)
    found = part.locate(part.interior_points)
    for k, (x, y) in enumerate(part.interior_points.tolist()):
        inside = strictly_inside(exact_polygon(part, k), fmpq(*x.as_integer_ratio()), fmpq(*y.as_integer_ratio()))
        assert found[k] == k or not inside
    outside = domain.vertices.mean(0) + np.random.default_rng(seed).choice([-1, 1], (5, 2)) * 100
    assert (part.locate(outside) == -1).all()


@settings(max_examples=15)
@given(networks(), domains())
def test_save_and_load(
    tmp_path_factory: pytest.TempPathFactory, network: SplineNetwork, domain: sg.Box | sg.Polygon
) -> None:
    """A loaded partition has the same bytes."""
    part = sg.partition(network, domain)
    path: Path = tmp_path_factory.mktemp("npz") / "part.npz"
    sg.save(part, path)
    loaded = sg.load(path)
    for name, value in vars(part).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.domain == part.domain
    assert loaded.slice == part.slice


@given(networks(), domains(), st.integers(1, 3))
def test_reruns_have_the_same_bytes(network: SplineNetwork, domain: sg.Box | sg.Polygon, threads: int) -> None:
    """Canonical order, whatever the number of threads."""
    first, second = sg.partition(network, domain, threads=1), sg.partition(network, domain, threads=threads)
    for name, value in vars(first).items():
        if isinstance(value, np.ndarray):
            assert value.tobytes() == getattr(second, name).tobytes(), name


@given(networks(), domains(), st.integers(0, 2**32 - 1))
def test_split_along_a_line_of_its_own(network: SplineNetwork, domain: sg.Box | sg.Polygon, seed: int) -> None:
    """A domain cut along an edge of the partition's first layer: the regions of both parts add up."""
    first = network.nodes[1]
    assert isinstance(first, Linear)
    unit = int(np.random.default_rng(seed).integers(first.size))
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[unit], bias[unit] = [1.0, 0.0], -0.125  # on no corner of the quarter grid
    nodes = list(network.nodes)
    nodes[1] = replace(first, weight=weight, bias=bias)
    knot = nodes[2]
    assert isinstance(knot, Knot)
    assume(knot.slopes[unit, 0] != knot.slopes[unit, 1])
    seam = 0.125 + knot.breakpoints[unit, 0]
    moved = replace(network, nodes=tuple(nodes))
    box = sg.Box(domain.vertices.min(0), domain.vertices.max(0))
    assume(box.lower[0] < seam < box.upper[0])
    left = sg.Box(box.lower, [seam, box.upper[1]])
    right = sg.Box([seam, box.lower[1]], box.upper)
    whole, *parts = (sg.partition(moved, domain).n_regions for domain in (box, left, right))
    assert whole == sum(parts)


@pytest.fixture(scope="module", params=["toy", "mid", "deep"])
def generic(request: pytest.FixtureRequest) -> sg.Partition:
    """A benchmark net."""
    return sg.partition(make_network(WIDTHS[request.param]), SQUARE)


def test_large_tiles(generic: sg.Partition) -> None:
    """Areas add up to 1e-12, and the mesh is closed."""
    assert_watertight(generic)
    assert_tiles(generic, rtol=1e-12)
    assert_maps(generic)
    assert abs(generic.volumes.sum() - 16) <= 16e-12


def test_large_maps(generic: sg.Partition) -> None:
    """A u + b is the network to 1e-12 of the largest output."""
    maps, offsets = generic.affine_maps()
    u = generic.interior_points
    values = generic.network(u)
    got = np.einsum("nij,nj->ni", maps, u) + offsets
    assert np.abs(got - values).max() <= 1e-12 * np.abs(values).max()


def test_large_patterns(generic: sg.Partition) -> None:
    """Bits are the signs of the pre-activations at interior points, wherever float64 can tell."""
    values = generic.network.forward(generic.interior_points)
    x = np.concatenate([values[generic.network.nodes[i].inputs[0]] for i in generic.network.knots], 1)
    sure = np.abs(x) > 1e-10
    assert np.array_equal((x > 0)[sure], pattern_bits(generic)[sure])
    assert sure.mean() > 0.999
