"""A partition as objects of other libraries, which are imported when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import SplineNetwork
from splinegeo.partition.result import Partition
from splinegeo.space.result import SpacePartition

if TYPE_CHECKING:
    import networkx


def to_shapely(part: Partition) -> Array:
    """(N,) object array: every region as a counter-clockwise `shapely.Polygon` in slice coordinates.

    Polygons that share an edge share its end points to the last bit, so shapely's predicates see them as touching.
    Its overlays round; count and measure with the partition itself.

    Raises:
        ImportError: shapely is not installed.
    """
    try:
        import shapely
    except ImportError as error:
        raise ImportError("to_shapely needs shapely: pip install 'splinegeo[shapely]'") from error

    n = len(part.region_offsets) - 1
    regions = np.repeat(np.arange(n), np.diff(part.region_offsets))
    rings = shapely.linearrings(part.vertices[part.corner_vertices], indices=regions)
    return np.asarray(shapely.polygons(rings), dtype=object)


def to_networkx(part: Partition) -> networkx.Graph:
    """The adjacency of regions as a graph: a node for each region, an edge for each facet that two regions share.

    Nodes are the indices of the regions, with ``psi``, ``nu``, ``volume`` and ``interior_point``. Edges carry
    ``edge`` (the index among the partition's edges), ``breakpoints`` (pattern bits that differ), ``units`` (their
    names), ``endpoints`` (2, 2) in slice coordinates and ``length``. Regions that touch in a point are not adjacent.

    Raises:
        ImportError: networkx is not installed.
    """
    graph = _nodes(part)
    endpoints = part.vertices[part.edge_vertices]
    lengths = np.linalg.norm(endpoints[:, 1] - endpoints[:, 0], axis=1)
    for edge in np.flatnonzero(part.edge_regions[:, 1] >= 0).tolist():
        graph.add_edge(
            *part.edge_regions[edge].tolist(),
            edge=edge,
            endpoints=endpoints[edge],
            length=float(lengths[edge]),
            **_facet(part, edge),
        )
    return graph


def space_to_networkx(part: SpacePartition) -> networkx.Graph:
    """The adjacency of regions in d dimensions as a graph: a node for each region, an edge for each shared facet.

    Nodes are the indices of the regions, with ``psi``, ``nu``, ``volume`` and ``interior_point``. Edges carry ``facet``
    (the index among the partition's facets), ``breakpoints`` (pattern bits that differ) and ``units`` (their names).
    Where linear programmes found the regions there is neither ``volume`` nor ``facet``.

    Raises:
        ImportError: networkx is not installed.
        UnsupportedOperation: linear programmes found the regions, and the partition is incomplete.
    """
    graph = _nodes(part, volumes=part.stored_geometry is not None)
    if part.stored_geometry is None:
        for p, q in part.adjacency.tolist():
            differ = part.packed_patterns[p] ^ part.packed_patterns[q]
            bits = np.flatnonzero(np.unpackbits(differ, count=part.network.n_breakpoints, bitorder="little"))
            graph.add_edge(p, q, **_names(part.network, bits))
        return graph
    for facet in np.flatnonzero(part.facet_regions[:, 1] >= 0).tolist():
        graph.add_edge(*part.facet_regions[facet].tolist(), facet=facet, **_names(part.network, part.facets[facet]))
    return graph


def _nodes(part: Partition | SpacePartition, *, volumes: bool = True) -> networkx.Graph:
    """A graph of the regions, as yet without edges."""
    try:
        import networkx
    except ImportError as error:
        raise ImportError("to_networkx needs networkx: pip install 'splinegeo[networkx]'") from error

    graph = networkx.Graph()
    for region, (psi, nu, point) in enumerate(
        zip(part.psi.tolist(), part.nu.tolist(), part.interior_points, strict=True)
    ):
        graph.add_node(region, psi=psi, nu=nu, interior_point=point)
    if volumes:
        networkx.set_node_attributes(graph, dict(enumerate(part.volumes.tolist())), "volume")
    return graph


def _facet(part: Partition, edge: int) -> dict[str, Any]:
    first, last = part.edge_breakpoint_offsets[edge : edge + 2]
    return _names(part.network, part.edge_breakpoints[first:last])


def _names(network: SplineNetwork, breakpoints: Array) -> dict[str, Any]:
    units = dict.fromkeys(network.breakpoint_units[breakpoints].tolist())  # two breakpoints of one unit: one name
    return {
        "breakpoints": tuple(breakpoints.tolist()),
        "units": tuple(network.unit_name(unit) for unit in units),
    }
