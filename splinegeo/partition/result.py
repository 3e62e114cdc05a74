"""`Partition`: what an enumeration found, as a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from splinegeo._types import Array
from splinegeo.descriptors import image_areas, nu, psi
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.boundary import Boundary, decision_boundary
from splinegeo.partition.enumerate import LARGE, Problem
from splinegeo.partition.frame import Frame
from splinegeo.partition.geometry import areas, inner_points
from splinegeo.partition.link import hinge_bits
from splinegeo.partition.locate import patterns_at
from splinegeo.partition.maps import unpack
from splinegeo.partition.merging import labels_by_graph, linear_labels, projected_rows
from splinegeo.partition.outputs import output_maps
from splinegeo.partition.regions import Regions, frozen
from splinegeo.partition.setting import Setting
from splinegeo.partition.views import Ragged, Region, position

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Partition(Regions):
    """The regions of a network over a domain in a plane, with everything that joins them.

    N regions, V vertices, M edges, C corners (a corner is a vertex as seen from one region; the corners of region k
    are ``region_offsets[k]:region_offsets[k + 1]``, counter-clockwise). B bits make a pattern. Regions are in the
    order of the depth-first walk, the same on every machine and for any number of threads.
    """

    network: SplineNetwork
    domain: Box | Polygon
    slice: Slice
    vertices: Array  # (V, 2) float64, slice coordinates
    region_offsets: Array  # (N + 1,) int64
    corner_vertices: Array  # (C,) int32
    corner_edges: Array  # (C,) int32: the edge from this corner to the next one of its region
    corner_neighbors: Array  # (C,) int32: region across that edge; -1 domain boundary, -2 not enumerated (budget)
    edge_vertices: Array  # (M, 2) int32
    edge_regions: Array  # (M, 2) int32: the region(s) on both sides, second one -1 or -2 as above
    edge_breakpoint_offsets: Array  # (M + 1,) int64
    edge_breakpoints: Array  # (K,) int32: breakpoints (pattern bits) that differ across the edge; none on the boundary
    packed_patterns: Array  # (N, ceil(B / 8)) uint8, little-endian bit order (np.packbits(..., bitorder="little"))
    singular_values: Array  # (N, 2) of A on the slice, descending; zero where the rank is exactly lower
    compressed_maps: Array  # (N, rows, 3) float64, see `affine_maps`; (0, rows, 3) where they are not kept
    map_errors: Array  # (N,) bound on the error of an entry of compressed_maps; of singular_values if it was reduced
    output_basis: Array  # (D, rows) orthonormal columns; (0, rows) where the rows are the outputs themselves
    output_exponent: int  # compressed_maps hold 2**-output_exponent times the coefficients, in the domain's frame
    complete: bool
    stop_reason: str  # "" when complete

    # -- counts --------------------------------------------------------------------------------------------------------

    @property
    def n_vertices(self) -> int:
        """Number of vertices, shared ones once."""
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        """Number of edges, shared ones once."""
        return len(self.edge_vertices)

    # -- geometry ------------------------------------------------------------------------------------------------------

    @property
    def polygons(self) -> Ragged:
        """The (k, 2) corners of each region, counter-clockwise."""
        return Ragged(self.vertices[self.corner_vertices], self.region_offsets)

    @property
    def neighbors(self) -> Ragged:
        """For each region the region across each edge; -1 on the domain's boundary, -2 where not enumerated."""
        return Ragged(self.corner_neighbors, self.region_offsets)

    @property
    def edges(self) -> Ragged:
        """For each edge the set of breakpoints on it: those whose activation differs between its two sides."""
        return Ragged(self.edge_breakpoints, self.edge_breakpoint_offsets)

    @cached_property
    def volumes(self) -> Array:
        """(N,) areas in slice coordinates."""
        return frozen(areas(self.vertices, self.region_offsets, self.corner_vertices))

    @cached_property
    def interior_points(self) -> Array:
        """(N, 2) the mean of each region's corners; in a sliver thinner than float64 resolves it may lie on an edge."""
        return frozen(inner_points(self.vertices, self.region_offsets, self.corner_vertices))

    # -- maps and descriptors ------------------------------------------------------------------------------------------

    def affine_maps(self, regions: Any = None, *, latent: bool = False) -> tuple[Array, Array]:
        """A and b with G = A u + b on each region, as (n, D, 2) and (n, D) in slice coordinates u.

        Args:
            regions: indices of the regions wanted, all by default.
            latent: give A (n, D, E) and b for the latent z itself instead of slice coordinates.

        Raises:
            InvalidArgument: an index is out of range.
        """
        if latent or not len(self.compressed_maps):
            return super().affine_maps(regions, latent=latent)
        chosen = self._chosen(regions)
        frame = Frame.of(self.domain.vertices)
        return output_maps(self.compressed_maps[chosen], self.output_basis, self.output_exponent, frame)

    @property
    def image_areas(self) -> Array:
        """(N,) area of each region's image: volume times e^psi where A has rank 2, else 0. Overlaps count each time."""
        return image_areas(self.psi, self.volumes, self.rank)

    def decision_boundary(self, i: int, j: int | None = None, *, level: float = 0.0) -> Boundary:
        """Where output i equals ``level``, or (with j) where outputs i and j tie for the largest, as exact segments.

        Segments have the domain on both sides: a level set that runs along the domain's own boundary gives none there.

        Raises:
            InvalidArgument: an output that the network does not have, or i = j.
        """
        return decision_boundary(self, i, j, level)

    # -- other forms ---------------------------------------------------------------------------------------------------

    def to_networkx(self) -> networkx.Graph:
        """The adjacency graph: regions with their descriptors, edges with the facet that they share."""
        from splinegeo.io import to_networkx

        return to_networkx(self)

    def to_shapely(self) -> Array:
        """The regions as an array (N,) of shapely polygons."""
        from splinegeo.io import to_shapely

        return to_shapely(self)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the regions; see `splinegeo.plot.plot_partition`."""
        from splinegeo.plot import plot_partition

        return plot_partition(self, ax=ax, **kwargs)

    def plot_image(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the image of the regions; see `splinegeo.plot.plot_image`."""
        from splinegeo.plot import plot_image

        return plot_image(self, ax=ax, **kwargs)

    # -- Python --------------------------------------------------------------------------------------------------------

    def __getitem__(self, k: int) -> Region:
        k = position(k, self.n_regions, "region")
        a, b = self.affine_maps([k])
        bits = unpack(self.packed_patterns[k : k + 1], self.network.n_breakpoints)[0].astype(bool)
        s = self.singular_values[k : k + 1]
        scaling, local_rank = float(psi(s, shape=self._map_shape)[0]), float(nu(s)[0])
        return Region(
            k, self.polygons[k], bits, self.neighbors[k], a[0], b[0], scaling, local_rank, float(self.volumes[k])
        )

    def __iter__(self) -> Iterator[Region]:
        return (self[k] for k in range(self.n_regions))

    def __repr__(self) -> str:
        where = f"{type(self.domain).__name__} in R^{self.slice.ambient_dim}"
        return f"<Partition {self.n_regions:,} regions of {where}, float64, {self.status}>"

    def _repr_html_(self) -> str:
        from splinegeo.partition.notebook import html

        return html(self)

    def _repr_svg_(self) -> str:
        from splinegeo.partition.notebook import svg

        return svg(self)

    # -- derived, kept -------------------------------------------------------------------------------------------------

    @cached_property
    def _problem(self) -> Problem:
        return Problem.of(self.network, self.slice.origin, self.slice.basis, self.domain.vertices)

    @cached_property
    def _setting(self) -> Setting:
        return Setting.of(self.network, self.slice.origin, self.slice.basis, self.domain.vertices)

    @cached_property
    def _linear(self) -> tuple[Array, int]:
        if self.network.n_breakpoints > LARGE:
            labels, count = labels_by_graph(
                self._setting, self.packed_patterns, self.singular_values, self.map_errors, self.edge_regions
            )
            return frozen(labels), count
        bits = hinge_bits(self.packed_patterns, self._problem.bits, self.network.n_breakpoints)
        maps, errors = self.compressed_maps, self.map_errors
        if not len(maps) and len(bits):
            maps, errors = projected_rows(self._problem, self.packed_patterns, errors)
        labels, count = linear_labels(self._problem, bits, maps, errors, self.edge_regions)
        return frozen(labels), count

    def _patterns_at(self, points: Array) -> Array:
        return patterns_at(self._setting, self.slice.origin, self.slice.basis, points)
