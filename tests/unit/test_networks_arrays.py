"""Networks as arrays: exact round trips, through a file too, and damaged arrays that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch
from splinegeo.networks import (
    Combine,
    Input,
    Knot,
    Linear,
    Select,
    SplineNetwork,
    from_arrays,
    to_arrays,
)


def branched() -> SplineNetwork:
    """Every kind of node, with numbers that only survive an exact format."""
    rng = np.random.default_rng(0)
    nodes = (
        Input("input", 2, ()),
        Linear("schicht ü", 4, (0,), rng.standard_normal((4, 2)) * 1e-300, rng.standard_normal(4)),
        Knot("act", 4, (1,), np.tile([-0.1, 1 / 3], (4, 1)), rng.standard_normal((4, 3)), rng.standard_normal(4)),
        Combine("sum", 4, (1, 2), (np.ones(4), rng.standard_normal(4)), np.full(4, 5e-324)),
        Select("cat", 3, (0, 3), np.array([5, 0, 5])),
    )
    return SplineNetwork(nodes, 4, (2,), (3, 1))


def assert_equal(a: SplineNetwork, b: SplineNetwork) -> None:
    first, second = to_arrays(a), to_arrays(b)
    assert list(first) == list(second)
    for key, array in first.items():
        assert (array.dtype, array.shape, array.tobytes()) == (
            second[key].dtype,
            second[key].shape,
            second[key].tobytes(),
        )


def test_round_trips(tmp_path: Path) -> None:
    net = branched()
    assert_equal(net, from_arrays(to_arrays(net)))
    path = tmp_path / "net.npz"
    sg.save_network(net, path)
    loaded = sg.load_network(path)
    assert_equal(net, loaded)
    assert [n.name for n in loaded.nodes] == [n.name for n in net.nodes]
    assert all(not n.weight.flags.writeable for n in loaded.nodes if isinstance(n, Linear))
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]
    z = np.ones((3, 2))
    assert net(z).tobytes() == loaded(z).tobytes()


def changed(**entries: Any) -> dict[str, Any]:
    """The arrays of a network with some replaced, or left out where the new value is None."""
    arrays: dict[str, Any] = {**to_arrays(branched()), **{k.replace("__", "."): v for k, v in entries.items()}}
    return {k: v for k, v in arrays.items() if v is not None}


def header(**entries: Any) -> dict[str, Any]:
    """The arrays of a network with entries of its description replaced."""
    arrays = to_arrays(branched())
    described = json.loads(arrays["network"].tobytes().decode())
    described.update(entries)
    return {**arrays, "network": np.frombuffer(json.dumps(described).encode(), np.uint8)}


def node(i: int, **entries: Any) -> dict[str, Any]:
    nodes = json.loads(to_arrays(branched())["network"].tobytes().decode())["nodes"]
    nodes[i].update(entries)
    return header(nodes=nodes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no entry 'network'"),
        (changed(network=np.zeros(3)), "must be bytes of JSON"),
        (changed(network=np.frombuffer(b"{", np.uint8)), "is not JSON"),
        (changed(network=np.frombuffer(b"[" * 100000, np.uint8)), "is not JSON"),
        (changed(network=np.frombuffer(b"[]", np.uint8)), "does not describe a network"),
        (header(format="other"), "does not describe a network"),
        (header(version=2), r"format version 2; this splinegeo reads 1\. Upgrade"),
        (header(nodes=None), "'nodes' must be a list"),
        (header(nodes=[]), "node 0 must be the Input"),
        (header(output="last"), "output must be a node"),
        (header(output=9), "output 9 is none of them"),
        (header(input_shape=[3]), "does not hold 2 scalars"),
        (header(output_shape=[-3, -1]), "must hold sizes"),
        (node(1, kind="Exec"), "node 1 is of no known kind"),
        (node(1, kind=["Linear"]), "node 1 is of no known kind"),
        (node(1, name=3), "needs a name and a size"),
        (node(1, size=10**12), "must be float64 of shape"),
        (node(1, inputs=[1]), "may read nodes before it only"),
        (node(1, inputs=[0, 0]), "with 2 inputs"),
        (node(3, inputs=[]), "with 0 inputs"),
        (changed(**{"1__weight": None}), r"'1\.weight' is missing"),
        (changed(**{"3__scales__1": None}), r"'3\.scales\.1' is missing"),
        (changed(**{"1__weight": np.zeros((4, 2), np.float32)}), "must be float64; got float32"),
        (changed(**{"1__weight": np.zeros((4, 2), ">f8")}), "must be float64"),
        (changed(**{"1__weight": np.zeros((4, 3))}), r"weight must be float64 of shape \(4, 2\)"),
        (changed(**{"1__weight": np.full((4, 2), np.nan)}), "holds nan"),
        (changed(**{"4__index": np.array([0, 1, 6])}), "between 0 and 5"),
        (changed(**{"4__index": np.array([0, -1, 2])}), "between 0 and 5"),
        (changed(**{"2__breakpoints": np.zeros((4, 2))}), "ascend strictly"),
        (changed(**{"2__breakpoints": np.zeros((4, 0))}), "0 breakpoints"),
        (changed(**{"2__breakpoints": np.zeros(())}), "0 breakpoints"),
        (changed(**{"1__weight": np.array([None])}), "got object"),
    ],
    ids=range(32),
)
def test_bad_arrays_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        from_arrays(arrays)


@pytest.mark.parametrize(
    ("weights", "biases", "error", "message"),
    [
        ([], [], InvalidArgument, "at least one"),
        ([np.eye(2)], [], InvalidArgument, "as many weights as biases"),
        ([np.eye(2)], [np.zeros(3)], ShapeMismatch, "bias must be float64 of shape"),
        ([np.eye(2), np.eye(3)], [np.zeros(2), np.zeros(3)], ShapeMismatch, "weight must be float64 of shape"),
        ([np.full((2, 2), np.nan)], [np.zeros(2)], InvalidArgument, r"weights\[0\] must be finite"),
    ],
    ids=["none", "counts", "bias", "chain", "nan"],
)
def test_bad_layers(weights: Any, biases: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SplineNetwork.from_layers(weights, biases)
