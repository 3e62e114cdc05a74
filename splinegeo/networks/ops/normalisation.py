"""Normalisation by stored statistics: one scale and one shift a channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.affine import weighted_sum
from splinegeo.networks.ops.values import Live, Value, constant_array, op

STATISTICS = (
    ", which normalises by statistics of its input and is smooth; splinegeo partitions piecewise-linear networks only. "
    "Batch normalisation with running statistics is one."
)


def normalise(
    b: Builder, x: Live, weight: Value | None, bias: Value | None, mean: Value | None, var: Value | None, eps: float
) -> Value:
    """The value of scale * x + shift.

    The constants are the float64 values of weight / sqrt(var + eps) and of bias - mean * scale.
    """
    if mean is None or var is None:
        b.refuse(STATISTICS)
    with np.errstate(divide="ignore", invalid="ignore"):  # constant_array reports what is not finite
        scale = _numbers(b, weight, 1.0) / np.sqrt(_numbers(b, var, 1.0) + eps)
        shift = _numbers(b, bias, 0.0) - _numbers(b, mean, 0.0) * scale
    channels = [-1, *[1] * (len(x.shape) - 2)]
    return weighted_sum(b, [(x, scale.reshape(channels))], shift.reshape(channels))


def _numbers(b: Builder, value: Value | None, default: float) -> Array:
    return np.full(1, default) if value is None else constant_array(b, value)


@op("batch_norm")
def batch_norm(
    b: Builder,
    x: Live,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    *_: bool,  # a flag of the backend
) -> Value:
    """Batch normalisation in eval mode."""
    if training and mean is not None:
        b.refuse(" in training mode; call .eval() on the module first.", InvalidArgument)
    return normalise(b, x, weight, bias, mean, var, eps)


@op("_native_batch_norm_legit_no_training", "_batch_norm_no_update")
def batch_norm_eval(
    b: Builder, x: Live, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float
) -> list[Value]:
    """The same, with statistics that only training needs."""
    return [normalise(b, x, weight, bias, mean, var, eps), None, None]


@op("_native_batch_norm_legit", "native_batch_norm", "_native_batch_norm_legit_functional")
def batch_norm_train(b: Builder, *_: Any) -> Value:
    """Normalisation by the batch itself."""
    b.refuse(STATISTICS)


@op("instance_norm")
def instance_norm(
    b: Builder,
    x: Live,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: bool,
) -> Value:
    """Instance normalisation with running statistics in eval mode."""
    return normalise(b, x, weight, bias, *((None, None) if use_input_stats else (mean, var)), eps)
