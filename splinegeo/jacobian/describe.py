"""`descriptors` and `jacobians`: ψ, ν, rank and the singular values of any differentiable model at given latents."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array
from splinegeo.descriptors import nu, psi, rank, singular_values
from splinegeo.jacobian.knots import knot_distances
from splinegeo.jacobian.plan import Plan

_log = logging.getLogger("splinegeo")

_FEW_COLUMNS = 8  # up to here one-sided Jacobi, which keeps the digits of small singular values
_LONG = 5.0  # seconds from which on a run says beforehand what it takes


@dataclass(frozen=True, eq=False, repr=False)
class JacobianDescriptors:
    """First-order descriptors at N latents, from the singular values of (projected) Jacobians."""

    singular_values: Array  # (N, k) float64, descending, k = min(P or D, E)
    n_latents: int  # E
    n_outputs: int  # D
    projection: int | None  # rows P of the projection of the output; None for the full Jacobian
    mode: Literal["forward", "reverse"]
    precision: str  # "float64", "float32", "tf32", "bfloat16", or the type of a function that cannot be cast
    rtol: float  # singular values above rtol times the largest one are non-zero: those in psi and rank
    knot_distances: Array | None  # (N,) to the nearest knot of a piecewise-linear model, where asked for
    noise: float  # rounding may make up singular values of this part of the largest one
    complete: bool  # False where a budget or Ctrl-C ended the run: the first N latents are done
    stop_reason: str  # "" when complete

    @property
    def psi(self) -> Array:
        """(N,) local scaling: sum of the logarithms of the non-zero singular values."""
        return psi(self.singular_values, rtol=self.rtol)

    @property
    def nu(self) -> Array:
        """(N,) local rank: exponential of the entropy of the normalised singular values."""
        return nu(self.singular_values)

    @property
    def rank(self) -> Array:
        """(N,) number of non-zero singular values, the number of terms in psi."""
        return rank(self.singular_values, rtol=self.rtol)

    @property
    def uncertain(self) -> Array:
        """(N,) how many of the singular values in psi are so small that rounding may have made them up."""
        sigma = self.singular_values
        return np.asarray(self.rank - rank(sigma, rtol=max(self.rtol, min(self.noise, 0.999))))

    def __len__(self) -> int:
        return len(self.singular_values)

    def __repr__(self) -> str:
        what = "full Jacobian" if self.projection is None else f"{self.projection} projected rows"
        state = "" if self.complete else f", incomplete: {self.stop_reason}"
        return (
            f"<JacobianDescriptors of {len(self):,} latents in R^{self.n_latents:,}, {self.n_outputs:,} outputs, "
            f"{what}, {self.mode} mode, {self.precision}{state}>"
        )


def descriptors(
    model: Callable[..., Any],
    z: Any,
    *,
    projection: int | Array | None = 120,
    rng: Any = 0,
    mode: Literal["auto", "forward", "reverse"] = "auto",
    precision: Literal["float64", "float32", "tf32", "bfloat16"] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    memory_limit: int | None = None,
    rtol: float | None = None,
    knots: bool = False,
    seconds: float | None = None,
    progress: bool = False,
) -> JacobianDescriptors:
    """ψ, ν, rank and singular values of the Jacobian of ``model`` at each latent of ``z``.

    Definitions as in `splinegeo.descriptors`, with the Jacobian at z in the place of A_ω (Humayun, Balestriero et al.,
    "What Secrets Do Your Manifolds Hold?", 2024, where P = 120 as here). Where the model is piecewise linear they are
    those of the region around z.

    The model is left as it is: not cast, not moved, no mode, buffer, gradient or random state changed.

    Args:
        model: a module or a function ``(n, *shape)`` -> ``(n, *output)`` that maps each sample by itself, in eval mode.
        z: latents ``(N, *shape)``, floats.
        projection: W J instead of J, with W a random orthonormal matrix of so many rows (``rng`` says which), or the
            matrix (P, D) given. None, or at least D rows, for the full Jacobian.
        rng: seed or generator of the projection.
        mode: "forward" takes E products a latent, "reverse" P (or D); "auto" the fewer.
        precision: arithmetic of the derivatives; by default that of a float64 model, else TF32 on a GPU and float32
            elsewhere. "float32" is the reference, "bfloat16" is for ranking only.
        chunk_size: products at once; "auto" as many as ``memory_limit`` allows.
        memory_limit: bytes at work at once beside the model; by default 192 MiB, or 60 % of what is free on a GPU.
        rtol: singular values above rtol times the largest one count as non-zero. By default max(32, P or D, E) · 2^-52
            in float64, 32 · 2^-23 otherwise.
        knots: also tell how far each latent is from the nearest knot, for a model that is piecewise linear. What the
            Jacobian says holds that far around the latent.
        seconds: stop after this time; the result then has the latents done so far.
        progress: show a progress bar on stderr.

    Returns:
        A `JacobianDescriptors`. Ctrl-C after the first latents gives those that are done.

    Raises:
        NotDifferentiable: no derivative by the latent, or an operation that jumps.
        NotDeterministic: two answers for one latent.
        NumericalOverflow: NaN or infinity in an output or a derivative.
        OutOfMemory: one product at a time does not fit; smaller chunks have been tried.
        ShapeMismatch, WrongType, InvalidArgument, UnsupportedOperation: arguments that do not fit.
        NotPiecewiseLinear: ``knots=True`` for a smooth model.

    >>> net = torch.nn.Linear(3, 5, dtype=torch.float64)
    >>> found = descriptors(net, torch.zeros(2, 3, dtype=torch.float64), projection=None)
    >>> bool(np.allclose(found.psi, torch.linalg.svdvals(net.weight.detach()).log().sum()))
    True
    """
    call = "descriptors"
    _check_run(call, rtol, seconds, progress)
    plan = Plan(
        call, model, z, projection=projection, rng=rng, mode=mode, precision=precision, chunk_size=chunk_size,
        memory_limit=memory_limit,
    )  # fmt: skip
    cost = plan.cost()
    _log.log(logging.INFO if (cost.seconds or 0) > _LONG else logging.DEBUG, "%s: %r", call, cost)
    found: list[Array] = []
    begin, reason = time.perf_counter(), ""
    with tqdm(total=len(plan.z), unit=" latents", disable=not progress, desc="jacobian") as bar:
        try:
            for start, stop, jacobians in plan.blocks():
                found.append(spectrum(jacobians))
                bar.update(stop - start)
                if seconds is not None and time.perf_counter() - begin > seconds and stop < len(plan.z):
                    reason = f"stopped after {seconds:g} s"
                    break
        except KeyboardInterrupt:
            if not found:
                raise
            reason = "interrupted"
    projected = plan.projection is not None
    singular = np.concatenate(found)
    near = knot_distances(model, plan.z[: len(singular)]).distances if knots else None
    return JacobianDescriptors(
        singular_values=_frozen(singular),
        n_latents=plan.n_latents,
        n_outputs=plan.n_outputs,
        projection=plan.shape[0] if projected else None,
        mode=plan.mode,
        precision=plan.model.precision.name,
        rtol=plan.model.precision.rank_rtol(plan.shape) if rtol is None else rtol,
        knot_distances=near,
        noise=plan.model.precision.noise(),
        complete=not reason,
        stop_reason=reason,
    )


def jacobians(
    model: Callable[..., Any],
    z: Any,
    *,
    projection: int | Array | None = None,
    rng: Any = 0,
    mode: Literal["auto", "forward", "reverse"] = "auto",
    precision: Literal["float64", "float32", "tf32", "bfloat16"] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    memory_limit: int | None = None,
    progress: bool = False,
) -> Array:
    """Jacobians (N, D, E) of ``model`` at latents ``z`` ``(N, *shape)``, or W J (N, P, E).

    Outputs and latents are flattened. float64 for a computation in float64, float32 otherwise. Arguments and errors are
    those of `descriptors`.

    >>> jacobians(lambda z: z**2, torch.tensor([[1.0, 2.0]])).tolist()
    [[[2.0, 0.0], [0.0, 4.0]]]
    """
    call = "jacobians"
    _check_run(call, None, None, progress)
    plan = Plan(
        call, model, z, projection=projection, rng=rng, mode=mode, precision=precision, chunk_size=chunk_size,
        memory_limit=memory_limit,
    )  # fmt: skip
    kind = np.float64 if plan.z.dtype == torch.float64 else np.float32
    out = np.empty((len(plan.z), *plan.shape), kind)
    with tqdm(total=len(plan.z), unit=" latents", disable=not progress, desc="jacobian") as bar:
        for start, stop, block in plan.blocks():
            out[start:stop] = block.to(torch.float64 if kind == np.float64 else torch.float32).cpu().numpy()
            bar.update(stop - start)
    return out


def spectrum(jacobians: torch.Tensor) -> Array:
    """Singular values (B, k) of Jacobians (B, m, E), descending, float64, computed in float64 whatever they are in."""
    _, m, e = jacobians.shape
    if e <= _FEW_COLUMNS:
        return np.asarray(singular_values(jacobians.double().cpu().numpy()))[:, : min(m, e)]
    # one at a time: float64 copies of all would be as much memory again
    rows = [_svdvals(j.T if m < e else j) for j in jacobians]
    return np.stack(rows)


def _svdvals(tall: torch.Tensor) -> Array:
    tall = tall.double()
    if len(tall) > 2 * tall.shape[1]:
        tall = torch.linalg.qr(tall, mode="r").R
    return torch.linalg.svdvals(tall).cpu().numpy()


def _check_run(call: str, rtol: Any, seconds: Any, progress: Any) -> None:
    if not isinstance(progress, bool | np.bool_):
        raise WrongType(f"{call}(progress={progress!r}): True or False is expected")
    if rtol is not None and not 0 <= rtol < 1:
        raise InvalidArgument(f"{call}(rtol={rtol!r}): a number in [0, 1) is expected")
    if seconds is not None and not seconds > 0:
        raise InvalidArgument(f"{call}(seconds={seconds!r}): a number of seconds > 0 is expected")


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
