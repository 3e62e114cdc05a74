"""`RegionBatch`: some regions at a time, with everything that a partition says about a region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinegeo._types import Array
from splinegeo.descriptors import nu, psi, rank
from splinegeo.partition.geometry import inner_points
from splinegeo.partition.maps import maps_of_patterns, unpack
from splinegeo.partition.outputs import output_maps
from splinegeo.partition.views import Ragged
from splinegeo.streaming.regions import TaskRegions


@dataclass(frozen=True, eq=False, repr=False)
class RegionBatch:
    """N regions that follow each other in the canonical order, as `stream` hands them out.

    Patterns and affine maps are made when they are asked for, and not kept: N patterns of a large network are large.
    """

    start: int  # number of the first region in the canonical order
    offsets: Array  # (N + 1,) int64: corners of region k are offsets[k]:offsets[k + 1]
    corners: Array  # (C, 2) in slice coordinates, counter-clockwise region by region
    keys: Array  # (C,) uint64: name of the edge behind each corner, the same from both sides; 0 on the boundary
    volumes: Array  # (N,) areas in slice coordinates
    singular_values: Array  # (N, 2) of A on the slice, descending; zero where the rank is exactly lower
    _regions: TaskRegions
    _first: int  # where the batch begins in them

    @classmethod
    def of(cls, regions: TaskRegions, first: int, last: int, start: int) -> RegionBatch:
        """Regions ``first`` to ``last`` of a task, the first of which has number ``start``."""
        lo, hi = regions.offsets[first], regions.offsets[last]
        return cls(
            start,
            regions.offsets[first : last + 1] - lo,
            regions.corners[lo:hi],
            regions.keys[lo:hi],
            regions.volumes[first:last],
            regions.sigma[first:last],
            regions,
            first,
        )

    def __len__(self) -> int:
        return len(self.volumes)

    @property
    def polygons(self) -> Ragged:
        """The (k, 2) corners of each region, counter-clockwise."""
        return Ragged(self.corners, self.offsets)

    @cached_property
    def interior_points(self) -> Array:
        """(N, 2) the mean of each region's corners; in a sliver thinner than float64 resolves it may lie on an edge."""
        return inner_points(self.corners, self.offsets, np.arange(len(self.corners)))

    @cached_property
    def psi(self) -> Array:
        """(N,) local scaling, as `Partition.psi`."""
        return psi(self.singular_values, shape=self._shape)

    @cached_property
    def nu(self) -> Array:
        """(N,) local rank, as `Partition.nu`."""
        return nu(self.singular_values)

    @cached_property
    def rank(self) -> Array:
        """(N,) number of singular values that count in psi."""
        return rank(self.singular_values, shape=self._shape)

    @property
    def packed_patterns(self) -> Array:
        """(N, ceil(B / 8)) uint8, little-endian bit order, as `Partition.packed_patterns`."""
        return self._regions.patterns(slice(self._first, self._first + len(self)))

    @property
    def patterns(self) -> Array:
        """(N, B) bool: whether the unit of each breakpoint lies above it."""
        return unpack(self.packed_patterns, self._regions.problem.network.n_breakpoints).astype(bool)

    def affine_maps(self, *, latent: bool = False) -> tuple[Array, Array]:
        """A (N, D, 2) and b (N, D) with G = A u + b on each region, in slice coordinates u.

        Args:
            latent: give A (N, D, E) and b for the latent z itself instead of slice coordinates.
        """
        problem = self._regions.problem
        if latent or not len(self._regions.maps):
            network, ambient = problem.network, len(problem.origin)
            linear = np.eye(ambient) if latent else problem.basis
            constant = np.zeros(ambient) if latent else problem.origin
            columns = np.concatenate([linear, constant[:, None]], 1)
            both = maps_of_patterns(network, unpack(self.packed_patterns, network.n_breakpoints), columns)
            return both[:, :, :-1], both[:, :, -1]
        outputs = problem.outputs
        maps = self._regions.maps[self._first : self._first + len(self)]
        return output_maps(maps, outputs.basis, outputs.exponent, problem.frame)

    @property
    def _shape(self) -> tuple[int, int]:
        return self._regions.problem.network.n_outputs, 2

    def __repr__(self) -> str:
        return f"<RegionBatch of {len(self):,} regions from number {self.start:,}>"
