"""Small ONNX models for the tests, made node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)


def randn(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def node(op: str, inputs: str | Sequence[str] = "x", outputs: str | Sequence[str] = "y", **attributes: Any) -> Any:
    split = lambda names: names.split(",") if isinstance(names, str) else list(names)  # noqa: E731
    return helper.make_node(op, split(inputs), split(outputs), name=attributes.pop("label", op.lower()), **attributes)


def model(
    nodes: Sequence[Any],
    constants: Mapping[str, Any] | None = None,
    shape: Sequence[Any] | None = (None, 3),
    opset: int = 17,
    *,
    element: int = TensorProto.DOUBLE,
    outputs: Sequence[str] = ("y",),
    inputs: Sequence[str] = ("x",),
    **kwargs: Any,
) -> Any:
    """A model with input x and output y; real constants take the type of the input."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    stored = []
    for name, value in (constants or {}).items():
        if not isinstance(value, onnx.TensorProto):
            array = np.asarray(value)
            value = numpy_helper.from_array(array.astype(kind) if array.dtype.kind == "f" else array)
        value.name = name
        stored.append(value)
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, element, shape) for name in inputs],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
        stored,
    )
    kwargs.setdefault("opset_imports", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, ir_version=8, **kwargs)


def saved(proto: Any, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path
