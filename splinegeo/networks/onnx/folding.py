"""Operators on constants alone, evaluated by the reference implementation in the onnx package."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from splinegeo._errors import FileFormatError, InvalidArgument, SplineGeoError, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call
from splinegeo.networks.onnx.tensors import REAL, read_tensor
from splinegeo.networks.onnx.values import Constant, first_line, is_real, shown, widened

BROADCASTING = frozenset((
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
    "BitwiseXor", "Cast", "CastLike", "Ceil", "Clip", "Cos", "Cosh", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp",
    "Floor", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
    "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tan", "Tanh", "Where", "Xor",
))  # fmt: skip
# No larger than their inputs together.
SHRINKING = frozenset((
    "ArgMax", "ArgMin", "BatchNormalization", "Compress", "Concat", "CumSum", "DepthToSpace", "EyeLike", "Flatten",
    "GatherElements", "Hardmax", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare", "Reshape", "ScatterElements", "ScatterND", "Scatter", "Shape", "Size", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze",
))  # fmt: skip
# What decides by comparing or rounding: the file's own types are what it means.
DECIDING = frozenset(("Floor", "Ceil", "Round", "Sign", "Mod", "Hardmax"))
ATTRIBUTES = ("value_float", "value_floats", "value_int", "value_ints")


def fold(call: Call, opset: int) -> tuple[list[Constant], bool]:
    """The constants that a node makes, and whether the file's own rounding had a say in them.

    Raises:
        UnsupportedOperation: the operator is not one that is evaluated here.
        InvalidArgument: the result would be too large.
        FileFormatError: the inputs do not fit the operator.
    """
    if call.op == "Constant":
        return [_stored(call)], False
    inputs = [v for v in call.inputs if isinstance(v, Constant)]
    _check_size(call, inputs)
    given = [None if v is None else v for v in call.inputs]
    native = _run(call, opset, [v.native if isinstance(v, Constant) else None for v in given], wide=False)
    if not any(is_real(v.native) for v in inputs) and not any(is_real(n) for n in native):
        return [Constant.of(n) for n in native], False
    exact = _run(call, opset, [v.exact if isinstance(v, Constant) else None for v in given], wide=True)
    rounded, results = False, []
    for ours, theirs in zip(exact, native, strict=True):
        if call.op in DECIDING or not is_real(theirs):
            rounded |= ours.shape != theirs.shape or not np.array_equal(ours, widened(theirs))
            results.append(Constant.of(theirs))
        elif ours.shape != theirs.shape:
            call.refuse(" to constants, with a result that depends on rounding.", UnsupportedOperation)
        else:
            results.append(Constant(widened(ours), theirs))
    return results, rounded


def _stored(call: Call) -> Constant:
    if call.has("value"):
        tensor = call._attribute("value", "tensor", None)
        return read_tensor(tensor.t, f"the constant '{shown(call.b.site.module)}'")
    for name, dtype in zip(ATTRIBUTES, (np.float32, np.float32, np.int64, np.int64), strict=True):
        if call.has(name):
            return Constant.of(np.array(helper.get_attribute_value(call.attributes[name]), dtype))
    call.refuse(" that holds no numbers; splinegeo reads dense tensors.", UnsupportedOperation)


def _run(call: Call, opset: int, inputs: Sequence[Array | None], *, wide: bool) -> list[Array]:
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
    outputs = [f"y{i}" for i in range(len(call.outputs))]
    node = helper.make_node(call.op, names, outputs)
    for attribute in call.attributes.values():
        kept = node.attribute.add()
        kept.CopyFrom(attribute)
        if wide and kept.name == "to" and kept.i in REAL:
            kept.i = TensorProto.DOUBLE
        if wide and kept.name == "value" and kept.t.data_type in REAL:
            kept.t.CopyFrom(onnx.numpy_helper.from_array(widened(onnx.numpy_helper.to_array(kept.t))))
    values = [onnx.ValueInfoProto(name=n) for n in names if n]
    graph = helper.make_graph([node], "constant", values, [onnx.ValueInfoProto(name=n) for n in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feeds = {n: value for n, value in zip(names, inputs, strict=True) if n}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # noqa: BLE001 - the reference raises whatever NumPy does
        call.b.refuse(f" to constants that do not fit it: {first_line(error)}.", FileFormatError, error)
    arrays = [np.asarray(r) for r in results]
    if any(a.dtype.kind not in "fiub" and not is_real(a) for a in arrays):
        call.refuse(f" to constants, which gives {arrays[0].dtype}; splinegeo reads numbers.", UnsupportedOperation)
    return arrays


def _check_size(call: Call, inputs: list[Constant]) -> None:
    """Raise if the operator is not folded, or its result would be too large; nothing is computed yet."""
    op, shapes = call.op, [v.shape for v in inputs]
    try:
        if op in BROADCASTING:
            entries = math.prod(np.broadcast_shapes(*shapes))
        elif op in SHRINKING:
            entries = sum(v.size for v in inputs)
        elif op in SIZES:
            entries = SIZES[op](call, inputs)
        else:
            call.refuse(
                " to constants, which splinegeo does not evaluate; simplify the model first.", UnsupportedOperation
            )
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError, RuntimeError) as error:
        if isinstance(error, SplineGeoError):
            raise
        call.b.refuse(f" to constants that do not fit it: {first_line(error)}.", FileFormatError, error)
    if entries > MAX_ENTRIES:
        call.refuse(f" to constants and makes {entries:,} numbers; that is too large.", InvalidArgument)


def _ints(value: Constant) -> list[int]:
    return [int(n) for n in value.native.ravel()[:64]]


def _range(call: Call, inputs: list[Constant]) -> int:
    start, limit, step = (float(v.exact.reshape(())) for v in inputs)
    return max(0, math.ceil((limit - start) / step))


def _gather(call: Call, inputs: list[Constant]) -> int:
    data, index = inputs[0].shape, inputs[1]
    tail = data[index.shape[-1] :] if call.op == "GatherND" else (*data[: call.integer("axis")], *data)
    lost = data[call.integer("axis")] if call.op == "Gather" else 1
    if call.op == "Gather":
        return index.size * math.prod(data) // max(lost, 1)
    return index.size * math.prod(tail)


def _matmul(call: Call, inputs: list[Constant]) -> int:
    x, y = (v.shape for v in inputs[:2])
    if call.op == "Gemm":
        return x[1 if call.integer("transA") else 0] * y[0 if call.integer("transB") else 1]
    lead = math.prod(np.broadcast_shapes(x[:-2], y[:-2]))
    return lead * math.prod(x[-2:-1]) * (y[-1] if len(y) > 1 else 1)


def _einsum(call: Call, inputs: list[Constant]) -> int:
    import torch

    equation = call.text("equation", "").replace(" ", "")
    return int(torch.einsum(equation, *(torch.empty(v.shape, device="meta") for v in inputs)).numel())


def _pad(call: Call, inputs: list[Constant]) -> int:
    pads = _ints(inputs[1]) if call.version >= 11 else (call.integers("pads") or call.integers("paddings") or [])
    return (max(inputs[0].shape, default=1) + sum(abs(n) for n in pads)) ** max(len(inputs[0].shape), 1)


SIZES = {
    "ConstantOfShape": lambda call, v: math.prod(_ints(v[0])),
    "Expand": lambda call, v: math.prod(np.broadcast_shapes(v[0].shape, tuple(_ints(v[1])))),
    "Tile": lambda call, v: v[0].size * math.prod(abs(n) for n in _ints(v[1])),
    "Range": _range,
    "Gather": _gather,
    "GatherND": _gather,
    "OneHot": lambda call, v: v[0].size * abs(int(v[1].native.reshape(()))),
    "NonZero": lambda call, v: v[0].size * max(1, len(v[0].shape)),
    "MatMul": _matmul,
    "Gemm": _matmul,
    "Einsum": _einsum,
    "Pad": _pad,
}
