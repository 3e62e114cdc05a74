"""A kernel density estimate of a generator's samples beside their exact density."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array
from splinegeo.compare.result import Comparison, frozen
from splinegeo.partition import Partition

CHUNK = 512  # samples whose distances to all others are held at a time


def density(part: Partition, samples: int = 4000, bandwidth: float | None = None, *, rng: Any = 0) -> Comparison:
    """The density of samples G(z), z uniform on the domain, by a Gaussian kernel and exactly.

    Exactly, the density at a point of the image, relative to area on the image, is e^(-ψ) / area of the domain. (Where
    the image passes through itself, or folds onto itself in two outputs, there is a term for each sheet; only the
    sample's own is taken.) The kernel estimate of a sample leaves itself out, and divides by what a kernel integrates
    to on a plane, so that both are densities on the surface.

    Columns of the table: ``u1``, ``u2`` (slice coordinates), ``psi``, ``log_density``, ``log_kernel``. Samples from
    regions with a collapsed image, whose density is infinite, are left out. The witness holds ``u`` of the sample that
    is furthest off and the ``bandwidth``.

    Args:
        part: a complete partition of a plane.
        samples: number of samples.
        bandwidth: standard deviation of the kernel; by Scott's rule for two dimensions, from the mean spread of the
            image along its two widest directions, by default.
        rng: a seed or a `numpy.random.Generator`.

    Raises:
        WrongType: not a partition.
        InvalidArgument: not a complete one of a plane; fewer than two samples; a bandwidth that is not positive.
    """
    if not isinstance(part, Partition):
        raise WrongType(f"compare.density takes a Partition; got {type(part).__name__}")
    if not part.complete or part.vertices.shape[1] != 2:
        raise InvalidArgument("compare.density takes a complete partition of a plane")
    if samples < 2:
        raise InvalidArgument(f"compare.density(samples={samples!r}): two are needed at least")
    if bandwidth is not None and not bandwidth > 0:
        raise InvalidArgument(f"compare.density(bandwidth={bandwidth!r}): a positive number is expected")
    u = _uniform(part, samples, np.random.default_rng(rng))
    region = part.locate(u)
    u, region = u[region >= 0], region[region >= 0]
    x = part.network(part.slice.embed(u))
    log_density = -part.psi[region] - math.log(part.domain.volume)
    kept = part.rank[region] == 2
    h = bandwidth or _scott(x)
    table = frozen(
        {
            "u1": u[kept, 0],
            "u2": u[kept, 1],
            "psi": part.psi[region][kept],
            "log_density": log_density[kept],
            "log_kernel": log_kernel_density(x, h)[kept],
        }
    )
    result = Comparison("exact log-density with a kernel estimate", table, "log_density", "log_kernel", None)
    if result.worst < 0:
        return result
    worst = result.row(result.worst)
    witness = {"u": np.array([worst["u1"], worst["u2"]]), "bandwidth": h}
    return Comparison(result.what, table, "log_density", "log_kernel", witness)


def log_kernel_density(x: Array, bandwidth: float) -> Array:
    """(n,) log of the density on a surface at samples x (n, D), each estimated from the others."""
    n = len(x)
    norms = (x**2).sum(1)
    out = np.empty(n)
    with np.errstate(divide="ignore"):
        for k in range(0, n, CHUNK):
            here = x[k : k + CHUNK]
            squared = np.maximum(norms[k : k + CHUNK, None] + norms - 2 * here @ x.T, 0)
            weights = np.exp(-squared / (2 * bandwidth**2))
            weights[np.arange(len(here)), k + np.arange(len(here))] = 0
            out[k : k + CHUNK] = np.log(weights.sum(1))
    return out - math.log(n - 1) - math.log(2 * math.pi * bandwidth**2)


def _scott(x: Array) -> float:
    """Scott's rule in two dimensions: n^(-1/6) times the spread."""
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False)[:2] / math.sqrt(len(x))
    return float(np.sqrt((spread**2).mean()) * len(x) ** (-1 / 6)) or 1.0


def _uniform(part: Partition, samples: int, rng: np.random.Generator) -> Array:
    """Points (n, 2) uniform on the domain."""
    box = np.asarray(part.domain.vertices)
    low, high = box.min(0), box.max(0)
    found: list[Array] = []
    while sum(map(len, found)) < samples:
        points = rng.uniform(low, high, (samples, 2))
        found.append(points[part.domain.contains(points)])
    return np.concatenate(found)[:samples]
