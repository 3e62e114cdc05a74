"""ψ of the whole Jacobian without computing it: stochastic Lanczos quadrature, with a confidence interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import t as student

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo._validate import random_generator
from splinegeo.jacobian.operator import JacobianOperator, operators


@dataclass(frozen=True, eq=False, repr=False)
class PsiEstimate:
    """ψ of the full Jacobian at N latents, estimated: ``low`` <= ψ <= ``high`` with the probability ``level``."""

    psi: Array  # (N,)
    low: Array  # (N,)
    high: Array  # (N,)
    level: float
    standard_error: Array  # (N,) of the mean over probes
    bias: Array  # (N,) what the quadrature itself may be off by, estimated; part of the interval
    probes: int
    steps: Array  # (N,) of Lanczos
    products: Array  # (N,) Jacobian products with J and Jᵀ together

    def __len__(self) -> int:
        return len(self.psi)

    def __repr__(self) -> str:
        half = float(np.median(self.high - self.low) / 2)
        return f"<PsiEstimate of {len(self):,} latents: ± {half:.3g} at {100 * self.level:g} %, {self.probes} probes>"


def lanczos_psi(
    model: Callable[..., Any],
    z: Any,
    *,
    probes: int = 30,
    max_steps: int = 100,
    level: float = 0.95,
    rtol: float | None = None,
    rng: Any = 0,
    precision: Literal["float64", "float32", "tf32", "bfloat16"] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    memory_limit: int | None = None,
) -> PsiEstimate:
    """ψ = ½ tr log(JᵀJ) of the whole Jacobian at each latent, over its non-zero singular values.

    Random signs x give unbiased estimates xᵀ log(JᵀJ) x / 2 of ψ, each a Gauss quadrature (Ubaru, Chen and Saad, 2017)
    whose nodes are the singular values of a bidiagonal matrix. It comes from Golub and Kahan's form of the Lanczos
    steps, which does not square J, with full reorthogonalisation, started on the smaller side of J. Steps are taken
    until what more of them would change, extrapolated from the last changes, is less than a tenth of the standard error
    of the mean, or there are no more. The interval is Student's, widened by that extrapolation: it covers the truth at
    its stated rate as far as the estimates of probes are nearly normal. The part of the quadrature is an estimate, not
    a bound; singular values close to zero make it slow, look at ``bias``.

    Args:
        model: as in `descriptors`.
        z: latents ``(N, *shape)``.
        probes: random vectors, at least 2; the interval narrows with their root.
        max_steps: Lanczos steps at most; each takes one product with J and one with Jᵀ a probe.
        level: of the confidence interval.
        rtol: σ <= rtol · σ₁ counts as zero, as in `descriptors`.
        rng: seed or generator of the probes.
        precision: as in `descriptors`.
        chunk_size: as in `descriptors`.
        memory_limit: as in `descriptors`.

    Raises:
        InvalidArgument: an option out of range; otherwise as `descriptors`.

    >>> net = torch.nn.Linear(30, 40, bias=False, dtype=torch.float64)
    >>> found = lanczos_psi(net, torch.zeros(1, 30, dtype=torch.float64))
    >>> exact = float(torch.linalg.svdvals(net.weight.detach()).log().sum())
    >>> bool(found.low[0] - 1 < exact < found.high[0] + 1)
    True
    """
    call = "lanczos_psi"
    for name, value, least in (("probes", probes, 2), ("max_steps", max_steps, 1)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InvalidArgument(f"{call}({name}={value!r}): a whole number >= {least} is expected")
    if not 0 < level < 1:
        raise InvalidArgument(f"{call}(level={level!r}): a number between 0 and 1 is expected")
    if rtol is not None and not 0 <= rtol < 1:
        raise InvalidArgument(f"{call}(rtol={rtol!r}): a number in [0, 1) is expected")
    random = random_generator(rng)
    options = {"precision": precision, "chunk_size": chunk_size, "memory_limit": memory_limit}
    rows = []
    for jacobian in operators(call, model, z, options):
        size = min(jacobian.shape)
        signs = random.choice([-1.0, 1.0], (size, probes))
        threshold = jacobian.rank_rtol if rtol is None else rtol
        rows.append(_estimate(jacobian, signs, min(max_steps, size), threshold))
    psi, error, bias, steps, products = (np.array(column) for column in zip(*rows, strict=True))
    half = student.ppf(0.5 + level / 2, probes - 1) * error + bias
    return PsiEstimate(psi, psi - half, psi + half, level, error, bias, probes, steps, products)


def _estimate(
    jacobian: JacobianOperator, signs: Array, max_steps: int, rtol: float
) -> tuple[float, float, float, int, int]:
    """Mean, its standard error, what the quadrature may be off by, steps and products."""
    size, probes = signs.shape
    wide = jacobian.shape[0] < jacobian.shape[1]
    apply, adjoint = (jacobian.adjoint, jacobian.apply) if wide else (jacobian.apply, jacobian.adjoint)
    v = torch.from_numpy(signs).to(jacobian.device) / math.sqrt(size)
    right: list[torch.Tensor] = [v]
    left: list[torch.Tensor] = []
    alpha, beta = np.zeros((probes, max_steps)), np.zeros((probes, max_steps))
    means: list[float] = []
    changes: list[float] = []
    for step in range(1, max_steps + 1):
        u, alpha[:, step - 1] = _next(apply(v), left, alpha)
        left.append(u)
        v, beta[:, step - 1] = _next(adjoint(u), right, alpha)
        right.append(v)
        last = step == min(max_steps, size) or not beta[:, step - 1].any()
        if step > 8 and step % (step // 8) and not last:
            continue
        values = size * _quadratures(alpha[:, :step], beta[:, : step - 1], rtol)
        error = float(values.std(ddof=1) / math.sqrt(probes))
        changes += [abs(float(values.mean()) - means[-1])] if means else []
        means.append(float(values.mean()))
        bias = _extrapolated(changes) if step < size and beta[:, step - 1].any() else 0.0
        if last or bias < 0.1 * error:
            break
    return means[-1], error, bias if math.isfinite(bias) else abs(means[-1]), step, jacobian.n_products


def _next(w: torch.Tensor, basis: list[torch.Tensor], alpha: Array) -> tuple[torch.Tensor, Array]:
    """The part of the columns of w (n, probes) that is new, of unit length, and its lengths (probes,).

    A length that is rounding beside the largest so far is zero, and so is the vector: that probe has come to its end.
    """
    size = float(torch.linalg.vector_norm(w, dim=0).max())
    if basis:
        all_of_them = torch.stack(basis)  # (steps, n, probes)
        for _ in range(2):  # twice is enough
            w = w - torch.einsum("snp,sp->np", all_of_them, torch.einsum("snp,np->sp", all_of_them, w))
    norm = torch.linalg.vector_norm(w, dim=0)
    norm = torch.where(norm > 1e-14 * max(size, float(alpha.max())), norm, 0.0)
    return torch.where(norm > 0, w / torch.where(norm > 0, norm, 1.0), 0.0), norm.cpu().numpy()


def _extrapolated(changes: list[float]) -> float:
    """What is left of a sum whose terms fall geometrically, from the last two of them; at least the last one."""
    if len(changes) < 2:
        return math.inf
    ratio = min(0.95, max(0.5, changes[-1] / changes[-2])) if changes[-2] > 0 else 0.5
    return changes[-1] * ratio / (1 - ratio)


def _quadratures(alpha: Array, beta: Array, rtol: float) -> Array:
    """Gauss quadratures (probes,) of log σ, zero at and below the threshold, for probes of unit length."""
    steps = alpha.shape[1]
    bidiagonal = np.zeros((len(alpha), steps, steps))
    index = np.arange(steps)
    bidiagonal[:, index, index] = alpha
    bidiagonal[:, index[:-1], index[1:]] = beta
    _, sigma, right = np.linalg.svd(bidiagonal)
    counted = sigma > rtol * sigma[:, :1]
    return (right[:, :, 0] ** 2 * np.log(np.where(counted, sigma, 1.0))).sum(1)
