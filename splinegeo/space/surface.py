"""Zero sets in three dimensions, exactly: the surface on which an output takes a value, as polygons.

Where an output changes sign is the kink of one more unit. The network is continued by that unit and partitioned again,
but for the cells on which bounds tell that it cannot vanish (`prune`); the facets on whose sides it differs are the
surface. They are facets of one partition, so they meet in whole edges and shared vertices.
"""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, ShapeMismatch, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.domains import Slice
from splinegeo.networks.graph import Knot, Linear, SplineNetwork
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads
from splinegeo.partition.interrupts import first_interrupt_waits
from splinegeo.partition.views import Ragged
from splinegeo.space.api import checked_scene
from splinegeo.space.enumerate import Job
from splinegeo.space.link import join
from splinegeo.space.outline import Domain, Hull
from splinegeo.space.polygons import cycles, face_normals, oriented
from splinegeo.space.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn


@dataclass(frozen=True, eq=False, repr=False)
class Surface:
    """Polygons in three dimensions, seen counter-clockwise from where the function is larger."""

    vertices: Array  # (V, 3) slice coordinates
    face_vertices: Array  # (C,) int64: the corners of face k are face_offsets[k]:face_offsets[k + 1], in order
    face_offsets: Array  # (F + 1,)
    complete: bool
    stop_reason: str  # "" when complete

    @property
    def n_faces(self) -> int:
        """Number of polygons, one for each facet between two regions (with maxima: pieces) of the continued network."""
        return len(self.face_offsets) - 1

    @property
    def faces(self) -> Ragged:
        """The vertices of each polygon, in order."""
        return Ragged(self.face_vertices, self.face_offsets)

    @cached_property
    def triangles(self) -> Array:
        """(T, 3) the polygons cut into triangles from their first corners, with the same orientation."""
        counts = np.diff(self.face_offsets)
        face = np.repeat(np.arange(self.n_faces), counts - 2)
        place = np.arange(len(face)) - np.repeat(np.cumsum(counts - 2) - (counts - 2), counts - 2)
        start = self.face_offsets[face]
        corner = self.face_vertices
        columns = [corner[start], corner[start + place + 1], corner[start + place + 2]]
        return np.stack(columns, 1) if len(face) else np.zeros((0, 3), np.int64)

    @property
    def normals(self) -> Array:
        """(F, 3) unit normals towards where the function is larger; zero for a polygon without area."""
        n = face_normals(self.vertices, self.face_vertices, self.face_offsets)
        size = np.linalg.norm(n, axis=1, keepdims=True)
        return np.asarray(n / np.where(size > 0, size, 1))

    @property
    def area(self) -> float:
        """The area in slice coordinates."""
        a, b, c = self.vertices[self.triangles].transpose(1, 0, 2)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    @property
    def volume(self) -> float:
        """The volume inside a closed surface, by the divergence theorem; negative if the function is larger inside."""
        a, b, c = self.vertices[self.triangles].transpose(1, 0, 2)
        return float((a * np.cross(b, c)).sum() / 6)

    @cached_property
    def edges(self) -> tuple[Array, Array]:
        """Edges (M, 2), the smaller vertex first, and how many polygons (M,) have each."""
        end = np.roll(self.face_vertices, -1)
        end[self.face_offsets[1:] - 1] = self.face_vertices[self.face_offsets[:-1]]
        both = np.sort(np.stack([self.face_vertices, end], 1), 1)
        found, counts = np.unique(both, axis=0, return_counts=True)
        return found.reshape(-1, 2), counts

    @property
    def is_watertight(self) -> bool:
        """Whether every edge has an even number of polygons: two, or four where the surface touches itself."""
        return bool((self.edges[1] % 2 == 0).all())

    @property
    def euler_characteristic(self) -> int:
        """Vertices - edges + faces: 2 for a sphere, 0 for a torus, summed over the components."""
        return len(self.vertices) - len(self.edges[0]) + self.n_faces

    def save(self, path: Any) -> None:
        """Write the surface to a ``.ply`` or ``.obj`` file; see `splinegeo.io.save_mesh`."""
        from splinegeo.io import save_mesh

        save_mesh(self, path)

    def to_trimesh(self) -> Any:
        """The triangles as a `trimesh.Trimesh`.

        Raises:
            ImportError: trimesh is not installed.
        """
        try:
            import trimesh
        except ImportError as error:
            raise ImportError("to_trimesh needs trimesh: pip install trimesh") from error
        return trimesh.Trimesh(self.vertices, self.triangles, process=False)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the polygons; see `splinegeo.plot.plot_surface`."""
        from splinegeo.plot import plot_surface

        return plot_surface(self, ax=ax, **kwargs)

    def __len__(self) -> int:
        return self.n_faces

    def __repr__(self) -> str:
        state = "exact" if self.complete else f"incomplete: {self.stop_reason}"
        return f"<Surface {self.n_faces:,} faces, {len(self.vertices):,} vertices, {state}>"


def zero_set(
    net: nn.Module | SplineNetwork,
    domain: Domain,
    slice: Slice | None = None,
    *,
    output: int = 0,
    level: float = 0.0,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Surface:
    """The surface in a 3-dimensional domain across which an output passes ``level``, exactly.

    Where the output equals the level without passing it, as where a ReLU is off, there is no surface.

    Args:
        net: a module or a captured network, as for `partition`. Where it takes maxima, polygons may also end where
            entries tie that are not the largest.
        domain: the 3-dimensional set of slice coordinates to look at.
        slice: the embedding z = origin + basis @ u with basis (E, 3). May be left out for E = 3.
        output: which of the outputs.
        level: the value.
        budget: limits; ``regions`` counts those next to the surface.
        threads: number of threads, all cores by default. The result does not depend on it.
        progress: show a progress bar on stderr.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    network, where = checked_scene(net, domain, slice)
    if domain.dim != 3:
        raise ShapeMismatch(f"zero_set: the domain has {domain.dim} coordinates; surfaces are found in 3 dimensions")
    problem = Problem.of(
        _continued(network, output, level), where.origin, where.basis, Hull.of_domain(domain), zeros_only=True
    )
    if not len(problem.hinges) or problem.hinges[-1] != network.n_breakpoints:
        raise UnsupportedOperation(
            "zero_set: the network holds knots that no output reads, behind those that are read; remove them"
        )
    job = Job(problem, budget or Budget(), n_threads(threads))
    with tqdm(unit=" regions", unit_scale=True, disable=not progress, desc="zero_set") as bar:
        reason = job.run(bar.update)
    with first_interrupt_waits():
        found = join(job.parts(), problem, job.cap, complete=False)
        return _surface(found, network.n_breakpoints, reason)


