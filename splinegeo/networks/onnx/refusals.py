"""Operators that are refused, and why."""

from __future__ import annotations

from splinegeo._errors import NotPiecewiseLinear, SplineGeoError, UnsupportedOperation

ONLY_PIECEWISE = "splinegeo partitions piecewise-linear networks only."
SMOOTH = frozenset((
    "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Softplus", "Softsign", "Gelu", "Elu", "Selu", "Celu", "Mish",
    "HardSwish", "Swish", "SwiGLU", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos",
    "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "LRN", "LayerNormalization", "InstanceNormalization",
    "GroupNormalization", "RMSNormalization", "MeanVarianceNormalization", "LpNormalization", "LpPool", "GlobalLpPool",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "ReduceSumSquare", "CumProd", "Det", "LSTM", "GRU",
    "RNN", "Attention", "LinearAttention", "RotaryEmbedding", "GridSample", "AffineGrid", "DeformConv", "RoiAlign",
    "MaxRoiPool", "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss",
))  # fmt: skip
JUMPS = frozenset((
    "Sign", "Floor", "Ceil", "Round", "Mod", "ArgMax", "ArgMin", "Hardmax", "TopK", "NonZero", "OneHot", "IsNaN",
    "IsInf", "And", "Or", "Xor", "Unique", "NonMaxSuppression", "Compress", "MaxUnpool", "Binarizer",
))  # fmt: skip
RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
)
QUANTISED = frozenset((
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
    "MatMulInteger", "BitCast",
))  # fmt: skip
CONTAINERS = frozenset((
    "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
    "SequenceMap", "SplitToSequence", "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement",
))  # fmt: skip
LOOPS = frozenset(("Loop", "Scan"))
# Smooth maps that may close a network, and be left off on request.
CLOSING = frozenset(("Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Softplus", "Exp", "Erf", "Atan"))

REASONS: tuple[tuple[frozenset[str], type[SplineGeoError], str], ...] = (
    (SMOOTH, NotPiecewiseLinear, ", which is smooth; " + ONLY_PIECEWISE),
    (
        JUMPS,
        NotPiecewiseLinear,
        ", which is not continuous in general; write it with Relu, LeakyRelu, Clip, Abs or Max.",
    ),
    (RANDOM, UnsupportedOperation, ", which draws random numbers; a network must be one function."),
    (QUANTISED, UnsupportedOperation, ", which is quantised arithmetic; export the network in floating point."),
    (CONTAINERS, UnsupportedOperation, ", which makes sequences or optional values; splinegeo reads tensors."),
    (LOOPS, UnsupportedOperation, ", a loop; export the network with its loops unrolled."),
)
UNKNOWN = ", which splinegeo does not know; write it with linear layers and piecewise-linear activations."


def reason(op: str) -> tuple[type[SplineGeoError], str] | None:
    """The error and what its message says for an operator that is refused by name."""
    return next(((error, why) for names, error, why in REASONS if op in names), None)
