"""The Vendi score: how many different samples there are, effectively."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.assess.arrays import same_length
from splinegeo.assess.ordering import quantile_bins


def vendi_score(
    features: Any, *, q: float = 1.0, kernel: Literal["cosine", "gaussian"] | Array = "cosine", width: float = 1.0
) -> float:
    """The Vendi score of order ``q`` of samples: between 1, all alike, and N, all entirely different.

    The exponential of the Rényi entropy of order q of the eigenvalues of K / N, with K the samples' similarity matrix:
    Friedman and Dieng, "The Vendi Score" (2023), q = 1; Pasarkar and Dieng, "Cousins of the Vendi Score" (2024), all q.
    Small q is sensitive to rare samples, q = inf sees the most common kind only.

    Args:
        features: ``(N, *shape)``, flattened.
        q: order, from 0 to infinity. q = 0 counts the eigenvalues that are not zero.
        kernel: "cosine" similarity, "gaussian" exp(-‖x - y‖² / (2 width²)), or a positive semidefinite matrix (N, N)
            with ones on its diagonal; then features may be None.
        width: of the Gaussian kernel.

    Raises:
        InvalidArgument: q < 0, or something that is no such kernel.

    >>> round(vendi_score([[1, 0], [0, 1], [1, 0], [0, 1]]), 12)
    2.0
    """
    call = "vendi_score"
    if not (isinstance(q, int | float | np.floating | np.integer) and q >= 0):
        raise InvalidArgument(f"{call}(q={q!r}): an order from 0 to infinity is expected")
    eigenvalues = _eigenvalues(call, features, kernel, width)
    p = np.clip(eigenvalues, 0.0, None)
    p = p[p > len(p) * 2.0**-52 * p.max()]
    p = p / p.sum()
    if q == 1:
        return float(np.exp(-(p * np.log(p)).sum()))
    if math.isinf(q):
        return float(1 / p.max())
    log_p = np.log(p)
    top = (q * log_p).max()  # p^q underflows for large q
    return float(np.exp((top + np.log(np.exp(q * log_p - top).sum())) / (1 - q)))


def vendi_by_bin(values: Any, features: Any, n_bins: int = 8, *, q: float = 1.0, **options: Any) -> tuple[Array, Array]:
    """Vendi scores (n_bins,) of the samples in each bin of a descriptor, and the bins' mean values (n_bins,).

    Bins hold equal numbers of samples (up to one), since the score grows with their number.

    Args:
        values: the descriptor (N,).
        features: ``(N, *shape)``.
        n_bins: number of bins.
        q: order of the score.
        options: as for `vendi_score`, but for a kernel matrix.
    """
    call = "vendi_by_bin"
    v, x = float_array(values, f"{call}: values", ndim=1), float_array(features, f"{call}: features")
    if x.ndim < 2:
        raise ShapeMismatch(f"{call}: features must have shape (N, *shape); they have {x.shape}")
    same_length(call, values=v, features=x)
    bins = quantile_bins(v, n_bins)
    scores = np.array([vendi_score(x[bins == k], q=q, **options) for k in range(n_bins)])
    return scores, np.array([v[bins == k].mean() for k in range(n_bins)])


def _eigenvalues(call: str, features: Any, kernel: Any, width: float) -> Array:
    """Eigenvalues of K / N."""
    if not isinstance(kernel, str):
        k = float_array(kernel, f"{call}: kernel", ndim=2)
        if k.shape[0] != k.shape[1] or not np.allclose(k, k.T) or not np.allclose(np.diag(k), 1):
            raise InvalidArgument(f"{call}: a kernel is a symmetric matrix with ones on its diagonal; got {k.shape}")
        found = np.linalg.eigvalsh(k / len(k))
        if found.min() < -1e-8:
            raise InvalidArgument(f"{call}: the kernel has a negative eigenvalue, {found.min() * len(k):.3g}")
        return np.asarray(found)
    x = float_array(features, f"{call}: features")
    if x.ndim < 2 or len(x) < 1:
        raise ShapeMismatch(f"{call}: features must have shape (N, *shape); they have {x.shape}")
    x = x.reshape(len(x), -1)
    if kernel == "cosine":
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        if not (norms > 0).all():
            raise InvalidArgument(f"{call}: sample {int(np.argmin(norms))} is zero and has no direction; centre less")
        # the singular values of the normalised features are the roots of the eigenvalues
        return np.asarray(np.linalg.svd(x / norms / np.sqrt(len(x)), compute_uv=False) ** 2)
    if kernel == "gaussian":
        if not width > 0:
            raise InvalidArgument(f"{call}(width={width!r}): a number > 0 is expected")
        squares = (x**2).sum(1)
        distances = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
        np.fill_diagonal(distances, 0)
        return np.asarray(np.linalg.eigvalsh(np.exp(-distances / (2 * width**2)) / len(x)))
    raise InvalidArgument(f"{call}(kernel={kernel!r}): 'cosine', 'gaussian' or a matrix is expected")
