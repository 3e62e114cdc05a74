"""Statistics over regions: what a quantity is at a uniformly random point of the domain, exactly.

A per-region value is a step function on the domain, so its distribution under the uniform law is discrete, with the
volumes as weights: means, quantiles and histograms are sums, not estimates. Regions of zero volume (slivers whose area
underflows) are counted and weigh nothing. Infinite and nan values raise, unless ``omit_nonfinite=True`` leaves those
regions out of both the values and the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Summary:
    """Volume-weighted summary of a per-region value; ``quantiles`` are pairs (q, value). See `summarize`."""

    count: int  # regions with a finite value, those of zero volume included
    omitted: int  # regions left out because their value is infinite or nan
    volume: float
    mean: float
    std: float
    min: float
    max: float
    quantiles: tuple[tuple[float, float], ...]

    def __repr__(self) -> str:
        quantiles = ", ".join(f"{100 * q:g} %: {v:.6g}" for q, v in self.quantiles)
        omitted = f" ({self.omitted:,} omitted)" if self.omitted else ""
        return (
            f"<Summary of {self.count:,} regions{omitted}: mean {self.mean:.6g}, std {self.std:.6g}, "
            f"min {self.min:.6g}, max {self.max:.6g}; {quantiles}>"
        )


def _weighted(call: str, values: Array, volumes: Array, omit_nonfinite: bool) -> tuple[Array, Array]:
    """Finite values (n,) and their volumes (n,), checked."""
    values, volumes = np.asarray(values), np.asarray(volumes)
    for name, array in (("values", values), ("volumes", volumes)):
        if array.dtype.kind not in "fiub":
            raise WrongType(f"{call}: {name} must be real numbers; their dtype is {array.dtype}")
    if volumes.ndim != 1 or values.shape != volumes.shape:
        raise ShapeMismatch(
            f"{call}: values and volumes must both have shape (N,); they have shapes {values.shape} and {volumes.shape}"
        )
    values, volumes = values.astype(np.float64, copy=False), volumes.astype(np.float64, copy=False)
    if not (np.isfinite(volumes).all() and (volumes >= 0).all()):
        bad = np.flatnonzero(~(np.isfinite(volumes) & (volumes >= 0)))
        raise InvalidArgument(f"{call}: volumes must be finite and >= 0; volumes[{bad[0]}] is {volumes[bad[0]]}")
    finite = np.isfinite(values)
    if not finite.all():
        if not omit_nonfinite:
            bad = np.flatnonzero(~finite)
            raise InvalidArgument(
                f"{call}: {len(bad):,} of {len(values):,} values are not finite (the first is values[{bad[0]}] = "
                f"{values[bad[0]]}); pass omit_nonfinite=True to leave those regions out"
            )
        values, volumes = values[finite], volumes[finite]
    if not volumes.sum() > 0:
        raise InvalidArgument(f"{call}: the {len(values):,} regions have no volume between them, so nothing to weigh")
    return values, volumes


def _mean(values: Array, volumes: Array) -> float:
    # relative to one of the values: a constant has exactly itself as mean, and variance zero
    origin = values[np.argmax(volumes)]
    return float(origin + ((values - origin) * volumes).sum() / volumes.sum())


def _variance(values: Array, volumes: Array) -> float:
    return float((volumes * (values - _mean(values, volumes)) ** 2).sum() / volumes.sum())


def _quantiles(values: Array, volumes: Array, q: Array) -> Array:
    positive = volumes > 0
    values, volumes = values[positive], volumes[positive]
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(volumes[order])
    index = np.searchsorted(cumulative, q * cumulative[-1], side="left")
    return values[order][np.minimum(index, len(order) - 1)]


def weighted_mean(values: Array, volumes: Array, *, omit_nonfinite: bool = False) -> float:
    """Mean of ``values`` (N,) over the domain, weights ``volumes`` (N,)."""
    return _mean(*_weighted("weighted_mean", values, volumes, omit_nonfinite))


def weighted_variance(values: Array, volumes: Array, *, omit_nonfinite: bool = False) -> float:
    """Variance of ``values`` (N,) over the domain: of the whole distribution, so no N - 1 correction."""
    return _variance(*_weighted("weighted_variance", values, volumes, omit_nonfinite))


def weighted_quantiles(
    values: Array, volumes: Array, q: float | Sequence[float] | Array, *, omit_nonfinite: bool = False
) -> Array:
    """Quantiles, in the shape of ``q``: the smallest value v with volume{values <= v} >= q * volume, 0 <= q <= 1.

    Always one of the values; no interpolation, since the distribution is discrete.

    >>> float(weighted_quantiles([1.0, 2.0, 5.0], [1.0, 1.0, 8.0], 0.5))
    5.0
    """
    q = np.asarray(q, np.float64)
    if not ((q >= 0) & (q <= 1)).all():
        raise InvalidArgument(f"weighted_quantiles: q must lie in [0, 1]; got {q.tolist()}")
    values, volumes = _weighted("weighted_quantiles", values, volumes, omit_nonfinite)
    return _quantiles(values, volumes, q)


def weighted_histogram(
    values: Array,
    volumes: Array,
    bins: int | Sequence[float] | Array = 50,
    *,
    range: tuple[float, float] | None = None,
    omit_nonfinite: bool = False,
) -> tuple[Array, Array]:
    """Volume of the domain in each bin (n_bins,) and the bin edges (n_bins + 1,), as `numpy.histogram` cuts them.

    The volumes in the bins add up to the domain's when the edges take in all values; divide by their sum for shares.
    """
    values, volumes = _weighted("weighted_histogram", values, volumes, omit_nonfinite)
    return np.histogram(values, bins=bins, range=range, weights=volumes)


def summarize(
    values: Array, volumes: Array, *, quantiles: Sequence[float] = _QUANTILES, omit_nonfinite: bool = False
) -> Summary:
    """`Summary` of ``values`` (N,) weighted by ``volumes`` (N,); min and max are over all regions, zero volume too."""
    size = np.size(values)
    values, volumes = _weighted("summarize", values, volumes, omit_nonfinite)
    q = np.asarray(quantiles, np.float64)
    if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
        raise InvalidArgument(f"summarize: quantiles must be a sequence of numbers in [0, 1]; got {quantiles!r}")
    return Summary(
        count=len(values),
        omitted=size - len(values),
        volume=float(volumes.sum()),
        mean=_mean(values, volumes),
        std=float(np.sqrt(_variance(values, volumes))),
        min=float(values.min()),
        max=float(values.max()),
        quantiles=tuple(zip(q.tolist(), _quantiles(values, volumes, q).tolist(), strict=True)),
    )


def _check_regions(call: str, psi: Array, rank: Array, *others: Array) -> None:
    shapes = [np.shape(psi), np.shape(rank), *map(np.shape, others)]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1:
        raise ShapeMismatch(f"{call}: the per-region arrays must all have shape (N,); they have shapes {shapes}")


def image_areas(psi: Array, volumes: Array, rank: Array, dimension: int = 2) -> Array:
    """d-dimensional volume (N,) of the image of each region: volume * e^ψ where ``rank`` equals ``dimension``, else 0.

    ``psi`` and ``rank`` are those of the maps on the slice of that dimension. The sum is the area of the image counted
    with multiplicity: where the map folds onto itself, overlapping sheets add.
    """
    _check_regions("image_areas", psi, rank, volumes)
    psi, volumes = np.asarray(psi, np.float64), np.asarray(volumes, np.float64)
    half = np.exp(np.where(np.asarray(rank) == dimension, 0.5 * psi, 0.0))
    # two halves: a tiny region that is stretched a lot has an ordinary area
    return np.where(np.asarray(rank) == dimension, (half * volumes) * half, 0.0)


def output_densities(psi: Array, rank: Array, volume: float, dimension: int = 2, *, log: bool = False) -> Array:
    """Exact density (N,) of G(z) on the image of each region, z uniform on a domain of ``volume``: e^(-ψ) / volume.

    The density is with respect to the d-dimensional volume on the image, d = ``dimension``. It is the contribution of
    one region: where images of several regions overlap, the density of the output there is the sum of theirs. A region
    of lower rank puts its probability on a set without d-dimensional volume: inf. ``log=True`` gives the logarithm,
    which does not overflow.
    """
    _check_regions("output_densities", psi, rank)
    if not (np.isfinite(volume) and volume > 0):
        raise InvalidArgument(f"output_densities: volume must be positive and finite; got {volume!r}")
    log_density = np.where(np.asarray(rank) == dimension, -np.asarray(psi, np.float64) - np.log(volume), np.inf)
    if log:
        return log_density
    with np.errstate(over="ignore"):  # a density beyond the largest float is inf, as documented for collapsed regions
        return np.exp(log_density)
