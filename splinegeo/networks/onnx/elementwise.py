"""Elementwise operators: arithmetic with constants, and knots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from splinegeo._errors import FileFormatError
from splinegeo.networks.onnx.call import Call, operator
from splinegeo.networks.onnx.tensors import REAL, type_name
from splinegeo.networks.onnx.values import Constant, is_real
from splinegeo.networks.ops import Live
from splinegeo.networks.ops.values import Mask

BINARY = {"Add": ("add", torch.add), "Sub": ("sub", torch.sub), "Mul": ("mul", torch.mul), "Div": ("div", torch.div)}
COMPARISONS = {
    "Greater": ("gt", torch.gt),
    "GreaterOrEqual": ("ge", torch.ge),
    "Less": ("lt", torch.lt),
    "LessOrEqual": ("le", torch.le),
    "Equal": ("eq", torch.eq),
}


@operator(*BINARY)
def arithmetic(call: Call) -> Any:
    """A sum, a difference, or a product or quotient with a constant."""
    x, y = _pair(call)
    name, function = BINARY[call.op]
    return call.apply(name, function, x, y)


@operator(*COMPARISONS)
def comparison(call: Call) -> Any:
    """What `where` may use if the choice is continuous."""
    x, y = _pair(call)
    name, function = COMPARISONS[call.op]
    return call.apply(name, function, x, y)


def _pair(call: Call) -> tuple[Any, Any]:
    """Two operands that broadcast; before version 7 the second one at an axis of the first."""
    x, y = call.operand(0), call.operand(1)
    if call.version < 7 and call.integer("broadcast") and call.has("axis"):
        rank = len(x.shape)
        axis = call.axis(call.integer("axis"), rank)
        shape = (*[1] * axis, *y.shape, *[1] * (rank - axis - len(y.shape)))
        y = call.moved(lambda at: at.reshape(shape), y) if isinstance(y, Live) else y.reshape(shape)
    call.broadcast(tuple(x.shape), tuple(y.shape))
    return x, y


@operator("Neg")
def negative(call: Call) -> Any:
    """-x."""
    return call.apply("neg", torch.neg, call.live())


@operator("Pow")
def power(call: Call) -> Any:
    """Only the first power."""
    exponent = call.constant(1)
    if exponent is not None and (exponent.exact == 1).all():
        return call.live()
    call.refuse(", which is smooth; splinegeo partitions piecewise-linear networks only.")


@operator("Sum", "Mean")
def total(call: Call) -> Any:
    """Sums of any number of values, or their mean."""
    values = call.operands()
    call.broadcast(*(tuple(v.shape) for v in values))
    result = values[0]
    for value in values[1:]:
        result = call.apply("add", torch.add, result, value)
    if call.op == "Mean" and len(values) > 1:
        result = call.apply("div", torch.div, result, torch.tensor(float(len(values)), dtype=torch.float64))
    return result


@operator("Max", "Min")
def extreme(call: Call) -> Any:
    """The largest or least of any number of values."""
    values = call.operands()
    shape = call.broadcast(*(tuple(v.shape) for v in values))
    if len(values) < 3:
        name = "maximum" if call.op == "Max" else "minimum"
        return values[0] if len(values) == 1 else call.apply(name, getattr(torch, name), *values)
    # All at once: a nested maximum would have knots where two values tie below a third.
    call.sized((len(values), *shape))
    stacked = call.moved(lambda *at: np.stack([np.broadcast_to(a, shape) for a in at]), *values)
    name = "amax" if call.op == "Max" else "amin"
    return call.apply(name, getattr(torch, name), stacked, [0])


@operator("Relu")
def relu(call: Call) -> Any:
    """max(x, 0)."""
    return call.apply("relu", torch.relu, call.live())


@operator("LeakyRelu")
def leaky_relu(call: Call) -> Any:
    """Slope alpha below 0."""
    return call.apply("leaky_relu", torch.nn.functional.leaky_relu, call.live(), call.real("alpha", 0.01))


@operator("PRelu")
def prelu(call: Call) -> Any:
    """Slopes that broadcast; before version 7, one a channel."""
    x, slope = call.live(), call.tensor(1)
    if slope is None:
        call.refuse(" without slopes; the file is damaged.", FileFormatError)
    if slope.numel() == 1:
        slope = slope.reshape(())
    elif call.version < 7 and slope.dim() == 1:
        slope = slope.reshape(-1, *[1] * (len(x.shape) - 2))
    if call.broadcast(x.shape, tuple(slope.shape)) != x.shape:
        call.refuse(f" with slopes {tuple(slope.shape)} for values {x.shape}; the file is damaged.", FileFormatError)
    return call.apply("_prelu_kernel", torch.ops.aten._prelu_kernel, x, slope)


@operator("Abs")
def absolute(call: Call) -> Any:
    """|x|."""
    return call.apply("abs", torch.abs, call.live())


@operator("Clip")
def clip(call: Call) -> Any:
    """min(max(x, low), high); the bounds are attributes before version 11."""
    if call.version < 11:
        ends: list[Any] = [_end(call, "min"), _end(call, "max")]
    else:
        ends = [_bound(call, 1), _bound(call, 2)]
    return call.apply("clamp", torch.clamp, call.operand(0), *ends)


def _end(call: Call, name: str) -> float | None:
    # The defaults are the ends of float32: no bound at all for the function that is meant.
    value = float(call.attributes[name].f) if call.has(name) else math.inf
    return value if abs(value) < np.finfo(np.float32).max else None


def _bound(call: Call, i: int) -> Any:
    value = call.value(i)
    if not isinstance(value, Constant):
        return value
    if value.size != 1:
        call.refuse(f" with {value.size} bounds; the file is damaged.", FileFormatError)
    bound = float(value.exact.reshape(()))
    if math.isnan(bound):
        call.refuse(" with a bound that is nan.", FileFormatError)
    # Exporters write "no bound" as an infinity or as the end of float32.
    outer = -bound if i == 1 else bound
    return None if outer >= np.finfo(np.float32).max else bound


@operator("HardSigmoid")
def hard_sigmoid(call: Call) -> Any:
    """clamp(alpha * x + beta, 0, 1)."""
    scale, shift = call.real("alpha", 0.2), call.real("beta", 0.5)
    y = call.apply("mul", torch.mul, call.live(), torch.tensor(scale, dtype=torch.float64))
    y = call.apply("add", torch.add, y, torch.tensor(shift, dtype=torch.float64))
    return call.apply("clamp", torch.clamp, y, 0.0, 1.0)


@operator("ThresholdedRelu")
def thresholded_relu(call: Call) -> Any:
    """The value above alpha, 0 below: continuous for alpha = 0 alone."""
    return call.apply("threshold", torch.nn.functional.threshold, call.live(), call.real("alpha", 1.0), 0.0)


@operator("Shrink")
def shrink(call: Call) -> Any:
    """The value moved by ``bias`` outside [-lambd, lambd], 0 within: continuous if the two are equal."""
    lambd, bias = call.real("lambd", 0.5), call.real("bias", 0.0)
    if lambd == bias and lambd >= 0:
        return call.apply("softshrink", torch.nn.functional.softshrink, call.live(), lambd)
    if lambd <= 0 and bias == 0:
        return call.live()
    call.refuse(f" with lambd {lambd:g} and bias {bias:g}, which jumps; it is continuous only if the two are equal.")


@operator("Where")
def where(call: Call) -> Any:
    """A choice by a constant mask, or by a comparison of live values where that is continuous."""
    values = call.operands()
    if len(values) != 3:
        call.refuse(f" to {len(values)} values; it takes 3. The file is damaged.", FileFormatError)
    call.broadcast(*(tuple(v.shape) for v in values))
    return call.apply("where", torch.where, *values)


@operator("Trilu")
def trilu(call: Call) -> Any:
    """The upper or lower triangle of matrices, zero elsewhere."""
    x, k = call.live(), call.numbers(1) or [0]
    if len(x.shape) < 2:
        call.refuse(f" to a value of shape {x.shape}, which holds no matrix; the file is damaged.", FileFormatError)
    k[0] = max(-(2**31), min(k[0], 2**31))
    mask = torch.ones(x.shape[-2:], dtype=torch.bool)
    mask = mask.triu(k[0]) if call.integer("upper", 1) else mask.tril(k[0])
    return call.apply("where", torch.where, mask, x, torch.zeros((), dtype=torch.float64))


@operator("Not")
def negation(call: Call) -> Any:
    """The other side of a comparison."""
    return call.apply("logical_not", torch.logical_not, call.operand(0))


@operator("Identity", "Dropout", "Cast", "CastLike")
def unchanged(call: Call) -> Any:
    """Nothing: rounding by a cast is no part of the network."""
    if isinstance(call.value(0), Mask) and call.op in ("Cast", "Identity"):
        return call.value(0)  # 1 where the comparison holds
    if call.op == "Dropout":
        trains = call.value(2) if call.version >= 12 else None
        if isinstance(trains, Constant) and trains.native.any():
            call.refuse(" in training mode, which draws random numbers; export the network for inference.")
        if call.version < 7 and not call.integer("is_test"):
            call.refuse(" in training mode, which draws random numbers; export the network for inference.")
        call.only_output()
    if call.op == "Cast" and call.integer("to") not in REAL and call.version >= 6:
        call.refuse(f" to {type_name(call.integer('to'))}, which does not hold real numbers.")
    like = call.value(1) if call.op == "CastLike" else None
    if isinstance(like, Constant) and not is_real(like.native):
        call.refuse(f" to {like.native.dtype}, which does not hold real numbers.")
    return call.live()
