"""`load_onnx` as a whole: types of weights, batches, outputs, functions, branches, and published files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from splinegeo._errors import CaptureMismatch
from splinegeo.networks import Knot, capture
from splinegeo.networks.onnx import load_onnx
from tests.onnx_models import model, node, randn, saved

MLP = [
    node("Gemm", "x,w,b", "h", label="first"),
    node("Relu", "h", "r", label="act"),
    node("MatMul", "r,v", label="last"),
]
WEIGHTS = {"w": randn(3, 5), "b": randn(5), "v": randn(5, 2)}


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE])
@pytest.mark.parametrize("raw", [True, False])
def test_stored_values_count(element: int, raw: bool, tmp_path: Path) -> None:
    kind = helper.tensor_dtype_to_np_dtype(element)
    proto = model(MLP, WEIGHTS, element=element)
    if not raw:
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor).astype(np.float64).ravel()
            tensor.CopyFrom(helper.make_tensor(tensor.name, element, tensor.dims, values))
    network = load_onnx(saved(proto, tmp_path))
    stored = {k: w.astype(kind).astype(np.float64) for k, w in WEIGHTS.items()}
    z = np.random.default_rng(0).standard_normal((6, 3))
    expected = np.maximum(z @ stored["w"] + stored["b"], 0) @ stored["v"]
    np.testing.assert_allclose(network(z), expected, rtol=1e-13, atol=1e-13)


def test_the_same_graph_as_from_a_module(tmp_path: Path) -> None:
    network = load_onnx(saved(model(MLP, WEIGHTS), tmp_path))
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2, bias=False)).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.from_numpy(WEIGHTS["w"].T))
        module[0].bias.copy_(torch.from_numpy(WEIGHTS["b"]))
        module[2].weight.copy_(torch.from_numpy(WEIGHTS["v"].T))
    other = capture(module)
    assert [type(n) for n in network.nodes] == [type(n) for n in other.nodes]
    z = randn(5, 3)
    assert (network(z) == other(z)).all()
    assert [n.name for n in network.nodes if isinstance(n, Knot)] == ["act"]


@pytest.mark.parametrize(
    ("declared", "given", "sample"),
    [
        (("N", 3), None, (3,)),
        ((None, 3), (3,), (3,)),
        ((0, 3), None, (3,)),
        ((-1, 3), None, (3,)),
        ((1, 3), None, (3,)),
        ((3,), None, (3,)),
        (("n",), (3,), (3,)),
        ((1, 1, 1, 3), None, (1, 1, 3)),
        ((1, 3), (1, 3), (1, 3)),
        ((2, 3), (2, 3), (2, 3)),
        ((1, "c", "w"), (2, 3), (2, 3)),
        (None, (2, 3), (2, 3)),
        (("N", 3), 3, (3,)),
    ],
)
def test_batches(declared: Any, given: Any, sample: tuple[int, ...], tmp_path: Path) -> None:
    proto = model([node("Relu"), node("MatMul", "x,w", "z")], {"w": WEIGHTS["w"]}, declared, outputs=("z",))
    network = load_onnx(saved(proto, tmp_path), input_shape=given)
    assert network.input_shape == sample
    assert network.output_shape == (*sample[:-1], 5)


def test_any_value_may_be_the_output(tmp_path: Path) -> None:
    path = saved(model([*MLP, node("Gelu", "y", "z")], WEIGHTS, outputs=("y", "z")), tmp_path)
    assert load_onnx(path, output="y").output_shape == (2,)
    assert load_onnx(path, output="r").output_shape == (5,)
    assert load_onnx(path, output="h").n_units == 0
    assert (load_onnx(path, output="x")(np.ones((1, 3))) == 1).all()


def test_smooth_maps_at_the_end_are_dropped_on_request(tmp_path: Path) -> None:
    tail = [
        node("Tanh", "y", "t", label="tanh"),
        node("Add", "t,one", "s", label="shift"),
        node("Mul", "half,s", "u", label="scale"),
        node("Flatten", "u", "v2", label="flat"),
        node("Softmax", "v2", "p", label="soft"),
    ]
    constants = {**WEIGHTS, "one": np.array(1.0), "half": np.array(0.5)}
    path = saved(model([*MLP, *tail], constants, outputs=("p",)), tmp_path)
    network = load_onnx(path, drop_output_activation=True)
    assert network.dropped == tuple(
        f"'{label}' applies onnx.{op}"
        for label, op in (("tanh", "Tanh"), ("shift", "Add"), ("scale", "Mul"), ("soft", "Softmax"))
    )
    plain = load_onnx(saved(model(MLP, WEIGHTS), tmp_path, "plain.onnx"), drop_output_activation=True)
    assert plain.dropped == ()
    z = randn(4, 3)
    assert (network(z) == plain(z)).all()


def test_only_what_closes_is_dropped(tmp_path: Path) -> None:
    swish = [node("Sigmoid", "x", "s"), node("Mul", "x,s")]
    with pytest.raises(ValueError, match=r"onnx\.Sigmoid, which is smooth"):
        load_onnx(saved(model(swish), tmp_path), drop_output_activation=True)
    flipped = [node("Sigmoid", "x", "s"), node("Mul", "c,s")]
    with pytest.raises(ValueError, match=r"onnx\.Sigmoid, which is smooth"):
        load_onnx(saved(model(flipped, {"c": np.array(-1.0)}), tmp_path), drop_output_activation=True)


def test_functions_of_the_file(tmp_path: Path) -> None:
    body = [node("LeakyRelu", "a", "b"), node("Mul", "b,c", "d"), node("Max", "a,d", "e")]
    reference = helper.make_attribute("alpha", 0.1)
    reference.Clear()
    reference.name, reference.ref_attr_name, reference.type = "alpha", "slope", onnx.AttributeProto.FLOAT
    body[0].attribute.append(reference)
    leaky = helper.make_function("mine", "Leaky", ["a", "c"], ["e"], body, [helper.make_opsetid("", 17)], ["slope"])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    proto = model(
        [node("Leaky", "x,k", domain="mine", slope=0.25, label="call")],
        {"k": np.array(0.5)},
        functions=[leaky],
        opset_imports=opsets,
    )
    network = load_onnx(saved(proto, tmp_path))
    z = randn(5, 3)
    assert (network(z) == np.maximum(z, np.where(z > 0, z, 0.25 * z) * 0.5)).all()
    assert all(n.name.startswith("call/") for n in network.nodes[1:])


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_with_a_constant_condition(condition: bool, tmp_path: Path) -> None:
    graphs = [
        helper.make_graph([node(op, "h")], op, [], [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)])
        for op in ("Relu", "Neg")
    ]
    branch = node("If", "c", "y", then_branch=graphs[0], else_branch=graphs[1])
    proto = model([node("Abs", "x", "h"), branch], {"c": np.array(condition)})
    z = randn(4, 3)
    assert (load_onnx(saved(proto, tmp_path))(z) == (np.abs(z) if condition else -np.abs(z))).all()


def test_rounding_by_the_file_is_what_it_means(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "n", start=2),
        node("Cast", "n", "f", to=TensorProto.FLOAT),
        node("Mul", "f,s", "g"),
        node("Floor", "g", "h"),
        node("Cast", "h", "size", to=TensorProto.INT64),
        node("Concat", "lead,size", "sizes", axis=0),
        node("Resize", ["x", "", "", "sizes"], mode="nearest", coordinate_transformation_mode="asymmetric"),
    ]
    # float32(0.7) * 10 is below 7, and rounds to 7 in float32.
    constants = {"s": numpy_helper.from_array(np.array([0.7], np.float32)), "lead": np.array([1, 1])}
    proto = model(nodes, constants, (1, 1, 10), element=TensorProto.FLOAT)
    assert load_onnx(saved(proto, tmp_path)).output_shape == (1, 7)


def test_weights_declared_as_inputs(tmp_path: Path) -> None:
    proto = model(MLP, WEIGHTS)
    for tensor in proto.graph.initializer:
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert load_onnx(saved(proto, tmp_path)).n_inputs == 3


@pytest.mark.parametrize(
    ("group", "attributes", "ours"),
    [
        (2, {}, {}),
        (
            2,
            {"strides": [2, 3], "pads": [1, 2, 1, 2], "output_padding": [1, 2]},
            {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2)},
        ),
        (1, {"strides": [3, 3], "output_shape": [9, 10]}, {"stride": 3}),
        (1, {"strides": [3, 3], "output_padding": [2, 2], "pads": [0, 0, 1, 2]}, {"stride": 3}),
        (2, {"dilations": [2, 1], "pads": [2, 0, 2, 1]}, {"dilation": (2, 1)}),
    ],
)  # fmt: skip
def test_transposed_convolutions(group: int, attributes: Any, ours: Any, tmp_path: Path) -> None:
    weight, shift = randn(4, 3, 3, 2), randn(3 * group)
    deconv = node("ConvTranspose", "x,w,b", group=group, **attributes)
    network = load_onnx(saved(model([deconv], {"w": weight, "b": shift}, (None, 4, 3, 3)), tmp_path))
    x = torch.from_numpy(randn(2, 4, 3, 3))
    y = nn.functional.conv_transpose2d(x, torch.from_numpy(weight), torch.from_numpy(shift), groups=group, **ours)
    if "output_shape" in attributes:
        assert network.output_shape[1:] == (9, 10)  # 9 x 8 by itself: nothing is cut off, two columns are added
        y = (
            nn.functional.pad(y - torch.from_numpy(shift)[:, None, None], (1, 1))
            + torch.from_numpy(shift)[:, None, None]
        )
    elif "pads" in attributes and "padding" not in ours:
        whole = y - torch.from_numpy(shift)[:, None, None]
        extra, pads = attributes.get("output_padding", [0, 0]), attributes["pads"]
        y = nn.functional.pad(whole, (-pads[1], extra[1] - pads[3], -pads[0], extra[0] - pads[2]))
        y = y + torch.from_numpy(shift)[:, None, None]
    assert network.output_shape == tuple(y.shape[1:])
    np.testing.assert_allclose(network(x.numpy().reshape(2, -1)), y.numpy().reshape(2, -1), rtol=1e-12, atol=1e-12)


def test_a_wrong_reading_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splinegeo.networks.onnx.call import OPERATORS

    monkeypatch.setitem(OPERATORS, "Relu", OPERATORS["Abs"])
    with pytest.raises(CaptureMismatch, match=r"^net\.onnx and its graph disagree: output \d at .* by onnx\.reference"):
        load_onnx(saved(model(MLP, WEIGHTS), tmp_path))


def zoo(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("zoo", module)
    spec.loader.exec_module(module)
    return module


def test_acasxu(shared_data: Path) -> None:
    paths = zoo(shared_data).ONNX["acasxu"]
    assert len(paths) == 5
    for path in paths:
        network = load_onnx(path)
        assert (network.input_shape, network.output_shape, network.n_units) == ((5,), (5,), 300)
        evaluator = ReferenceEvaluator(onnx.load(path))
        stored = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(path).graph.initializer}
        for z in np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32):
            y = z.astype(np.float64)
            for i in range(7):
                y = stored[f"W{i}"] @ y + stored[f"B{i}"]
                y = np.maximum(y, 0) if i < 6 else y
            np.testing.assert_allclose(network(z[None])[0], y, rtol=1e-12, atol=1e-9)
            np.testing.assert_allclose(y, evaluator.run(None, {"X": z})[0], rtol=1e-4, atol=1e-2)


def test_mnist_with_max_pooling(shared_data: Path) -> None:
    module = zoo(shared_data)
    path = module.ONNX["mnist_maxpool"]
    network = load_onnx(path)
    assert (network.input_shape, network.output_shape) == ((28, 28, 1), (10,))
    assert network.n_units == 8 * 25**2 + 4 * 22**2 + 4 * 11**2 + 32
    images, labels = module.mnist_test()
    x = images[:40, ..., None].astype(np.float32) / 255
    evaluator = ReferenceEvaluator(onnx.load(path))
    expected = evaluator.run(None, {"conv2d_14_input": x})[0]
    got = network(x.reshape(40, -1))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
    assert (got.argmax(1) == labels[:40]).mean() > 0.9
