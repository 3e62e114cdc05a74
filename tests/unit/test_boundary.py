"""`decision_boundary` against dense sampling, and where outputs are equal without a change of sign."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks.graph import Select, SplineNetwork
from splinegeo.testing import magnitude, mlp

BOX = sg.Box([-2, -2], [2, 2])


def random_net(seed: int, widths: tuple[int, ...] = (2, 8, 6, 3), activation: str = "relu") -> SplineNetwork:
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(widths))
    weights = [rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in pairs]
    return mlp(weights, [0.3 * rng.normal(size=b) for _, b in pairs], activation)


def outputs(part: sg.Partition, u: Array) -> Array:
    return part.network(part.slice.origin + u @ part.slice.basis.T)


def distances(points: Array, segments: Array) -> Array:
    """(n,) from points to the nearest segment."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    away = points[:, None] - start
    t = np.clip((away * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-300), 0, 1)
    return np.linalg.norm(away - t[..., None] * along, axis=-1).min(1, initial=np.inf)


def zeros_on_lines(part: sg.Partition, function: object, n_lines: int = 60, samples: int = 400) -> Array:
    """Points (n, 2) of random chords of the box where a function of u changes sign, by bisection."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, samples)[:, None]
    found = []
    for p, q in rng.uniform(-2, 2, (n_lines, 2, 2)):
        u = p + t * (q - p)
        f = function(u)  # type: ignore[operator]
        for k in np.nonzero(f[:-1] * f[1:] < 0)[0]:
            a, b, fa = u[k], u[k + 1], f[k]
            for _ in range(60):
                m = (a + b) / 2
                fm = function(m[None])[0]  # type: ignore[operator]
                a, b = (m, b) if fm * fa > 0 else (a, m)
            found.append((a + b) / 2)
    return np.array(found).reshape(-1, 2)


@pytest.mark.parametrize("activation", ["relu", "abs", "hardtanh"])
@pytest.mark.parametrize("seed", range(3))
def test_level_sets(seed: int, activation: str) -> None:
    """Every sign change is on a segment, every segment is on the level set and in the region that it names."""
    part = sg.partition(random_net(seed, activation=activation), BOX)
    size = magnitude(part).max()
    for level in (0.0, 0.25):
        edge = part.decision_boundary(1, level=level)
        crossings = zeros_on_lines(part, lambda u, level=level: outputs(part, u)[:, 1] - level)
        if len(crossings):
            assert distances(crossings, edge.segments).max() <= 1e-9
        for t in (0.0, 0.5, 1.0):
            u = (1 - t) * edge.segments[:, 0] + t * edge.segments[:, 1]
            assert (np.abs(outputs(part, u)[:, 1] - level) <= 1e-11 * size).all()
        bounds = part.domain.contains(edge.segments)
        assert bounds.all()
        middle = edge.segments.mean(1)
        for k, r in enumerate(edge.regions):
            polygon = part.polygons[r]
            side = np.roll(polygon, -1, 0) - polygon
            away = middle[k] - polygon
            assert (side[:, 0] * away[:, 1] - side[:, 1] * away[:, 0] >= -1e-9).all()
        assert edge.length == pytest.approx(np.linalg.norm(np.diff(edge.segments, axis=1)[:, 0], axis=1).sum())
        assert len(edge.everywhere) == 0 or activation in ("relu", "hardtanh")


@pytest.mark.parametrize("seed", range(4))
def test_argmax_ties(seed: int) -> None:
    """On the segments of (i, j) both are the maximum; over all pairs they are where the argmax changes."""
    part = sg.partition(random_net(seed, (2, 8, 6, 4)), BOX)
    size = magnitude(part).max()
    segments = []
    for i in range(4):
        for j in range(i + 1, 4):
            edge = part.decision_boundary(i, j)
            assert np.array_equal(edge.segments, part.decision_boundary(i, j).segments)
            assert part.decision_boundary(j, i).length == pytest.approx(edge.length, rel=1e-9, abs=1e-12)
            for t in (0.0, 0.5, 1.0):
                y = outputs(part, (1 - t) * edge.segments[:, 0] + t * edge.segments[:, 1])
                assert (np.abs(y.max(1, initial=-np.inf) - y[:, i]) <= 1e-11 * size).all()
                assert (np.abs(y.max(1, initial=-np.inf) - y[:, j]) <= 1e-11 * size).all()
            segments.append(edge.segments)
    every = np.concatenate(segments)
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 300)[:, None]
    changes = []
    for p, q in rng.uniform(-2, 2, (40, 2, 2)):
        u = p + t * (q - p)
        best = outputs(part, u).argmax(1)
        for k in np.nonzero(best[:-1] != best[1:])[0]:
            a, b = u[k], u[k + 1]
            for _ in range(60):
                m = (a + b) / 2
                a, b = (m, b) if outputs(part, m[None]).argmax() == best[k] else (a, m)
            changes.append((a + b) / 2)
    if changes:
        assert distances(np.array(changes), every).max() <= 1e-9


def test_identical_outputs() -> None:
    """Two outputs that are one function tie everywhere: all regions, no segments."""
    net = random_net(0, (2, 6, 2))
    twin = SplineNetwork(
        (*net.nodes, Select("twice", 2, (net.output,), np.array([0, 0]))), len(net.nodes), net.input_shape, (2,)
    )
    part = sg.partition(twin, BOX)
    edge = part.decision_boundary(0, 1)
    assert len(edge) == 0
    assert edge.everywhere.tolist() == list(range(part.n_regions))


def test_identical_outputs_below_a_third_one() -> None:
    """A tie counts only where it is for the largest: x and x against 0 tie on the half-plane x >= 0."""
    part = sg.partition(mlp([np.eye(2), [[1, 0], [1, 0], [0, 0]]], [[0, 0], [0, 0, 0.5]]), BOX)
    edge = part.decision_boundary(0, 1)
    assert part.n_regions == 4  # the quadrants; 0.5 is the largest where x < 0.5
    for r in edge.everywhere:
        assert (outputs(part, part.interior_points[r : r + 1]).argmax(1) == 0).all()
        assert (outputs(part, part.polygons[r])[:, 0] >= 0.5).all(), "the tie for the largest is not on all of it"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_touching_without_crossing(sign: float) -> None:
    """|x| = 0 is the line x = 0, although nothing changes sign there."""
    part = sg.partition(mlp([[[1, 0]], [[sign]]], [[0], [0]], "abs"), BOX)
    edge = part.decision_boundary(0)
    assert edge.length == 4.0
    assert (edge.segments[:, :, 0] == 0).all()
    assert len(edge.everywhere) == 0


def test_touching_ties() -> None:
    """Outputs |x| and 0 tie on x = 0; relu(x) and 0 tie on the half-plane, whose edge is not listed again."""
    part = sg.partition(mlp([[[1, 0]], [[1], [0]]], [[0], [0, 0]], "abs"), BOX)
    assert part.decision_boundary(0, 1).length == 4.0
    part = sg.partition(mlp([[[1, 0]], [[1], [0]]], [[0], [0, 0]], "relu"), BOX)
    edge = part.decision_boundary(0, 1)
    assert len(edge) == 0
    assert [part.polygons[r][:, 0].max() for r in edge.everywhere] == [0.0]


def test_level_set_on_a_kink_and_on_a_vertex() -> None:
    """A line that is a kink already, and one that meets the kinks in a vertex."""
    net = mlp([[[1, 0], [0, 1]], [[1, 1], [1, -1]]], [[0, 0], [0, 0]], "identity")
    part = sg.partition(net, BOX)
    assert part.n_regions == 1
    assert part.decision_boundary(0).length == pytest.approx(4 * np.sqrt(2))
    net = mlp([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]], "abs")
    assert len(sg.partition(net, BOX).decision_boundary(0)) == 0  # |x| + |y| = 0 is a point
    assert sg.partition(net, BOX).decision_boundary(0, level=1.0).length == pytest.approx(4 * np.sqrt(2))
    leaky = mlp([[[1, 0]], [[1]]], [[0], [0]], "leaky")
    edge = sg.partition(leaky, BOX).decision_boundary(0)
    assert edge.length == 4.0
    assert (edge.segments[:, :, 0] == 0).all()


def test_level_set_along_the_domain_boundary() -> None:
    """There the output has one sign inside the domain, so nothing is separated; no error, no sliver either."""
    part = sg.partition(mlp([[[1.0, 0.0]]], [[0.0]]), sg.Box([0, 0], [1, 1]))
    edge = part.decision_boundary(0)
    assert len(edge.everywhere) == 0
    assert edge.length in (0.0, 1.0)
    assert (edge.segments[:, :, 0] == 0).all()
    corner = sg.partition(mlp([[[1.0, 1.0]]], [[0.0]]), sg.Box([0, 0], [1, 1])).decision_boundary(0)
    assert len(corner) == 0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(scale: float) -> None:
    """Outputs in other units have the same ties and, with the level in these units, the same level sets."""
    net = random_net(3, (2, 6, 2))
    last = net.nodes[net.output]
    scaled = mlp([net.nodes[1].weight, last.weight * scale], [net.nodes[1].bias, last.bias * scale])
    part, other = sg.partition(net, BOX), sg.partition(scaled, BOX)
    assert other.decision_boundary(0, 1).length == pytest.approx(part.decision_boundary(0, 1).length, rel=1e-9)
    assert other.decision_boundary(0, level=0.3 * scale).length == pytest.approx(
        part.decision_boundary(0, level=0.3).length, rel=1e-9
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_touching_at_any_scale(scale: float) -> None:
    """|x| * scale = 0 is the line x = 0."""
    part = sg.partition(mlp([[[scale, 0]], [[1.0]]], [[0], [0]], "abs"), BOX)
    assert part.decision_boundary(0).length == 4.0


def test_cancellation_far_above_the_output() -> None:
    """|x| + 1e20 - 1e20 is |x| in exact arithmetic, whatever floats make of it."""
    net = mlp([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]], [[0, 0], [1e20, 1e20], [0]], "abs")
    edge = sg.partition(net, BOX).decision_boundary(0)
    assert edge.length == 4.0
    assert (edge.segments[:, :, 0] == 0).all()


def test_an_incomplete_partition_has_an_incomplete_boundary() -> None:
    """Only segments in the regions that are there, all of them those of the whole."""
    net = random_net(1)
    whole, part = sg.partition(net, BOX), sg.partition(net, BOX, budget=sg.Budget(regions=20))
    edge, all_of_it = part.decision_boundary(0), whole.decision_boundary(0)
    assert 0 < len(edge) < len(all_of_it)
    assert (edge.regions < 20).all()
    assert distances(edge.segments.reshape(-1, 2), all_of_it.segments).max() <= 1e-12


def test_in_a_slice() -> None:
    """The same in a plane of R^5, in slice coordinates."""
    rng = np.random.default_rng(0)
    part = sg.partition(random_net(2, (5, 8, 3)), BOX, sg.Slice(rng.normal(size=5), rng.normal(size=(5, 2))))
    edge = part.decision_boundary(0, level=0.1)
    assert len(edge) > 0
    assert (np.abs(outputs(part, edge.segments.mean(1))[:, 0] - 0.1) <= 1e-12 * magnitude(part).max()).all()
    assert "segments" in repr(edge)
    assert np.asarray(edge).shape == (len(edge), 2, 2)


def test_no_knots() -> None:
    """An affine net: one region, one line."""
    part = sg.partition(mlp([[[1.0, 0.0], [0.0, 1.0]]], [[0.0, 0.0]]), BOX)
    assert part.decision_boundary(0).length == 4.0
    assert part.decision_boundary(0, 1).length == pytest.approx(4 * np.sqrt(2))
    assert part.decision_boundary(0, level=5.0).length == 0.0
    constant = sg.partition(mlp([[[0.0, 0.0]]], [[2.0]]), BOX)
    assert constant.decision_boundary(0, level=2.0).everywhere.tolist() == [0]
    assert len(constant.decision_boundary(0, level=1.0).everywhere) == 0


def test_many_outputs() -> None:
    """Ties between two of 100 outputs: the others decide where the tie is the largest, and cost little."""
    net = random_net(4, (2, 6, 100))
    part = sg.partition(net, BOX)
    start = time.monotonic()
    y = outputs(part, np.random.default_rng(0).uniform(-2, 2, (4000, 2)))
    first, second = np.unique(y.argmax(1), return_counts=True)[0][:2]
    edge = part.decision_boundary(int(first), int(second))
    assert time.monotonic() - start < 5
    top = outputs(part, edge.segments.mean(1))
    assert (np.abs(top.max(1, initial=-np.inf) - top[:, first]) <= 1e-11 * magnitude(part).max()).all()
