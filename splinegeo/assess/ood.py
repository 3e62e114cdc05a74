"""How well a score tells one data set from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.assess.arrays import level_between, samples


@dataclass(frozen=True)
class Separation:
    """Area under the ROC curve of a score, with a confidence interval."""

    auroc: float  # probability that the score of a sample from elsewhere is the higher one, half for ties
    low: float
    high: float
    level: float
    n_reference: int
    n_other: int

    def __repr__(self) -> str:
        return (
            f"<Separation: AUROC {self.auroc:.3f}, {100 * self.level:g} % in [{self.low:.3f}, {self.high:.3f}], "
            f"{self.n_reference:,} against {self.n_other:,} samples>"
        )


def separation(reference: Any, other: Any, *, level: float = 0.95) -> Separation:
    """AUROC of a score for telling samples ``other`` (M,) from ``reference`` (N,), with DeLong's interval.

    1 where every score of ``other`` is higher, 0 where every one is lower, ½ where the score tells nothing: below ½ the
    score falls out of distribution. The interval is that of DeLong, DeLong and Clarke-Pearson (1988) on the logit
    scale; at 0 and 1 it has no width.

    Raises:
        InvalidArgument: fewer than two samples on a side.

    >>> separation([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).auroc
    0.7777777777777778
    """
    call = "separation"
    a, b, level = samples(call, "reference", reference, 2), samples(call, "other", other, 2), level_between(call, level)
    n, m = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]))
    # the share of the other side that each sample is on the right side of
    of_a = 1 - (ranks[:n] - rankdata(a)) / m
    of_b = (ranks[n:] - rankdata(b)) / n
    auroc = float(of_b.mean())
    variance = of_a.var(ddof=1) / n + of_b.var(ddof=1) / m
    if not 0 < auroc < 1 or variance == 0:
        return Separation(auroc, auroc, auroc, level, n, m)
    logit = np.log(auroc / (1 - auroc))
    half = norm.ppf(0.5 + level / 2) * np.sqrt(variance) / (auroc * (1 - auroc))
    low, high = (float(1 / (1 + np.exp(-x))) for x in (logit - half, logit + half))
    return Separation(auroc, low, high, level, n, m)


def typicality_scores(reference: Any, others: Any) -> Array:
    """How untypical (M,) samples with features (M, f) are of ``reference`` (N, f): the Mahalanobis distance.

    For features such as (ψ, ν) whose values may be too high or too low out of distribution. Mean and covariance are
    those of the reference; score the reference's own held-out samples to compare with, not those that it was fitted to.

    Raises:
        ShapeMismatch: different numbers of features.
        InvalidArgument: a reference that does not span its features.

    >>> typicality_scores([[1, 0], [-1, 0], [0, 1], [0, -1]], [[0, 0]]).tolist()
    [0.0]
    """
    call = "typicality_scores"
    a, b = float_array(reference, f"{call}: reference", ndim=2), float_array(others, f"{call}: others", ndim=2)
    if a.shape[1] != b.shape[1]:
        raise ShapeMismatch(f"{call}: {a.shape[1]} features in the reference and {b.shape[1]} in the others")
    if len(a) < 2:
        raise InvalidArgument(f"{call}: the reference must hold at least two samples; its shape is {a.shape}")
    centre = a.mean(0)
    # by singular values of the centred data, so that nothing is squared
    _, s, vt = np.linalg.svd((a - centre) / np.sqrt(len(a) - 1), full_matrices=False)
    if len(s) < a.shape[1] or not s[-1] > a.shape[1] * 2.0**-52 * s[0]:
        raise InvalidArgument(f"{call}: the features of the reference are linearly dependent; leave some out")
    return np.asarray(np.linalg.norm((b - centre) @ vt.T / s, axis=1))
