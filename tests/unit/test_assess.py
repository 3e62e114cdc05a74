"""Functions over samples: against definitions written out, theorems, and rates of coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

import splinegeo as sg
from splinegeo import assess

RNG = np.random.default_rng


# -- trajectories ------------------------------------------------------------------------------------------------------


def test_bands_cover_at_their_rate():
    rng, covered = RNG(0), []
    for _ in range(400):
        band = assess.confidence_band(rng.normal([1.0, -2.0, 0.0], [1, 5, 0.1], (6, 3)), level=0.9)
        covered.append((band.low <= [1, -2, 0]) & (band.high >= [1, -2, 0]))
    assert np.mean(covered, 0) == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 400))


def test_a_band_is_students():
    values = np.array([[1.0, 2.0], [2.0, 2.0], [6.0, 2.0]])
    band = assess.confidence_band(values)
    half = 4.302652729911275 * values[:, 0].std(ddof=1) / np.sqrt(3)  # the 97.5 % quantile with 2 degrees of freedom
    np.testing.assert_allclose(band.high - band.mean, [half, 0])
    assert (band.count, band.level) == (3, 0.95)


# -- planes ------------------------------------------------------------------------------------------------------------


def test_plane_goes_through_its_latents():
    z = RNG(0).normal(size=(3, 4, 2, 2))
    grid = assess.plane_grid(z, 21, margin=0.1)
    assert grid.points.shape == (21, 21, 4, 2, 2)
    flat = grid.points.reshape(-1, 16)
    uv = np.stack(np.meshgrid(grid.u, grid.v), -1).reshape(-1, 2)
    # an isometry: distances on the grid are distances between latents
    some = RNG(1).integers(0, len(flat), (2, 50))
    np.testing.assert_allclose(
        np.linalg.norm(flat[some[0]] - flat[some[1]], axis=1), np.linalg.norm(uv[some[0]] - uv[some[1]], axis=1)
    )
    for latent, anchor in zip(z.reshape(3, 16), grid.anchors, strict=True):
        np.testing.assert_allclose(np.linalg.norm(flat - latent, axis=1), np.linalg.norm(uv - anchor, axis=1))
        assert grid.u[0] < anchor[0] < grid.u[-1]
        assert grid.v[0] < anchor[1] < grid.v[-1]


# -- order -------------------------------------------------------------------------------------------------------------


def test_extremes_are_the_ends_of_the_order():
    values = RNG(0).normal(size=100).round(1)
    found = assess.extremes(values, 10)
    assert (values[found.lowest] == np.sort(values)[:10]).all()
    assert (values[found.highest] == np.sort(values)[::-1][:10]).all()


def test_bins_are_of_equal_size_and_in_order():
    values = RNG(0).integers(0, 5, 103).astype(float)
    bins = assess.quantile_bins(values, 7)
    counts = np.bincount(bins)
    assert len(counts) == 7
    assert counts.max() - counts.min() <= 1
    for k in range(6):
        assert values[bins == k].max() <= values[bins == k + 1].min()


# -- separation --------------------------------------------------------------------------------------------------------


def test_auroc_is_the_share_of_pairs():
    rng = RNG(0)
    for _ in range(20):
        a, b = rng.integers(0, 8, 30), rng.integers(2, 10, 17)
        pairs = (b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean()
        assert assess.separation(a, b).auroc == pytest.approx(pairs)
        assert assess.separation(b, a).auroc == pytest.approx(1 - pairs)


def test_auroc_of_gaussians_is_covered():
    truth = 0.7602499389065233  # Φ(1 / √2)
    rng, covered = RNG(1), 0
    for _ in range(300):
        found = assess.separation(rng.normal(0, 1, 60), rng.normal(1, 1, 40))
        covered += found.low <= truth <= found.high
    assert covered / 300 == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 300))


def test_perfect_separation_has_no_width():
    found = assess.separation([0.0, 1.0], [2.0, 3.0])
    assert (found.auroc, found.low, found.high) == (1, 1, 1)
    assert "AUROC 1.000" in repr(found)


def test_typicality_is_mahalanobis_and_affine_invariant():
    rng = RNG(0)
    a, b = rng.normal(size=(200, 2)) @ [[2, 1], [0, 0.1]], rng.normal(size=(30, 2))
    found = assess.typicality_scores(a, b)
    inverse = np.linalg.inv(np.cov(a.T))
    d = b - a.mean(0)
    np.testing.assert_allclose(found, np.sqrt(np.einsum("ni,ij,nj->n", d, inverse, d)))
    m, shift = rng.normal(size=(2, 2)), [5, 6]
    np.testing.assert_allclose(assess.typicality_scores(a @ m + shift, b @ m + shift), found)


# -- diversity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0, 0.5, 1, 2, 10, np.inf])
def test_vendi_of_kinds(q):
    one, three = np.tile([[2.0, 1.0, 0.0]], (12, 1)), np.repeat(np.eye(3), 4, 0)
    assert assess.vendi_score(one, q=q) == pytest.approx(1)
    assert assess.vendi_score(three, q=q) == pytest.approx(3)
    assert assess.vendi_score(np.eye(12) * 5, q=q) == pytest.approx(12)


@pytest.mark.parametrize("kernel", ["cosine", "gaussian"])
def test_vendi_is_its_definition(kernel):
    x = RNG(0).normal(size=(20, 5))
    if kernel == "cosine":
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        k = unit @ unit.T
    else:
        k = np.exp(-((x[:, None] - x) ** 2).sum(2) / (2 * 1.5**2))
    p = np.linalg.eigvalsh(k / 20)
    p = p[p > 1e-13]
    scores = {}
    for q in (0.1, 0.999999, 1, 2, 7):
        scores[q] = assess.vendi_score(x, q=q, kernel=kernel, width=1.5)
        expected = np.exp(-(p * np.log(p)).sum()) if q == 1 else (p**q).sum() ** (1 / (1 - q))
        assert scores[q] == pytest.approx(expected, rel=1e-9)
        assert assess.vendi_score(None, q=q, kernel=k) == pytest.approx(scores[q], rel=1e-6)
    assert scores[0.999999] == pytest.approx(scores[1], rel=1e-4)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)  # falls with q
    assert assess.vendi_score(x, q=1e4, kernel=kernel, width=1.5) == pytest.approx(
        assess.vendi_score(x, q=np.inf, kernel=kernel, width=1.5), rel=1e-3
    )


def test_vendi_by_bin_sees_where_diversity_is():
    rng = RNG(0)
    values = np.arange(80.0)
    x = np.where(values[:, None] < 40, [[1.0] + [0] * 9], rng.normal(size=(80, 10)))
    scores, centres = assess.vendi_by_bin(values, x, 4)
    np.testing.assert_allclose(scores[:2], 1)
    assert (scores[2:] > 5).all()
    np.testing.assert_allclose(centres, [9.5, 29.5, 49.5, 69.5])


# -- sampling ----------------------------------------------------------------------------------------------------------


def test_weights_in_log_space():
    psi = np.array([0.0, 2000.0, 1999.0])
    for rho in (1.0, -1.0, 0.0, 3.5):
        logs = assess.polarity_log_weights(psi, rho)
        assert np.exp(logs).sum() == pytest.approx(1)
        np.testing.assert_allclose(np.diff(logs), rho * np.diff(psi))


@pytest.mark.parametrize("rho", [1.0, -0.7])
def test_draws_follow_the_weights(rho):
    psi = RNG(0).normal(300, 1, 8)
    draw = assess.polarity_sample(psi, 20_000, rho=rho, rng=1)
    expected = np.exp(assess.polarity_log_weights(psi, rho))
    assert chisquare(np.bincount(draw.indices, minlength=8), expected * 20_000).pvalue > 1e-3
    assert draw.effective_size == pytest.approx(1 / (expected**2).sum())


def test_magnet_is_uniform_on_the_output():
    # G(z) = z² on [0, 1]: log G' = log 2z, and with rho = 1 the outputs of a uniform pool become uniform
    z = RNG(0).uniform(0, 1, 40_000)
    draw = assess.polarity_sample(np.log(2 * z), 20_000, rng=1)
    counts, _ = np.histogram(z[draw.indices] ** 2, 10, (0, 1))
    assert chisquare(counts).pvalue > 1e-4
    counts, _ = np.histogram(z**2, 10, (0, 1))
    assert chisquare(counts).pvalue < 1e-100


def test_draws_without_replacement():
    psi = np.array([0.0, 1.0, 2.0, -50.0])
    first = np.zeros(4)
    for seed in range(2000):
        draw = assess.polarity_sample(psi, 3, rng=seed, replace=False)
        assert len(set(draw.indices.tolist())) == 3
        first[draw.indices[0]] += 1
    expected = np.exp(assess.polarity_log_weights(psi)) * 2000
    assert chisquare(first[:3], expected[:3] * first[:3].sum() / expected[:3].sum()).pvalue > 1e-3
    assert sorted(assess.polarity_sample(psi, 4, replace=False).indices) == [0, 1, 2, 3]


# -- bad input ---------------------------------------------------------------------------------------------------------


BAD = {
    "one seed": lambda: assess.confidence_band([[1.0, 2.0]]),
    "flat": lambda: assess.confidence_band([1.0, 2.0]),
    "level": lambda: assess.confidence_band([[1.0], [2.0]], level=1.5),
    "nan": lambda: assess.confidence_band([[1.0], [np.nan]]),
    "two latents": lambda: assess.plane_grid(np.zeros((2, 3))),
    "a line": lambda: assess.plane_grid([[0, 0, 0], [1, 1, 1], [2, 2, 2]]),
    "size": lambda: assess.plane_grid(np.eye(3), 1),
    "margin": lambda: assess.plane_grid(np.eye(3), margin=-1),
    "too many": lambda: assess.extremes([1.0], 2),
    "no bins": lambda: assess.quantile_bins([1.0], 0),
    "one sample": lambda: assess.separation([1.0], [1.0, 2.0]),
    "features": lambda: assess.typicality_scores(np.eye(3), np.eye(2)),
    "dependent": lambda: assess.typicality_scores(np.ones((5, 2)), np.ones((1, 2))),
    "order": lambda: assess.vendi_score(np.eye(2), q=-1),
    "kernel name": lambda: assess.vendi_score(np.eye(2), kernel="linear"),
    "kernel diagonal": lambda: assess.vendi_score(None, kernel=np.eye(2) * 2),
    "kernel sign": lambda: assess.vendi_score(None, kernel=np.array([[1.0, 2.0], [2.0, 1.0]])),
    "zero sample": lambda: assess.vendi_score(np.zeros((2, 2))),
    "width": lambda: assess.vendi_score(np.eye(2), kernel="gaussian", width=0),
    "lengths": lambda: assess.vendi_by_bin([1.0, 2.0], np.eye(3)),
    "rho": lambda: assess.polarity_log_weights([1.0], np.inf),
    "seed": lambda: assess.polarity_sample([1.0, 2.0], 1, rng=None),
    "draws": lambda: assess.polarity_sample([1.0, 2.0], 3, replace=False),
}


@pytest.mark.parametrize("call", BAD)
def test_bad_arguments(call):
    with pytest.raises(sg.SplineGeoError):
        BAD[call]()
