"""What is refused, and why."""

from __future__ import annotations

from typing import NoReturn

from splinegeo._errors import UnsupportedOperation
from splinegeo.networks.builder import Builder

SMOOTH = frozenset((
    "gelu", "sigmoid", "tanh", "softmax", "_softmax", "log_softmax", "_log_softmax", "softmin", "silu", "elu",
    "selu", "celu", "softplus", "mish", "log_sigmoid", "logsigmoid", "log_sigmoid_forward", "glu", "hardswish",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "sin",
    "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc",
    "erfinv", "sinc", "logsumexp", "logaddexp", "logit", "softsign", "norm", "linalg_vector_norm",
    "linalg_norm", "layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm",
    "rms_norm", "var", "std", "var_mean", "std_mean", "prod", "cumprod", "scaled_dot_product_attention",
    "bilinear", "cosine_similarity", "dist", "cdist", "_cdist_forward", "hypot", "float_power", "addcmul",
    "addcdiv", "native_batch_norm_train", "local_response_norm", "_scaled_dot_product_flash_attention_for_cpu",
    "gru", "lstm", "rnn_tanh", "tanhshrink",
))  # fmt: skip
JUMPS = frozenset((
    "sign", "sgn", "round", "floor", "ceil", "trunc", "fix", "frac", "heaviside", "gt", "ge", "lt", "le", "eq",
    "ne", "argmax", "argmin", "fmod", "remainder", "bucketize", "searchsorted", "logical_and",
    "logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "isnan", "isinf",
    "isfinite", "masked_select", "signbit", "floor_divide", "copysign", "sort",
    "argsort", "topk", "one_hot",
))  # fmt: skip
LATER = frozenset((
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
    "max_pool1d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "batch_norm",
    "_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "native_batch_norm",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "max", "amax", "min", "amin", "maxout",
))  # fmt: skip


READS = frozenset({"item", "_local_scalar_dense", "nonzero", "equal", "is_nonzero"})


def refuse(b: Builder, name: str) -> NoReturn:
    """Raise the error for an operation of aten that has no function here."""
    if name in SMOOTH:
        b.refuse(", which is smooth; use splinegeo.jacobian.descriptors for a first-order answer.")
    if name in JUMPS:
        b.refuse(
            ", which is not continuous in general; write it with relu, leaky_relu, clamp, abs or maximum, "
            "or use splinegeo.jacobian.descriptors for a first-order answer."
        )
    if name in READS:
        b.refuse(
            ", which reads numbers off a value that depends on the input; use tensor operations throughout.",
            UnsupportedOperation,
        )
    if name in LATER:
        b.refuse(
            ", which this version does not read yet; convolutions, pooling and normalisation are next.",
            UnsupportedOperation,
        )
    b.refuse(
        ", which splinegeo does not know; write it with linear layers and piecewise-linear activations.",
        UnsupportedOperation,
    )
