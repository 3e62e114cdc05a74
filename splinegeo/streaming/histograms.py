"""Histograms of numbers that arrive bit by bit: on edges given beforehand, or on a grid that widens by itself.

The grid's cells are [i 2^k, (i + 1) 2^k) with a whole k. When there are more cells than asked for, k grows by one and
pairs of cells become one; cells nest, so the counts are those that the final edges would have given from the start.
No range has to be guessed, and nothing falls off its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array

MAX_BINS = 1_000_000
BELOW, ABOVE, UNDEFINED = range(3)


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often, and on what share of the area, a quantity lies in each bin [edges[k], edges[k + 1]).

    The last bin of edges that were given holds its upper edge, too. Counts and areas of all bins and of what is outside
    add up to the number of regions and their area.
    """

    edges: Array  # (K + 1,) ascending
    counts: Array  # (K,) int64 regions
    areas: Array  # (K,) their area
    outside_counts: Array  # (3,) int64 regions below the first edge, above the last one, and undefined (nan)
    outside_areas: Array  # (3,) their area

    @property
    def centres(self) -> Array:
        """(K,) the middle of each bin."""
        return self.edges[:-1] / 2 + self.edges[1:] / 2

    def density(self) -> Array:
        """(K,) probability density at a uniformly random point of the domain: area share per unit of the quantity."""
        total = self.areas.sum() + self.outside_areas.sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.areas / (total * np.diff(self.edges))

    def __repr__(self) -> str:
        span = f"[{self.edges[0]:.6g}, {self.edges[-1]:.6g}]" if len(self.counts) else "no values"
        return f"<Histogram of {self.counts.sum():,} regions in {len(self.counts):,} bins, {span}>"


