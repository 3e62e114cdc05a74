"""ψ, ν and rank of an affine map from its singular values.

Definitions: ψ (local scaling) and ν (local rank) of Humayun, Balestriero et al., "What Secrets Do Your Manifolds Hold?
Understanding the Local Geometry of Generative Models" (2024). ψ is the log-volume of the image of a unit cube of the
latent space, taken in its own dimension; ν is the exponential of the entropy of the normalised singular values.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array

_EPS_NU = 1e-30  # the paper's; it guards log 0 and is far below the rounding of any p that counts


def _as_singular_values(call: str, sigma: Array) -> Array:
    sigma = np.asarray(sigma)
    if sigma.dtype.kind not in "fiub":
        raise WrongType(f"{call}: singular_values must be real numbers; their dtype is {sigma.dtype}")
    sigma = sigma.astype(np.float64, copy=False)
    if sigma.ndim == 0:
        raise ShapeMismatch(f"{call}: singular_values must have shape (..., k); a scalar has none (wrap it in a list)")
    if (sigma < 0).any():
        raise InvalidArgument(f"{call}: singular values cannot be negative; the smallest one is {sigma.min():.6g}")
    return sigma


def _over_values(combine: np.ufunc, x: Array) -> Array:
    """``combine.reduce(x, -1)``, column by column: NumPy takes far longer along an axis of length two."""
    if not 1 <= x.shape[-1] <= 8:
        return np.asarray(combine.reduce(x, -1, initial=0))
    out = x[..., 0]
    for k in range(1, x.shape[-1]):
        out = combine(out, x[..., k])
    return np.asarray(out)


def rank_threshold(singular_values: Array, *, shape: tuple[int, int] | None = None, rtol: float | None = None) -> Array:
    """The value (...) above which a singular value of ``singular_values`` (..., k) counts as non-zero.

    ``rtol`` times the largest one. By default rtol = max(D, E) * 2^-52 with ``shape`` = (D, E), the shape of the matrix
    (NumPy's and MATLAB's rank rule); rtol=0 counts every positive value.

    Raises:
        InvalidArgument: neither ``shape`` nor ``rtol`` is given, or one is out of range.
    """
    sigma = _as_singular_values("rank_threshold", singular_values)
    if rtol is None:
        if shape is None:
            raise InvalidArgument(
                "psi, rank: which singular values are zero depends on the matrix; "
                "pass shape=(D, E), its shape, or rtol=, the relative threshold"
            )
        if len(shape) != 2 or min(shape) < 1:
            raise InvalidArgument(f"psi, rank: shape must be (D, E), both at least 1; got {shape!r}")
        rtol = max(shape) * np.finfo(np.float64).eps
    if not 0 <= rtol < 1:
        raise InvalidArgument(f"psi, rank: rtol must be in [0, 1); got {rtol!r}")
    return _over_values(np.maximum, sigma) * rtol


def rank(singular_values: Array, *, shape: tuple[int, int] | None = None, rtol: float | None = None) -> Array:
    """Number (...) of non-zero ones among ``singular_values`` (..., k), int64; see `rank_threshold`.

    This is the number of terms in `psi`. A row with nan counts none.
    """
    sigma = _as_singular_values("rank", singular_values)
    threshold = rank_threshold(sigma, shape=shape, rtol=rtol)
    return np.asarray(_over_values(np.add, (sigma > threshold[..., None]).astype(np.int64)))


def psi(singular_values: Array, *, shape: tuple[int, int] | None = None, rtol: float | None = None) -> Array:
    """ψ (...), the sum of log σ over the non-zero σ of ``singular_values`` (..., k); natural logarithm.

    Non-zero means above `rank_threshold`. ψ of the zero matrix is 0, with rank 0. ψ of the full Jacobian and ψ on a
    slice are different quantities: the singular values passed in say which one this is.

    Raises:
        InvalidArgument: a negative singular value; neither ``shape`` nor ``rtol``.

    >>> float(psi([2.0, 0.5, 1e-40], shape=(3, 3)))
    0.0
    """
    sigma = _as_singular_values("psi", singular_values)
    threshold = rank_threshold(sigma, shape=shape, rtol=rtol)
    # nan stays in, so that it reaches the result
    counted = ~(sigma <= threshold[..., None])
    return _over_values(np.add, np.log(np.where(counted, sigma, 1.0)))


def nu(singular_values: Array, weights: Literal["sigma", "sigma2"] = "sigma") -> Array:
    """ν (...) = exp(-Σ p log p), the effective number of directions, of ``singular_values`` (..., k).

    p = σ / Σσ + 1e-30 (``weights="sigma"``, the paper's definition) or σ² / Σσ² + 1e-30 (``"sigma2"``). Lies between 1
    and the rank; 0 for the zero matrix. Scale-free.

    Raises:
        InvalidArgument: a negative singular value; an unknown kind of weights.

    >>> float(nu([3.0, 3.0, 0.0]).round(12))
    2.0
    """
    if weights not in ("sigma", "sigma2"):
        raise InvalidArgument(f"nu: weights must be 'sigma' or 'sigma2'; got {weights!r}")
    sigma = _as_singular_values("nu", singular_values)
    largest = _over_values(np.maximum, sigma)[..., None]
    zero = largest == 0
    # by the largest first: sums and squares of the ratios neither overflow nor vanish
    p = sigma / np.where(zero, 1.0, largest)
    if weights == "sigma2":
        p = p * p
    p = p / np.where(zero, 1.0, _over_values(np.add, p)[..., None]) + _EPS_NU
    return np.where(zero[..., 0], 0.0, np.exp(-_over_values(np.add, p * np.log(p))))
