"""ONNX files as networks: an operator table of the library's own onto the same graph that modules become.

The ``onnx`` package parses files and evaluates what depends on constants alone; no runtime and no converter takes
part. Nothing in a file is executed.
"""

from __future__ import annotations

from splinegeo.networks.onnx.load import load_onnx

__all__ = ["load_onnx"]
