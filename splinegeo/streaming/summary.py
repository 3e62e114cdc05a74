"""`Summary`: statistics of all regions, without the regions."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.streaming.arguments import Setting
from splinegeo.streaming.histograms import Histogram
from splinegeo.streaming.raster import QUANTITIES, RasterImage
from splinegeo.streaming.state import State
from splinegeo.streaming.sums import Moments
from splinegeo.streaming.tally import BOUNDARY_EDGES, MATCHED, MOST_CORNERS


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What `summarise` found: counts, area-weighted statistics, histograms, pictures.

    Areas are in slice coordinates. ``moments`` and ``histograms`` are by name: "psi", "nu", "volume", "log_volume" (its
    natural logarithm), and for moments also "sigma_1", "sigma_2", the singular values of A on the slice.
    """

    domain: Box | Polygon
    slice: Slice
    n_regions: int  # maximal connected open sets with one activation pattern
    n_linear_regions: int | None  # maximal unions, connected through edges, with one affine map; None: not asked for
    n_edges: int  # shared ones once
    n_boundary_edges: int  # those of them on the domain's boundary
    n_open_edges: int  # those of them behind which nothing was enumerated: 0 when complete
    n_vertices: int | None  # shared ones once, by Euler's formula; None when incomplete
    max_corners: int  # of the region that has most
    area: float  # covered by the regions
    coverage: float  # their share of the domain's area: 1 when complete
    rank_counts: Array  # (3,) int64 regions whose map on the slice has rank 0, 1, 2
    rank_areas: Array  # (3,) their area
    moments: dict[str, Moments]
    histograms: dict[str, Histogram]
    raster: RasterImage | None
    complete: bool
    stop_reason: str  # "" when complete

    @classmethod
    def of(cls, setting: Setting, state: State, reason: str) -> Summary:
        """The state so far, and why there is no more of it (empty when it is complete)."""
        tally, exponent = state.tally, state.plan.exponent
        area = float(np.ldexp(float(tally.area.total()), exponent))
        n_open, n_boundary = len(state.frontier), int(tally.counts[BOUNDARY_EDGES])
        edges = n_boundary + int(tally.counts[MATCHED]) + state.frontier.n_matched + n_open
        moments = {name: tally.moments.moments(q) for q, name in enumerate(QUANTITIES)}
        volume = moments["volume"]
        scaled = {name: float(np.ldexp(getattr(volume, name), exponent)) for name in ("mean", "std", "min", "max")}
        moments["volume"] = Moments(volume.count, volume.omitted, **scaled)
        with np.errstate(invalid="ignore", divide="ignore"):
            coverage = 1.0 if not reason else float(np.float64(area) / setting.domain.volume)
        # The sum of w x with x = 1 on regions of that rank and 0 elsewhere.
        ranks = tally.rank_areas.sums[:, 1].sum(1)
        grid, picture = state.plan.grid, None
        if grid is not None:
            shape = grid.height, grid.width
            picture = RasterImage(grid.box, {k: _frozen(v.reshape(shape)) for k, v in state.images.items()})
        return cls(
            domain=setting.domain,
            slice=setting.slice,
            n_regions=state.n_regions,
            n_linear_regions=state.frontier.n_linear if state.frontier.linear else None,
            n_edges=edges,
            n_boundary_edges=n_boundary,
            n_open_edges=n_open,
            n_vertices=None if reason else 1 + edges - state.n_regions,
            max_corners=int(tally.counts[MOST_CORNERS]),
            area=area,
            coverage=coverage,
            rank_counts=_frozen(tally.ranks.copy()),
            rank_areas=_frozen(np.ldexp(ranks, exponent)),
            moments=moments,
            histograms={name: bins.result() for name, bins in tally.histograms.items()},
            raster=picture,
            complete=not reason,
            stop_reason=reason,
        )

    @property
    def status(self) -> str:
        """In a few words: exact, or why not everything is there."""
        return "exact" if self.complete else f"incomplete: {self.stop_reason}"

    def to_dict(self) -> dict[str, Any]:
        """Counts, moments and histograms as plain numbers, lists and text, ready for JSON; pictures are left out."""
        names = ("domain", "slice", "moments", "histograms", "raster")
        out = {k: _plain(getattr(self, k)) for k in self.__dataclass_fields__ if k not in names}
        out["moments"] = {name: asdict(m) for name, m in self.moments.items()}
        out["histograms"] = {name: _plain(vars(h)) for name, h in self.histograms.items()}
        return out

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the summary to a versioned .npz file, atomically; `load_summary` reads it.

        Raises:
            FileAccessError: the path cannot be written.
        """
        from splinegeo.streaming.summary_file import save_summary

        return save_summary(self, path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Summary):
            return NotImplemented
        from splinegeo.streaming.summary_file import encoded

        (mine, a), (theirs, b) = encoded(self), encoded(other)
        return mine == theirs and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        where = f"{type(self.domain).__name__} in R^{self.slice.ambient_dim}"
        return f"<Summary of {self.n_regions:,} regions of {where}, {self.status}>"

    def _repr_html_(self) -> str:
        counts = [("regions", self.n_regions), ("linear regions", self.n_linear_regions), ("edges", self.n_edges)]
        counts.append(("vertices", self.n_vertices))
        head = "".join(f"<tr><th>{k}</th><td>{n:,}</td></tr>" for k, n in counts if n is not None)
        status = self.status.replace("&", "&amp;").replace("<", "&lt;")
        head += f"<tr><th>covered</th><td>{self.coverage:.1%}</td></tr><tr><th>status</th><td>{status}</td></tr>"
        columns = ("mean", "std", "min", "max")
        rows = "".join(
            f"<tr><th>{name}</th>" + "".join(f"<td>{getattr(m, c):.6g}</td>" for c in columns) + "</tr>"
            for name, m in self.moments.items()
        )
        titles = "".join(f"<th>{c}</th>" for c in ("", *columns))
        return f"<table>{head}</table><table><tr>{titles}</tr>{rows}</table>"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _same(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
