"""Leading singular values and ψ without the Jacobian: bounds hold, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import nn

import splinegeo as sg
from splinegeo.jacobian import OutOfMemory, descriptors, lanczos_psi, leading_singular_values
from splinegeo.jacobian.products import Products


def with_spectrum(s, n_out: int, n_in: int, seed: int = 0):
    """A linear map with singular values ``s``."""
    rng = np.random.default_rng(seed)
    u = np.linalg.qr(rng.standard_normal((n_out, len(s))))[0]
    v = np.linalg.qr(rng.standard_normal((n_in, len(s))))[0]
    a = torch.from_numpy(u * np.asarray(s) @ v.T)
    return lambda z: z @ a.T


def zeros(n_in: int, n: int = 1) -> torch.Tensor:
    return torch.zeros(n, n_in, dtype=torch.float64)


SPECTRA = {
    "flat": np.full(30, 2.0),
    "slow": 1 / np.arange(1, 31),
    "fast": 0.5 ** np.arange(30),
    "clusters": np.repeat([5.0, 1.0, 0.1], 10),
    "deficient": np.r_[np.linspace(3, 1, 12), np.zeros(18)],
}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", [(60, 30), (30, 50)])
@pytest.mark.parametrize("iterations", [1, 3, 200])
def test_bounds_of_subspace_iteration_hold(spectrum, shape, iterations):
    s = SPECTRA[spectrum]
    model = with_spectrum(s, *shape)
    for seed in range(5):
        found = leading_singular_values(
            model, zeros(shape[1]), 6, rtol=1e-7, oversample=4, max_iterations=iterations, rng=seed
        )
        assert (found.values[0] <= s[:6] + 1e-12 * s[0]).all()
        # one singular value for each: match them in order, greedily, within the bound
        left = list(s)
        for value, error in zip(found.values[0], found.errors[0], strict=True):
            nearest = min(left, key=lambda x: abs(x - value))
            assert abs(nearest - value) <= error + 1e-12 * s[0]
            left.remove(nearest)
        if found.converged[0]:
            np.testing.assert_allclose(found.values[0], s[:6], atol=1e-6 * s[0])
        if iterations == 200:
            assert found.converged[0]


def test_a_bound_is_not_vacuous():
    found = leading_singular_values(with_spectrum(SPECTRA["slow"], 60, 30), zeros(30), 3, rtol=1e-9)
    assert found.errors.max() <= 1e-9
    assert found.products[0] > 13


def test_leading_values_of_a_smooth_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 60), nn.GELU(), nn.Linear(60, 80)).double()
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 40)))
    full = descriptors(net, z, projection=None)
    found = leading_singular_values(net, z, 4, rtol=1e-6)
    np.testing.assert_allclose(found.values, full.singular_values[:, :4], rtol=1e-5)
    assert len(found) == 3
    assert "4 of 3 latents" in repr(found)


def test_models_without_forward_mode():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

    z = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 12)))
    expected = np.sort(3 * z.numpy()[0] ** 2)[::-1]
    found = leading_singular_values(Cube.apply, z, 3, rtol=1e-10)
    np.testing.assert_allclose(found.values[0], expected[:3], rtol=1e-9)


# -- stochastic Lanczos quadrature -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(60, 40), pytest.param((40, 60), marks=pytest.mark.slow)])
def test_intervals_cover_at_their_rate(shape):
    s = np.geomspace(5, 0.2, 40) * np.random.default_rng(1).uniform(0.9, 1.1, 40)
    model, truth = with_spectrum(s, *shape), np.log(s).sum()
    n = 60
    runs = [lanczos_psi(model, zeros(shape[1]), probes=8, level=0.5, rng=seed) for seed in range(n)]
    for level in (0.5, 0.9):
        half = np.array([student.ppf(0.5 + level / 2, 7) * r.standard_error[0] + r.bias[0] for r in runs])
        centre = np.array([r.psi[0] for r in runs])
        if level == 0.5:
            np.testing.assert_allclose(half, [(r.high[0] - r.low[0]) / 2 for r in runs])
        share = (np.abs(centre - truth) <= half).mean()
        # four standard deviations of a binomial; the share for the quadrature may put it above
        margin = 4 * np.sqrt(level * (1 - level) / n)
        assert level - margin <= share <= level + margin + 0.1


def test_error_falls_with_probes():
    s = np.geomspace(5, 0.2, 40)
    model = with_spectrum(s, 60, 40)
    few, many = (lanczos_psi(model, zeros(40), probes=n, max_steps=40) for n in (10, 160))
    assert many.standard_error[0] < 0.5 * few.standard_error[0]
    assert abs(many.psi[0] - np.log(s).sum()) < 5 * many.standard_error[0]


def test_all_steps_leave_only_the_probes():
    # diagonal, so that random signs have no variance at all: exact after as many steps as there are singular values
    s = np.geomspace(1, 0.05, 12)
    scale = torch.from_numpy(s)
    found = lanczos_psi(lambda z: z * scale, zeros(12), probes=3, max_steps=12)
    np.testing.assert_allclose(found.psi[0], np.log(s).sum(), rtol=1e-8)
    assert found.high[0] - found.low[0] < 1e-6 or found.steps[0] < 12


def test_zero_singular_values_are_left_out():
    s = np.r_[np.full(10, 3.0), np.zeros(10)]
    found = lanczos_psi(with_spectrum(s, 30, 20), zeros(20), probes=200)
    truth = 10 * np.log(3)
    assert abs(found.psi[0] - truth) < 5 * found.standard_error[0] + 1e-9


def test_lanczos_of_a_smooth_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 60), nn.Tanh(), nn.Linear(60, 90)).double()
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 30)))
    exact = descriptors(net, z, projection=None).psi
    found = lanczos_psi(net, z, probes=60, level=0.9999)
    assert ((found.low <= exact) & (exact <= found.high)).all()
    assert (found.high - found.low < 0.5 * np.abs(exact)).all()
    assert "60 probes" in repr(found)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [{"k": 0}, {"k": 7}, {"rtol": 0}, {"oversample": -1}, {"max_iterations": 0}])
def test_bad_options_of_leading_values(option):
    with pytest.raises(sg.InvalidArgument):
        leading_singular_values(with_spectrum(np.ones(5), 6, 5), zeros(5), **{"k": 2, **option})


@pytest.mark.parametrize("option", [{"probes": 1}, {"max_steps": 0}, {"level": 1.0}, {"rtol": 1}, {"rng": -1}])
def test_bad_options_of_lanczos(option):
    with pytest.raises(sg.SplineGeoError):
        lanczos_psi(with_spectrum(np.ones(5), 6, 5), zeros(5), **option)


def test_out_of_memory_in_products(monkeypatch):
    real = Products.reverse

    def small(self, cotangents):
        if len(cotangents) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, cotangents)

    model = with_spectrum(np.arange(1.0, 9), 9, 8)
    monkeypatch.setattr(Products, "reverse", small)
    found = leading_singular_values(model, zeros(8), 2, rtol=1e-9)
    np.testing.assert_allclose(found.values[0], [8, 7])

    def never(self, cotangents):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Products, "reverse", never)
    with pytest.raises(OutOfMemory, match="set mode"):
        leading_singular_values(model, zeros(8), 2)
