"""What is looked at: a module or a file read as a graph of affine maps and knots."""

from __future__ import annotations

from splinegeo.networks.arrays import from_arrays, to_arrays
from splinegeo.networks.capture import capture
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.nodes import Combine, Convolution, Input, Knot, Linear, Maximum, Node, Select, Sparse

__all__ = [
    "Combine",
    "Convolution",
    "Input",
    "Knot",
    "Linear",
    "Maximum",
    "Node",
    "Select",
    "Sparse",
    "SplineNetwork",
    "capture",
    "from_arrays",
    "to_arrays",
]
