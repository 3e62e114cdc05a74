"""Sampling by the volume that a generator gives a latent: MaGNET and polarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo._validate import random_generator
from splinegeo.assess.arrays import samples


@dataclass(frozen=True, eq=False)
class Draw:
    """A sample from a pool."""

    indices: Array  # (n,) int64 into the pool
    effective_size: float  # of the pool under the weights: 1 / Σ w², between 1 and N


def polarity_log_weights(psi: Any, rho: float = 1.0) -> Array:
    """Logarithms (N,) of weights ∝ e^{ρψ} that sum to 1, in log space, where e^ψ itself would overflow.

    ρ = 1 is MaGNET: latents of a uniform pool drawn so are uniform on the output manifold (Humayun, Balestriero and
    Baraniuk, 2022). ρ < 0 prefers where outputs are dense, the modes; ρ > 0 the rest (polarity sampling, 2022).

    >>> np.exp(polarity_log_weights([0.0, np.log(3.0)])).round(12).tolist()
    [0.25, 0.75]
    """
    values = samples("polarity_log_weights", "psi", psi)
    if not (isinstance(rho, int | float | np.floating | np.integer) and np.isfinite(rho)):
        raise InvalidArgument(f"polarity_log_weights(rho={rho!r}): a finite number is expected")
    scaled = rho * values
    top = scaled.max()
    return np.asarray(scaled - (top + np.log(np.exp(scaled - top).sum())))


def polarity_sample(psi: Any, n: int, *, rho: float = 1.0, rng: Any = 0, replace: bool = True) -> Draw:
    """``n`` indices into a pool of latents with local scalings ``psi`` (N,), drawn with probability ∝ e^{ρψ}.

    Weights are formed in log space, so any range of ψ will do. Look at ``effective_size``: where it is a
    few, the pool is too small for this ρ and a few latents are drawn over and over.

    Args:
        psi: (N,).
        n: number of draws; at most N without replacement.
        rho: as in `polarity_log_weights`.
        rng: seed or ``numpy.random.Generator``.
        replace: draw the same latent more than once.
    """
    call = "polarity_sample"
    logs = polarity_log_weights(psi, rho)
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1 or (not replace and n > len(logs)):
        raise InvalidArgument(f"{call}(n={n!r}): at least 1 draw, and without replacement at most {len(logs)}")
    generator = random_generator(rng)
    if replace:
        cumulative = np.cumsum(np.exp(logs))
        chosen = np.searchsorted(cumulative, generator.random(n) * cumulative[-1], side="right")
        chosen = np.minimum(chosen, len(logs) - 1)
    else:  # the n largest of perturbed log-weights: successive draws without replacement
        chosen = np.argsort(-(logs + generator.gumbel(size=len(logs))), kind="stable")[:n]
    return Draw(chosen.astype(np.int64), float(1 / (np.exp(2 * logs).sum())))
