"""What must hold among the arrays of a partition, so that no index of a loaded file points into nothing."""

from __future__ import annotations

import numpy as np

from splinegeo._errors import FileFormatError, ShapeMismatch
from splinegeo._types import Array
from splinegeo.partition.result import Partition
from splinegeo.space.geometry import Geometry
from splinegeo.space.result import SpacePartition

_SENTINELS = 2  # -1: the domain's boundary; -2: not enumerated


def check_partition(part: Partition) -> None:
    """Raise FileFormatError with the first thing that is wrong."""
    n, v, m = len(part.region_offsets) - 1, len(part.vertices), len(part.edge_vertices)
    c, k = len(part.corner_vertices), len(part.edge_breakpoints)
    n_bits = part.network.n_breakpoints
    _shaped("vertices", part.vertices, np.float64, (v, part.slice.basis.shape[1]))
    _shaped("corner_vertices", part.corner_vertices, np.int32, (c,))
    _shaped("corner_edges", part.corner_edges, np.int32, (c,))
    _shaped("corner_neighbors", part.corner_neighbors, np.int32, (c,))
    _shaped("edge_vertices", part.edge_vertices, np.int32, (m, 2))
    _shaped("edge_regions", part.edge_regions, np.int32, (m, 2))
    _shaped("edge_breakpoints", part.edge_breakpoints, np.int32, (k,))
    _shaped("packed_patterns", part.packed_patterns, np.uint8, (n, -(-n_bits // 8)))
    _shaped("singular_values", part.singular_values, np.float64, (n, part.slice.basis.shape[1]))
    _shaped("map_errors", part.map_errors, np.float64, (n,))
    rows = part.compressed_maps.shape[1] if part.compressed_maps.ndim == 3 else 0
    kept = n if len(part.compressed_maps) else 0  # maps with many rows are not kept
    _shaped("compressed_maps", part.compressed_maps, np.float64, (kept, rows, 3))
    _offsets("region_offsets", part.region_offsets, c, at_least=3)
    _offsets("edge_breakpoint_offsets", part.edge_breakpoint_offsets, k, at_least=0)
    if len(part.edge_breakpoint_offsets) != m + 1:
        raise FileFormatError(f"edge_breakpoint_offsets has {len(part.edge_breakpoint_offsets)} entries, not {m + 1}")
    for name in ("singular_values", "compressed_maps", "map_errors"):  # a network of huge weights may overflow these
        if np.isnan(getattr(part, name)).any():
            raise FileFormatError(f"{name} holds a NaN")
    _within("corner_vertices", part.corner_vertices, 0, v)
    _within("corner_edges", part.corner_edges, 0, m)
    _within("corner_neighbors", part.corner_neighbors, -_SENTINELS, n)
    _within("edge_vertices", part.edge_vertices, 0, v)
    _within("edge_regions", part.edge_regions[:, 0], 0, n)
    _within("edge_regions", part.edge_regions[:, 1], -_SENTINELS, n)
    _within("edge_breakpoints", part.edge_breakpoints, 0, n_bits)
    _finite("vertices", part.vertices)
    _common(part)


def check_space(part: SpacePartition) -> None:
    """Raise FileFormatError with the first thing that is wrong."""
    n, d = len(part.packed_patterns), part.slice.basis.shape[1]
    _shaped("packed_patterns", part.packed_patterns, np.uint8, (n, -(-part.network.n_breakpoints // 8)))
    _shaped("points", part.points, np.float64, (n if part.stored_geometry is None else 0, d))
    _finite("points", part.points)
    if part.stored_geometry is not None:
        _check_geometry(part, part.stored_geometry, n, d)
    _common(part)


def _check_geometry(whole: SpacePartition, part: Geometry, n: int, d: int) -> None:
    v, m = len(part.vertices), len(part.facet_regions)
    c, k, f = len(part.corner_vertices), len(part.facet_breakpoints), len(part.region_facets)
    n_bits = whole.network.n_breakpoints
    if len(part.region_offsets) != n + 1:
        raise FileFormatError(f"region_offsets has {len(part.region_offsets)} entries, not {n + 1}")
    _shaped("vertices", part.vertices, np.float64, (v, d))
    _shaped("corner_vertices", part.corner_vertices, np.int32, (c,))
    _shaped("region_facets", part.region_facets, np.int32, (f,))
    _shaped("facet_regions", part.facet_regions, np.int32, (m, 2))
    _shaped("facet_sides", part.facet_sides, np.int32, (m,))
    _shaped("facet_breakpoints", part.facet_breakpoints, np.int32, (k,))
    _offsets("region_offsets", part.region_offsets, c, at_least=d + 1)
    _offsets("facet_offsets", part.facet_offsets, f, at_least=d + 1)
    _offsets("facet_breakpoint_offsets", part.facet_breakpoint_offsets, k, at_least=0)
    for name, length in (("facet_offsets", n + 1), ("facet_breakpoint_offsets", m + 1)):
        if len(getattr(part, name)) != length:
            raise FileFormatError(f"{name} has {len(getattr(part, name))} entries, not {length}")
    counts = np.diff(part.facet_offsets)
    words = part.corner_facets.shape[1] if part.corner_facets.ndim == 2 else 0
    _shaped("corner_facets", part.corner_facets, np.uint64, (c, words))
    bits = np.unpackbits(part.corner_facets.view(np.uint8), axis=1, bitorder="little")
    own = np.repeat(counts, np.diff(part.region_offsets))
    if (bits * (np.arange(bits.shape[1]) >= own[:, None])).any():
        raise FileFormatError("corner_facets names facets that a region does not have")
    _within("corner_vertices", part.corner_vertices, 0, v)
    _within("region_facets", part.region_facets, 0, m)
    _within("facet_regions", part.facet_regions[:, 0], 0, n)
    _within("facet_regions", part.facet_regions[:, 1], -_SENTINELS, n)
    _within("facet_breakpoints", part.facet_breakpoints, 0, n_bits)
    _finite("vertices", part.vertices)


def _common(part: Partition | SpacePartition) -> None:
    n_bits = part.network.n_breakpoints
    if n_bits % 8 and (part.packed_patterns[:, -1] >> (n_bits % 8)).any():
        raise FileFormatError(f"packed_patterns sets bits beyond the {n_bits} of this network")
    if part.slice.basis.shape[0] != part.network.n_inputs:
        raise ShapeMismatch(
            f"the slice lies in R^{part.slice.basis.shape[0]} and the network reads R^{part.network.n_inputs}"
        )
    if not isinstance(part.complete, bool) or not isinstance(part.stop_reason, str):
        raise FileFormatError("complete must be true or false, and stop_reason a text")
    if part.complete == bool(part.stop_reason):
        raise FileFormatError(f"complete={part.complete} contradicts stop_reason={part.stop_reason!r}")


def _finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise FileFormatError(f"{name} holds a NaN or an infinity")


def _shaped(name: str, array: Array, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray):
        raise FileFormatError(f"{name} is not an array")
    if array.dtype != dtype or array.shape != shape:
        raise FileFormatError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")


def _offsets(name: str, offsets: Array, end: int, at_least: int) -> None:
    if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) == 0:
        raise FileFormatError(f"{name} is {offsets.dtype} {offsets.shape}, not a row of int64")
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] - offsets[:-1] < at_least).any():
        raise FileFormatError(f"{name} must rise from 0 to {end} in steps of {at_least} or more")


def _within(name: str, indices: Array, low: int, high: int) -> None:
    if indices.size and (indices.min() < low or indices.max() >= high):
        bad = indices[(indices < low) | (indices >= high)].flat[0]
        raise FileFormatError(f"{name} holds {bad}, which is outside [{low}, {high})")
