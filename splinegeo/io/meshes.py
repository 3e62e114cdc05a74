"""Surfaces as mesh files: PLY (Stanford's polygon format, binary) and OBJ (Wavefront, text)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo.io import container
from splinegeo.space.surface import Surface


def save_mesh(surface: Surface, path: str | os.PathLike[str]) -> Path:
    """Write a surface's polygons to a ``.ply`` or ``.obj`` file; the file's real path is returned.

    Coordinates are written in full, as float64. The file takes the place of an older one at once and only when it is
    complete.

    Raises:
        WrongType: ``surface`` is no `Surface`.
        InvalidArgument: the path ends in neither ``.ply`` nor ``.obj``.
        FileAccessError: the path cannot be written.
    """
    if not isinstance(surface, Surface):
        raise WrongType(f"save_mesh: the first argument must be a Surface, not {type(surface).__name__}")
    writers = {".ply": _ply, ".obj": _obj}
    suffix = Path(os.fspath(path)).suffix.lower()
    if suffix not in writers:
        raise InvalidArgument(f"save_mesh: {os.fspath(path)!r} ends in neither .ply nor .obj")
    return container.write_bytes(path, writers[suffix](surface))


def _ply(surface: Surface) -> bytes:
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(surface.vertices)}",
        *(f"property double {axis}" for axis in "xyz"),
        f"element face {surface.n_faces}",
        "property list int int vertex_indices",
        "end_header\n",
    ]
    counts = np.diff(surface.face_offsets)
    # Each face is its number of corners and then these: the numbers go in front of every face's first corner.
    faces = np.insert(surface.face_vertices, surface.face_offsets[:-1], counts)
    return "\n".join(header).encode() + surface.vertices.astype("<f8").tobytes() + faces.astype("<i4").tobytes()


def _obj(surface: Surface) -> bytes:
    points = [f"v {x!r} {y!r} {z!r}" for x, y, z in surface.vertices.tolist()]
    faces = ["f " + " ".join(str(v + 1) for v in face.tolist()) for face in surface.faces]
    return "\n".join([*points, *faces, ""]).encode()
