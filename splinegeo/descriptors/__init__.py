"""Descriptors of an affine map: singular values, ψ, ν, rank; statistics over regions; image area and output density.

Pure functions of arrays. Nothing here knows a network, a partition or torch: the exact engine feeds in the maps of its
regions, the first-order path the Jacobians of a smooth model.
"""

from splinegeo.descriptors.local import nu, psi, rank, rank_threshold
from splinegeo.descriptors.singular import column_pair_singular_values, singular_values
from splinegeo.descriptors.statistics import (
    Summary,
    image_areas,
    output_densities,
    summarize,
    weighted_histogram,
    weighted_mean,
    weighted_quantiles,
    weighted_variance,
)

__all__ = [
    "Summary",
    "column_pair_singular_values",
    "image_areas",
    "nu",
    "output_densities",
    "psi",
    "rank",
    "rank_threshold",
    "singular_values",
    "summarize",
    "weighted_histogram",
    "weighted_mean",
    "weighted_quantiles",
    "weighted_variance",
]
