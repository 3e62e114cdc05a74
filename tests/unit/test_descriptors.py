"""Singular values, ψ, ν, rank and the statistics over regions, against mpmath, NumPy and hand-made spectra."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo.descriptors import (
    Summary,
    column_pair_singular_values,
    image_areas,
    nu,
    output_densities,
    psi,
    rank,
    rank_threshold,
    singular_values,
    summarize,
    weighted_histogram,
    weighted_mean,
    weighted_quantiles,
    weighted_variance,
)

EPS = np.finfo(float).eps


def exact_pair(a):
    """Singular values of a (D, 2) matrix of floats in 700 digits."""
    with mpmath.workdps(700):
        xx, xy, yy = mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0)
        for x, y in a.tolist():
            x, y = mpmath.mpf(x), mpmath.mpf(y)
            xx, xy, yy = xx + x * x, xy + x * y, yy + y * y
        s1 = mpmath.sqrt((xx + yy + mpmath.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2)
        return s1, mpmath.sqrt(xx * yy - xy * xy) / s1


def assert_relative(got, wanted, tolerance):
    for g, w in zip(got, wanted, strict=True):
        with mpmath.workdps(50):
            assert abs(mpmath.mpf(float(g)) - w) <= tolerance * w + 5e-324, (g, w)  # or one subnormal step


@pytest.mark.parametrize("rows", [2, 3, 10, 100])
@pytest.mark.parametrize("sine", [1.0, 0.3, 0.2, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("scale", [(1, 1), (1, 1e-12), (1e-200, 1), (1e-200, 1e200), (1e305, 1e303), (1e-300, 1e-295)])
def test_pairs_are_accurate_at_every_angle_and_scale(rows, sine, scale):
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(2, rows))
    a = np.stack([x, 1.37 * x + sine * y], 1) * np.array(scale)
    assert_relative(singular_values(a), exact_pair(a), 1e-14)
    assert_relative(singular_values(a[:, ::-1]), exact_pair(a), 1e-14)


def test_kernel_works_on_strided_columns_inside_numba():
    @njit
    def use(a):
        return column_pair_singular_values(a[:, 0], a[:, 1])

    a = np.array([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]])
    assert use(a) == (4.0, 3.0)


@pytest.mark.parametrize(
    ("a", "wanted"),
    [
        ([[0, 0], [0, 0], [0, 0]], [0, 0]),
        ([[1, 2], [2, 4], [-3, -6]], [np.sqrt(70), 0]),
        ([[0, 3], [0, 4]], [5, 0]),
        ([[3, 4]], [5, 0]),
        ([[5e-324, 0], [0, 0]], [5e-324, 0]),
        ([[5e-324, 0], [0, 1e308]], [1e308, 5e-324]),
        ([[1e-160, 0], [0, 1e-160]], [1e-160, 1e-160]),
        ([[np.nan, 0], [0, 1]], [np.nan, np.nan]),
        ([[np.inf, 0], [0, 1]], [np.nan, np.nan]),
        ([[2.0], [-1.0], [2.0]], [3.0]),
        ([[1e300], [1e300]], [np.sqrt(2) * 1e300]),
        ([[2, 0, 0], [0, 0, 3]], [3, 2, 0]),
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [0, 0, 0]),
        ([[np.nan, 0, 0], [0, 1, 0], [0, 0, 1]], [np.nan] * 3),
    ],
)
def test_special_matrices(a, wanted):
    np.testing.assert_allclose(singular_values(np.array(a)), wanted, rtol=1e-15, atol=0)


@pytest.mark.parametrize("d", [3, 5, 8])
@pytest.mark.parametrize("rows", [2, 8, 30])
def test_more_columns_agree_with_numpy(d, rows):
    a = np.random.default_rng(d).normal(size=(20, 5, rows, d))
    got, wanted = singular_values(a), np.linalg.svd(a, compute_uv=False)
    np.testing.assert_allclose(got[..., : min(rows, d)], wanted, rtol=1e-11, atol=1e-14)
    assert not got[..., min(rows, d) :].any()


def test_more_columns_keep_small_values_of_scaled_columns():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 4)))[0]
    scales = np.array([1.0, 1e-30, 1e-60, 1e-90])
    np.testing.assert_allclose(singular_values(q * scales), scales, rtol=1e-14)
    np.testing.assert_allclose(singular_values(q * scales * 1e-200), scales * 1e-200, rtol=1e-14)


def test_a_wrong_singular_value_is_noticed():
    a = np.array([[1.0, 1.0], [0.0, 1e-9], [0.0, 0.0]])
    gram = np.sqrt(np.maximum(np.linalg.eigvalsh(a.T @ a)[::-1], 0))  # the route that halves the digits
    with pytest.raises(AssertionError):
        assert_relative(gram, exact_pair(a), 1e-14)


@pytest.mark.parametrize(("shape", "wanted"), [((0, 3, 2), (0, 2)), ((4, 0, 2), (4, 2)), ((2, 5, 3, 2), (2, 5, 2))])
def test_shapes(shape, wanted):
    assert singular_values(np.zeros(shape)).shape == wanted


@pytest.mark.parametrize(
    ("a", "error", "message"),
    [(np.zeros(3), ShapeMismatch, r"\(\.\.\., D, d\)"), (np.zeros((2, 2), complex), WrongType, "complex128")],
)
def test_singular_values_of_nonsense(a, error, message):
    with pytest.raises(error, match=message):
        singular_values(a)


def test_psi_nu_rank_of_known_spectra():
    sigma = np.array([[2.0, 8.0], [4.0, 1e-17], [0.0, 0.0], [1e-300, 1e-300], [np.nan, 1.0]])
    np.testing.assert_array_equal(rank(sigma[:4], shape=(3, 2)), [2, 1, 0, 2])
    np.testing.assert_allclose(
        psi(sigma, shape=(3, 2)), [np.log(16), np.log(4), 0, -600 * np.log(10), np.nan], rtol=1e-15
    )
    entropy = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    np.testing.assert_allclose(nu(sigma), [np.exp(entropy), 1, 0, 2, np.nan], rtol=1e-14)
    p = 4 / 68
    np.testing.assert_allclose(nu(sigma[0], "sigma2"), np.exp(-(p * np.log(p) + (1 - p) * np.log(1 - p))), rtol=1e-14)
    assert nu(np.ones(7)) == pytest.approx(7, rel=1e-14)


def test_rank_rule_is_numpys_and_can_be_replaced():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a = rng.normal(size=(6, 2)) @ np.diag([1.0, 10.0 ** rng.uniform(-18, -12)]) @ rng.normal(size=(2, 2))
        assert rank(np.linalg.svd(a, compute_uv=False), shape=(6, 2)) == np.linalg.matrix_rank(a)
    sigma = np.array([1.0, 1e-3])
    assert rank_threshold(sigma, shape=(784, 2)) == 784 * EPS
    assert rank(sigma, rtol=1e-2) == 1
    assert rank(sigma, rtol=0) == 2
    assert psi(sigma, rtol=1e-2) == 0
    assert psi(sigma, rtol=0) == np.log(1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: psi([1.0, 2.0]), InvalidArgument, r"shape=\(D, E\)"),
        (lambda: psi([1.0, -2.0], rtol=0), InvalidArgument, "-2"),
        (lambda: psi(1.0, rtol=0), ShapeMismatch, "scalar"),
        (lambda: psi([1.0], rtol=-1), InvalidArgument, "rtol"),
        (lambda: psi([1.0], shape=(3, 0)), InvalidArgument, "shape"),
        (lambda: psi(["a"], rtol=0), WrongType, "dtype"),
        (lambda: nu([1.0], "cubes"), InvalidArgument, "'sigma' or 'sigma2'; got 'cubes'"),
        (lambda: weighted_mean([1.0], [1.0, 2.0]), ShapeMismatch, r"\(1,\) and \(2,\)"),
        (lambda: weighted_mean([1.0], [-1.0]), InvalidArgument, "volumes"),
        (lambda: weighted_mean([1.0, np.nan], [1.0, 1.0]), InvalidArgument, r"1 of 2 .* omit_nonfinite=True"),
        (lambda: weighted_mean([1.0], [0.0]), InvalidArgument, "no volume"),
        (lambda: weighted_mean([1j], [1.0]), WrongType, "complex"),
        (lambda: weighted_quantiles([1.0], [1.0], 1.5), InvalidArgument, "1.5"),
        (lambda: summarize([1.0], [1.0], quantiles=[2]), InvalidArgument, "quantiles"),
        (lambda: image_areas([1.0], [1.0, 1.0], [2]), ShapeMismatch, "per-region"),
        (lambda: output_densities([1.0], [2], 0.0), InvalidArgument, "volume must be positive"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_statistics_are_those_of_a_sample_with_repeats():
    rng = np.random.default_rng(1)
    values, counts = rng.normal(size=40), rng.integers(0, 9, 40)
    sample = np.repeat(values, counts)
    assert weighted_mean(values, counts) == pytest.approx(sample.mean(), rel=1e-12)
    assert weighted_variance(values, counts) == pytest.approx(sample.var(), rel=1e-12)
    q = np.linspace(0, 1, 23)
    np.testing.assert_array_equal(weighted_quantiles(values, counts, q), np.quantile(sample, q, method="inverted_cdf"))
    np.testing.assert_array_equal(weighted_quantiles([3, 1, 2], [2, 1, 1], [0, 0.25, 0.5, 0.75]), [1, 1, 2, 3])
    heights, edges = weighted_histogram(values, counts, 7)
    np.testing.assert_array_equal(heights, np.histogram(sample, edges)[0])
    assert heights.sum() == counts.sum()


def test_a_constant_has_no_variance_and_zero_volume_weighs_nothing():
    assert weighted_variance(np.full(10, 0.1), np.linspace(0.1, 1, 10)) == 0
    assert weighted_mean([5.0, 1e6], [1e-5, 0.0]) == 5
    assert weighted_quantiles([5.0, 1e6], [1.0, 0.0], 1.0) == 5


def test_summary():
    summary = summarize([1.0, 3.0, np.inf], [1.0, 3.0, 2.0], quantiles=[0.5], omit_nonfinite=True)
    assert summary == Summary(2, 1, 4.0, 2.5, np.sqrt(0.75), 1.0, 3.0, ((0.5, 3.0),))
    assert repr(summary) == ("<Summary of 2 regions (1 omitted): mean 2.5, std 0.866025, min 1, max 3; 50 %: 3>")


def test_image_areas_and_densities_carry_the_whole_probability():
    rng = np.random.default_rng(2)
    volumes, sigma = rng.uniform(0.1, 1, 9), rng.uniform(0.1, 5, (9, 2))
    p, r = psi(sigma, shape=(3, 2)), rank(sigma, shape=(3, 2))
    areas = image_areas(p, volumes, r)
    np.testing.assert_allclose(areas, volumes * sigma.prod(1), rtol=1e-14)
    density = output_densities(p, r, volumes.sum())
    assert (density * areas).sum() == pytest.approx(1, rel=1e-13)
    np.testing.assert_allclose(np.log(density), output_densities(p, r, volumes.sum(), log=True), rtol=1e-13)


def test_collapsed_and_extreme_regions():
    np.testing.assert_array_equal(image_areas([3.0, 0.0], [1.0, 1.0], [1, 0]), [0, 0])
    np.testing.assert_array_equal(output_densities([3.0, 0.0], [1, 0], 2.0), [np.inf, np.inf])
    np.testing.assert_allclose(image_areas([1200.0], [1e-300], [2]), np.exp(1200 - 300 * np.log(10)), rtol=1e-12)
    assert output_densities([-1200.0], [2], 1.0) == np.inf
    assert output_densities([-1200.0], [2], 1.0, log=True) == 1200
