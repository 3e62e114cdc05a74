"""Elementwise continuous piecewise-linear functions: one knot each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.affine import add, sub
from splinegeo.networks.ops.moves import broadcast
from splinegeo.networks.ops.values import Live, Value, constant_array, op, refuse_product, refuse_training


def knot(b: Builder, x: Value, breakpoints: list[Value], slopes: list[Value], value: Value) -> Live:
    """A knot whose parameters are numbers or constants that broadcast with ``x``."""
    parameters = [constant_array(b, p) for p in (*breakpoints, *slopes, value)]
    x = broadcast(b, x, np.broadcast_shapes(x.shape, *(p.shape for p in parameters)))
    columns = [np.broadcast_to(p, x.shape).ravel() for p in parameters]
    k = len(breakpoints)
    node = b.knot(x.node, np.stack(columns[:k], 1), np.stack(columns[k:-1], 1), columns[-1])
    return Live(node, x.shape)


@op("relu")
def relu(b: Builder, x: Live) -> Live:
    """max(x, 0)."""
    return knot(b, x, [0.0], [0.0, 1.0], 0.0)


@op("leaky_relu")
def leaky_relu(b: Builder, x: Live, negative_slope: float = 0.01) -> Live:
    """Slope ``negative_slope`` below 0, any number; 1 above."""
    return knot(b, x, [0.0], [negative_slope, 1.0], 0.0)


@op("prelu")
def prelu(b: Builder, x: Live, weight: Value) -> Live:
    """A leaky ReLU with a slope for all units or one a channel (dimension 1)."""
    if isinstance(weight, Live):
        refuse_product(b)
    channels = [-1, *[1] * (len(x.shape) - 2)] if weight.numel() > 1 else []
    weight = weight.reshape(channels)
    return knot(b, x, [0.0], [weight, 1.0], 0.0)


@op("_prelu_kernel")
def prelu_kernel(b: Builder, x: Live, weight: Value) -> Live:
    """PReLU with a weight that broadcasts as it is."""
    if isinstance(weight, Live):
        refuse_product(b)
    return knot(b, x, [0.0], [weight, 1.0], 0.0)


@op("rrelu")
def rrelu(
    b: Builder, x: Live, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, generator: Any = None
) -> Live:
    """In eval mode a leaky ReLU with the mean slope."""
    if training:
        refuse_training(b)
    return leaky_relu(b, x, (lower + upper) / 2)


@op("abs")
def absolute(b: Builder, x: Live) -> Live:
    """|x|."""
    return knot(b, x, [0.0], [-1.0, 1.0], 0.0)


@op("clamp", "clip")
def clamp(b: Builder, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """min(max(x, low), high), in this order: where low > high the result is high, as in PyTorch."""
    if isinstance(low, Live) or isinstance(high, Live):
        x = x if low is None else maximum(b, x, low)
        return x if high is None else minimum(b, x, high)
    assert isinstance(x, Live)
    low = None if isinstance(low, float) and low == -math.inf else low
    high = None if isinstance(high, float) and high == math.inf else high
    if low is None and high is None:
        return x
    if high is None:
        return knot(b, x, [low], [0.0, 1.0], low)
    if low is None:
        return knot(b, x, [high], [1.0, 0.0], high)
    lower, upper = constant_array(b, low), constant_array(b, high)
    proper = lower < upper
    if not proper.any():
        shape = np.broadcast_shapes(x.shape, proper.shape)
        return torch.from_numpy(np.broadcast_to(upper, shape).copy())
    # Where the interval is empty the unit is constant: equal slopes, so the breakpoints only have to ascend.
    first = np.where(proper, lower, np.nextafter(upper, -np.inf))
    value = np.where(proper, lower, upper)
    return knot(b, x, [first, upper], [0.0, proper.astype(float), 0.0], value)


@op("clamp_min")
def clamp_min(b: Builder, x: Live, low: Value) -> Value:
    """max(x, low)."""
    return clamp(b, x, low, None)


@op("clamp_max")
def clamp_max(b: Builder, x: Live, high: Value) -> Value:
    """min(x, high)."""
    return clamp(b, x, None, high)


@op("hardtanh")
def hardtanh(b: Builder, x: Live, low: float = -1.0, high: float = 1.0) -> Value:
    """clamp(x, low, high)."""
    return clamp(b, x, low, high)


@op("relu6")
def relu6(b: Builder, x: Live) -> Value:
    """clamp(x, 0, 6)."""
    return clamp(b, x, 0.0, 6.0)


@op("hardsigmoid")
def hardsigmoid(b: Builder, x: Live) -> Live:
    """clamp(x + 3, 0, 6) * c with c = float64(1/6), in one knot: the same function exactly."""
    return knot(b, x, [-3.0, 3.0], [0.0, 1 / 6, 0.0], 0.0)


@op("threshold")
def threshold(b: Builder, x: Live, at: float, value: float) -> Live:
    """The unit above ``at``, else ``value``: continuous only if the two agree."""
    if at != value:
        b.refuse(
            f" with threshold {at:g} and value {value:g}, which jumps; it is continuous only if the two are equal."
        )
    return knot(b, x, [at], [0.0, 1.0], at)


@op("softshrink")
def softshrink(b: Builder, x: Live, lambd: float = 0.5) -> Live:
    """The unit moved towards 0 by ``lambd``, and 0 within."""
    return x if lambd == 0 else knot(b, x, [-lambd, lambd], [1.0, 0.0, 1.0], 0.0)


@op("hardshrink")
def hardshrink(b: Builder, x: Live, lambd: float = 0.5) -> Live:
    """The unit outside [-lambd, lambd], 0 inside: continuous only for lambd = 0."""
    if lambd != 0:
        b.refuse(f" with lambd {lambd:g}, which jumps at ±{lambd:g}; use Softshrink, which is continuous.")
    return x


@op("maximum", "fmax")
def maximum(b: Builder, x: Value, y: Value) -> Value:
    """Elementwise max(x, y) = y + relu(x - y); of two live values too, their difference being the unit."""
    if not isinstance(x, Live):
        x, y = y, x
    if not isinstance(y, Live):
        return clamp(b, x, y, None)
    gap = sub(b, x, y)
    return add(b, relu(b, gap), y) if isinstance(gap, Live) else add(b, gap.clamp(min=0), y)


@op("minimum", "fmin")
def minimum(b: Builder, x: Value, y: Value) -> Value:
    """Elementwise min(x, y) = y - relu(y - x)."""
    if not isinstance(x, Live):
        x, y = y, x
    if not isinstance(y, Live):
        return clamp(b, x, None, y)
    gap = sub(b, y, x)
    return sub(b, y, relu(b, gap)) if isinstance(gap, Live) else sub(b, y, gap.clamp(min=0))
