"""`Regions`: what partitions of planes and of spaces have in common, which is all but their geometry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import real_array
from splinegeo.descriptors import Summary, nu, output_densities, psi, rank, summarize, weighted_histogram
from splinegeo.domains import Slice
from splinegeo.networks import SplineNetwork
from splinegeo.networks.arrays import same_network
from splinegeo.partition.maps import maps_of_patterns, unpack


class Regions(ABC):
    """Patterns, maps and descriptors of N regions in a slice of dimension d; frozen dataclasses of arrays add the rest.

    Equal if all that is stored is equal; what is merely derived is left behind when they are pickled.
    """

    network: SplineNetwork
    domain: Any
    slice: Slice
    packed_patterns: Array  # (N, ceil(B / 8)) uint8, little-endian bit order (np.packbits(..., bitorder="little"))
    complete: bool
    stop_reason: str  # "" when complete
    singular_values: Any  # (N, d) of A on the slice, descending; a field or derived

    # -- counts --------------------------------------------------------------------------------------------------------

    @property
    def n_regions(self) -> int:
        """Number of regions: maximal connected open sets with one activation pattern."""
        return len(self.packed_patterns)

    @property
    def n_linear_regions(self) -> int:
        """Number of linear regions: maximal unions, connected through facets, with one affine map."""
        return self._linear[1]

    def linear_regions(self) -> Array:
        """The linear region (N,) of each region, numbered in order of appearance."""
        return self._linear[0]

    @property
    def dim(self) -> int:
        """d, the dimension of the slice."""
        return self.slice.dim

    @property
    @abstractmethod
    def volumes(self) -> Array:
        """(N,) volumes in slice coordinates, areas in the plane."""

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
        index = self._pattern_index
        out[inside] = [index.get(row.tobytes(), -2) for row in self._patterns_at(flat[inside])]
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
    def output_densities(self) -> Array:
        """(N,) density on the image of a uniform latent on the domain: e^-psi / volume; inf where the image collapses.

        Where the image overlaps itself the densities of its sheets add.
        """
        return output_densities(self.psi, self.rank, self.domain.volume, self.dim)

    def summary(
        self, name: Literal["psi", "nu", "volume"] = "psi", quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> Summary:
        """Volume-weighted statistics of a descriptor over the regions.

        Raises:
            InvalidArgument: an unknown name.
        """
        return summarize(self._values(name), self.volumes, quantiles=quantiles)

    def histogram(self, name: Literal["psi", "nu", "volume"] = "psi", bins: Any = 50) -> tuple[Array, Array]:
        """Volume-weighted histogram of a descriptor: weights (n,) and bin edges (n + 1,).

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

    def save(self, path: Any) -> None:
        """Write the partition to a versioned .npz file; `splinegeo.load` reads it."""
        from splinegeo.io import save

        save(self, path)  # type: ignore[arg-type]  # it is one of the two

    # -- Python --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_regions

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            same_network(mine, theirs) if name == "network" else same(mine, theirs)
            for name, mine, theirs in ((n, getattr(self, n), getattr(other, n)) for n in self.__dataclass_fields__)
        )

    __hash__ = None  # type: ignore[assignment]

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}  # nothing that is merely cached

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def status(self) -> str:
        """In a few words: exact, or why not everything is there."""
        return "exact" if self.complete else f"incomplete: {self.stop_reason}"

    # -- derived, kept -------------------------------------------------------------------------------------------------

    @property
    def _map_shape(self) -> tuple[int, int]:
        return self.network.n_outputs, self.dim

    @property
    @abstractmethod
    def _linear(self) -> tuple[Array, int]:
        """The linear region of each region, and how many there are."""

    @abstractmethod
    def _patterns_at(self, points: Array) -> Array:
        """Packed patterns (n, ceil(B / 8)) at points (n, d) of the domain, decided exactly."""

    @cached_property
    def _pattern_index(self) -> dict[bytes, int]:
        return {row.tobytes(): k for k, row in enumerate(self.packed_patterns)}


def same(a: Any, b: Any) -> bool:
    """Whether two stored values are equal; arrays entry by entry, whatever their type."""
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a == b)


def frozen(array: Array) -> Array:
    """The array, not to be written to any more."""
    array.flags.writeable = False
    return array
