"""The reference implementation as the judge: models widened to float64, and operators that it lacks or takes too long.

`onnx.reference` evaluates some pooling operators entry by entry in Python, has transposed convolutions for one group
only, and knows no operator sets before 7. The classes here stand in for those, written as plain sums over the
positions of a kernel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, TensorProto, numpy_helper
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_add import Add as StoredAdd
from onnx.reference.ops.op_div import Div as StoredDiv
from onnx.reference.ops.op_mul import Mul as StoredMul
from onnx.reference.ops.op_resize import Resize as StoredResize
from onnx.reference.ops.op_sub import Sub as StoredSub

from splinegeo.networks.onnx.tensors import REAL
from splinegeo.networks.onnx.values import widened
from splinegeo.networks.onnx.windows import geometry

# Operators get what lies in the file; NumPy's types would say less about it than they cost.
Array: TypeAlias = Any


def widen(model: Any) -> None:
    """Turn every real number in the model into float64, in place; weights keep their values."""
    stack = [model.graph, *model.functions]
    while stack:
        graph = stack.pop()
        for tensor in getattr(graph, "initializer", ()):
            _widen_tensor(tensor)
        for entry in getattr(graph, "input", ()):
            if hasattr(entry, "type") and entry.type.tensor_type.elem_type in REAL:
                entry.type.tensor_type.elem_type = TensorProto.DOUBLE
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i in REAL:
                    attribute.i = TensorProto.DOUBLE
                elif attribute.HasField("t"):
                    _widen_tensor(attribute.t)
                elif attribute.HasField("g"):
                    stack.append(attribute.g)
                elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                    _widen_attribute(attribute)


def _widen_tensor(tensor: Any) -> None:
    if tensor.data_type in REAL and tensor.data_type != TensorProto.DOUBLE:
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(widened(numpy_helper.to_array(tensor)), name))


def _widen_attribute(attribute: Any) -> None:
    if attribute.ref_attr_name:
        return
    values = np.array(attribute.f if attribute.name == "value_float" else list(attribute.floats), np.float64)
    attribute.Clear()
    attribute.name, attribute.type = "value", AttributeProto.TENSOR
    attribute.t.CopyFrom(numpy_helper.from_array(values))


def _geometry(x: Array, kernel: Any, a: dict[str, Any]) -> tuple[list[int], ...]:
    """Stride, dilation, padding before and behind, and windows along each spatial dimension."""
    d = x.ndim - 2
    stride, dilation = (list(a.get(k) or [1] * d) for k in ("strides", "dilations"))
    begin, end, counts = geometry(
        x.shape[2:], kernel, stride, dilation, a.get("auto_pad") or "NOTSET", a.get("pads"), bool(a.get("ceil_mode"))
    )
    return stride, dilation, begin, end, counts


def _views(x: Array, kernel: Any, a: dict[str, Any], fill: float, *, ones_around: bool = False) -> Iterator[Array]:
    """For each position of the kernel, what lies under it in all windows.

    Beyond the value lies ``fill``, in the padding too unless that holds ones.
    """
    stride, dilation, begin, end, counts = _geometry(x, kernel, a)
    if ones_around:
        x = np.pad(x, [(0, 0)] * 2 + list(zip(begin, end, strict=True)), constant_values=1)
    room = [(c - 1) * s + (k - 1) * r + 1 for c, s, k, r in zip(counts, stride, kernel, dilation, strict=True)]
    before = [0] * len(begin) if ones_around else begin
    behind = [max(0, w - n - p) for w, n, p in zip(room, x.shape[2:], before, strict=True)]
    x = np.pad(x, [(0, 0)] * 2 + list(zip(before, behind, strict=True)), constant_values=fill)
    for place in itertools.product(*map(range, kernel)):
        parts = [
            slice(p * r, p * r + (c - 1) * s + 1, s) for p, r, c, s in zip(place, dilation, counts, stride, strict=True)
        ]
        yield x[(..., *parts)]


class MaxPool(OpRun):
    """The largest entry under the kernel."""

    def _run(self, x: Array, kernel_shape: Any = None, **a: Any) -> tuple[Array]:
        result = None
        for view in _views(x, kernel_shape, a, -np.inf):
            result = view if result is None else np.maximum(result, view)
        return (np.asarray(result),)


class AveragePool(OpRun):
    """The mean under the kernel."""

    def _run(self, x: Array, kernel_shape: Any = None, count_include_pad: int = 0, **a: Any) -> tuple[Array]:
        total: Any = sum(_views(x, kernel_shape, a, 0.0))
        counts = sum(_views(np.ones_like(x), kernel_shape, a, 0.0, ones_around=bool(count_include_pad)))
        return ((total / counts).astype(x.dtype),)


class ConvTranspose(OpRun):
    """Every entry of the value adds a copy of the kernel."""

    def _run(self, x: Array, w: Array, shift: Array | None = None, group: int = 1, **a: Any) -> tuple[Array]:
        d, kernel = x.ndim - 2, w.shape[2:]
        stride, dilation = (list(a.get(k) or [1] * d) for k in ("strides", "dilations"))
        extra = list(a.get("output_padding") or [0] * d)
        sizes = [
            (n - 1) * s + (k - 1) * r + 1 + e
            for n, s, k, r, e in zip(x.shape[2:], stride, kernel, dilation, extra, strict=True)
        ]
        out = np.zeros((len(x), group, w.shape[1], *sizes), np.result_type(x, w))
        parts = x.reshape(len(x), group, -1, *x.shape[2:])
        weight = w.reshape(group, -1, *w.shape[1:])
        for place in itertools.product(*map(range, kernel)):
            under: Any = tuple(
                slice(p * r, p * r + (n - 1) * s + 1, s)
                for p, r, n, s in zip(place, dilation, x.shape[2:], stride, strict=True)
            )
            out[(..., *under)] += np.einsum("ngc...,gcm->ngm...", parts, weight[(..., *place)])
        out = out.reshape(len(x), -1, *sizes)
        auto, wanted, pads = a.get("auto_pad") or "NOTSET", a.get("output_shape"), list(a.get("pads") or [0] * 2 * d)
        if wanted is None and auto.startswith("SAME"):
            wanted = [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        if wanted is not None:
            spare = [n - w for n, w in zip(sizes, list(wanted)[-d:], strict=True)]
            before = [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in spare]
            pads = before + [n - p for n, p in zip(spare, before, strict=True)]
        sides = [(max(0, -p), max(0, -q)) for p, q in zip(pads[:d], pads[d:], strict=True)]
        out = np.pad(out, [(0, 0)] * 2 + sides)
        crop: Any = tuple(
            slice(max(0, p), n - max(0, q)) for p, q, n in zip(pads[:d], pads[d:], out.shape[2:], strict=True)
        )
        out = out[(..., *crop)]
        if shift is not None:
            out = out + shift.reshape(-1, *[1] * d)
        return (out.astype(x.dtype),)


class BatchNormalization(OpRun):
    """By stored statistics; training mode never comes here."""

    def _run(self, x: Array, *given: Array, epsilon: float = 1e-5, spatial: int = 1, **a: Any) -> tuple[Array]:
        shape = (1, -1, *[1] * (x.ndim - 2)) if spatial else (1, *x.shape[1:])
        scale, shift, mean, var = (p.reshape(shape) for p in given)
        return (((x - mean) / np.sqrt(var + epsilon) * scale + shift).astype(x.dtype),)


class Upsample(OpRun):
    """Position / scale, rounded down or interpolated."""

    def _run(self, x: Array, scales: Any = None, mode: str = "nearest", **a: Any) -> tuple[Array]:
        if scales is None:
            scales = a.get("scales") or [1, 1, a["height_scale"], a["width_scale"]]
        for axis, scale in enumerate(scales):
            at = np.arange(int(x.shape[axis] * scale)) / float(scale)
            if mode == "nearest":
                x = np.take(x, at.astype(np.int64), axis)
            else:
                x = np.apply_along_axis(  # type: ignore[call-overload]
                    lambda row, at=at: np.interp(at, np.arange(len(row)), row), axis, x
                )
        return (x,)


class Resize(StoredResize):
    """As it is, but with cubic weights in float64, and in its first version, which is that of Upsample."""

    def _run(self, x: Array, *given: Any, **a: Any) -> Any:
        if self.run_params["opsets"][""] < 11:
            return Upsample._run(self, x, given[0], a.get("mode") or "nearest")
        if a.get("cubic_coeff_a") is not None:
            a["cubic_coeff_a"] = float(a["cubic_coeff_a"])
        return super()._run(x, *given, **a)


class Pad(OpRun):
    """Borders along chosen axes; negative ones crop."""

    def _run(
        self, x: Array, pads: Any = None, value: Any = None, axes: Any = None, mode: Any = "constant", **a: Any
    ) -> tuple[Array]:
        pads = np.array(a["paddings"] if pads is None else pads).reshape(2, -1).T
        sides: Any = np.zeros((x.ndim, 2), np.int64)
        sides[np.arange(x.ndim) if axes is None else axes] = pads
        x = x[tuple(slice(max(0, -p), n - max(0, -q)) for (p, q), n in zip(sides, x.shape, strict=True))]
        filled = (
            {} if mode != "constant" else {"constant_values": 0 if value is None else np.asarray(value).reshape(())}
        )
        return (np.pad(x, np.maximum(sides, 0), mode=mode, **filled),)


class PRelu(OpRun):
    """Slopes that broadcast; one a channel where they are a list that does not."""

    def _run(self, x: Array, slope: Array, **a: Any) -> tuple[Array]:
        if self.run_params["opsets"][""] < 7 and slope.ndim == 1 and slope.size > 1:
            slope = slope.reshape(-1, *[1] * (x.ndim - 2))
        return (np.where(x > 0, x, x * slope).astype(x.dtype),)


class _Aligned:
    """Before version 7 the second operand stands at an axis of the first."""

    def run(self, x: Array, y: Array) -> Any:
        if getattr(self, "broadcast", 0) and hasattr(self, "axis"):
            axis = self.axis % x.ndim
            y = y.reshape(*y.shape, *[1] * (x.ndim - axis - y.ndim))
        return super().run(x, y)  # type: ignore[misc]


class Add(_Aligned, StoredAdd):
    """Sum."""


class Sub(_Aligned, StoredSub):
    """Difference."""


class Mul(_Aligned, StoredMul):
    """Product."""


class Div(_Aligned, StoredDiv):
    """Quotient."""


STAND_INS = [MaxPool, AveragePool, ConvTranspose, BatchNormalization, Upsample, Resize, Pad, PRelu, Add, Sub, Mul, Div]
