"""The oracle itself: closed forms, rational forward passes at random points, and the count of the toy net."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from benchmarks.nets import REGIONS, WIDTHS, make_network
from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Knot, Linear, Select, SplineNetwork
from splinegeo.testing import mlp
from tests.oracles.families import FAMILIES, SQUARE, Case, make_case
from tests.oracles.rational import ExactRegion, exact_partition, polygon_area


def run(case: Case) -> tuple[int, int]:
    """Regions and linear regions."""
    part = exact_partition(case.network, case.polygon, *(case.slice or ()))
    return len(part.regions), part.n_linear_regions


def forward(network: SplineNetwork, z: list[Fraction]) -> tuple[list[Fraction], tuple[int, ...]]:
    """Output and pattern by plain fractions, node by node and number by number."""
    values: list[list[Fraction]] = []
    bits: list[int] = []
    for node in network.nodes:
        x = [values[i] for i in node.inputs]
        match node:
            case Linear():
                values.append([_affine(r, c, x[0]) for r, c in zip(node.weight, node.bias, strict=True)])
            case Combine():
                rows = [[s[i] for s in node.scales] for i in range(node.size)]
                values.append([_affine(rows[i], c, [v[i] for v in x]) for i, c in enumerate(node.bias)])
            case Select():
                joined = [v for value in x for v in value]
                values.append([joined[i] for i in node.index])
            case Knot():
                values.append([_bend(node, i, v, bits) for i, v in enumerate(x[0])])
            case _:
                values.append(z)
    return values[network.output], tuple(bits)


def _affine(row: Iterable[float], bias: float, x: Iterable[Fraction]) -> Fraction:
    return sum((Fraction(w) * v for w, v in zip(row, x, strict=True)), Fraction(bias))


def _bend(node: Knot, unit: int, x: Fraction, bits: list[int]) -> Fraction:
    """Walk from the first breakpoint to x, adding slope times length."""
    t, s = [Fraction(v) for v in node.breakpoints[unit]], [Fraction(v) for v in node.slopes[unit]]
    bits += [int(x > v and s[k] != s[k + 1]) for k, v in enumerate(t)]
    out = Fraction(node.value[unit])
    if x <= t[0]:
        return out + s[0] * (x - t[0])
    for k, left in enumerate(t):
        right = min(x, t[k + 1]) if k + 1 < len(t) else x
        out += s[k + 1] * max(right - left, Fraction(0))
    return out


def _inside(region: ExactRegion, x: Fraction, y: Fraction) -> bool:
    v = region.vertices
    return all((q[0] - p[0]) * (y - p[1]) >= (q[1] - p[1]) * (x - p[0]) for p, q in zip(v, v[1:] + v[:1], strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_oracle_agrees_with_forward_passes(family: str) -> None:
    """Random points have the pattern and the output of the region they lie in; the regions tile the domain."""
    for seed in range(3):
        case = make_case(family, seed)
        network = case.network
        part = exact_partition(network, case.polygon, *(case.slice or ()))
        v, e, f = part.counts
        assert v - e + f == 1
        assert part.area == abs(polygon_area([(Fraction(x), Fraction(y)) for x, y in case.polygon]))
        assert all(region.area > 0 for region in part.regions)
        rng = np.random.default_rng(seed)
        origin, basis = case.slice or (np.zeros(2), np.eye(2))
        for weights in rng.dirichlet(np.ones(len(case.polygon)), 40):
            u = _combination(weights, case.polygon)
            out, bits = forward(network, [_affine(r, o, u) for o, r in zip(origin, basis, strict=True)])
            region = part.regions[part.index[bits]]
            assert _inside(region, *u)
            a, b = region.affine_map
            assert [r[0] * u[0] + r[1] * u[1] + c for r, c in zip(a, b, strict=True)] == out


def _combination(weights: Array, polygon: tuple[tuple[float, float], ...]) -> tuple[Fraction, Fraction]:
    w = [Fraction(x) for x in weights]
    x, y = (sum(a * Fraction(p[i]) for a, p in zip(w, polygon, strict=True)) / sum(w) for i in (0, 1))
    return x, y


def lines(n: int, seed: int) -> SplineNetwork:
    """One hidden layer of n lines in general position, all crossings well inside the square."""
    rng = np.random.default_rng(seed)
    angle = np.pi * (np.arange(n) + 0.5) / n
    normals = np.stack([np.cos(angle), np.sin(angle)], 1)
    return mlp([normals, rng.normal(size=(1, n))], [rng.uniform(-0.01, 0.01, n), [0.0]])


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_zaslavsky(n: int) -> None:
    """n lines in general position make 1 + n + C(n, 2) regions."""
    assert len(exact_partition(lines(n, n), SQUARE).regions) == 1 + n + comb(n, 2)


@pytest.mark.parametrize("n", [2, 3, 7, 64])
def test_pencil(n: int) -> None:
    """n lines through a point make 2n regions."""
    rng = np.random.default_rng(n)
    slopes = rng.normal(size=(n, 2))
    assert len(exact_partition(mlp([slopes, np.ones((1, n))], [np.zeros(n), [0.0]]), SQUARE).regions) == 2 * n


def test_breakpoint_between_equal_slopes_cuts_nothing() -> None:
    """Leaky slope 1 is the identity."""
    assert {run(make_case("leaky_1", seed)) for seed in range(4)} == {(1, 1)}


def test_toy_count() -> None:
    """The published count of the toy benchmark."""
    part = exact_partition(make_network(WIDTHS["toy"]), SQUARE)
    assert len(part.regions) == REGIONS["toy"]
    assert part.area == 16
