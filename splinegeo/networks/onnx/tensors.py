"""Tensors of a file as arrays, after a look at what they declare."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto, numpy_helper

from splinegeo._errors import FileFormatError, InvalidArgument, UnsupportedOperation
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.values import Constant, shown

# The types that are read: bytes an entry in raw_data, and the field of entries that are not raw.
STORED = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.BFLOAT16: (2, "int32_data"),
    TensorProto.BOOL: (1, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.INT16: (2, "int32_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.UINT16: (2, "int32_data"),
    TensorProto.UINT32: (4, "uint64_data"),
    TensorProto.UINT64: (8, "uint64_data"),
}
REAL = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def type_name(data_type: int) -> str:
    """``FLOAT`` for 1, a number for what is no type."""
    try:
        return str(TensorProto.DataType.Name(data_type))
    except ValueError:
        return f"type {data_type}"


def check_tensor(tensor: Any, what: str) -> None:
    """Raise unless the tensor lies in the file, is of a type that is read, and holds what it declares.

    Looks at sizes alone; nothing is allocated.

    Raises:
        UnsupportedOperation: the numbers lie in another file, or have a type that is not read.
        InvalidArgument: the tensor is too large.
        FileFormatError: the declared shape is no shape, or not that of the stored numbers.
    """
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        file = next((entry.value for entry in tensor.external_data if entry.key == "location"), "?")
        raise UnsupportedOperation(
            f"{what} lies in another file ('{shown(file)}'); splinegeo reads single files. "
            f"Make it one with onnx.save(onnx.load('model.onnx'), 'one_file.onnx')."
        )
    if tensor.HasField("segment"):
        raise UnsupportedOperation(f"{what} is stored in segments; save the model anew with the onnx package.")
    if tensor.data_type not in STORED:
        raise UnsupportedOperation(
            f"{what} has type {type_name(tensor.data_type)}; splinegeo reads float16, bfloat16, float32, float64, "
            f"integers of 8 bits or more, and booleans."
        )
    dims = list(tensor.dims)
    declared = f"({', '.join(map(str, dims[:8]))}{', …' if len(dims) > 8 else ''})"
    if any(n < 0 for n in dims) or len(dims) > 64:
        raise FileFormatError(f"{what} declares the shape {declared}, which is no shape.")
    entries = math.prod(dims)
    if entries > MAX_ENTRIES:
        raise InvalidArgument(f"{what} declares the shape {declared}, {entries:,} numbers; that is too large.")
    width, field = STORED[tensor.data_type]
    if tensor.HasField("raw_data"):
        found, unit = len(tensor.raw_data), "bytes"
        wanted = entries * width
    else:
        found, unit = len(getattr(tensor, field)), "numbers"
        wanted = entries
    if found != wanted:
        raise FileFormatError(
            f"{what} declares the shape {declared}, which takes {wanted:,} {unit}; the file holds {found:,}. "
            f"It is damaged."
        )


def read_tensor(tensor: Any, what: str, initialiser: str = "") -> Constant:
    """The numbers of a tensor; ``what`` names it in messages."""
    check_tensor(tensor, what)
    return Constant.of(numpy_helper.to_array(tensor), initialiser)
