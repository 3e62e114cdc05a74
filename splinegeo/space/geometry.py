"""`Geometry`: the vertices and facets of the regions of a partition in d dimensions, and who lies on whom."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.regions import frozen, same


@dataclass(frozen=True, eq=False, repr=False)
class Geometry:
    """N regions, V vertices, M facets, C corners, K facets as seen from one region; see `SpacePartition`."""

    vertices: Array  # (V, d) float64, slice coordinates
    region_offsets: Array  # (N + 1,) int64
    corner_vertices: Array  # (C,) int32
    corner_facets: Array  # (C, W) uint64: bit j for the j-th facet of the region
    facet_offsets: Array  # (N + 1,) int64
    region_facets: Array  # (K,) int32: facet
    facet_regions: Array  # (M, 2) int32: the regions on both sides; second one -1 domain boundary, -2 not enumerated
    facet_sides: Array  # (M,) int32: the facet of the domain on which this one lies, -1 inside
    facet_breakpoint_offsets: Array  # (M + 1,) int64
    facet_breakpoints: Array  # int32: breakpoints (pattern bits) that differ across the facet; none on the boundary

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            frozen(getattr(self, name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]

    def __setstate__(self, state: dict[str, Array]) -> None:
        self.__dict__.update({name: frozen(array) for name, array in state.items()})

    def renumbered(self, order: Array) -> Geometry:
        """The same with region ``order[k]`` as number k; vertices and facets keep their numbers."""
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        both = self.facet_regions.astype(np.int64)
        both = np.where(both >= 0, number[np.maximum(both, 0)], both)
        swapped = (both[:, 1] >= 0) & (both[:, 1] < both[:, 0])
        both[swapped] = both[swapped, ::-1]
        corners, region_offsets = _taken(self.region_offsets, order)
        facets, facet_offsets = _taken(self.facet_offsets, order)
        return Geometry(
            self.vertices,
            region_offsets,
            self.corner_vertices[corners],
            self.corner_facets[corners],
            facet_offsets,
            self.region_facets[facets],
            both.astype(np.int32),
            self.facet_sides,
            self.facet_breakpoint_offsets,
            self.facet_breakpoints,
        )


def _taken(offsets: Array, order: Array) -> tuple[Array, Array]:
    """The entries of rows ``order`` of a ragged array, and the offsets of what they make."""
    counts = np.diff(offsets)[order]
    ends = np.cumsum(counts)
    entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(offsets[:-1][order] - (ends - counts), counts)
    return entries, np.r_[0, ends]
