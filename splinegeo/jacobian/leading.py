"""Leading singular values without the Jacobian: randomised subspace iteration, with bounds from residuals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo._validate import random_generator
from splinegeo.jacobian.operator import JacobianOperator, operators


@dataclass(frozen=True, eq=False, repr=False)
class LeadingSingularValues:
    """The k largest singular values at N latents, each from below and with a bound on its error."""

    values: Array  # (N, k) float64, descending; never above the true ones, up to rounding
    errors: Array  # (N, k): an interval [value, value + error] each holds a singular value of its own
    products: Array  # (N,) Jacobian products with J and Jᵀ together
    converged: Array  # (N,) bool: all errors at most rtol times the largest value

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        n, k = self.values.shape
        worst = float((self.errors / np.maximum(self.values[:, :1], 1e-300)).max())
        return f"<LeadingSingularValues: {k} of {n:,} latents, errors up to {worst:.2g} of the largest>"


def leading_singular_values(
    model: Callable[..., Any],
    z: Any,
    k: int = 10,
    *,
    rtol: float = 1e-3,
    oversample: int = 10,
    max_iterations: int = 100,
    rng: Any = 0,
    precision: Literal["float64", "float32", "tf32", "bfloat16"] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    memory_limit: int | None = None,
) -> LeadingSingularValues:
    """The ``k`` largest singular values of the whole Jacobian at each latent, with no projection of the output.

    Randomised subspace iteration (Halko, Martinsson and Tropp, 2011) on ``k + oversample`` vectors: with V orthonormal
    and J V = U S Wᵀ, the values s are lower bounds (Cauchy). With the residuals R = Jᵀ U - V W S the pairs (u, v) are
    approximate eigenvectors of [[0, J], [Jᵀ, 0]], so that as many singular values of J, one for each s, lie within
    ‖R‖₂ / √2 of them (Kahan's bound; Parlett, *The Symmetric Eigenvalue Problem*, 1998, section 11.5).
    That the values found are the *leading* ones holds with probability one, not with certainty: a random start has a
    part along every direction.

    Args:
        model: as in `descriptors`.
        z: latents ``(N, *shape)``.
        k: number of singular values, at most min(D, E).
        rtol: iterate until the errors are at most this part of the largest value.
        oversample: further vectors, which make it converge faster.
        max_iterations: products with JᵀJ at most; a result that has not converged says so.
        rng: seed or generator of the start.
        precision: as in `descriptors`; errors do not go below the rounding of float32 unless it is "float64".
        chunk_size: as in `descriptors`.
        memory_limit: as in `descriptors`.

    Raises:
        InvalidArgument: a k that is too large; otherwise as `descriptors`.

    >>> net = torch.nn.Linear(30, 40, bias=False, dtype=torch.float64)
    >>> found = leading_singular_values(net, torch.zeros(1, 30, dtype=torch.float64), k=2, rtol=1e-9)
    >>> bool(np.allclose(found.values[0], torch.linalg.svdvals(net.weight.detach())[:2]))
    True
    """
    call = "leading_singular_values"
    if not 0 < rtol < 1:
        raise InvalidArgument(f"{call}(rtol={rtol!r}): a number between 0 and 1 is expected")
    for name, value, least in (("k", k, 1), ("oversample", oversample, 0), ("max_iterations", max_iterations, 1)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InvalidArgument(f"{call}({name}={value!r}): a whole number >= {least} is expected")
    random = random_generator(rng)
    options = {"precision": precision, "chunk_size": chunk_size, "memory_limit": memory_limit}
    found = []
    for jacobian in operators(call, model, z, options):
        size = min(jacobian.shape)
        if k > size:
            raise InvalidArgument(f"{call}(k={k}): the Jacobian is {jacobian.shape} and has {size} singular values")
        start = random.standard_normal((jacobian.shape[1], min(k + oversample, size)))
        found.append(_iterate(jacobian, start, k, rtol, max_iterations))
    values, errors, products, converged = (np.array(column) for column in zip(*found, strict=True))
    return LeadingSingularValues(values, errors, products, converged)


def _iterate(
    jacobian: JacobianOperator, start: Array, k: int, rtol: float, max_iterations: int
) -> tuple[Array, Array, int, bool]:
    v = torch.linalg.qr(torch.from_numpy(start))[0].to(jacobian.device)
    for _ in range(max_iterations):
        # J V = U S Wᵀ; Q R first, so that the small factor is all that is decomposed
        q, r = torch.linalg.qr(jacobian.apply(v))
        u, s, wt = torch.linalg.svd(r)
        right = v @ wt.T
        pulled = jacobian.adjoint(q @ u)
        residual = pulled - right * s
        # exact arithmetic has residuals orthogonal to V; what rounding adds counts all the same
        error = float(torch.linalg.matrix_norm(residual[:, :k], 2)) / 2**0.5
        largest = float(s[0])
        if error <= rtol * largest:
            break
        v = torch.linalg.qr(pulled)[0]
    return s[:k].cpu().numpy(), np.full(k, error), jacobian.n_products, error <= rtol * largest
