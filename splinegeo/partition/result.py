"""`Partition`: what an enumeration found, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import real_array
from splinegeo.descriptors import Summary, image_areas, nu, output_densities, psi, rank, summarize, weighted_histogram
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.networks.arrays import same_network
from splinegeo.partition.boundary import Boundary, decision_boundary
from splinegeo.partition.enumerate import LARGE, Problem
from splinegeo.partition.frame import Frame
from splinegeo.partition.geometry import areas, inner_points
from splinegeo.partition.link import hinge_bits
from splinegeo.partition.locate import patterns_at
from splinegeo.partition.maps import maps_of_patterns, unpack
from splinegeo.partition.merging import labels_by_graph, linear_labels, projected_rows
from splinegeo.partition.outputs import output_maps
from splinegeo.partition.setting import Setting
from splinegeo.partition.views import Ragged, Region, position

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
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
    def n_regions(self) -> int:
        """Number of regions: maximal connected open sets with one activation pattern."""
        return len(self.region_offsets) - 1

    @property
    def n_linear_regions(self) -> int:
        """Number of linear regions: maximal unions, connected through edges, with one affine map."""
        return self._linear[1]

    def linear_regions(self) -> Array:
        """The linear region (N,) of each region, numbered in order of appearance."""
        return self._linear[0]

    @property
    def n_vertices(self) -> int:
        """Number of vertices, shared ones once."""
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        """Number of edges, shared ones once."""
        return len(self.edge_vertices)

    @property
    def dim(self) -> int:
        """Dimension of the slice: 2."""
        return self.slice.dim

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
        return _frozen(areas(self.vertices, self.region_offsets, self.corner_vertices))

    @cached_property
    def interior_points(self) -> Array:
        """(N, 2) the mean of each region's corners; in a sliver thinner than float64 resolves it may lie on an edge."""
        return _frozen(inner_points(self.vertices, self.region_offsets, self.corner_vertices))

    @property
    def coverage(self) -> float:
        """The part of the domain's area that the enumerated regions cover: 1 when complete."""
        return 1.0 if self.complete else float(self.volumes.sum() / self.domain.volume)

    # -- patterns ------------------------------------------------------------------------------------------------------

    @property
    def patterns(self) -> Array:
        """(N, B) bool: whether the unit of each breakpoint lies above it."""
        return unpack(self.packed_patterns, self.network.n_breakpoints).astype(bool)

    def locate(self, points: Any) -> Array:
        """The region (...) of each point (..., 2) in slice coordinates; -1 outside the domain, -2 not enumerated.

        Decided exactly. A point on an edge is given one of its regions, always the same: that on the side of the
        domain's centre.

        Raises:
            ShapeMismatch: the last axis is not the slice's dimension.
        """
        points = real_array(points, "locate: points")
        if points.ndim == 0 or points.shape[-1] != 2:
            raise ShapeMismatch(f"locate: points have shape {points.shape}; slice coordinates (..., 2) are expected")
        flat = points.reshape(-1, 2)
        inside = np.isfinite(flat).all(1)
        inside[inside] = self.domain.contains(flat[inside])
        out = np.full(len(flat), -1, np.int64)
        found = patterns_at(self._setting, self.slice.origin, self.slice.basis, flat[inside])
        index = self._pattern_index
        out[inside] = [index.get(row.tobytes(), -2) for row in found]
        return out.reshape(points.shape[:-1])

    # -- maps and descriptors ------------------------------------------------------------------------------------------

    def affine_maps(self, regions: Any = None, *, latent: bool = False) -> tuple[Array, Array]:
        """A and b with G = A u + b on each region, as (n, D, 2) and (n, D) in slice coordinates u.

        Args:
            regions: indices of the regions wanted, all by default.
            latent: give A (n, D, E) and b for the latent z itself instead of slice coordinates.

        Raises:
            InvalidArgument: an index is out of range.
        """
        chosen = self._chosen(regions)
        if latent or not len(self.compressed_maps):
            s = self.slice
            linear = np.eye(s.ambient_dim) if latent else s.basis
            constant = np.zeros(s.ambient_dim) if latent else s.origin
            bits = unpack(self.packed_patterns[chosen], self.network.n_breakpoints)
            both = maps_of_patterns(self.network, bits, np.concatenate([linear, constant[:, None]], 1))
            return both[:, :, :-1], both[:, :, -1]
        frame = Frame.of(self.domain.vertices)
        return output_maps(self.compressed_maps[chosen], self.output_basis, self.output_exponent, frame)

    def _chosen(self, regions: Any) -> Array:
        if regions is None:
            return np.arange(self.n_regions)
        try:
            chosen = np.atleast_1d(np.asarray(regions))
        except (ValueError, TypeError, OverflowError):  # a ragged list
            chosen = np.zeros((1, 1))
        if chosen.size == 0 and chosen.ndim == 1:
            return chosen.astype(np.int64)
        wrong = chosen.ndim != 1 or chosen.dtype.kind not in "iu"
        if wrong or chosen.min() < 0 or chosen.max() >= self.n_regions:
            raise InvalidArgument(f"affine_maps: regions are a list of indices from 0 to {self.n_regions - 1}")
        return chosen

    @property
    def psi(self) -> Array:
        """(N,) local scaling: sum of the log singular values of A on the slice that count as non-zero, see `rank`."""
        return psi(self.singular_values, shape=self._map_shape)

    @property
    def nu(self) -> Array:
        """(N,) local rank: exponential of the entropy of the normalised singular values of A on the slice."""
        return nu(self.singular_values)

    @property
    def rank(self) -> Array:
        """(N,) number of singular values that count in psi."""
        return rank(self.singular_values, shape=self._map_shape)

    @property
    def image_areas(self) -> Array:
        """(N,) area of each region's image: volume times e^psi where A has rank 2, else 0. Overlaps count each time."""
        return image_areas(self.psi, self.volumes, self.rank)

    @property
    def output_densities(self) -> Array:
        """(N,) density on the image of a uniform latent on the domain: e^-psi / volume; inf where the image collapses.

        Where the image overlaps itself the densities of its sheets add.
        """
        return output_densities(self.psi, self.rank, self.domain.volume)

    def summary(
        self, name: Literal["psi", "nu", "volume"] = "psi", quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> Summary:
        """Area-weighted statistics of a descriptor over the regions.

        Raises:
            InvalidArgument: an unknown name.
        """
        return summarize(self._values(name), self.volumes, quantiles=quantiles)

    def histogram(self, name: Literal["psi", "nu", "volume"] = "psi", bins: Any = 50) -> tuple[Array, Array]:
        """Area-weighted histogram of a descriptor: weights (n,) and bin edges (n + 1,).

        Args:
            name: the descriptor.
            bins: a number of bins, or their edges in ascending order.

        Raises:
            InvalidArgument: an unknown name, or bins that are neither.
        """
        values = self._values(name)
        if isinstance(bins, (int, np.integer)) and not isinstance(bins, bool):
            if not 1 <= bins <= 10**7:
                raise InvalidArgument(f"histogram(bins={bins}): from 1 to 10,000,000 bins are expected")
        else:
            edges = np.asarray(bins)
            ascending = edges.ndim == 1 and len(edges) > 1 and edges.dtype.kind in "fiu"
            if not (ascending and np.isfinite(edges).all() and (np.diff(edges) >= 0).all()):
                raise InvalidArgument(
                    f"histogram(bins={bins!r}): a number of bins or their ascending edges are expected"
                )
        return weighted_histogram(values, self.volumes, bins)

    def _values(self, name: str) -> Array:
        if name not in ("psi", "nu", "volume"):
            raise InvalidArgument(f"{name!r} is no descriptor of a region; choose 'psi', 'nu' or 'volume'")
        return self.volumes if name == "volume" else getattr(self, name)

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

    def save(self, path: Any) -> None:
        """Write the partition to a versioned .npz file; `splinegeo.load` reads it."""
        from splinegeo.io import save

        save(self, path)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the regions; see `splinegeo.plot.plot_partition`."""
        from splinegeo.plot import plot_partition

        return plot_partition(self, ax=ax, **kwargs)

    def plot_image(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the image of the regions; see `splinegeo.plot.plot_image`."""
        from splinegeo.plot import plot_image

        return plot_image(self, ax=ax, **kwargs)

    # -- Python --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_regions

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Partition):
            return NotImplemented
        mine, theirs = self._stored(), other._stored()
        return (
            all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
            and (
                (self.domain, self.slice, self.complete, self.stop_reason, self.output_exponent)
                == (other.domain, other.slice, other.complete, other.stop_reason, other.output_exponent)
            )
            and same_network(self.network, other.network)
        )

    __hash__ = None  # type: ignore[assignment]

    def _stored(self) -> list[Array]:
        return [v for v in (getattr(self, name) for name in self.__dataclass_fields__) if isinstance(v, np.ndarray)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}  # nothing that is merely cached

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in self._stored():
            array.flags.writeable = False

    def __repr__(self) -> str:
        where = f"{type(self.domain).__name__} in R^{self.slice.ambient_dim}"
        return f"<Partition {self.n_regions:,} regions of {where}, float64, {self.status}>"

    @property
    def status(self) -> str:
        """In a few words: exact, or why not everything is there."""
        return "exact" if self.complete else f"incomplete: {self.stop_reason}"

    def _repr_html_(self) -> str:
        from splinegeo.partition.notebook import html

        return html(self)

    def _repr_svg_(self) -> str:
        from splinegeo.partition.notebook import svg

        return svg(self)

    # -- derived, kept -------------------------------------------------------------------------------------------------

    @property
    def _map_shape(self) -> tuple[int, int]:
        return self.network.n_outputs, self.slice.dim

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
            return _frozen(labels), count
        bits = hinge_bits(self.packed_patterns, self._problem.bits, self.network.n_breakpoints)
        maps, errors = self.compressed_maps, self.map_errors
        if not len(maps) and len(bits):
            maps, errors = projected_rows(self._problem, self.packed_patterns, errors)
        labels, count = linear_labels(self._problem, bits, maps, errors, self.edge_regions)
        return _frozen(labels), count

    @cached_property
    def _pattern_index(self) -> dict[bytes, int]:
        return {row.tobytes(): k for k, row in enumerate(self.packed_patterns)}


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
