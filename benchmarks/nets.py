"""The benchmark networks of the engine, with the exact number of regions of each over [-2, 2]^2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from splinegeo.networks.graph import Input, Knot, Linear, Node, SplineNetwork

WIDTHS: dict[str, tuple[int, ...]] = {
    "toy": (2, 20, 20, 20, 3),
    "mid": (2, 64, 64, 64, 1),
    "wide": (2, 256, 256, 2),
    "deep": (2, *[32] * 8, 2),
    "big": (2, *[256] * 4, 3),
}

# Confirmed by float64, 80-bit and, on the small ones, exact rational enumeration.
REGIONS: dict[str, int] = {"toy": 1_350, "mid": 12_654, "wide": 95_487, "deep": 13_911, "big": 354_339}

HALF_WIDTH = 2.0


def make_module(widths: Sequence[int], seed: int = 0) -> torch.nn.Sequential:
    """A ReLU MLP in float64: He-normal weights, N(0, 0.5^2) biases, per layer the weight first and then the bias."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layer = torch.nn.Linear(a, b, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(b, a, generator=generator, dtype=torch.float64) * (2 / a) ** 0.5)
            layer.bias.copy_(torch.randn(b, generator=generator, dtype=torch.float64) * 0.5)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def make_network(widths: Sequence[int], seed: int = 0) -> SplineNetwork:
    """The same network as a graph, without the capture of a module."""
    nodes: list[Node] = [Input("input", widths[0], ())]
    module = make_module(widths, seed)
    for name, layer in module.named_children():
        source = (len(nodes) - 1,)
        if isinstance(layer, torch.nn.Linear):
            weight, bias = (p.detach().numpy().copy() for p in (layer.weight, layer.bias))
            nodes.append(Linear(name, len(bias), source, weight, bias))
        else:
            n = nodes[-1].size
            nodes.append(Knot(name, n, source, np.zeros((n, 1)), np.tile([0.0, 1.0], (n, 1)), np.zeros(n)))
    return SplineNetwork(tuple(nodes), len(nodes) - 1, (widths[0],), (widths[-1],))
