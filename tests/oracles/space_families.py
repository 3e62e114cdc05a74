"""The families of `families` in d dimensions, and those that only make sense there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Input, Knot, Linear, Maximum, Node, SplineNetwork
from splinegeo.testing import mlp
from tests.oracles.families import CHANGES, GRAPHS, KNOTS, PLANAR, Layers, _quarter, gaussian


def _concurrent(rng: np.random.Generator, layers: Layers) -> Layers:
    """Hyperplanes through a point, three of them through a line or a plane."""
    w, b = layers[0]
    w[:] = np.round(w * 64) / 64
    w[2] = w[0] - w[1]
    b[:] = -w @ np.array([0.25, -0.5, 0.75, 0.5])[: w.shape[1]]
    return layers


def _domain_facet(rng: np.random.Generator, layers: Layers) -> Layers:
    """Along facets of the domain, through its edges, through its corners."""
    w, b = layers[0]
    d = w.shape[1]
    w[:4], b[:4] = 0.0, [-2.0, 0.0, -2.0 * d, -3.0]
    w[0, 0], w[1, :2], w[2], w[3, -1] = 1.0, [1.0, -1.0], 1.0, -1.5
    return layers


def _slivers(rng: np.random.Generator, layers: Layers) -> Layers:
    """Hyperplanes a subnormal distance apart, and at subnormal angles."""
    w, b = layers[0]
    w[:4] = 0.0
    w[:4, :2], b[:4] = [[1, 0], [1, 0], [0, 1], [5e-324, 1]], [0, 5e-324, 0, 0]
    return layers


OWN: dict[str, Callable[[np.random.Generator, Layers], Layers]] = {
    "concurrent": _concurrent,
    "domain_facet": _domain_facet,
    "slivers": _slivers,
}
FAMILIES = (*(name for name in CHANGES if name not in PLANAR), *OWN, *KNOTS, *GRAPHS)


def space_network(family: str, dim: int, seed: int) -> SplineNetwork:
    """A small network of a family that takes ``dim`` inputs."""
    rng = np.random.default_rng([FAMILIES.index(family), dim, seed])
    shapes = ((6, 4, 1), (5, 3, 3, 2), (5, 5, 1)) if dim < 4 else ((5, 3, 1), (4, 3, 2, 2), (4, 4, 1))
    widths = (dim, *shapes[seed % 3])
    layers = gaussian(rng, widths)
    if family in OWN:
        return mlp(*zip(*OWN[family](rng, layers), strict=True))
    if family in CHANGES:
        return mlp(*zip(*CHANGES[family](rng, layers), strict=True))
    short = [(w[:4] if k == 0 else w[:4, :4], b[:4]) for k, (w, b) in enumerate(layers)][:2]
    base = short if seed % 2 == 0 else _quarter(rng, short)
    if family in KNOTS:
        return KNOTS[family](rng, mlp(*zip(*base, strict=True)))
    return GRAPHS[family](rng, [(w[:3], b[:3]) for w, b in base[:1]])


MAXIMA = ("maxout", "rectified", "rectifying", "twice", "overlapping", "equal", "constant", "central", "touching")


def maxima_network(family: str, dim: int, seed: int) -> SplineNetwork:
    """A small network with maxima that takes ``dim`` inputs; odd seeds have weights that tie often."""
    rng = np.random.default_rng([MAXIMA.index(family), dim, seed])
    nodes: list[Node] = [Input("input", dim, ())]

    def linear(n: int) -> None:
        w, b = gaussian(rng, (nodes[-1].size, n))[0]
        if seed % 2:
            w, b = np.round(w * 2) / 2, np.round(b * 2) / 2
        if family == "central":
            b[:] = 0.0
        nodes.append(Linear(f"layer {len(nodes)}", n, (len(nodes) - 1,), w, b))

    def largest(groups: Array) -> None:
        nodes.append(Maximum(f"max {len(nodes)}", len(groups), (len(nodes) - 1,), np.asarray(groups)))

    def rectified() -> None:
        n = nodes[-1].size
        slopes = np.tile([0.0, 1.0], (n, 1))
        nodes.append(Knot(f"relu {len(nodes)}", n, (len(nodes) - 1,), np.zeros((n, 1)), slopes, np.zeros(n)))

    match family:
        case "maxout" | "central":
            linear(6)
            largest(np.arange(6).reshape(2, 3))
            linear(4)
            largest(np.arange(4).reshape(2, 2))
        case "rectified":  # where two units are off they tie
            linear(4)
            rectified()
            largest([[0, 1, 2], [3, 2, 1]])
        case "rectifying":
            linear(6)
            largest(np.arange(6).reshape(2, 3))
            linear(3)
            rectified()
        case "twice":
            linear(5)
            largest([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
            largest([[0, 1], [1, 2]])
        case "overlapping":
            linear(6)
            largest([[0, 1, 2, 3, 4], [2, 3, 4, 5, 5]])
        case "equal":
            linear(4)
            first = nodes[-1]
            assert isinstance(first, Linear)
            twice = np.r_[first.weight, first.weight[:2]], np.r_[first.bias, first.bias[:2]]
            nodes[-1] = Linear("planes", 6, (0,), *twice)
            largest([[0, 4, 1, 5], [5, 2, 3, 1]])
            linear(2)
            rectified()
        case "constant" | "touching":
            linear(6)
            first = nodes[-1]
            assert isinstance(first, Linear)
            weight, bias = first.weight.copy(), first.bias.copy()
            if family == "constant":
                weight[[1, 2, 4]], bias[[1, 2, 4]] = 0.0, [0.5, 0.5, -0.25]
            else:  # ties along a facet of the domain, and in one of its corners
                weight[1:3], bias[1:3] = weight[0], bias[0]
                weight[1, 0] += 1.0
                bias[1] -= 2.0
                weight[2] += 1.0
                bias[2] -= 2.0 * dim
            nodes[-1] = Linear("planes", 6, (0,), weight, bias)
            largest([[0, 1, 2], [2, 3, 4], [4, 5, 0]])
    linear(2)
    return SplineNetwork(tuple(nodes), len(nodes) - 1, (dim,), (2,))
