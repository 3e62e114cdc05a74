"""What descriptors of samples say about a generator: trajectories, maps, order, separation, diversity, sampling.

Functions of arrays; nothing here knows a model. Their pictures are in `splinegeo.plot`.
"""

from __future__ import annotations

from splinegeo.assess.diversity import vendi_by_bin, vendi_score
from splinegeo.assess.ood import Separation, separation, typicality_scores
from splinegeo.assess.ordering import Extremes, extremes, quantile_bins
from splinegeo.assess.plane import PlaneGrid, plane_grid
from splinegeo.assess.sampling import Draw, polarity_log_weights, polarity_sample
from splinegeo.assess.trajectories import Band, confidence_band

__all__ = [
    "confidence_band",
    "plane_grid",
    "extremes",
    "quantile_bins",
    "separation",
    "typicality_scores",
    "vendi_score",
    "vendi_by_bin",
    "polarity_log_weights",
    "polarity_sample",
    "Band",
    "PlaneGrid",
    "Extremes",
    "Separation",
    "Draw",
]
