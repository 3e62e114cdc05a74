"""Seeded random small networks of the families on which enumerators go wrong, each with a domain and a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Input, Knot, Linear, Node, Select, SplineNetwork
from splinegeo.testing import convex_hull, mlp

Layers = list[tuple[Array, Array]]
SQUARE: tuple[tuple[float, float], ...] = ((-2.0, -2.0), (2.0, -2.0), (2.0, 2.0), (-2.0, 2.0))
SHAPES = ((2, 8, 8, 1), (2, 6, 6, 6, 2), (2, 10, 5, 1), (2, 5, 5, 5, 5, 1))


@dataclass(frozen=True)
class Case:
    """A network over a convex polygon in a plane; slice None where the plane is the whole latent space."""

    name: str
    network: SplineNetwork
    polygon: tuple[tuple[float, float], ...]
    slice: tuple[Array, Array] | None

    @property
    def box(self) -> bool:
        """Whether the domain is the box [-2, 2]^2."""
        return self.polygon == SQUARE


def gaussian(rng: np.random.Generator, widths: tuple[int, ...]) -> Layers:
    """He-normal weights and N(0, 0.5^2) biases."""
    return [(rng.normal(size=(b, a)) * (2 / a) ** 0.5, rng.normal(size=b) * 0.5) for a, b in pairwise(widths)]


def _generic(rng: np.random.Generator, layers: Layers) -> Layers:
    return layers


def _ternary(rng: np.random.Generator, layers: Layers) -> Layers:
    return [(rng.integers(-1, 2, w.shape) * 1.0, rng.integers(-1, 2, b.shape) * 1.0) for w, b in layers]


def _quarter(rng: np.random.Generator, layers: Layers) -> Layers:
    return [(np.round(w * 4) / 4, np.round(b * 4) / 4) for w, b in layers]


def _integer(rng: np.random.Generator, layers: Layers) -> Layers:
    return [(np.round(w * 3), np.round(b * 3)) for w, b in layers]


def _bias_free(rng: np.random.Generator, layers: Layers) -> Layers:
    return [(w, np.zeros_like(b)) for w, b in layers]


def _pruned(rng: np.random.Generator, layers: Layers) -> Layers:
    return [(w * (rng.random(w.shape) < 0.5), b * (rng.random(b.shape) < 0.7)) for w, b in layers]


def _copied(factor: float, ulps: int = 0, shift: float = 0.0) -> Callable[[np.random.Generator, Layers], Layers]:
    """Units of each hidden layer overwritten by multiples of others; x0.1 is rounded, so nearly a multiple only."""

    def change(rng: np.random.Generator, layers: Layers) -> Layers:
        for w, b in layers[:-1]:
            i, j = rng.permutation(len(b))[: 2 * (len(b) // 4)].reshape(2, -1)
            w[j], b[j] = factor * w[i], factor * b[i]
            b[j] += shift
            if ulps:
                b[j] = np.nextafter(b[j], np.inf)
        return layers

    return change


def _exact_multiples(factor: float) -> Callable[[np.random.Generator, Layers], Layers]:
    """As `_copied`, with weights short enough for the product to be exact."""

    def change(rng: np.random.Generator, layers: Layers) -> Layers:
        short = [(w.astype(np.float32).astype(float), b.astype(np.float32).astype(float)) for w, b in layers]
        return _copied(factor)(rng, short)

    return change


def _dead(rng: np.random.Generator, layers: Layers) -> Layers:
    for w, b in layers[:-1]:
        b[rng.integers(len(b))] = -100.0
        b[rng.integers(len(b))] = 100.0
        w[rng.integers(len(b))] = 0.0
    return layers


def _zero_units(rng: np.random.Generator, layers: Layers) -> Layers:
    for w, b in layers[:-1]:
        k = rng.choice(len(b), 2, replace=False)
        w[k], b[k] = 0.0, 0.0
    return layers


def _concurrent(rng: np.random.Generator, layers: Layers) -> Layers:
    w, b = layers[0]
    w[:4] = np.round(w[:4] * 64) / 64
    b[:4] = -w[:4] @ [0.25, -0.5]
    return layers


def _domain_edge(rng: np.random.Generator, layers: Layers) -> Layers:
    w, b = layers[0]
    w[:3], b[:3] = [[1, 0], [0, -3], [-1, 0]], [-2, -6, -1]
    return layers


def _domain_corner(rng: np.random.Generator, layers: Layers) -> Layers:
    w, b = layers[0]
    w[:3], b[:3] = [[1, 1], [1, -1], [2, 1]], [-4, 0, 2]
    return layers


def _slivers(rng: np.random.Generator, layers: Layers) -> Layers:
    """Parallel lines a subnormal distance apart, and a subnormal pencil through a point."""
    w, b = layers[0]
    w[:5], b[:5] = [[1, 0], [1, 0], [1, 0], [0, 1], [5e-324, 1]], [0, 5e-324, -1e-310, 0, 0]
    return layers


def _layer_scales(rng: np.random.Generator, layers: Layers) -> Layers:
    scales = rng.choice([1e30, 1e-30], len(layers))
    return [(w * s, b * t) for (w, b), s, t in zip(layers, scales, np.cumprod(scales), strict=True)]


def _unit_scales(rng: np.random.Generator, layers: Layers) -> Layers:
    out = []
    for w, b in layers:
        s = rng.choice([1e30, 1.0, 1e-30], len(b))
        out.append((w * s[:, None], b * s))
    return out


CHANGES: dict[str, Callable[[np.random.Generator, Layers], Layers]] = {
    "generic": _generic,
    "ternary": _ternary,
    "quarter": _quarter,
    "integer": _integer,
    "bias_free": _bias_free,
    "pruned": _pruned,
    "duplicated": _copied(1.0),
    "negated": _copied(-1.0),
    "doubled": _copied(2.0),
    "tripled": _exact_multiples(3.0),
    "tenth": _copied(0.1),
    "near_1e-9": _copied(1.0, shift=1e-9),
    "near_1e-15": _copied(1.0, shift=1e-15),
    "near_1ulp": _copied(1.0, ulps=1),
    "dead": _dead,
    "zero_units": _zero_units,
    "concurrent": _concurrent,
    "domain_edge": _domain_edge,
    "domain_corner": _domain_corner,
    "slivers": _slivers,
    "layer_scales": _layer_scales,
    "unit_scales": _unit_scales,
}


def _bend(breakpoints: list[float], slopes: list[float], value: float = 0.0) -> Callable[..., SplineNetwork]:
    """Replace every knot by one with these tables."""

    def change(rng: np.random.Generator, network: SplineNetwork) -> SplineNetwork:
        def tables(n: int) -> tuple[Array, Array, Array]:
            return np.tile(breakpoints, (n, 1)), np.tile(slopes, (n, 1)), np.full(n, value)

        return _with_knots(network, tables)

    return change


def _mixed(rng: np.random.Generator, network: SplineNetwork) -> SplineNetwork:
    """Per unit: two breakpoints, any slopes, also equal ones."""

    def tables(n: int) -> tuple[Array, Array, Array]:
        t = np.sort(rng.choice(np.arange(-4, 5), (n, 1))) / 4
        gap = rng.integers(1, 5, (n, 1)) / 4
        return np.hstack([t, t + gap]), rng.choice([0.0, 1.0, -1.0, 0.5, 0.1], (n, 3)), rng.integers(-2, 3, n) / 4

    return _with_knots(network, tables)


def _with_knots(network: SplineNetwork, tables: Callable[[int], tuple[Array, Array, Array]]) -> SplineNetwork:
    def change(node: Node) -> Node:
        if not isinstance(node, Knot):
            return node
        t, s, value = tables(node.size)
        return replace(node, breakpoints=t, slopes=s, value=value)

    return replace(network, nodes=tuple(change(node) for node in network.nodes))


KNOTS: dict[str, Callable[..., SplineNetwork]] = {
    "leaky_0.01": _bend([0.0], [0.01, 1.0]),
    "leaky_0": _bend([0.0], [0.0, 1.0]),
    "leaky_negative": _bend([0.0], [-0.3, 1.0]),
    "leaky_1": _bend([0.0], [1.0, 1.0]),
    "abs": _bend([0.0], [-1.0, 1.0]),
    "hardtanh": _bend([-1.0, 1.0], [0.0, 1.0, 0.0], -1.0),
    "clamp": _bend([-0.25, 0.5], [0.0, 1.0, 0.0], -0.25),
    "relu6": _bend([0.0, 0.6], [0.0, 1.0, 0.0]),
    "hardsigmoid": _bend([-3.0, 3.0], [0.0, 1 / 6, 0.0]),
    "mixed": _mixed,
}


def _residual(rng: np.random.Generator, layers: Layers) -> SplineNetwork:
    """h + s * relu(W h + b) twice, h = relu(...)."""
    (w0, b0), n = layers[0], len(layers[0][1])
    nodes: list[Node] = [Input("input", w0.shape[1], ()), Linear("stem", n, (0,), w0, b0), _relu(n, 1)]
    for k in range(2):
        w, b = gaussian(rng, (n, n))[0]
        skip = len(nodes) - 1
        nodes.append(Linear(f"branch{k}", n, (skip,), w, b))
        nodes.append(_relu(n, len(nodes) - 1))
        scales = (np.ones(n), rng.choice([1.0, -1.0, 0.5], n))
        nodes.append(Combine(f"sum{k}", n, (skip, len(nodes) - 1), scales, rng.integers(-1, 2, n) / 4))
    return _headed(rng, nodes)


def _cancelling(rng: np.random.Generator, layers: Layers) -> SplineNetwork:
    """relu(h) - relu(-h) - h + relu(...): sums that vanish exactly, on every region or on some."""
    (w, b), n = layers[0], len(layers[0][1])
    one = np.ones(n)
    nodes: list[Node] = [Input("input", w.shape[1], ()), Linear("a", n, (0,), w, b), Linear("b", n, (0,), -w, -b)]
    nodes += [_relu(n, 1), _relu(n, 2)]
    nodes.append(Combine("zero", n, (3, 4, 1), (one, -one, -one), np.zeros(n)))
    nodes.append(_relu(n, 5))
    nodes.append(Combine("hidden", n, (3, 1, 6), (one, -0.5 * one, one), np.zeros(n)))
    nodes.append(_relu(n, 7))
    return _headed(rng, nodes)


def _concatenation(rng: np.random.Generator, layers: Layers) -> SplineNetwork:
    """Dense connections: every layer reads a shuffled concatenation of all before it."""
    e, n = layers[0][0].shape[1], 5
    nodes: list[Node] = [Input("input", e, ())]
    sources = [0]
    for k in range(3):
        total = sum(nodes[i].size for i in sources)
        nodes.append(Select(f"cat{k}", total, tuple(sources), rng.permutation(total)))
        w, b = gaussian(rng, (total, n))[0]
        nodes.append(Linear(f"layer{k}", n, (len(nodes) - 1,), w, b))
        nodes.append(_relu(n, len(nodes) - 1))
        sources.append(len(nodes) - 1)
    return _headed(rng, nodes)


def _relu(n: int, source: int) -> Knot:
    return Knot("relu", n, (source,), np.zeros((n, 1)), np.tile([0.0, 1.0], (n, 1)), np.zeros(n))


def _headed(rng: np.random.Generator, nodes: list[Node]) -> SplineNetwork:
    w, b = gaussian(rng, (nodes[-1].size, 2))[0]
    nodes = [*nodes, Linear("head", 2, (len(nodes) - 1,), w, b)]
    return SplineNetwork(tuple(nodes), len(nodes) - 1, (nodes[0].size,), (2,))


GRAPHS: dict[str, Callable[[np.random.Generator, Layers], SplineNetwork]] = {
    "residual": _residual,
    "cancelling": _cancelling,
    "concatenation": _concatenation,
}

FAMILIES = (*CHANGES, *KNOTS, *GRAPHS)
PLANAR = ("concurrent", "domain_edge", "domain_corner", "slivers")  # these write weights for two inputs


def make_case(family: str, seed: int) -> Case:
    """The seed chooses shape, weights, domain and slice: even seeds the box, every third one a slice of R^3 or R^4."""
    rng = np.random.default_rng([FAMILIES.index(family), seed])
    widths = SHAPES[seed % len(SHAPES)]
    plane: tuple[Array, Array] | None = None
    if seed % 3 == 2:
        e = int(rng.integers(2, 5))
        widths = (e, *widths[1:])
        plane = rng.normal(size=e), rng.normal(size=(e, 2))
        if seed % 2:  # many exact ties; the sum has rank 2 because its off-diagonal part is below the diagonal
            plane = np.round(plane[0] * 2) / 2, np.eye(e, 2) + np.tril(np.round(plane[1]), -1)
    layers = gaussian(rng, widths)
    if family in CHANGES and (widths[0] == 2 or family not in PLANAR):
        network = mlp(*zip(*CHANGES[family](rng, layers), strict=True))
    elif family in KNOTS:
        base = layers if seed % 2 == 0 else _quarter(rng, layers)
        network = KNOTS[family](rng, mlp(*zip(*base, strict=True)))
    elif family in GRAPHS:
        network = GRAPHS[family](rng, layers if seed % 2 == 0 else _quarter(rng, layers))
    else:  # the family is about the domain itself, so the latent space stays the plane
        network = mlp(*zip(*CHANGES[family](rng, gaussian(rng, (2, *widths[1:]))), strict=True))
        plane = None
    return Case(f"{family}-{seed}", network, random_domain(rng, seed), plane)


def random_domain(rng: np.random.Generator, seed: int) -> tuple[tuple[float, float], ...]:
    """The box for even seeds, the hull of some points on the grid of quarters for odd ones."""
    if seed % 2 == 0:
        return SQUARE
    hull: list[tuple[float, float]] = []
    while len(hull) < 3:
        grid = [tuple(p) for p in (rng.integers(-8, 9, (rng.integers(3, 9), 2)) / 4).tolist()]
        hull = convex_hull(grid)
    return tuple(hull)


def cases(per_family: int) -> Iterator[Case]:
    """Seeds 0, 1, ... of every family."""
    return (make_case(family, seed) for family in FAMILIES for seed in range(per_family))
