"""What is added up: all statistics of a set of regions, as running sums that merge in the order of the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.descriptors import nu, psi, rank
from splinegeo.partition.geometry import inner_points
from splinegeo.partition.link import BOUNDARY, UNMATCHED
from splinegeo.streaming.frontier import Outline
from splinegeo.streaming.histograms import Bins
from splinegeo.streaming.mapping import Marks, linear_within, surely_across
from splinegeo.streaming.raster import COUNT, QUANTITIES, Grid
from splinegeo.streaming.regions import TaskRegions
from splinegeo.streaming.sums import MomentSums

# Places in `Tally.counts`.
REGIONS, HALF_EDGES, BOUNDARY_EDGES, MATCHED, MOST_CORNERS, N_COUNTS = range(6)
VOLUME = QUANTITIES.index("volume")


@dataclass(frozen=True, eq=False)
class Plan:
    """What is asked for; the same for every task."""

    shape: tuple[int, int]  # of A on the slice
    n_bytes: int  # of a packed pattern
    exponent: int  # areas are added up in units of 2**exponent, about the domain's
    bins: dict[str, int | Array]  # histograms
    grid: Grid | None
    pictures: tuple[str, ...]
    marks: Marks | None  # None: linear regions are not counted

    def values(self, regions: TaskRegions) -> dict[str, Array]:
        """Every quantity (N,) of the regions."""
        sigma, volumes = regions.sigma, regions.volumes
        with np.errstate(divide="ignore"):
            logs = np.log(volumes)
        return {
            "psi": psi(sigma, shape=self.shape),
            "nu": nu(sigma),
            "volume": volumes,
            "log_volume": logs,
            "sigma_1": sigma[:, 0],
            "sigma_2": sigma[:, 1],
        }


class Tally:
    """Running statistics of regions."""

    def __init__(self, plan: Plan) -> None:
        self.counts = np.zeros(N_COUNTS, np.int64)
        self.ranks = np.zeros(3, np.int64)
        self.area = MomentSums(1)
        self.moments = MomentSums(len(QUANTITIES))
        self.rank_areas = MomentSums(3)
        self.histograms = {name: Bins(bins) for name, bins in plan.bins.items()}

    def merge(self, more: Tally) -> None:
        """Take in what another one has added up."""
        most = max(self.counts[MOST_CORNERS], more.counts[MOST_CORNERS])
        self.counts += more.counts
        self.counts[MOST_CORNERS] = most
        self.ranks += more.ranks
        for mine, theirs in zip(self._sums(), more._sums(), strict=True):
            mine.merge(theirs)
        for name, bins in self.histograms.items():
            bins.merge(more.histograms[name])

    def _sums(self) -> tuple[MomentSums, ...]:
        return self.area, self.moments, self.rank_areas

    # -- to and from a checkpoint --------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """All of it as named arrays."""
        out: dict[str, Array] = {"counts": self.counts, "ranks": self.ranks}
        for name, sums in zip(("area", "moments", "rank_areas"), self._sums(), strict=True):
            out |= {f"{name}.counts": sums.counts, f"{name}.extremes": sums.extremes, f"{name}.sums": sums.sums}
        for name, bins in self.histograms.items():
            for part in ("grid", "counts", "areas", "outside_counts", "outside_areas"):
                out[f"histogram.{name}.{part}"] = getattr(bins, part)
        return out

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take the place of the one that `arrays` came from.

        Raises:
            ValueError, KeyError: they are not what `arrays` gives.
        """
        for name, mine in self.arrays().items():
            new = arrays[name]
            grows = name.startswith("histogram.") and name.endswith((".counts", ".areas"))
            if new.dtype != mine.dtype or new.ndim != mine.ndim or not (grows or new.shape == mine.shape):
                raise ValueError(f"{name} has shape {new.shape} and dtype {new.dtype}")
        self.counts, self.ranks = arrays["counts"].copy(), arrays["ranks"].copy()
        for name, sums in zip(("area", "moments", "rank_areas"), self._sums(), strict=True):
            for part in ("counts", "extremes", "sums"):
                setattr(sums, part, arrays[f"{name}.{part}"].copy())
        for name, bins in self.histograms.items():
            n = len(arrays[f"histogram.{name}.counts"])
            if len(arrays[f"histogram.{name}.areas"]) != n or not (
                n <= bins.most if bins.edges is None else n == bins.most
            ):
                raise ValueError(f"the histogram of {name} has {n} bins")
            for part in ("grid", "counts", "areas", "outside_counts", "outside_areas"):
                setattr(bins, part, arrays[f"histogram.{name}.{part}"].copy())