def _continued(network: SplineNetwork, output: Any, level: Any) -> SplineNetwork:
    n, end = network.n_outputs, len(network.nodes)
    whole = isinstance(output, (int, np.integer)) and not isinstance(output, bool)
    if not whole or not 0 <= output < n:
        raise InvalidArgument(f"zero_set(output={output!r}): outputs are numbered 0 to {n - 1}")
    if isinstance(level, bool) or not isinstance(level, numbers.Real) or not abs(float(level)) <= sys.float_info.max:
        raise InvalidArgument(f"zero_set(level={level!r}): a finite number is expected")
    weight = np.zeros((1, n))
    weight[0, output] = 1.0
    extra = (
        Linear("level", 1, (network.output,), weight, np.array([-float(level)])),
        Knot("level", 1, (end,), np.zeros((1, 1)), np.array([[0.0, 1.0]]), np.zeros(1)),
    )
    return SplineNetwork((*network.nodes, *extra), end + 1, network.input_shape, (1,))


def _surface(found: dict[str, Array], bit: int, reason: str) -> Surface:
    """The facets on whose sides breakpoint ``bit`` differs."""
    offsets = found["facet_breakpoint_offsets"]
    facet_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    chosen = facet_of[found["facet_breakpoints"] == bit]
    loops = cycles(found, chosen)
    counts = np.array([len(loop) for loop in loops], np.int64)
    flat = np.concatenate([np.zeros(0, np.int64), *loops])
    used, corner = np.unique(flat, return_inverse=True)
    # The side on which the unit is active: the face is turned to it.
    first = found["facet_regions"][chosen]
    active = (found["packed_patterns"][first[:, 0], bit // 8] >> (bit % 8)) & 1
    inner = np.where(active == 1, first[:, 0], first[:, 1])
    vertices, face_offsets = found["vertices"][used], np.r_[0, np.cumsum(counts)]
    corner = oriented(vertices, corner.astype(np.int64), face_offsets, _centres(found, inner))
    for array in (vertices, corner, face_offsets):
        array.flags.writeable = False
    return Surface(vertices, corner, face_offsets, not reason, reason)


def _centres(found: dict[str, Array], regions: Array) -> Array:
    """(n, 3) the mean of the corners of each region."""
    start, count = found["region_offsets"][:-1], np.diff(found["region_offsets"])
    if not len(count):
        return np.zeros((0, 3))
    sums = np.add.reduceat(found["vertices"][found["corner_vertices"]], start, 0)
    return (sums / count[:, None])[regions]
