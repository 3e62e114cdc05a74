"""Diffusion steps: formulas of the papers, Jacobians of Gaussian denoisers in closed form, distances to knots."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo.jacobian import DiffusionStep, Schedule, descriptors, jacobians, knot_distances, unrolled


class Gaussian(nn.Module):
    """The exact denoiser of data N(0, diag(variances)): ε = √(1 - ᾱ) z / (ᾱ v + 1 - ᾱ)."""

    def __init__(self, schedule: Schedule, variances) -> None:
        super().__init__()
        self.schedule = schedule
        self.register_buffer("v", torch.tensor(variances, dtype=torch.float64))

    def forward(self, z, t):
        a = self.schedule.at(t)
        return (1 - a) ** 0.5 * z / (a * self.v + 1 - a)


class Bent(nn.Module):
    """A small piecewise-linear denoiser with a bias for each step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(2, 12), nn.Linear(12, 2)
        self.table = nn.Parameter(torch.randn(50, 12))

    def forward(self, z, t):
        return self.last(torch.relu(self.first(z) + self.table[t]))


SCHEDULE = Schedule.linear(50, 1e-3, 0.2)


@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_steps_of_a_gaussian(kind):
    v = np.array([4.0, 0.25])
    step = DiffusionStep(Gaussian(SCHEDULE, v), SCHEDULE, 30, 12, kind=kind)
    at, a_s = SCHEDULE.at(30), SCHEDULE.at(12)
    # x0 = E[x | z_t] = √a_t v z / (a_t v + 1 - a_t)
    gain = at**0.5 * v / (at * v + 1 - at)
    if kind == "ddim":  # z_s = √a_s x0 + √(1 - a_s) ε
        slope = a_s**0.5 * gain + (1 - a_s) ** 0.5 * (1 - at) ** 0.5 / (at * v + 1 - at)
    else:  # mean of q(z_s | z_t, x0), Ho et al. equation 7 for one step over the gap
        r = at / a_s
        slope = a_s**0.5 * (1 - r) / (1 - at) * gain + r**0.5 * (1 - a_s) / (1 - at)
    found = jacobians(step, torch.randn(3, 2, dtype=torch.float64))
    np.testing.assert_allclose(found, np.tile(np.diag(slope), (3, 1, 1)), rtol=1e-12)


def test_ddim_keeps_the_marginals_of_a_gaussian():
    # many small deterministic steps carry N(0, a_t v + 1 - a_t) to N(0, v)
    schedule = Schedule.linear(2000, 1e-5, 1e-2)
    sampler = unrolled(Gaussian(schedule, [4.0, 0.25]), schedule, list(range(1999, -1, -1)))
    a = schedule.at(1999)
    with torch.no_grad():
        out = sampler(torch.ones(1, 2, dtype=torch.float64))[0].numpy()
    v = np.array([4.0, 0.25])
    np.testing.assert_allclose(out, np.sqrt(v / (a * v + 1 - a)), rtol=2e-2)


def test_predictions_agree():
    class Of(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind, self.inner = kind, Gaussian(SCHEDULE, [2.0])

        def forward(self, z, t):
            a, eps = SCHEDULE.at(t), self.inner(z, t)
            x0 = (z - (1 - a) ** 0.5 * eps) / a**0.5
            return {"epsilon": eps, "sample": x0, "v_prediction": a**0.5 * eps - (1 - a) ** 0.5 * x0}[self.kind]

    z = torch.randn(4, 1, dtype=torch.float64)
    results = []
    for kind in ("epsilon", "sample", "v_prediction"):
        schedule = Schedule(SCHEDULE.alphas_cumprod, prediction=kind)
        results.append(DiffusionStep(Of(kind), schedule, 20, 10)(z))
        results.append(DiffusionStep(Of(kind), schedule, 20, 10, clip=1e9)(z))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-12, atol=1e-12)


def test_noise_is_fixed_and_only_shifts():
    denoiser = Gaussian(SCHEDULE, [2.0, 1.0])
    z, noise = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    plain, noisy = (DiffusionStep(denoiser, SCHEDULE, 9, 8, kind="ddpm", noise=n) for n in (None, noise))
    at, a_s = SCHEDULE.at(9), SCHEDULE.at(8)
    variance = (1 - a_s) / (1 - at) * (1 - at / a_s)  # Ho et al., the smaller of their two choices
    torch.testing.assert_close(noisy(z) - plain(z), variance**0.5 * noise.expand(3, 2))
    np.testing.assert_array_equal(descriptors(noisy, z).psi, descriptors(plain, z).psi)


