"""`SpacePartition`: what an enumeration found in a space of any dimension, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import real_array
from splinegeo.descriptors import (
    Summary,
    nu,
    output_densities,
    psi,
    rank,
    singular_values,
    summarize,
    weighted_histogram,
)
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.networks.arrays import same_network
from splinegeo.partition.maps import maps_of_patterns, unpack
from splinegeo.partition.views import Ragged, position
from splinegeo.polytopes import Polytope
from splinegeo.space.faces import faces, volumes
from splinegeo.space.locate import patterns_at
from splinegeo.space.merging import linear_labels
from splinegeo.space.outline import Hull
from splinegeo.space.problem import Problem

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
class SpacePartition:
    """The regions of a network over a domain in d dimensions, with everything that joins them.

    N regions, V vertices, M facets, C corners (a corner is a vertex as seen from one region: those of region k are
    ``region_offsets[k]:region_offsets[k + 1]``), K facets as seen from one region (of region k
    ``facet_offsets[k]:facet_offsets[k + 1]``). B bits make a pattern. Regions are in the order of the depth-first walk,
    the same on every machine and for any number of threads.
    """

    network: SplineNetwork
    domain: Box | Polygon | Polytope
    slice: Slice
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
    packed_patterns: Array  # (N, ceil(B / 8)) uint8, little-endian bit order
    complete: bool
    stop_reason: str  # "" when complete

    # -- counts --------------------------------------------------------------------------------------------------------

    @property
    def n_regions(self) -> int:
        """Number of regions: maximal connected open sets with one activation pattern."""
        return len(self.region_offsets) - 1

    @property
    def n_linear_regions(self) -> int:
        """Number of linear regions: maximal unions, connected through facets, with one affine map."""
        return self._linear[1]

    def linear_regions(self) -> Array:
        """The linear region (N,) of each region, numbered in order of appearance."""
        return self._linear[0]

    @property
    def n_vertices(self) -> int:
        """Number of vertices, shared ones once."""
        return len(self.vertices)

    @property
    def n_facets(self) -> int:
        """Number of facets, shared ones once."""
        return len(self.facet_regions)

    @property
    def dim(self) -> int:
        """d, the dimension of the slice."""
        return self.slice.dim

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
        found = []
        for r, closure in zip(regions.tolist(), closures, strict=True):
            here = slice(self.region_offsets[r], self.region_offsets[r + 1])
            on = ((self.corner_facets[here] & closure) == closure).all(1)
            found.append(self.corner_vertices[here][on])
        lengths = np.array([len(f) for f in found], np.int64)
        return Ragged(np.concatenate([np.zeros(0, np.int32), *found]), np.r_[0, np.cumsum(lengths)])

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
        return _frozen(volumes(self.vertices, self.corner_vertices, self.corner_facets, self.region_offsets, counts))

    @cached_property
    def interior_points(self) -> Array:
        """(N, d) the mean of each region's corners; in a sliver thinner than float64 resolves it may lie on a facet."""
        if not self.n_regions:
            return _frozen(np.zeros((0, self.dim)))
        start, count = self.region_offsets[:-1], np.diff(self.region_offsets)
        shift = self.vertices[self.corner_vertices[start]]  # corners are close to each other, not to the origin
        offsets = self.vertices[self.corner_vertices] - np.repeat(shift, count, 0)
        return _frozen(shift + np.add.reduceat(offsets, start, 0) / count[:, None])

    @property
    def coverage(self) -> float:
        """The part of the domain's volume that the enumerated regions cover: 1 when complete."""
        return 1.0 if self.complete else float(self.volumes.sum() / self.domain.volume)

    # -- patterns ------------------------------------------------------------------------------------------------------

    @property
    def patterns(self) -> Array:
        """(N, B) bool: whether the unit of each breakpoint lies above it."""
        return unpack(self.packed_patterns, self.network.n_breakpoints).astype(bool)

    def locate(self, points: Any) -> Array:
        """The region (...) of each point (..., d) in slice coordinates; -1 outside the domain, -2 not enumerated.

        Decided exactly. A point on a facet is given one of its regions, always the same: that on the side of the
        domain's centre.

        Raises:
            ShapeMismatch: the last axis is not the slice's dimension.
        """
        points = real_array(points, "locate: points")
        if points.ndim == 0 or points.shape[-1] != self.dim:
            raise ShapeMismatch(
                f"locate: points have shape {points.shape}; slice coordinates (..., {self.dim}) are expected"
            )
        flat = points.reshape(-1, self.dim)
        inside = np.isfinite(flat).all(1)
        inside[inside] = self.domain.contains(flat[inside])
        out = np.full(len(flat), -1, np.int64)
        found = patterns_at(self._problem, self.slice, flat[inside])
        index = self._pattern_index
        out[inside] = [index.get(row.tobytes(), -2) for row in found]
        return out.reshape(points.shape[:-1])

    # -- maps and descriptors ------------------------------------------------------------------------------------------

    def affine_maps(self, regions: Any = None, *, latent: bool = False) -> tuple[Array, Array]:
        """A and b with G = A u + b on each region, as (n, D, d) and (n, D) in slice coordinates u.

        Args:
            regions: indices of the regions wanted, all by default.
            latent: give A (n, D, E) and b for the latent z itself instead of slice coordinates.

        Raises:
            InvalidArgument: an index is out of range.
        """
        s = self.slice
        linear = np.eye(s.ambient_dim) if latent else s.basis
        constant = np.zeros(s.ambient_dim) if latent else s.origin
        bits = unpack(self.packed_patterns[self._chosen(regions)], self.network.n_breakpoints)
        both = maps_of_patterns(self.network, bits, np.concatenate([linear, constant[:, None]], 1))
        return both[:, :, :-1], both[:, :, -1]

    def _chosen(self, regions: Any) -> Array:
        if regions is None:
            return np.arange(self.n_regions)
        chosen = np.atleast_1d(np.asarray(regions))
        if chosen.size == 0 and chosen.ndim == 1:
            return chosen.astype(np.int64)
        wrong = chosen.ndim != 1 or chosen.dtype.kind not in "iu"
        if wrong or chosen.min() < 0 or chosen.max() >= self.n_regions:
            raise InvalidArgument(f"affine_maps: regions are a list of indices from 0 to {self.n_regions - 1}")
        return chosen

    @cached_property
    def singular_values(self) -> Array:
        """(N, d) of A on the slice, descending; those that are zero in exact arithmetic may come out tiny."""
        step = max(1, LARGEST_CHUNK // (self.network.n_outputs * self.dim))
        parts = [
            singular_values(self.affine_maps(np.arange(k, min(k + step, self.n_regions)))[0])
            for k in range(0, self.n_regions, step)
        ]
        return _frozen(np.concatenate(parts) if parts else np.zeros((0, self.dim)))

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
    def output_densities(self) -> Array:
        """(N,) density on the image of a uniform latent on the domain: e^-psi / volume; inf where that collapses."""
        return output_densities(self.psi, self.rank, self.domain.volume, self.dim)

    def summary(
        self, name: Literal["psi", "nu", "volume"] = "psi", quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> Summary:
        """Volume-weighted statistics of a descriptor over the regions.

        Raises:
            InvalidArgument: an unknown name.
        """
        return summarize(self._values(name), self.volumes, quantiles=quantiles)

    def histogram(self, name: Literal["psi", "nu", "volume"] = "psi", bins: int | Array = 50) -> tuple[Array, Array]:
        """Volume-weighted histogram of a descriptor: weights (n,) and bin edges (n + 1,).

        Raises:
            InvalidArgument: an unknown name.
        """
        return weighted_histogram(self._values(name), self.volumes, bins)

    def _values(self, name: str) -> Array:
        if name not in ("psi", "nu", "volume"):
            raise InvalidArgument(f"{name!r} is no descriptor of a region; choose 'psi', 'nu' or 'volume'")
        return self.volumes if name == "volume" else getattr(self, name)

    # -- other forms ---------------------------------------------------------------------------------------------------

    def zero_set(self, output: int = 0, level: float = 0.0) -> Surface:
        """Where an output equals ``level``, exactly, as a surface of polygons in 3 dimensions; see `space.zero_set`."""
        from splinegeo.space.surface import zero_set

        return zero_set(self.network, self.domain, self.slice, output=output, level=level)

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

    def save(self, path: Any) -> None:
        """Write the partition to a versioned .npz file; `splinegeo.load` reads it."""
        from splinegeo.io import save

        save(self, path)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the facets of a partition in 3 dimensions; see `splinegeo.plot.plot_space`."""
        from splinegeo.plot import plot_space

        return plot_space(self, ax=ax, **kwargs)

    # -- Python --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_regions

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpacePartition):
            return NotImplemented
        return (
            all(np.array_equal(a, b) for a, b in zip(self._stored(), other._stored(), strict=True))
            and (self.domain, self.slice, self.stop_reason) == (other.domain, other.slice, other.stop_reason)
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
        return f"<SpacePartition {self.n_regions:,} regions of {where}, d = {self.dim}, float64, {self.status}>"

    @property
    def status(self) -> str:
        """In a few words: exact, or why not everything is there."""
        return "exact" if self.complete else f"incomplete: {self.stop_reason}"

    # -- derived, kept -------------------------------------------------------------------------------------------------

    @property
    def _map_shape(self) -> tuple[int, int]:
        return self.network.n_outputs, self.dim

    @cached_property
    def _problem(self) -> Problem:
        return Problem.of(self.network, self.slice.origin, self.slice.basis, Hull.of_domain(self.domain))

    @cached_property
    def _linear(self) -> tuple[Array, int]:
        labels, count = linear_labels(self._problem, self.packed_patterns, self.facet_regions)
        return _frozen(labels), count

    @cached_property
    def _pattern_index(self) -> dict[bytes, int]:
        return {row.tobytes(): k for k, row in enumerate(self.packed_patterns)}


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