@dataclass(frozen=True, eq=False)
class Part:
    """What one task contributes."""

    tally: Tally
    keys: Array  # (F,) of the half-edges on the task's outline
    outline: Outline | None  # where linear regions are counted
    pixels: Array  # (m,) pixels whose centres lie in the task's regions
    colours: dict[str, Array]  # (m,) values there
    points: Array  # pixels that hold an interior point, once for each

    def __len__(self) -> int:
        return int(self.tally.counts[REGIONS])


def summary_of(plan: Plan, regions: TaskRegions) -> Part:
    """The statistics of one task's regions."""
    tally, n = Tally(plan), len(regions)
    values = plan.values(regions)
    weights = np.ldexp(regions.volumes, -plan.exponent)
    ranks = rank(regions.sigma, shape=plan.shape)
    corners = np.diff(regions.offsets)
    open_ = np.nonzero(regions.twin == UNMATCHED)[0]
    tally.counts[REGIONS], tally.counts[HALF_EDGES] = n, len(regions.keys)
    tally.counts[BOUNDARY_EDGES] = np.count_nonzero(regions.twin == BOUNDARY)
    tally.counts[MATCHED] = (len(regions.twin) - tally.counts[BOUNDARY_EDGES] - len(open_)) // 2
    tally.counts[MOST_CORNERS] = corners.max(initial=0)
    tally.ranks += np.bincount(ranks, minlength=3)
    tally.area.add(np.zeros((1, n)), weights)
    # A region's share in the area of each rank is 0 or 1: the first moment of that is the area.
    tally.rank_areas.add((ranks == np.arange(3)[:, None]).astype(np.float64), weights)
    scaled = dict(values, volume=weights)  # squares of tiny and huge areas stay within range
    tally.moments.add(np.stack([scaled[name] for name in QUANTITIES]), weights)
    for name, bins in tally.histograms.items():
        bins.add(values[name], regions.volumes)
    outline = _outline(plan.marks, regions, open_) if plan.marks else None
    pixels, owners, points = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    if plan.grid is not None:
        if set(plan.pictures) - {COUNT}:
            pixels, owners = plan.grid.owners(regions)
        if COUNT in plan.pictures:
            inner = inner_points(regions.corners, regions.offsets, np.arange(len(regions.corners)))
            points = plan.grid.cells(inner)
    colours = {name: values[name][owners] for name in plan.pictures if name != COUNT}
    return Part(tally, regions.keys[open_], outline, pixels, colours, points)


def _outline(marks: Marks, regions: TaskRegions, open_: Array) -> Outline:
    """Linear regions within a task: their number, and what is needed to join them across its outline."""
    owners = regions.owners()
    first = np.nonzero(regions.twin > np.arange(len(regions.twin)))[0]
    labels, count = linear_within(regions, np.stack([owners[first], owners[regions.twin[first]]], 1))
    sure = surely_across(regions, owners, open_)
    keys, open_ = regions.keys[open_[sure]], open_[~sure]
    behind, which = np.unique(owners[open_], return_inverse=True)
    values, errors = marks.of(regions, behind)
    pieces, place = np.unique(labels[behind], return_inverse=True)
    return Outline(
        sure=keys,
        keys=regions.keys[open_],
        pieces=place[which],
        n_pieces=len(pieces),
        n_linear=count,
        marks=values[which],
        errors=errors[which],
        patterns=regions.problem.patterns(regions.bits[behind])[which],
        problem=regions.problem,
    )


def exponent_of(volume: float) -> int:
    """The exponent in units of which areas are added up."""
    return math.frexp(volume)[1] if 0 < volume < math.inf else 0
