"""`SpacePartition`: what an enumeration found in a space of any dimension, as a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.descriptors import nu, psi, singular_values
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.maps import unpack
from splinegeo.partition.regions import Regions, frozen
from splinegeo.partition.setting import Setting
from splinegeo.partition.views import Ragged, position
from splinegeo.space.faces import faces, vertices_of_faces
from splinegeo.space.geometry import Geometry
from splinegeo.space.locate import patterns_at
from splinegeo.space.merging import linear_labels
from splinegeo.space.outline import Domain, centre_of, extremes
from splinegeo.space.programmes import adjacency_of
from splinegeo.space.volumes import volumes
from splinegeo.space.walk import geometry_of

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes

    from splinegeo.partition.result import Partition
    from splinegeo.space.surface import Surface

LARGEST_CHUNK = 1 << 24  # entries of A at a time


@dataclass(frozen=True)
class SpaceRegion:
    """One region, as iteration over a partition gives it."""

    index: int
    vertices: Array  # (k, d) slice coordinates, in no geometric order
    pattern: Array  # (B,) activation bits
    neighbors: Array  # (f,) region across each facet; -1 boundary, -2 not enumerated
    A: Array  # (D, d) on slice coordinates
    b: Array  # (D,)
    psi: float
    nu: float
    volume: float


@dataclass(frozen=True, eq=False, repr=False)
class SpacePartition(Regions):
    """The regions of a network over a domain in d dimensions, with everything that joins them.

    N regions, V vertices, M facets, C corners (a corner is a vertex as seen from one region: those of region k are
    ``region_offsets[k]:region_offsets[k + 1]``), K facets as seen from one region (of region k
    ``facet_offsets[k]:facet_offsets[k + 1]``). B bits make a pattern. Regions are in the order of the depth-first walk,
    the same on every machine and for any number of threads.

    In up to six dimensions vertices and facets come with the regions. From seven on, where a region has hundreds of
    vertices, regions are found by linear programmes, a point in each; what speaks of vertices and facets is worked out
    when it is first asked for, by the engine of vertices, and takes many times as long.
    """

    network: SplineNetwork
    domain: Domain
    slice: Slice
    packed_patterns: Array  # (N, ceil(B / 8)) uint8, little-endian bit order
    points: Array  # (N, d) a point of each region, where linear programmes found them; else (0, d)
    stored_geometry: Geometry | None  # None until it is asked for, after linear programmes
    complete: bool
    stop_reason: str  # "" when complete

    # -- vertices and facets -------------------------------------------------------------------------------------------

    @cached_property
    def geometry(self) -> Geometry:
        """Vertices and facets.

        Raises:
            UnsupportedOperation: they are not known, and the partition is incomplete or its domain has too many.
        """
        return self.stored_geometry or geometry_of(self)

    @property
    def vertices(self) -> Array:
        """(V, d) float64, slice coordinates."""
        return self.geometry.vertices

    @property
    def region_offsets(self) -> Array:
        """(N + 1,) int64: where the corners of each region begin."""
        return self.geometry.region_offsets

    @property
    def corner_vertices(self) -> Array:
        """(C,) int32: the vertex that each corner is."""
        return self.geometry.corner_vertices

    @property
    def corner_facets(self) -> Array:
        """(C, W) uint64: bit j for the j-th facet of the region, if the corner lies on it."""
        return self.geometry.corner_facets

    @property
    def facet_offsets(self) -> Array:
        """(N + 1,) int64: where the facets of each region begin."""
        return self.geometry.facet_offsets

    @property
    def region_facets(self) -> Array:
        """(K,) int32: the number of each region's facets."""
        return self.geometry.region_facets

    @property
    def facet_regions(self) -> Array:
        """(M, 2) int32: regions on both sides; the second -1 on the domain's boundary, -2 where not enumerated."""
        return self.geometry.facet_regions

    @property
    def facet_sides(self) -> Array:
        """(M,) int32: the facet of the domain on which this one lies, -1 inside."""
        return self.geometry.facet_sides

    @property
    def facet_breakpoint_offsets(self) -> Array:
        """(M + 1,) int64, see `facets`."""
        return self.geometry.facet_breakpoint_offsets

    @property
    def facet_breakpoints(self) -> Array:
        """int32: breakpoints (pattern bits) that differ across the facet; none on the boundary."""
        return self.geometry.facet_breakpoints

    # -- counts --------------------------------------------------------------------------------------------------------

    @property
    def n_vertices(self) -> int:
        """Number of vertices, shared ones once."""
        return len(self.vertices)

    @property
    def n_facets(self) -> int:
        """Number of facets, shared ones once."""
        return len(self.facet_regions)

    def f_vector(self) -> tuple[int, ...]:
        """Number of faces of dimension 0, 1, ..., d, shared ones once: vertices, edges, ..., facets, regions."""
        return tuple(self._n_faces(k) for k in range(self.dim + 1))

    @property
    def euler_characteristic(self) -> int:
        """The alternating sum of the f-vector: 1 for a convex domain that is covered completely."""
        return sum((-1) ** k * n for k, n in enumerate(self.f_vector()))

    def _n_faces(self, dim: int) -> int:
        known = {0: self.n_vertices, self.dim - 1: self.n_facets, self.dim: self.n_regions}
        return known[dim] if dim in known else len(self._faces(dim)[0])

    def _faces(self, dim: int) -> tuple[Array, Array]:
        counts = np.diff(self.facet_offsets)
        return faces(
            self.corner_vertices, self.corner_facets, self.region_offsets, counts, self.n_vertices, self.dim, dim
        )

    def faces(self, dim: int) -> Ragged:
        """The vertices of each face of a dimension, shared faces once, in no geometric order.

        Raises:
            InvalidArgument: there are no faces of this dimension.
        """
        whole = isinstance(dim, (int, np.integer)) and not isinstance(dim, bool)
        if not whole or not 0 <= dim <= self.dim:
            raise InvalidArgument(f"faces(dim={dim!r}): a dimension from 0 to {self.dim} is expected")
        regions, closures = self._faces(int(dim))
        geometry = self.geometry
        return Ragged(
            *vertices_of_faces(
                geometry.corner_vertices, geometry.corner_facets, geometry.region_offsets, regions, closures
            )
        )

    @cached_property
    def adjacency(self) -> Array:
        """(M', 2) int64 pairs of regions that share a facet, the lower number first, in ascending order.

        Known for balls of any dimension, whose vertices and facets are not.

        Raises:
            UnsupportedOperation: linear programmes found the regions, and the partition is incomplete.
        """
        if self.stored_geometry is None:
            return frozen(adjacency_of(self))
        inner = self.facet_regions[self.facet_regions[:, 1] >= 0].astype(np.int64)
        return frozen(np.unique(np.sort(inner, 1), axis=0))

    # -- geometry ------------------------------------------------------------------------------------------------------

    @property
    def corners(self) -> Ragged:
        """The (k, d) vertices of each region, in no geometric order."""
        return Ragged(self.vertices[self.corner_vertices], self.region_offsets)

    @property
    def neighbors(self) -> Ragged:
        """For each region the region across each facet; -1 on the domain's boundary, -2 where not enumerated."""
        both = self.facet_regions[self.region_facets]
        own = np.repeat(np.arange(self.n_regions), np.diff(self.facet_offsets))
        return Ragged(np.where(both[:, 0] == own, both[:, 1], both[:, 0]), self.facet_offsets)

    @property
    def facets(self) -> Ragged:
        """For each facet the set of breakpoints on it: those whose activation differs between its two sides."""
        return Ragged(self.facet_breakpoints, self.facet_breakpoint_offsets)

    def facet_vertices(self, facet: int) -> Array:
        """The vertices (n,) of a facet, in no geometric order."""
        facet = position(facet, self.n_facets, "facet")
        r = self.facet_regions[facet, 0]
        place = int(np.flatnonzero(self.region_facets[self.facet_offsets[r] : self.facet_offsets[r + 1]] == facet)[0])
        here = slice(self.region_offsets[r], self.region_offsets[r + 1])
        word = self.corner_facets[here, place // 64] >> np.uint64(place % 64)
        return self.corner_vertices[here][(word & np.uint64(1)) != 0]

    @cached_property
    def volumes(self) -> Array:
        """(N,) volumes in slice coordinates."""
        counts = np.diff(self.facet_offsets)
        return frozen(volumes(self.vertices, self.corner_vertices, self.corner_facets, self.region_offsets, counts))

    @cached_property
    def interior_points(self) -> Array:
        """(N, d) a point of each region: the mean of its corners, or what a linear programme found.

        In a sliver thinner than float64 resolves it may lie on a facet.
        """
        if self.stored_geometry is None:
            return self.points
        if not self.n_regions:
            return frozen(np.zeros((0, self.dim)))
        start, count = self.region_offsets[:-1], np.diff(self.region_offsets)
        shift = self.vertices[self.corner_vertices[start]]  # corners are close to each other, not to the origin
        offsets = self.vertices[self.corner_vertices] - np.repeat(shift, count, 0)
        return frozen(shift + np.add.reduceat(offsets, start, 0) / count[:, None])

    # -- maps and descriptors ------------------------------------------------------------------------------------------

    @cached_property
    def singular_values(self) -> Array:
        """(N, d) of A on the slice, descending; those that are zero in exact arithmetic may come out tiny."""
        step = max(1, LARGEST_CHUNK // (self.network.n_outputs * self.dim))
        parts = [
            singular_values(self.affine_maps(np.arange(k, min(k + step, self.n_regions)))[0])
            for k in range(0, self.n_regions, step)
        ]
        return frozen(np.concatenate(parts) if parts else np.zeros((0, self.dim)))

    # -- other forms ---------------------------------------------------------------------------------------------------

    def zero_set(self, output: int = 0, level: float = 0.0) -> Surface:
        """Where an output equals ``level``, exactly, as a surface of polygons in 3 dimensions; see `space.zero_set`."""
        from splinegeo.space.surface import zero_set

        plane = None if isinstance(self.domain, L1Ball) else self.slice
        return zero_set(self.network, self.domain, plane, output=output, level=level)

    def section(self, plane: Slice, domain: Polygon | Box) -> Partition:
        """The partition of a plane through slice coordinates, u = plane.origin + plane.basis @ v, over a domain of v.

        Regions are those of the network on the plane, found by the engine for planes, whether inside the domain or not.

        Raises:
            ShapeMismatch: the plane does not lie in the slice's coordinates, or is no plane.
        """
        from splinegeo.space.section import section

        return section(self, plane, domain)

    def to_networkx(self) -> networkx.Graph:
        """The adjacency graph: regions with their descriptors, edges with the facet that they share."""
        from splinegeo.io import space_to_networkx

        return space_to_networkx(self)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the facets of a partition in 3 dimensions; see `splinegeo.plot.plot_space`."""
        from splinegeo.plot import plot_space

        return plot_space(self, ax=ax, **kwargs)

    # -- Python --------------------------------------------------------------------------------------------------------

    def __getitem__(self, k: int) -> SpaceRegion:
        k = position(k, self.n_regions, "region")
        a, b = self.affine_maps([k])
        s = singular_values(a)
        return SpaceRegion(
            k,
            self.corners[k],
            unpack(self.packed_patterns[k : k + 1], self.network.n_breakpoints)[0].astype(bool),
            self.neighbors[k],
            a[0],
            b[0],
            float(psi(s, shape=self._map_shape)[0]),
            float(nu(s)[0]),
            float(self.volumes[k]),
        )

    def __iter__(self) -> Iterator[SpaceRegion]:
        return (self[k] for k in range(self.n_regions))

    def __repr__(self) -> str:
        where = f"{type(self.domain).__name__} in R^{self.slice.ambient_dim}"
        return f"<SpacePartition {self.n_regions:,} regions of {where}, d = {self.dim}, float64, {self.status}>"

    # -- derived, kept -------------------------------------------------------------------------------------------------

    @cached_property
    def _setting(self) -> Setting:
        return Setting.of(self.network, self.slice.origin, self.slice.basis, extremes(self.domain))

    @cached_property
    def _linear(self) -> tuple[Array, int]:
        labels, count = linear_labels(self._setting, self.packed_patterns, self.adjacency)
        return frozen(labels), count

    def _patterns_at(self, points: Array) -> Array:
        return patterns_at(self._setting, centre_of(self.domain), points)
