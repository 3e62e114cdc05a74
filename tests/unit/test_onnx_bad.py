"""Files that are refused: the error, and what its message must say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from splinegeo._errors import (
    FileFormatError,
    InvalidArgument,
    NotPiecewiseLinear,
    ShapeMismatch,
    SplineGeoError,
    UnsupportedOperation,
    WrongType,
)
from splinegeo.networks.onnx import load_onnx
from tests.onnx_models import model, node, randn, saved

I64 = np.int64
W = randn(3, 2)
IMAGE = (None, 2, 5, 6)


def ints(*values: int) -> np.ndarray:
    return np.array(values, I64)


def one(op: str, shape: Any = (None, 3), constants: Any = None, opset: int = 17, **kwargs: Any) -> Any:
    inputs = kwargs.pop("inputs", ",".join(["x", *(constants or {})]))
    return model([node(op, inputs, label="bad", **kwargs)], constants, shape, opset)


def tensor(**fields: Any) -> Any:
    return TensorProto(**fields)


def changed(change: Callable[[Any], Any], proto: Any = None) -> Any:
    proto = proto or model([node("MatMul", "x,w", label="bad")], {"w": W})
    change(proto)
    return proto


def external(proto: Any) -> None:
    weight = proto.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def sparse(proto: Any) -> None:
    values = numpy_helper.from_array(np.ones(1), "w")
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(ints(0), "i"), [3, 2])
    )


def function(body: list[Any], *, opset: int = 17, name: str = "f") -> Any:
    return helper.make_function(
        "mine", name, ["x"], ["y"], body, [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    )


def calling(*functions: Any) -> Any:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return model([node("f", label="call", domain="mine")], functions=list(functions), opset_imports=opsets)


def nested(count: int) -> Any:
    """Functions that call each other tenfold, `count` deep."""
    inner = [function([node("Relu")], name="f0")]
    for i in range(count):
        calls = [node(f"f{i}", f"v{k}" if k else "x", f"v{k + 1}" if k < 9 else "y", domain="mine") for k in range(10)]
        inner.append(function(calls, name=f"f{i + 1}" if i + 1 < count else "f"))
    return calling(*inner)


def branch(condition: str = "c") -> Any:
    graphs = [
        helper.make_graph([node(op)], op, [], [helper.make_tensor_value_info("y", 11, None)]) for op in ("Relu", "Neg")
    ]
    return node("If", condition, "y", label="bad", then_branch=graphs[0], else_branch=graphs[1])


def weights(value: float) -> Any:
    w = W.copy()
    w[1, 1] = value
    return model([node("MatMul", "x,w")], {"w": w})


SMOOTH = r"^'bad' applies onnx\.{}, which is smooth; splinegeo partitions piecewise-linear networks only\.$"

# id: model, error, pattern of the message
TABLE: dict[str, tuple[Callable[[], Any], type[SplineGeoError], str]] = {
    # smooth, jumping, random
    **{
        op: (lambda op=op: one(op), NotPiecewiseLinear, SMOOTH.format(op))
        for op in (
            "Sigmoid",
            "Tanh",
            "Softmax",
            "Gelu",
            "Elu",
            "Softplus",
            "Exp",
            "HardSwish",
            "Erf",
            "Sqrt",
            "Reciprocal",
        )
    },
    **{
        op: (lambda op=op: one(op), NotPiecewiseLinear, rf"^'bad' applies onnx\.{op}, which is not continuous")
        for op in ("Sign", "Floor", "ArgMax", "Round")
    },
    "pow": (
        lambda: one("Pow", constants={"e": np.array(2.0)}),
        NotPiecewiseLinear,
        "^'bad' applies onnx.Pow, which is smooth",
    ),
    "layer norm": (lambda: one("LayerNormalization", constants={"s": randn(3)}), NotPiecewiseLinear, "smooth"),
    "product": (
        lambda: one("Mul", inputs="x,x"),
        NotPiecewiseLinear,
        "'bad' applies onnx.Mul, a product of two values",
    ),
    "matrix product": (lambda: one("MatMul", (1, 2, 2), inputs="x,x"), NotPiecewiseLinear, "a product of two values"),
    "quotient": (lambda: one("Div", inputs="x,x"), NotPiecewiseLinear, "by a value that depends on the input"),
    "live kernel": (
        lambda: model([node("Conv", "c,x", label="bad")], {"c": randn(1, 1, 4, 4)}, (1, 1, 2, 2)),
        NotPiecewiseLinear,
        "with parameters that depend on the input",
    ),
    "threshold": (lambda: one("ThresholdedRelu"), NotPiecewiseLinear, "threshold 1 and value 0, which jumps"),
    "shrink": (lambda: one("Shrink", lambd=1.0), NotPiecewiseLinear, "lambd 1 and bias 0, which jumps"),
    "jumping where": (
        lambda: model(
            [node("Greater", "x,c", "m"), node("Where", "m,x,d", label="bad")], {"c": np.array(1.0), "d": np.array(0.0)}
        ),
        NotPiecewiseLinear,
        "'bad' applies onnx.Where",
    ),
    "relu of a comparison": (
        lambda: model([node("Greater", "x,c", "m"), node("Relu", "m", label="bad")], {"c": np.array(1.0)}),
        NotPiecewiseLinear,
        "^'bad' applies onnx.Relu to a comparison, which jumps",
    ),
    "cast to integers": (
        lambda: one("Cast", to=TensorProto.INT64),
        NotPiecewiseLinear,
        "to INT64, which does not hold real",
    ),
    "random": (
        lambda: model([node("RandomNormal", [], "r", label="bad", shape=[3]), node("Add", "x,r")]),
        UnsupportedOperation,
        "random numbers",
    ),
    "dropout in training": (
        lambda: one("Dropout", inputs="x,r,t", constants={"r": np.array(0.5), "t": np.array(True)}),
        NotPiecewiseLinear,
        "training mode",
    ),
    "batch norm in training": (
        lambda: one("BatchNormalization", (None, 2), dict.fromkeys("abcd", np.ones(2)), training_mode=1),
        NotPiecewiseLinear,
        "training mode, where it mixes",
    ),
    "batch norm in training, old": (
        lambda: one("BatchNormalization", (None, 2), dict.fromkeys("abcd", np.ones(2)), 6),
        NotPiecewiseLinear,
        "training mode",
    ),
    "negative variance": (
        lambda: one("BatchNormalization", (None, 2), {**dict.fromkeys("abc", np.ones(2)), "d": -np.ones(2)}),
        InvalidArgument,
        "a variance of -1",
    ),
    # operators that are not read
    "unknown": (
        lambda: one("MaxUnpoolX"),
        UnsupportedOperation,
        r"^'bad' applies onnx\.MaxUnpoolX, which splinegeo does not know",
    ),
    "custom domain": (
        lambda: one("FusedConv", domain="com.microsoft"),
        UnsupportedOperation,
        r"^'bad' applies onnx\.FusedConv, an operator of 'com\.microsoft'; splinegeo reads standard",
    ),
    "quantised": (
        lambda: one("QuantizeLinear", constants={"s": np.array(0.1)}),
        UnsupportedOperation,
        "quantised arithmetic; export the network in floating point",
    ),
    "quantised weights": (
        lambda: model(
            [node("DequantizeLinear", "q,s", "w", label="bad"), node("MatMul", "x,w")],
            {"q": np.ones((3, 2), np.int8), "s": np.array(0.1)},
        ),
        UnsupportedOperation,
        "quantised",
    ),
    "sequence": (lambda: one("SequenceConstruct"), UnsupportedOperation, "sequences or optional values"),
    "loop": (lambda: one("Loop"), UnsupportedOperation, "a loop; export the network with its loops unrolled"),
    "live branch": (
        lambda: model([node("Greater", "x,z", "c"), branch()], {"z": np.array(0.0)}, (1,)),
        NotPiecewiseLinear,
        "^'bad' applies onnx.If, a branch by a condition that depends on the input",
    ),
    "pool positions": (
        lambda: model([node("MaxPool", "x", "v,i", label="bad", kernel_shape=[2, 2]), node("Add", "v,i")], None, IMAGE),
        UnsupportedOperation,
        "a second output 'i'",
    ),
    "antialias": (
        lambda: one(
            "Resize", IMAGE, {"r": np.zeros(0), "s": np.array([1.0, 1, 0.5, 0.5])}, 18, antialias=1, mode="linear"
        ),
        UnsupportedOperation,
        "with antialias",
    ),
    "live indices": (
        lambda: model([node("Cast", "x", "i", label="bad", to=7), node("Gather", "c,i")], {"c": W}, (1,)),
        NotPiecewiseLinear,
        "INT64",
    ),
    # weights
    "nan": (lambda: weights(np.nan), InvalidArgument, r"^initialiser 'w' of net.onnx holds nan; .* diverged"),
    "inf": (lambda: weights(-np.inf), InvalidArgument, "holds -inf"),
    "external data": (
        lambda: changed(external),
        UnsupportedOperation,
        r"^initialiser 'w' lies in another file \('/etc/passwd'\).*onnx\.save",
    ),
    "sparse": (lambda: changed(sparse), UnsupportedOperation, "'w' is sparse"),
    "complex": (
        lambda: model([node("Add", "x,w")], {"w": np.ones(3, np.complex64)}),
        UnsupportedOperation,
        "has type COMPLEX64",
    ),
    "strings": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=8, dims=[1], string_data=[b"no"])}),
        UnsupportedOperation,
        "has type STRING",
    ),
    "int4": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=TensorProto.INT4, dims=[2], raw_data=b"1")}),
        UnsupportedOperation,
        "has type INT4",
    ),
    "no such type": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=99, dims=[2], raw_data=b"1")}),
        UnsupportedOperation,
        "has type type 99",
    ),
    "raw size": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=1, dims=[1000, 1000], raw_data=b"1234")}),
        FileFormatError,
        r"^initialiser 'w' declares the shape \(1000, 1000\), which takes 4,000,000 bytes; the file holds 4",
    ),
    "entries": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=1, dims=[3], float_data=[1.0])}),
        FileFormatError,
        "which takes 3 numbers; the file holds 1",
    ),
    "negative size": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=1, dims=[-1, 3], raw_data=b"")}),
        FileFormatError,
        r"\(-1, 3\), which is no shape",
    ),
    "huge tensor": (
        lambda: model([node("Add", "x,w")], {"w": tensor(data_type=1, dims=[2**40, 2**20], raw_data=b"")}),
        InvalidArgument,
        "too large",
    ),
    "huge constant": (
        lambda: model(
            [node("Constant", [], "w", value=tensor(data_type=1, dims=[2**60], raw_data=b"")), node("Add", "x,w")]
        ),
        InvalidArgument,
        "too large",
    ),
    # sizes that grow
    "constant of shape": (
        lambda: model([node("ConstantOfShape", "n", "w", label="bad"), node("Add", "x,w")], {"n": ints(2**30, 2**30)}),
        InvalidArgument,
        "^'bad' applies onnx.ConstantOfShape to constants and makes 1,152,921,504,606,846,976 numbers",
    ),
    "range": (
        lambda: model(
            [node("Range", "a,b,c", "w", label="bad"), node("Add", "x,w")],
            {"a": np.array(0), "b": np.array(2**60), "c": np.array(1)},
        ),
        InvalidArgument,
        "too large",
    ),
    "endless range": (
        lambda: model(
            [node("Range", "a,b,c", "w", label="bad"), node("Add", "x,w")],
            {"a": np.array(0), "b": np.array(1), "c": np.array(0)},
        ),
        FileFormatError,
        "'bad' applies onnx.Range to constants that do not fit it",
    ),
    "concat": (
        lambda: model(
            [node("Concat", ["x"] * 8, "h", axis=1), node("Concat", ["h"] * 32, label="bad", axis=1)], None, (1, 2**20)
        ),
        InvalidArgument,
        r"^'bad' applies onnx.Concat and makes a value of shape \(1, 268435456\); that is too large",
    ),
    "expand": (lambda: one("Expand", constants={"s": ints(2**20, 2**20, 3)}), InvalidArgument, "too large"),
    "tile": (lambda: one("Tile", constants={"s": ints(2**40, 1)}), InvalidArgument, "too large"),
    "pad": (lambda: one("Pad", constants={"p": ints(0, 2**40, 0, 0)}), InvalidArgument, "too large"),
    "resize": (
        lambda: one("Resize", IMAGE, {"r": np.zeros(0), "s": np.array([1, 1, 1e6, 1e6])}),
        InvalidArgument,
        "too large",
    ),
    "resize to nan": (
        lambda: one("Resize", IMAGE, {"r": np.zeros(0), "s": np.array([1, 1, np.nan, 1])}),
        InvalidArgument,
        "holds nan",
    ),
    "outer sum": (lambda: one("Add", (1, 2**14, 1), {"w": np.zeros(2**14)}), InvalidArgument, "too large"),
    "outer product": (lambda: one("MatMul", (1, 2**14, 1), {"w": np.zeros((1, 2**14))}), InvalidArgument, "too large"),
    "conv pads": (lambda: one("Conv", IMAGE, {"w": randn(1, 2, 2, 2)}, pads=[2**26] * 4), InvalidArgument, "too large"),
    "pool pads": (lambda: one("MaxPool", IMAGE, kernel_shape=[2, 2], pads=[2**26] * 4), InvalidArgument, "too large"),
    "depth": (lambda: one("DepthToSpace", IMAGE, blocksize=2**40), InvalidArgument, "does not divide"),
    "nested calls": (lambda: nested(8), InvalidArgument, "takes more than 50,000 steps"),
    "recursion": (lambda: calling(function([node("f", domain="mine")])), FileFormatError, "more than 32 deep"),
    # graphs
    "undefined": (
        lambda: model([node("Add", "x,w", label="bad")]),
        FileFormatError,
        "^'bad' applies onnx.Add to 'w', which nothing before it makes",
    ),
    "cycle": (
        lambda: model([node("Add", "x,b", "a", label="bad"), node("Relu", "a", "b"), node("Relu", "b")]),
        FileFormatError,
        "'b', which nothing before it makes",
    ),
    "made twice": (
        lambda: model(
            [node("Relu", "x", "a"), node("Split", "a", "b,b", label="bad", axis=1), node("Neg", "b")],
            None,
            (None, 4),
            12,
        ),
        FileFormatError,
        "makes 'b' a second time",
    ),
    "nothing makes the output": (
        lambda: model([node("Relu", "x", "z")]),
        FileFormatError,
        "nothing makes its output 'y'",
    ),
    "wrong attribute": (lambda: one("LeakyRelu", alpha=2), FileFormatError, "an attribute 'alpha' that is no real"),
    "nan attribute": (lambda: one("LeakyRelu", alpha=float("nan")), InvalidArgument, "alpha = nan"),
    "missing input": (lambda: one("Add", inputs="x"), FileFormatError, "without its input 1"),
    "shapes": (
        lambda: one("Add", constants={"w": np.zeros(4)}),
        FileFormatError,
        r"\(1, 3\) and \(4\), which do not go together",
    ),
    "matrix": (lambda: one("Gemm", constants={"w": np.zeros((4, 2))}), ShapeMismatch, r"shapes \(1, 3\) and \(4, 2\)"),
    "reshape": (
        lambda: one("Reshape", constants={"s": ints(2, 2)}),
        ShapeMismatch,
        "which does not fit. Check input_shape",
    ),
    "axis": (lambda: one("Concat", inputs="x,x", axis=7), FileFormatError, "along axis 7 of a value with 2 dimensions"),
    "channels": (lambda: one("Conv", IMAGE, {"w": randn(1, 3, 2, 2)}), ShapeMismatch, "the channels do not match"),
    "kernel too large": (lambda: one("MaxPool", IMAGE, kernel_shape=[9, 9]), ShapeMismatch, "none fits"),
    "stride": (
        lambda: one("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[0, 1]),
        FileFormatError,
        r"strides \[0, 1\]",
    ),
    "gather outside": (
        lambda: one("Gather", constants={"i": ints(5)}, axis=1),
        FileFormatError,
        "outside the 3 entries",
    ),
    "einsum": (lambda: one("Einsum", constants={"w": W}, equation="nonsense"), FileFormatError, "cannot be read"),
    "long names": (lambda: model([node("Gelu", label="n" * 10_000)]), NotPiecewiseLinear, "n…' applies"),
    "odd names": (
        lambda: model([node("Gelu", label="a\nb\x1b[31m")]),
        NotPiecewiseLinear,
        re.escape(r"'a\nb\x1b[31m' applies"),
    ),
    "function without operators": (
        lambda: calling(
            helper.make_function("mine", "f", ["x"], ["y"], [node("Relu")], [helper.make_opsetid("mine", 1)])
        ),
        FileFormatError,
        "names no operator set",
    ),
    # inputs and outputs
    "two inputs": (
        lambda: model([node("Add", "x,t")], inputs=("x", "t")),
        UnsupportedOperation,
        r"^net.onnx has 2 inputs \('x', 't'\); splinegeo reads functions of one",
    ),
    "no input": (lambda: model([node("Relu", "w")], {"w": W}), UnsupportedOperation, "has no input in use"),
    "two outputs": (
        lambda: model([node("Relu", "x", "a"), node("Neg", "a", "b")], outputs=("a", "b")),
        InvalidArgument,
        r"^net.onnx has 2 outputs \('a', 'b'\); choose one: load_onnx\(path, output='a'\)",
    ),
    "integer input": (
        lambda: model([node("Relu")], element=TensorProto.INT64),
        UnsupportedOperation,
        "input 'x' holds INT64 values",
    ),
    "integer output": (lambda: model([node("Shape")]), UnsupportedOperation, "output 'y' holds no real numbers"),
    "batch of four": (lambda: one("Relu", (4, 3)), InvalidArgument, r"declared as \(4, 3\), a batch of 4; export"),
    "open shape": (
        lambda: one("Relu", (None, 3, "h", "w")),
        InvalidArgument,
        r"declared as \(\?, 3, \?, \?\); give the shape",
    ),
    "no shape": (
        lambda: one("Relu", None),
        InvalidArgument,
        "declares no shape; give that of one sample with input_shape=",
    ),
    "negative input": (lambda: one("Relu", (1, -5)), FileFormatError, "declares a size of -5"),
    "huge input": (lambda: one("Relu", (1, 2**40)), InvalidArgument, "1,099,511,627,776 numbers; that is too large"),
    "mixes the batch": (
        lambda: model([node("ReduceMean", "x", "m", axes=[0]), node("Sub", "x,m", "d"), node("Add", "d,x")]),
        UnsupportedOperation,
        "treats a sample differently when it comes in a batch",
    ),
    # models
    "training": (lambda: changed(lambda p: p.training_info.add()), UnsupportedOperation, "holds a training graph"),
    "new operators": (
        lambda: one("Relu", opset=999),
        UnsupportedOperation,
        "uses operator set 999; .* pip install --upgrade onnx",
    ),
    "no operators": (
        lambda: changed(lambda p: p.ClearField("opset_import")),
        FileFormatError,
        "names no ONNX operator set",
    ),
    "no graph": (lambda: changed(lambda p: p.ClearField("graph")), FileFormatError, "holds no graph"),
}


@pytest.mark.parametrize("name", TABLE)
def test_refused_by_name(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, error, message = TABLE[name]
    path = saved(make(), tmp_path)
    start = time.perf_counter()
    with pytest.raises(error, match=message) as caught:
        load_onnx(path)
    assert time.perf_counter() - start < 20
    text = str(caught.value)
    assert text.endswith(".")
    assert text.isprintable()
    assert len(text) < 700
    assert capfd.readouterr() == ("", "")


def test_files_that_are_none(tmp_path: Path) -> None:
    good = model([node("MatMul", "x,w")], {"w": W}).SerializeToString()
    contents = {
        "empty": b"",
        "text": b"not a network",
        "zip": b"PK\x03\x04" + bytes(100),
        "half": good[: len(good) // 2],
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=f"^{name} (is empty|is not|holds no|names no)"):
            load_onnx(path)
    with pytest.raises(InvalidArgument, match=r"cannot read missing\.onnx: there is no such file\."):
        load_onnx(tmp_path / "missing.onnx")
    with pytest.raises(InvalidArgument, match="it is a folder"):
        load_onnx(tmp_path)
    with pytest.raises(WrongType, match="takes the path of a file; got int"):
        load_onnx(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="null character"):
        load_onnx("a\0b")
    huge = tmp_path / "huge"
    with huge.open("wb") as stream:
        stream.truncate(2**31)  # sparse: takes no room
    with pytest.raises(InvalidArgument, match="2,147,483,648 bytes, more than the 2 GiB"):
        load_onnx(huge)


def test_every_truncation_and_damage_is_named(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x,w,b", "c", pads=[1, 0, 1, 0]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "f"),
        node("Gemm", "f,v"),
    ]
    proto = model(nodes, {"w": randn(2, 2, 2, 2), "b": randn(2), "v": randn(4, 2)}, (None, 2, 4, 4))
    data = proto.SerializeToString()
    path = saved(proto, tmp_path)
    load_onnx(path)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_onnx(path)
        except SplineGeoError as error:
            assert str(error).isprintable()  # noqa: PT017 - most damage is told, some only changes a weight
    for length in range(0, len(data), 23):
        path.write_bytes(data[:length])
        with pytest.raises(SplineGeoError):
            load_onnx(path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_shape": (4,)}, ShapeMismatch, r"declared as \(\?, 3\); samples of shape \(4,\) do not fit"),
        ({"input_shape": (2, 3)}, ShapeMismatch, "do not fit"),
        ({"input_shape": "three"}, WrongType, "tuple of integers"),
        ({"input_shape": ()}, ShapeMismatch, "at least one dimension"),
        ({"input_shape": (0,)}, ShapeMismatch, "at least 1"),
        ({"output": "nobody"}, InvalidArgument, "has no value 'nobody'; its outputs are 'y'"),
        ({"output": 3}, WrongType, "name of a value"),
        ({"drop_output_activation": 1}, WrongType, "True or False"),
        ({"name": "mine", "input_shape": (4,)}, ShapeMismatch, "^mine: input 'x'"),
    ],
    ids=str,
)
def test_bad_arguments(arguments: Any, error: type[SplineGeoError], message: str, tmp_path: Path) -> None:
    path = saved(model([node("Relu")]), tmp_path)
    with pytest.raises(error, match=message):
        load_onnx(path, **arguments)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'splinegeo\[onnx\]'"):
        load_onnx(tmp_path / "net.onnx")


def test_weights_that_are_not_used_do_not_matter(tmp_path: Path) -> None:
    proto = model([node("Relu"), node("Gelu", "x", "z"), node("MatMul", "x,w", "v")], {"w": np.full((3, 2), np.nan)})
    assert load_onnx(saved(proto, tmp_path)).n_units == 3
