"""Files and exports: what goes out is a view of a `Partition`, and what comes in is checked before it is believed."""

from __future__ import annotations

from splinegeo.io.container import FileAccessError
from splinegeo.io.exports import space_to_networkx, to_networkx, to_shapely
from splinegeo.io.meshes import save_mesh
from splinegeo.io.partition_file import load, load_network, save, save_network

__all__ = [
    "FileAccessError",
    "load",
    "load_network",
    "save",
    "save_mesh",
    "save_network",
    "space_to_networkx",
    "to_networkx",
    "to_shapely",
]
