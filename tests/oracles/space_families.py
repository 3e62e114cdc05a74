"""The families of `families` in d dimensions, and those that only make sense there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo.networks.graph import SplineNetwork
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
