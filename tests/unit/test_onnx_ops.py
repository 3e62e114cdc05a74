"""Every operator, in its variants and versions, against onnx.reference in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from splinegeo.networks.onnx import load_onnx
from tests.onnx_models import model, node, randn, saved

IMAGE = (None, 2, 5, 6)
I64 = np.int64


def ints(*values: int) -> np.ndarray:
    return np.array(values, I64)


def case(nodes: Any, constants: Any = None, shape: Any = (None, 3), opset: int = 17, **kwargs: Any) -> Any:
    return model(nodes if isinstance(nodes, list) else [nodes], constants, shape, opset, **kwargs)


W, B, KERNEL = randn(3, 4), randn(4), randn(4, 2, 3, 2)
STATS = {"s": randn(2), "b": randn(2), "m": randn(2), "v": np.abs(randn(2)) + 0.1}
BN = "x,s,b,m,v"
T = {"w": randn(2, 3, 3, 2), "b": randn(3)}
TG = {"w": randn(2, 1, 3, 2), "b": randn(2)}

CASES: dict[str, Any] = {
    # products
    "gemm": case(node("Gemm", "x,w,b"), {"w": W, "b": B}),
    "gemm transposed": case(node("Gemm", "x,w,b", transB=1, alpha=0.5, beta=2.0), {"w": W.T, "b": B}),
    "gemm without c": case(node("Gemm", "x,w"), {"w": W}),
    "gemm scalar c": case(node("Gemm", "x,w,b"), {"w": W, "b": randn(1)}),
    "gemm live c": case([node("Gemm", "x,w", "h"), node("Gemm", "x,w,h")], {"w": W}),
    "gemm transposed a": case(node("Gemm", "x,w", transA=1), {"w": W}, (3, 1)),
    "gemm from the left": case(node("Gemm", "w,x"), {"w": W.T}, (3, 2), opset=9),
    "matmul": case(node("MatMul", "x,w"), {"w": W}),
    "matmul from the left": case(node("MatMul", "w,x"), {"w": W.T}, (3,)),
    "matmul column": case(node("MatMul", "w,x"), {"w": W.T}, (None, 3, 1)),
    "matmul vector": case(node("MatMul", "x,w"), {"w": W[:, 0]}),
    "matmul over positions": case(node("MatMul", "x,w"), {"w": W}, (None, 2, 3)),
    "matmul of a batch": case(node("MatMul", "x,w"), {"w": randn(2, 3, 4)}, (None, 2, 1, 3)),
    "matmul from the left over positions": case(node("MatMul", "w,x"), {"w": W.T}, (None, 3, 2)),
    "einsum": case(node("Einsum", "x,w", equation="bi,ij->bj"), {"w": W}),
    "einsum alone": case(node("Einsum", "x", equation="b i j -> b j"), None, (None, 2, 3), 12),
    "cumsum": case(node("CumSum", "x,a"), {"a": np.array(1, I64)}),
    "cumsum backwards": case(node("CumSum", "x,a", exclusive=1, reverse=1), {"a": np.array(-1, I64)}),
    # arithmetic
    "add": case(node("Add", "x,c"), {"c": randn(3)}),
    "add constants first": case(node("Add", "c,x"), {"c": randn(2, 3)}, (None, 1, 3)),
    "residual": case([node("Relu", "x", "h"), node("Add", "x,h")]),
    "add along an axis": case(node("Add", "x,c", broadcast=1, axis=1), {"c": randn(2)}, IMAGE, 6),
    "mul along an axis": case(node("Mul", "x,c", broadcast=1, axis=1), {"c": randn(2, 5)}, IMAGE, 6),
    "sub": case(node("Sub", "c,x"), {"c": randn(3)}),
    "mul": case(node("Mul", "c,x"), {"c": randn(3)}),
    "div": case(node("Div", "x,c"), {"c": randn(3)}),
    "neg": case(node("Neg")),
    "pow": case(node("Pow", "x,c"), {"c": np.array(1.0)}),
    "sum": case([node("Relu", "x", "h"), node("Sum", "x,c,h")], {"c": randn(3)}),
    "mean": case([node("Relu", "x", "h"), node("Mean", "x,c,h")], {"c": randn(3)}),
    "max one": case(node("Max")),
    "max": case([node("Neg", "x", "h"), node("Max", "x,h")]),
    "max of three": case([node("Neg", "x", "h"), node("Max", "x,c,h")], {"c": randn(3)}),
    "min of three": case([node("Neg", "x", "h"), node("Min", "x,c,h")], {"c": randn(1)}),
    "min with a constant": case(node("Min", "c,x"), {"c": randn(1)}),
    # knots
    "relu": case(node("Relu")),
    "leaky relu": case(node("LeakyRelu", alpha=0.2)),
    "leaky relu default": case(node("LeakyRelu")),
    "prelu": case(node("PRelu", "x,s"), {"s": randn(2, 1, 1)}, IMAGE),
    "prelu one": case(node("PRelu", "x,s"), {"s": randn(1)}, IMAGE),
    "prelu last axis": case(node("PRelu", "x,s"), {"s": randn(6)}, IMAGE),
    "prelu old": case(node("PRelu", "x,s"), {"s": randn(2)}, IMAGE, 6),
    "abs": case(node("Abs")),
    "clip": case(node("Clip", "x,l,h"), {"l": np.array(-0.5), "h": np.array(0.75)}),
    "clip below": case(node("Clip", "x,l"), {"l": np.array(-0.5)}),
    "clip above": case(node("Clip", ["x", "", "h"]), {"h": np.array(0.25)}),
    "clip nothing": case([node("Clip", "x", "h"), node("Relu", "h")]),
    "clip infinite": case(node("Clip", "x,l,h"), {"l": np.array(0.0), "h": np.array(np.inf)}),
    "clip attributes": case(node("Clip", min=-0.5, max=0.75), opset=6),
    "clip one attribute": case(node("Clip", min=0.0), opset=6),
    "hard sigmoid": case(node("HardSigmoid")),
    "hard sigmoid parameters": case(node("HardSigmoid", alpha=0.3, beta=0.6)),
    "thresholded relu": case(node("ThresholdedRelu", alpha=0.0)),
    "shrink": case(node("Shrink", lambd=0.5, bias=0.5)),
    "shrink nothing": case([node("Shrink", "x", "h", lambd=0.0), node("Relu", "h")]),
    "where": case(node("Where", "c,x,v"), {"c": np.array([True, False, True]), "v": np.array(2.5)}),
    "where on a comparison": case(
        [node("Greater", "x,c", "m"), node("Mul", "x,s", "h"), node("Where", "m,x,h")],
        {"c": np.array(0.0), "s": np.array(0.1)},
    ),
    "where on the contrary": case(
        [node("LessOrEqual", "x,c", "m"), node("Not", "m", "n"), node("Where", "n,x,c")], {"c": np.array(0.5)}
    ),
    "times a comparison": case(
        [node("Greater", "x,c", "m"), node("Cast", "m", "f", to=TensorProto.DOUBLE), node("Mul", "x,f")],
        {"c": np.array(0.0)},
    ),
    "trilu": case(node("Trilu", "x"), None, (None, 3, 3)),
    "tril": case(node("Trilu", "x,k", upper=0), {"k": np.array(-1, I64)}, (None, 3, 4)),
    "identity": case([node("Identity", "x", "h"), node("Relu", "h")]),
    "dropout": case([node("Dropout", "x", "h"), node("Relu", "h")]),
    "dropout ratio": case([node("Dropout", "x", "h", ratio=0.3), node("Relu", "h")], opset=10),
    "cast": case([node("Cast", "x", "h", to=TensorProto.DOUBLE), node("Relu", "h")]),
    # normalisation
    "batch norm": case(node("BatchNormalization", BN), STATS, IMAGE),
    "batch norm flat": case(node("BatchNormalization", BN, epsilon=0.1), STATS, (None, 2), 15),
    "batch norm 14": case(node("BatchNormalization", BN, momentum=0.5), STATS, IMAGE, 14),
    # convolutions
    "conv": case(node("Conv", "x,w,b"), {"w": KERNEL, "b": B}, IMAGE),
    "conv without bias": case(node("Conv", "x,w", strides=[2, 1], dilations=[1, 2]), {"w": KERNEL}, IMAGE),
    "conv pads": case(node("Conv", "x,w,b", pads=[1, 1, 1, 1], kernel_shape=[3, 2]), {"w": KERNEL, "b": B}, IMAGE),
    "conv uneven pads": case(node("Conv", "x,w,b", pads=[0, 1, 2, 0]), {"w": KERNEL, "b": B}, IMAGE),
    "conv same upper": case(node("Conv", "x,w", auto_pad="SAME_UPPER", strides=[2, 2]), {"w": KERNEL}, IMAGE),
    "conv same lower": case(node("Conv", "x,w", auto_pad="SAME_LOWER", strides=[1, 2]), {"w": KERNEL}, IMAGE),
    "conv valid": case(node("Conv", "x,w", auto_pad="VALID"), {"w": KERNEL}, IMAGE, 1),
    "conv groups": case(node("Conv", "x,w,b", group=2), {"w": randn(4, 1, 2, 2), "b": B}, IMAGE),
    "conv 1d": case(node("Conv", "x,w,b", strides=[2]), {"w": randn(4, 2, 3), "b": B}, (None, 2, 7)),
    "conv 3d": case(node("Conv", "x,w"), {"w": randn(2, 1, 2, 2, 2)}, (None, 1, 3, 3, 3)),
    "transposed": case(node("ConvTranspose", "x,w,b"), T, (None, 2, 2, 3)),
    "transposed stride": case(
        node("ConvTranspose", "x,w", strides=[2, 3], dilations=[2, 1]), {"w": T["w"]}, (1, 2, 2, 3)
    ),
    "transposed pads": case(
        node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[1, 0, 1, 0], output_padding=[1, 0]), T, (None, 2, 2, 3)
    ),
    "transposed uneven pads": case(
        node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[0, 1, 1, 0]), T, (None, 2, 2, 3)
    ),
    "transposed shape": case(
        node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[0, 0, 0, 0], output_padding=[1, 1]), T, (None, 2, 2, 3)
    ),
    "transposed 1d": case(node("ConvTranspose", "x,w", strides=[2]), {"w": randn(2, 3, 4)}, (None, 2, 3)),
    "transposed same": case(
        node("ConvTranspose", "x,w", strides=[2, 2], auto_pad="SAME_UPPER"), {"w": T["w"]}, (None, 2, 2, 3)
    ),
    # pooling
    "max pool": case(node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), None, IMAGE, 12),
    "max pool pads": case(node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2]), None, IMAGE),
    "max pool dilated": case(node("MaxPool", kernel_shape=[2, 2], dilations=[2, 3], strides=[1, 2]), None, IMAGE),
    "max pool ceil": case(node("MaxPool", kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1), None, IMAGE),
    "max pool same": case(node("MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER"), None, IMAGE),
    "max pool 1d": case(node("MaxPool", kernel_shape=[3]), None, (None, 2, 5), 8),
    "max pool 3d": case(node("MaxPool", kernel_shape=[2, 2, 2], strides=[2, 1, 1]), None, (None, 1, 3, 2, 3)),
    "average pool": case(node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]), None, IMAGE, 10),
    "average pool pads": case(node("AveragePool", kernel_shape=[3, 2], pads=[1, 1, 1, 1]), None, IMAGE),
    "average pool uneven": case(node("AveragePool", kernel_shape=[3, 2], pads=[1, 1, 0, 0]), None, IMAGE),
    "average pool counting pads": case(
        node("AveragePool", kernel_shape=[3, 2], pads=[1, 1, 1, 1], strides=[2, 2], count_include_pad=1), None, IMAGE
    ),
    "average pool ceil": case(node("AveragePool", kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1), None, IMAGE),
    "average pool dilated": case(node("AveragePool", kernel_shape=[2, 2], dilations=[2, 1]), None, IMAGE, 19),
    "average pool same": case(
        node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"), None, IMAGE
    ),
    "global average": case(node("GlobalAveragePool"), None, IMAGE),
    "global max": case(node("GlobalMaxPool"), None, IMAGE),
    # reductions
    "reduce sum 11": case(node("ReduceSum", axes=[1], keepdims=0), None, IMAGE, 11),
    "reduce sum 13": case(node("ReduceSum", "x,a"), {"a": ints(-1, 2)}, IMAGE, 13),
    "reduce sum all": case(node("ReduceSum"), None, (1, 2, 3), 13),
    "reduce sum nothing": case(
        [node("ReduceSum", "x", "h", noop_with_empty_axes=1), node("Relu", "h")], None, IMAGE, 13
    ),
    "reduce mean 17": case(node("ReduceMean", axes=[1, 3]), None, IMAGE),
    "reduce mean 18": case(node("ReduceMean", "x,a", keepdims=0), {"a": ints(2)}, IMAGE, 18),
    "reduce max 17": case(node("ReduceMax", axes=[-1]), None, IMAGE),
    "reduce max 18": case(node("ReduceMax", "x,a"), {"a": ints(1)}, IMAGE, 18),
    "reduce min": case(node("ReduceMin", axes=[2, 3], keepdims=0), None, IMAGE),
    "reduce l1": case(node("ReduceL1", axes=[1]), None, IMAGE),
    # rearrangements
    "flatten": case(node("Flatten"), None, IMAGE),
    "flatten axis": case(node("Flatten", axis=-1), None, (1, 2, 3)),
    "flatten all": case(node("Flatten", axis=0), None, (1, 2, 3)),
    "reshape": case(node("Reshape", "x,s"), {"s": ints(0, -1)}, IMAGE),
    "reshape attribute": case(node("Reshape", "x,s", allowzero=1), {"s": ints(1, 6, 10)}, IMAGE, 14),
    "transpose": case(node("Transpose", perm=[0, 2, 3, 1]), None, IMAGE),
    "transpose default": case(node("Transpose"), None, (2, 3, 1)),
    "squeeze 11": case(node("Squeeze", axes=[2]), None, (None, 3, 1)),
    "squeeze 13": case(node("Squeeze", "x,a"), {"a": ints(-1)}, (None, 3, 1), 13),
    "squeeze all": case(node("Squeeze"), None, (1, 3, 1), 13),
    "unsqueeze 11": case(node("Unsqueeze", axes=[1, 3]), None, (None, 3), 11),
    "unsqueeze 13": case(node("Unsqueeze", "x,a"), {"a": ints(-1, 1)}, (None, 3), 13),
    "concat": case([node("Relu", "x", "h"), node("Concat", "h,c,x", axis=-1)], {"c": randn(1, 2)}, (1, 3)),
    "slice 9": case(node("Slice", starts=[1, -2], ends=[100, -1], axes=[2, 3]), None, IMAGE, 9),
    "slice 10": case(
        node("Slice", "x,s,e,a,t"), {"s": ints(4, 0), "e": ints(-100, 5), "a": ints(2, -1), "t": ints(-2, 2)}, IMAGE
    ),
    "slice without axes": case(node("Slice", "x,s,e"), {"s": ints(0, 1), "e": ints(1, 2**62)}, (1, 5)),
    "split 12": case([node("Split", "x", "a,h", axis=1), node("Sub", "a,h")], None, (None, 4), 12),
    "split sizes 12": case([node("Split", "x", "a,y", axis=1, split=[1, 3])], None, (None, 4), 12),
    "split sizes 13": case([node("Split", "x,s", "a,y", axis=1)], {"s": ints(1, 3)}, (None, 4), 13),
    "split uneven": case([node("Split", "x", "y,b,c", axis=1, num_outputs=3)], None, (None, 7), 18),
    "gather": case(node("Gather", "x,i", axis=1), {"i": ints(2, -1, 0)}),
    "gather one": case(node("Gather", "x,i", axis=1), {"i": np.array(1, I64)}, IMAGE),
    "gather elements": case(node("GatherElements", "x,i", axis=1), {"i": np.array([[2, 0]], I64)}, (1, 3)),
    "gather nd": case(node("GatherND", "x,i"), {"i": np.array([[0, 2], [0, 1]], I64)}, (1, 3)),
    "scatter nd": case(node("ScatterND", "x,i,u"), {"i": np.array([[0, 2]], I64), "u": randn(1)}, (1, 3)),
    "scatter elements": case(
        node("ScatterElements", "x,i,u", axis=1), {"i": np.array([[2, 0]], I64), "u": randn(1, 2)}, (1, 3)
    ),
    "expand": case(node("Expand", "x,s"), {"s": ints(2, 1, 3)}, (1, 1, 3)),
    "tile": case(node("Tile", "x,r"), {"r": ints(1, 2)}),
    "depth to space": case(node("DepthToSpace", blocksize=2), None, (None, 8, 2, 3)),
    "depth to space crd": case(node("DepthToSpace", blocksize=2, mode="CRD"), None, (None, 8, 2, 3)),
    "space to depth": case(node("SpaceToDepth", blocksize=2), None, (None, 2, 4, 6)),
    "pad 2": case(node("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5), None, IMAGE, 2),
    "pad 11": case(node("Pad", "x,p,v"), {"p": ints(0, 0, 1, 2, 0, 0, 0, 1), "v": np.array(-2.0)}, IMAGE, 11),
    "pad crop": case(node("Pad", "x,p"), {"p": ints(0, 0, -1, 2, 0, 0, 0, -1)}, IMAGE, 13),
    "pad axes": case(node("Pad", ["x", "p", "", "a"]), {"p": ints(1, 2), "a": ints(-1)}, IMAGE, 18),
    "pad reflect": case(node("Pad", "x,p", mode="reflect"), {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}, IMAGE, 13),
    "pad edge": case(node("Pad", "x,p", mode="edge"), {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}, IMAGE, 13),
    "pad wrap": case(node("Pad", "x,p", mode="wrap"), {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}, IMAGE, 19),
    # resizing
    "upsample 9": case(node("Upsample", "x,s"), {"s": np.array([1.0, 1.0, 2.0, 3.0])}, IMAGE, 9),
    "upsample 7": case(node("Upsample", scales=[1.0, 1.0, 2.0, 2.5], mode="linear"), None, IMAGE, 7),
    "resize 10": case(node("Resize", "x,s", mode="linear"), {"s": np.array([1.0, 1.0, 2.0, 1.5])}, IMAGE, 10),
    "resize sizes": case(node("Resize", ["x", "", "", "z"], mode="linear"), {"z": ints(1, 2, 7, 4)}, IMAGE, 13),
    "resize axes": case(
        node("Resize", ["x", "", "", "z"], mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
        {"z": ints(9, 9)},
        IMAGE,
        18,
    ),
    "resize outside": case(
        node("Resize", "x,r,s", mode="cubic", exclude_outside=1),
        {"r": np.zeros(0), "s": np.array([1.0, 1, 2, 1])},
        IMAGE,
    ),
    # constants on the way
    "shape": case(
        [
            node("Shape", "x", "n"),
            node("Gather", "n,zero", "first"),
            node("Unsqueeze", "first,axis", "lead"),
            node("Concat", "lead,rest", "target", axis=0),
            node("Reshape", "x,target"),
        ],
        {"zero": np.array(0, I64), "axis": ints(0), "rest": ints(-1)},
        IMAGE,
    ),
    "sizes by rounding": case(
        [
            node("Shape", "x", "n", start=2),
            node("Cast", "n", "f", to=TensorProto.FLOAT),
            node("Mul", "f,s", "g"),
            node("Floor", "g", "h"),
            node("Cast", "h", "size", to=TensorProto.INT64),
            node("Concat", "lead,size", "sizes", axis=0),
            node("Resize", ["x", "", "", "sizes"], mode="nearest"),
        ],
        {"s": numpy_helper.from_array(np.array([2.0, 1.5], np.float32)), "lead": ints(1, 2)},
        IMAGE,
    ),
    "constants": case(
        [
            node("Constant", [], "one", value_float=0.1),
            node("Constant", [], "n", value_ints=[1, 3]),
            node("ConstantOfShape", "n", "c", value=numpy_helper.from_array(np.array([0.3]))),
            node("Range", "a,l,d", "r"),
            node("Cast", "r", "rf", to=TensorProto.DOUBLE),
            node("Mul", "c,rf", "s"),
            node("Add", "x,s"),
        ],
        {"a": np.array(0, I64), "l": np.array(6, I64), "d": np.array(2, I64)},
    ),
    "size": case(
        [node("Size", "x", "n"), node("Cast", "n", "f", to=TensorProto.DOUBLE), node("Div", "x,f")], shape=(1, 3)
    ),
    "transposed weight": case([node("Transpose", "w", "wt"), node("MatMul", "x,wt")], {"w": W.T}),
    "constant output": case([node("Sub", "x,x", "z"), node("Add", "z,c")], {"c": randn(3)}, (1, 3)),
}
for mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"):
    for how in ("nearest", "linear", "cubic"):
        CASES[f"resize {how} {mode}"] = case(
            node("Resize", "x,r,s", mode=how, coordinate_transformation_mode=mode),
            {"r": np.zeros(0), "s": np.array([1.0, 1.0, 2.0, 0.6])},
            IMAGE,
            19 if mode == "half_pixel_symmetric" else 13,
        )
for how in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    CASES[f"resize nearest {how}"] = case(
        node("Resize", "x,r,s", coordinate_transformation_mode="asymmetric", nearest_mode=how),
        {"r": np.zeros(0), "s": np.array([1.0, 1.0, 2.0, 0.5])},
        IMAGE,
    )
# What onnx.reference cannot evaluate, or gets wrong; other tests look at these.
WITHOUT_REFERENCE = {"upsample 7", "resize 10", "pad crop", "prelu old", "add along an axis", "mul along an axis"}


@pytest.mark.parametrize("name", CASES)
def test_operators(name: str, tmp_path: Path) -> None:
    proto = CASES[name]
    sizes = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    whole = len(sizes) > 1 and sizes[0] > 1  # a sample without a batch dimension
    network = load_onnx(saved(proto, tmp_path), input_shape=sizes if whole else None)
    if name in WITHOUT_REFERENCE:
        return  # load_onnx has compared it with a stand-in
    evaluator = ReferenceEvaluator(proto)
    for scale in (0.0, 0.1, 1.0, 10.0):
        z = scale * np.random.default_rng(1).standard_normal([n or 1 for n in sizes])
        with np.errstate(all="ignore"):
            expected = np.asarray(evaluator.run(None, {"x": z})[0])
        got = network(z.reshape(1, -1))
        assert network.output_shape in (expected.shape, expected.shape[1:])
        # onnx.reference computes cubic weights in float32.
        tolerance = {"rtol": 1e-5, "atol": 1e-5 * scale} if "cubic" in name else {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(got.ravel(), expected.ravel(), **tolerance)
