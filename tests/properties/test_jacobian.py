"""Where the exact path and the first-order path describe the same thing they agree: piecewise-linear networks."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import splinegeo as sg
from splinegeo.jacobian import SmoothClamp, clamped_maps, descriptors, jacobians, knot_distances

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "hardtanh": nn.Hardtanh,
    "relu6": nn.ReLU6,
    "abs": lambda: _Abs(),
}
AWAY = 1e-9  # from a knot: closer than that a float64 pass may be on its other side


class _Abs(nn.Module):
    def forward(self, x):
        return x.abs()


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


@st.composite
def modules(draw, n_in: int = 2) -> nn.Sequential:
    torch.manual_seed(draw(st.integers(0, 10_000)))
    activation = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
    width, depth = draw(st.integers(2, 10)), draw(st.integers(1, 3))
    layers = [nn.Linear(n_in, width), activation()]
    for _ in range(depth - 1):
        block = nn.Sequential(nn.Linear(width, width), activation())
        layers.append(Residual(block) if draw(st.booleans()) else block)
    return nn.Sequential(*layers, nn.Linear(width, draw(st.integers(1, 6)))).double()


def interior(part: sg.Partition, net: nn.Module) -> np.ndarray:
    points = part.interior_points
    return np.flatnonzero(knot_distances(net, part.slice.embed(points)).distances > AWAY)


@given(modules(), st.sampled_from(["forward", "reverse"]))
@settings(max_examples=10)
def test_psi_and_nu_of_every_region(net: nn.Sequential, mode: str) -> None:
    part = sg.partition(net, sg.Box([-2, -2], [2, 2]))
    chosen = interior(part, net)
    found = descriptors(net, part.interior_points[chosen], projection=None, mode=mode)
    scale = np.maximum(1, np.abs(part.psi[chosen]))
    assert (np.abs(found.psi - part.psi[chosen]) <= 1e-10 * scale).all()
    assert (np.abs(found.nu - part.nu[chosen]) <= 1e-10).all()
    assert (found.rank == part.rank[chosen]).all()


@given(modules(n_in=4), st.integers(0, 1000))
@settings(max_examples=5)
def test_maps_on_a_plane(net: nn.Sequential, seed: int) -> None:
    """J B = A_ω B in a plane of a larger latent space, and ψ of the restriction."""
    rng = np.random.default_rng(seed)
    plane = sg.Slice(rng.normal(size=4), rng.normal(size=(4, 2)))
    part = sg.partition(net, sg.Box([-1, -1], [1, 1]), plane)
    chosen = interior(part, net)
    u = part.interior_points[chosen]
    found = jacobians(net, plane.embed(u)) @ plane.basis
    expected = part.affine_maps(chosen)[0]
    assert np.abs(found - expected).max(initial=0) <= 1e-12 * max(1, np.abs(expected).max(initial=0))
    origin, basis = (torch.from_numpy(np.array(x)) for x in (plane.origin, plane.basis))
    restricted = descriptors(lambda v: net(v @ basis.T + origin), u, projection=None) if len(u) else None
    if restricted is not None:
        assert np.abs(restricted.psi - part.psi[chosen]).max() <= 1e-10 * max(1, np.abs(part.psi).max())


@given(modules(n_in=2))
@settings(max_examples=5)
def test_behind_a_smooth_clamp(net: nn.Sequential) -> None:
    """A = A_ω diag(1 - tanh²(z / 3)), with A_ω from the exact partition of the rest."""
    part = sg.partition(net, sg.Box([-2.5, -2.5], [2.5, 2.5]))
    chosen = interior(part, net)
    clamped = part.interior_points[chosen]
    z = 3 * np.arctanh(clamped / 3)
    found = jacobians(nn.Sequential(SmoothClamp(), net), z)
    expected = clamped_maps(part.affine_maps(chosen)[0], z)
    size = max(1, np.abs(expected).max(initial=0))
    # arctanh and tanh bring the points back up to rounding, which moves no derivative unless it crosses a knot
    assert np.abs(found - expected).max(initial=0) <= 1e-12 * size
