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
    "erfinv", "sinc", "logsumexp", "logaddexp", "logit", "softsign", "norm", "linalg_norm", "rms_norm",
    "var", "std", "var_mean", "std_mean", "prod", "cumprod", "scaled_dot_product_attention",
    "bilinear", "cosine_similarity", "dist", "cdist", "_cdist_forward", "hypot", "float_power",
    "addcdiv", "native_batch_norm_train", "local_response_norm", "_scaled_dot_product_flash_attention_for_cpu",
    "gru", "lstm", "rnn_tanh", "tanhshrink", "layer_norm", "native_layer_norm", "group_norm", "native_group_norm",
))  # fmt: skip
JUMPS = frozenset((
    "sign", "sgn", "round", "floor", "ceil", "trunc", "fix", "frac", "heaviside", "gt", "ge", "lt", "le", "eq",
    "ne", "argmax", "argmin", "fmod", "remainder", "bucketize", "searchsorted", "logical_and",
    "logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "isnan", "isinf",
    "isfinite", "masked_select", "signbit", "floor_divide", "copysign", "argsort", "one_hot",
    "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "quantize_per_tensor",
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "fused_moving_avg_obs_fake_quant",
    "_fused_moving_avg_obs_fq_helper", "_fake_quantize_learnable_per_tensor_affine",
))  # fmt: skip
SMOOTH_INSIDE = (
    ", which is smooth; splinegeo partitions piecewise-linear networks only. "
    "Use a piecewise-linear activation such as ReLU or Hardtanh in its place."
)
SMOOTH_CLOSING = (
    ", which is smooth; it closes the network, so capture(..., drop_output_activation=True) can leave it off."
)
READS = frozenset({"item", "_local_scalar_dense", "nonzero", "equal", "is_nonzero"})


def refuse(b: Builder, name: str) -> NoReturn:
    """Raise the error for an operation of aten that has no function here."""
    if name in SMOOTH:
        b.refuse(SMOOTH_CLOSING if b.closing else SMOOTH_INSIDE)
    if name in JUMPS:
        b.refuse(", which is not continuous in general; write it with relu, leaky_relu, clamp, abs or maximum.")
    if name in READS:
        b.refuse(
            ", which reads numbers off a value that depends on the input; use tensor operations throughout.",
            UnsupportedOperation,
        )
    b.refuse(
        ", which splinegeo does not know; write it with linear layers and piecewise-linear activations.",
        UnsupportedOperation,
    )
