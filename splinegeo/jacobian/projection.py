"""Random orthonormal projections of the output."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import random_generator, real_array


def orthonormal_rows(n_rows: int, n_columns: int, rng: Any = 0) -> Array:
    """A matrix W (n_rows, n_columns) with orthonormal rows, uniformly distributed among all of them, float64.

    The rows are the columns of Q in the QR decomposition of a Gaussian matrix with the diagonal of R positive, which
    makes it unique: the same ``rng`` gives the same W on every machine, up to rounding. Computed in place by Cholesky
    decompositions of the Gram matrix, twice and once more as long as rounding shows: a Gaussian matrix is well
    conditioned, and nothing of its size is copied more than once.

    Args:
        n_rows: number of rows, at most ``n_columns``.
        n_columns: number of columns, the outputs of a model.
        rng: a seed or a ``numpy.random.Generator``.

    >>> w = orthonormal_rows(2, 5)
    >>> bool(np.allclose(w @ w.T, np.eye(2), atol=1e-14))
    True
    """
    if not 1 <= n_rows <= n_columns:
        raise InvalidArgument(f"orthonormal_rows: 1 <= n_rows <= n_columns is needed; got {n_rows} and {n_columns}")
    w = random_generator(rng).standard_normal((n_columns, n_rows)).T  # the Gaussian matrix of the QR, transposed
    identity = np.eye(n_rows)
    for _ in range(6):
        gram = w @ w.T
        if np.abs(gram - identity).max() < 1e-14:
            break
        w = solve_triangular(np.linalg.cholesky(gram), w, lower=True, overwrite_b=True)
    return np.ascontiguousarray(w)


def checked_projection(call: str, projection: Any, n_outputs: int, rng: Any) -> Array | None:
    """The matrix (P, D) to apply to outputs: random for a number of rows, as given for a matrix, None for none.

    With as many rows as outputs or more there is nothing to project: an orthogonal matrix keeps singular values.
    """
    random_generator(rng)
    if projection is None:
        return None
    if isinstance(projection, int | np.integer) and not isinstance(projection, bool):
        if projection < 1:
            raise InvalidArgument(f"{call}(projection={projection}): a number of rows >= 1, a matrix or None")
        return None if projection >= n_outputs else orthonormal_rows(int(projection), n_outputs, rng)
    w = real_array(projection, f"{call}: projection")
    if w.ndim != 2 or w.shape[1] != n_outputs or len(w) < 1:
        raise ShapeMismatch(f"{call}: projection must have shape (P, {n_outputs}) for this model; it has {w.shape}")
    if not np.isfinite(w).all():
        raise InvalidArgument(f"{call}: projection must be finite")
    return w
