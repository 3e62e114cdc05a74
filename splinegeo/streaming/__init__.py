"""More regions than fit into memory: a batch at a time, or only their statistics."""

from __future__ import annotations

from splinegeo.streaming.batch import RegionBatch
from splinegeo.streaming.checkpoint import CheckpointMismatch
from splinegeo.streaming.estimate import RegionEstimate, estimate_regions
from splinegeo.streaming.histograms import Histogram
from splinegeo.streaming.raster import Raster, RasterImage
from splinegeo.streaming.streams import Stream, stream
from splinegeo.streaming.summarising import summarise
from splinegeo.streaming.summary import Summary
from splinegeo.streaming.summary_file import load_summary
from splinegeo.streaming.sums import Moments

__all__ = [
    "stream",
    "summarise",
    "estimate_regions",
    "load_summary",
    "Stream",
    "RegionBatch",
    "Summary",
    "Moments",
    "Histogram",
    "Raster",
    "RasterImage",
    "RegionEstimate",
    "CheckpointMismatch",
]
