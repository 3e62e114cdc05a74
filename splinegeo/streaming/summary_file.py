"""`Summary` to and from files, in the safe format of `splinegeo.save`: named arrays, a header, no pickles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError, SplineGeoError
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.io import container
from splinegeo.streaming.histograms import Histogram
from splinegeo.streaming.raster import RasterImage
from splinegeo.streaming.summary import Summary
from splinegeo.streaming.sums import Moments

COUNTS = ("n_regions", "n_linear_regions", "n_edges", "n_boundary_edges", "n_open_edges", "n_vertices", "max_corners")
MOMENTS = ("count", "omitted"), ("mean", "std", "min", "max")
HISTOGRAM = ("edges", "counts", "areas", "outside_counts", "outside_areas")


def encoded(summary: Summary) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays."""
    s = summary
    header: dict[str, Any] = {name: getattr(s, name) for name in COUNTS}
    header |= {"complete": s.complete, "stop_reason": s.stop_reason, "domain": type(s.domain).__name__}
    arrays = {"area": np.array([s.area, s.coverage]), "rank_counts": s.rank_counts, "rank_areas": s.rank_areas}
    arrays["domain"] = s.domain.vertices
    arrays["slice.origin"], arrays["slice.basis"] = s.slice.origin, s.slice.basis
    for name, moments in s.moments.items():
        arrays[f"moments.{name}.counts"] = np.array([getattr(moments, k) for k in MOMENTS[0]], np.int64)
        arrays[f"moments.{name}.values"] = np.array([getattr(moments, k) for k in MOMENTS[1]], np.float64)
    for name, histogram in s.histograms.items():
        arrays |= {f"histograms.{name}.{part}": getattr(histogram, part) for part in HISTOGRAM}
    header["moments"], header["histograms"] = list(s.moments), list(s.histograms)
    header["images"] = None if s.raster is None else list(s.raster.images)
    if s.raster is not None:
        arrays["raster.box"] = np.stack([s.raster.box.lower, s.raster.box.upper])
        arrays |= {f"raster.{name}": image for name, image in s.raster.images.items()}
    return header, arrays


def save_summary(summary: Summary, path: str | os.PathLike[str]) -> Path:
    """Write a summary to ``path``, atomically; equal summaries give equal bytes.

    Raises:
        FileAccessError: the path cannot be written.
    """
    return container.write(path, "summary", *encoded(summary))


def load_summary(path: str | os.PathLike[str], *, max_bytes: int = container.DEFAULT_MAX_BYTES) -> Summary:
    """Read a summary that `Summary.save` wrote. No code of the file's is run.

    Raises:
        FileFormatError: the file is damaged, inconsistent, too large, too new or something else altogether.
        FileAccessError: the path cannot be read.
    """
    header, arrays = container.read(path, "summary", max_bytes)
    try:
        return _decoded(header, arrays)
    except (SplineGeoError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError(f"load_summary: {os.fspath(path)!r} is inconsistent: {error}") from error


def _decoded(header: dict[str, Any], arrays: dict[str, Array]) -> Summary:
    corners = arrays["domain"]
    domain = Box(corners.min(0), corners.max(0)) if header["domain"] == "Box" else Polygon(corners)
    if not np.array_equal(domain.vertices, corners):
        raise FileFormatError("its domain is not the polygon that it says")
    counts: dict[str, Any] = {name: header[name] for name in COUNTS}
    for name, value in counts.items():
        optional = name in ("n_linear_regions", "n_vertices") and value is None
        if not optional and (type(value) is not int or value < 0):
            raise FileFormatError(f"{name} is {value!r}")
    moments = {}
    for name in header["moments"]:
        whole, real = arrays[f"moments.{name}.counts"], arrays[f"moments.{name}.values"]
        moments[name] = Moments(*(int(n) for n in whole), *(float(x) for x in real))
    histograms = {}
    for name in header["histograms"]:
        parts = {part: arrays[f"histograms.{name}.{part}"] for part in HISTOGRAM}
        sizes = [len(parts["edges"]) - 1, len(parts["counts"]), len(parts["areas"])]
        if len(set(sizes)) != 1 or len(parts["outside_counts"]) != 3 or len(parts["outside_areas"]) != 3:
            raise FileFormatError(f"the histogram of {name} does not fit together")
        histograms[name] = Histogram(**parts)
    raster = None
    if header["images"] is not None:
        images = {name: arrays[f"raster.{name}"] for name in header["images"]}
        if not images or len({image.shape for image in images.values()}) != 1:
            raise FileFormatError("its pictures differ in size")
        raster = RasterImage(Box(*arrays["raster.box"]), images)
    if type(header["complete"]) is not bool or type(header["stop_reason"]) is not str:
        raise FileFormatError("it does not say whether it is complete")
    area, coverage = (float(x) for x in arrays["area"])
    return Summary(
        domain=domain,
        slice=Slice(arrays["slice.origin"], arrays["slice.basis"]),
        **counts,
        area=area,
        coverage=coverage,
        rank_counts=arrays["rank_counts"],
        rank_areas=arrays["rank_areas"],
        moments=moments,
        histograms=histograms,
        raster=raster,
        complete=header["complete"],
        stop_reason=header["stop_reason"],
    )
