"""Exact geometry of continuous piecewise-affine networks.

A network and a domain go in, a partition comes out; every descriptor, picture and file is a view of it::

    import splinegeo as sg

    part = sg.partition(net, sg.Box([-2, -2], [2, 2]))
    part.n_regions, part.n_linear_regions, part.psi, part.nu
    part.plot(color="psi")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from splinegeo._errors import (
    CaptureMismatch,
    FileFormatError,
    InvalidArgument,
    NotPiecewiseLinear,
    ShapeMismatch,
    SplineGeoError,
    UnsupportedOperation,
    WrongType,
)

if TYPE_CHECKING:
    from splinegeo.balls import L1Ball
    from splinegeo.complexity import LocalComplexity, local_complexity
    from splinegeo.domains import Box, Polygon, Slice
    from splinegeo.io import FileAccessError, load, load_network, save, save_network
    from splinegeo.networks import SplineNetwork, capture
    from splinegeo.networks.onnx import load_onnx
    from splinegeo.partition import Budget, Partition, Reduction, partition
    from splinegeo.polytopes import Polytope
    from splinegeo.space import SpacePartition, Surface, zero_set
    from splinegeo.streaming import (
        CheckpointMismatch,
        Histogram,
        Moments,
        Raster,
        RasterImage,
        RegionBatch,
        RegionEstimate,
        Stream,
        Summary,
        estimate_regions,
        load_summary,
        stream,
        summarise,
    )

__version__ = "0.1.0"

__all__ = [
    "partition",
    "zero_set",
    "stream",
    "summarise",
    "estimate_regions",
    "local_complexity",
    "Box",
    "Polygon",
    "L1Ball",
    "Polytope",
    "Slice",
    "Budget",
    "Reduction",
    "capture",
    "load_onnx",
    "SplineNetwork",
    "Partition",
    "SpacePartition",
    "Surface",
    "Stream",
    "RegionBatch",
    "Summary",
    "Raster",
    "RasterImage",
    "Histogram",
    "Moments",
    "RegionEstimate",
    "LocalComplexity",
    "save",
    "load",
    "save_network",
    "load_network",
    "load_summary",
    "SplineGeoError",
    "InvalidArgument",
    "WrongType",
    "ShapeMismatch",
    "NotPiecewiseLinear",
    "UnsupportedOperation",
    "CaptureMismatch",
    "CheckpointMismatch",
    "FileFormatError",
    "FileAccessError",
    "__version__",
]

# Where each public name lives. They load on first use, so that `import splinegeo` and `splinegeo --help` cost nothing
# and whoever only reads files never loads torch.
_HOMES = {
    "Box": "splinegeo.domains",
    "Polygon": "splinegeo.domains",
    "Slice": "splinegeo.domains",
    "L1Ball": "splinegeo.balls",
    "local_complexity": "splinegeo.complexity",
    "LocalComplexity": "splinegeo.complexity",
    "Budget": "splinegeo.partition",
    "Partition": "splinegeo.partition",
    "Reduction": "splinegeo.partition",
    "Polytope": "splinegeo.polytopes",
    "SpacePartition": "splinegeo.space",
    "Surface": "splinegeo.space",
    "zero_set": "splinegeo.space",
    "stream": "splinegeo.streaming",
    "summarise": "splinegeo.streaming",
    "estimate_regions": "splinegeo.streaming",
    "load_summary": "splinegeo.streaming",
    "Stream": "splinegeo.streaming",
    "RegionBatch": "splinegeo.streaming",
    "Summary": "splinegeo.streaming",
    "Raster": "splinegeo.streaming",
    "RasterImage": "splinegeo.streaming",
    "Histogram": "splinegeo.streaming",
    "Moments": "splinegeo.streaming",
    "RegionEstimate": "splinegeo.streaming",
    "CheckpointMismatch": "splinegeo.streaming",
    "capture": "splinegeo.networks",
    "SplineNetwork": "splinegeo.networks",
    "load_onnx": "splinegeo.networks.onnx",
    "save": "splinegeo.io",
    "load": "splinegeo.io",
    "save_network": "splinegeo.io",
    "load_network": "splinegeo.io",
    "FileAccessError": "splinegeo.io",
}
_SUBPACKAGES = (
    "assess",
    "balls",
    "compare",
    "complexity",
    "data",
    "descriptors",
    "domains",
    "io",
    "jacobian",
    "networks",
    "partition",
    "plot",
    "polytopes",
    "space",
    "streaming",
)


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        # The import system binds a subpackage to its name here; `splinegeo.partition` is a module that can be called.
        return importlib.import_module(f"splinegeo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'splinegeo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