def test_an_unrolled_sampler_is_piecewise_linear():
    sampler = unrolled(Bent().eval(), SCHEDULE, [40, 20, 5])
    part = sg.partition(sampler, sg.Box([-2, -2], [2, 2]))
    assert part.complete
    assert part.n_regions > 20
    found = descriptors(sampler, part.interior_points, projection=None, precision="float64")
    np.testing.assert_allclose(found.psi, part.psi, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.nu, part.nu, rtol=0, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_modes_of_the_denoiser_are_left_alone(training):
    denoiser = Bent().train(training)
    denoiser.last.train(not training)
    sampler = unrolled(denoiser, SCHEDULE, [9, 4])
    assert (denoiser.training, denoiser.first.training, denoiser.last.training) == (training, training, not training)
    assert sampler.training == sampler[0].training == training


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Schedule([0.5, 0.9]), "fall with t"),
        (lambda: Schedule([1.0, 0.9]), "between 0 and 1"),
        (lambda: Schedule([0.9], final=0), "final=0"),
        (lambda: Schedule([0.9], prediction="noise"), "v_prediction"),
        (lambda: Schedule.of(object()), "alphas_cumprod"),
        (lambda: SCHEDULE.at(50), "from -1 to 49"),
        (lambda: DiffusionStep(Bent(), SCHEDULE, 5, 5), "s < t"),
        (lambda: DiffusionStep(Bent(), SCHEDULE, 5, 4, kind="euler"), "ddpm"),
        (lambda: DiffusionStep(Bent(), SCHEDULE, 5, 4, noise=torch.ones(2)), "draws no noise"),
        (lambda: DiffusionStep(Bent(), SCHEDULE, 5, 4, clip=0), "bound > 0"),
        (lambda: unrolled(Bent(), SCHEDULE, []), "empty"),
        (lambda: unrolled(Bent(), SCHEDULE, [5, 9]), "goes from t"),
    ],
)
def test_bad_steps(call, text):
    with pytest.raises(sg.SplineGeoError, match=text):
        call()


# -- distances to knots ------------------------------------------------------------------------------------------------


def nets():
    torch.manual_seed(1)
    yield nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 9), nn.LeakyReLU(0.1), nn.Linear(9, 2))
    yield nn.Sequential(nn.Linear(2, 8), nn.Hardtanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    yield nn.Sequential(
        nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip


@pytest.mark.parametrize("net", list(nets()), ids=["leaky", "hardtanh", "max-pool"])
def test_distances_are_those_to_the_walls_of_the_region(net):
    """Against the exact partition: distance to the polygon's edges, the box left out."""
    part = sg.partition(net.double(), sg.Box([-2, -2], [2, 2]))
    found = knot_distances(net, part.interior_points)
    for k, polygon in enumerate(part.polygons):
        start, stop = polygon, np.roll(polygon, -1, 0)
        normal = (stop - start)[:, ::-1] * [1, -1]
        away = np.abs(((part.interior_points[k] - start) * normal).sum(1)) / np.linalg.norm(normal, axis=1)
        inner = part.neighbors[k] >= 0
        # knots beyond the box may be nearer than the walls that bound the region inside it, never farther
        if inner.any():
            assert found.distances[k] <= away[inner].min() * (1 + 1e-9)
        if inner.all():
            assert found.distances[k] == pytest.approx(away.min(), rel=1e-9)
            assert found.nodes[k]
            assert found.units[k] >= 0


def test_nothing_bends():
    found = knot_distances(nn.Linear(2, 3), np.zeros((2, 2)))
    assert np.isinf(found.distances).all()
    assert found.nodes == ("", "")
    assert (found.units == -1).all()
    assert len(found) == 2


def test_latents_that_do_not_fit():
    with pytest.raises(sg.ShapeMismatch):
        knot_distances(sg.capture(nn.Linear(2, 3), (2,)), np.zeros((2, 3)))
    with pytest.raises(sg.ShapeMismatch):
        knot_distances(nn.Linear(2, 3), np.zeros(2))
