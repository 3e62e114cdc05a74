"""What is added up: all statistics of a set of regions, as running sums that merge in the order of the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.descriptors import nu, psi, rank
from splinegeo.partition.geometry import inner_points
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.link import BOUNDARY, UNMATCHED
from splinegeo.partition.merging import components
from splinegeo.streaming.frontier import Outline
from splinegeo.streaming.histograms import Bins
from splinegeo.streaming.mapping import Marks, linear_within, surely_across
from splinegeo.streaming.pending import Completed
from splinegeo.streaming.raster import COUNT, QUANTITIES, Grid
from splinegeo.streaming.regions import TaskRegions
from splinegeo.streaming.sums import MomentSums
from splinegeo.streaming.uniting import OpenRegions, gather, opened

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
    pieces: bool  # the walk finds pieces of regions: there are maxima

    @property
    def coloured(self) -> bool:
        """Whether pixels are given values of regions."""
        return self.grid is not None and bool(set(self.pictures) - {COUNT})

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
    open: OpenRegions | None = None  # of networks with maxima: regions that may go on in other tasks

    def __len__(self) -> int:
        return int(self.tally.counts[REGIONS])


def summary_of(plan: Plan, regions: TaskRegions, most: int = NO_LIMIT) -> Part:
    """The statistics of one task's regions; where the walk finds pieces, of the first ``most`` regions."""
    if plan.pieces:
        return _gathered(plan, regions, most)
    outline = None
    if plan.marks:
        labels, count = linear_within(regions, _inner(regions))
        open_ = np.nonzero(regions.twin == UNMATCHED)[0]
        outline = _outline(plan.marks, regions, labels, count, surely_across(regions, regions.owners(), open_))
    return _part(plan, regions, outline, *_pixels(plan, regions))


def completed_of(plan: Plan, done: Completed) -> Part:
    """The statistics of regions that a task completed."""
    outline, regions = None, done.regions
    if plan.marks:
        inner = regions.twin == UNMATCHED
        sure, owners = done.sure[inner], regions.owners()[inner][~done.sure[inner]]
        outline = Outline(
            sure=regions.keys[inner][sure],
            keys=regions.keys[inner][~sure],
            pieces=owners,
            n_pieces=len(regions),
            n_linear=len(regions),
            marks=done.marks[owners],
            errors=done.errors[owners],
            patterns=regions.patterns(owners),
            problem=regions.problem,
        )
    return _part(plan, regions, outline, done.pixels, done.owners)


def _gathered(plan: Plan, pieces: TaskRegions, most: int) -> Part:
    """Regions made of pieces: those that are complete within the task, and what is known of the others."""
    gathered = gather(pieces)
    regions = gathered.regions
    chosen = np.nonzero(~gathered.open)[0][:most]
    complete, place = regions.only(chosen), np.full(len(regions), -1)
    place[chosen] = np.arange(len(chosen))
    pixels, owners = _pixels(plan, regions)
    labels, outline = None, None
    if plan.marks:
        labels = linear_within(regions, _inner(regions))[0]
        outline = _inner_outline(plan.marks, regions, labels, chosen, complete)
    beyond = opened(gathered, pieces, labels, plan.marks, plan.marks is not None, pixels, owners)
    mine = place[owners] >= 0
    return _part(plan, complete, outline, pixels[mine], place[owners[mine]], beyond)


def _inner_outline(marks: Marks, regions: TaskRegions, labels: Array, chosen: Array, complete: TaskRegions) -> Outline:
    """The outline of the chosen regions (n,), which are ``complete``, among all regions of a task.

    labels (N,) of neighbours are equal if and only if their maps are the same.
    """
    # Linear regions that meet only in a region that is not complete are joined when that one is.
    inner, mine = _inner(complete), labels[chosen]
    joined, count = components(inner[mine[inner[:, 0]] == mine[inner[:, 1]]], len(chosen))
    owners = regions.owners()
    open_ = np.nonzero(np.isin(owners, chosen))[0][complete.twin == UNMATCHED]
    sure = labels[owners[open_]] != labels[owners[regions.twin[open_]]]
    return _outline(marks, complete, joined, count, sure)


def _inner(regions: TaskRegions) -> Array:
    """The regions (., 2) on both sides of each edge within a task."""
    owners = regions.owners()
    first = np.nonzero(regions.twin > np.arange(len(regions.twin)))[0]
    return np.stack([owners[first], owners[regions.twin[first]]], 1)


def _pixels(plan: Plan, regions: TaskRegions) -> tuple[Array, Array]:
    """Pixels whose centres lie in the regions, and those regions, if pixels are given their values."""
    if plan.grid is None or not plan.coloured:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return plan.grid.owners(regions)


def _part(
    plan: Plan,
    regions: TaskRegions,
    outline: Outline | None,
    pixels: Array,
    owners: Array,
    open_: OpenRegions | None = None,
) -> Part:
    """Add up what there is to say of the regions; pixels (m,) lie in regions owners (m,)."""
    tally, n = Tally(plan), len(regions)
    values = plan.values(regions)
    weights = np.ldexp(regions.volumes, -plan.exponent)
    ranks = rank(regions.sigma, shape=plan.shape)
    outside = regions.twin == UNMATCHED
    tally.counts[REGIONS], tally.counts[HALF_EDGES] = n, len(regions.keys)
    tally.counts[BOUNDARY_EDGES] = np.count_nonzero(regions.twin == BOUNDARY)
    tally.counts[MATCHED] = (len(regions.twin) - tally.counts[BOUNDARY_EDGES] - np.count_nonzero(outside)) // 2
    tally.counts[MOST_CORNERS] = np.diff(regions.offsets).max(initial=0)
    tally.ranks += np.bincount(ranks, minlength=3)
    tally.area.add(np.zeros((1, n)), weights)
    # A region's share in the area of each rank is 0 or 1: the first moment of that is the area.
    tally.rank_areas.add((ranks == np.arange(3)[:, None]).astype(np.float64), weights)
    scaled = dict(values, volume=weights)  # squares of tiny and huge areas stay within range
    tally.moments.add(np.stack([scaled[name] for name in QUANTITIES]), weights)
    for name, bins in tally.histograms.items():
        bins.add(values[name], regions.volumes)
    points = np.zeros(0, np.int64)
    if plan.grid is not None and COUNT in plan.pictures:
        points = plan.grid.cells(inner_points(regions.corners, regions.offsets, np.arange(len(regions.corners))))
    colours = {name: values[name][owners] for name in plan.pictures if name != COUNT}
    return Part(tally, regions.keys[outside], outline, pixels, colours, points, open_)


def _outline(marks: Marks, regions: TaskRegions, labels: Array, count: int, sure: Array) -> Outline:
    """What is needed to join linear regions (labels (N,), count) across half-edges that lead to other tasks.

    Of some of these the maps on both sides are known to be different, ``sure`` (n,).
    """
    open_ = np.nonzero(regions.twin == UNMATCHED)[0]
    keys, open_ = regions.keys[open_[sure]], open_[~sure]
    behind, which = np.unique(regions.owners()[open_], return_inverse=True)
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
        patterns=regions.patterns(behind)[which],
        problem=regions.problem,
    )


def exponent_of(volume: float) -> int:
    """The exponent in units of which areas are added up."""
    return math.frexp(volume)[1] if 0 < volume < math.inf else 0