def checked_bins(call: str, bins: Any) -> int | Array:
    """A number of bins or their edges (K + 1,).

    Raises:
        WrongType, InvalidArgument: it is neither.
    """
    if isinstance(bins, (int, np.integer)) and not isinstance(bins, (bool, np.bool_)):
        if not 1 <= bins <= MAX_BINS:
            raise InvalidArgument(f"{call}(bins={bins}): from 1 to {MAX_BINS:,} bins are expected")
        return int(bins)
    try:
        edges = np.array(bins, np.float64)
    except (TypeError, ValueError):
        raise WrongType(f"{call}(bins={bins!r}): a number of bins or their edges are expected") from None
    if isinstance(bins, (bool, np.bool_)) or edges.ndim != 1:
        raise WrongType(f"{call}(bins={bins!r}): a number of bins or a list of their edges is expected")
    if not (2 <= len(edges) <= MAX_BINS + 1 and np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise InvalidArgument(f"{call}: edges of bins are two or more finite, strictly ascending numbers")
    edges.flags.writeable = False
    return edges


class Bins:
    """A histogram in the making. ``bins`` are edges, or the most cells that the grid may have."""

    def __init__(self, bins: int | Array) -> None:
        self.edges: Array | None = None if isinstance(bins, int) else bins
        # Two cells hold everything, [-2^k, 0) and [0, 2^k); one may not.
        self.most = max(2, bins) if isinstance(bins, int) else len(bins) - 1
        k = 0 if self.edges is None else self.most
        self.grid = np.zeros(2, np.int64)  # exponent and number of the first cell
        self.counts: Array = np.zeros(k, np.int64)
        self.areas: Array = np.zeros(k)
        self.outside_counts, self.outside_areas = np.zeros(3, np.int64), np.zeros(3)

    def add(self, values: Array, areas: Array) -> None:
        """Take in values (N,) of regions with these areas (N,)."""
        low, high = (-math.inf, math.inf) if self.edges is None else (self.edges[0], self.edges[-1])
        finite = np.isfinite(values)
        below, above = ~finite & (values < 0), ~finite & (values > 0)
        if self.edges is not None:
            below, above = values < low, values > high
        for place, chosen in ((BELOW, below), (ABOVE, above), (UNDEFINED, np.isnan(values))):
            self.outside_counts[place] += int(chosen.sum())
            self.outside_areas[place] += float(areas[chosen].sum())
        inside = finite & ~below & ~above
        if not inside.all():
            values, areas = values[inside], areas[inside]
        if not len(values):
            return
        if self.edges is None:
            self._add_to_grid(values, areas)
            return
        bins = np.minimum(np.searchsorted(self.edges, values, side="right") - 1, self.most - 1)
        self.counts += np.bincount(bins, minlength=self.most)
        self.areas += np.bincount(bins, areas, self.most)

    def _add_to_grid(self, values: Array, areas: Array) -> None:
        low, high = float(values.min()), float(values.max())
        # Cells no finer than 2^-40 of the values: their numbers stay far below 2^53.
        span = max(high / 2 - low / 2, max(-low, high) * 2.0**-41, 5e-324)
        exponent = max(math.frexp(span)[1] + 1 - self.most.bit_length(), -1074)  # finer edges would be one number
        more = Bins(self.most)
        place = np.floor(np.ldexp(values, -exponent))
        place = np.where(values < 0, np.minimum(place, -1.0), place)  # also of what underflowed
        first = int(place.min())
        where = (place - first).astype(np.int64)
        more.grid[:] = exponent, first
        more.counts, more.areas = np.bincount(where), np.bincount(where, areas)
        self.merge(more)

    def merge(self, more: Bins) -> None:
        """Take in what another one of the same kind has counted."""
        self.outside_counts += more.outside_counts
        self.outside_areas += more.outside_areas
        if self.edges is not None:
            self.counts += more.counts
            self.areas += more.areas
        elif not len(self.counts):
            self.grid, self.counts, self.areas = more.grid.copy(), more.counts.copy(), more.areas.copy()
            self._coarsen(int(self.grid[0]))
        elif len(more.counts):
            theirs = Bins(self.most)
            theirs.grid, theirs.counts, theirs.areas = more.grid.copy(), more.counts, more.areas
            exponent = int(max(self.grid[0], more.grid[0]))
            self._coarsen(exponent)
            theirs._coarsen(int(self.grid[0]))
            while True:
                self._coarsen(int(theirs.grid[0]))
                first = min(self.grid[1], theirs.grid[1])
                last = max(self.grid[1] + len(self.counts), theirs.grid[1] + len(theirs.counts))
                if last - first <= self.most:
                    break
                theirs._coarsen(int(self.grid[0]) + 1)
            counts, areas = np.zeros(last - first, np.int64), np.zeros(last - first)
            for one in (self, theirs):
                at = int(one.grid[1] - first)
                counts[at : at + len(one.counts)] += one.counts
                areas[at : at + len(one.areas)] += one.areas
            self.grid[1], self.counts, self.areas = first, counts, areas

    def _coarsen(self, exponent: int) -> None:
        """Pairs of cells into one until cells have at least this exponent and there are few enough of them."""
        while self.grid[0] < exponent or len(self.counts) > self.most:
            first = int(self.grid[1]) >> 1
            where = (int(self.grid[1]) + np.arange(len(self.counts)) >> 1) - first
            self.areas = np.bincount(where, self.areas)
            self.counts = np.bincount(where, self.counts).astype(np.int64)  # exact: far below 2^53
            self.grid[:] = self.grid[0] + 1, first

    def result(self) -> Histogram:
        """The histogram so far."""
        edges = self.edges
        if edges is None:
            cells = self.grid[1] + np.arange(len(self.counts) + 1)
            with np.errstate(over="ignore"):  # the cells of the largest numbers end at infinity
                edges = np.ldexp(cells.astype(np.float64), int(self.grid[0])) if len(self.counts) else np.zeros(1)
        return Histogram(
            edges, self.counts.copy(), self.areas.copy(), self.outside_counts.copy(), self.outside_areas.copy()
        )
