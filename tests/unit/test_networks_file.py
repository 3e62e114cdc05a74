"""Networks as arrays and as files: exact round trips, and damaged files that are refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch
from splinegeo.networks import (
    Combine,
    Input,
    Knot,
    Linear,
    Select,
    SplineNetwork,
    from_arrays,
    load_network,
    save_network,
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
    save_network(net, path)
    loaded = load_network(path)
    assert_equal(net, loaded)
    assert [n.name for n in loaded.nodes] == [n.name for n in net.nodes]
    assert all(not n.weight.flags.writeable for n in loaded.nodes if isinstance(n, Linear))
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]
    z = np.ones((3, 2))
    assert net(z).tobytes() == loaded(z).tobytes()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.npz"
    save_network(branched(), path)
    before = path.read_bytes()

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_network(branched(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]


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


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(f"{name}.npy", data)
    return stream.getvalue()


def npy(array: np.ndarray, *, pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickle)
    return stream.getvalue()


def declaring(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a network file"),
        (b"PK\x03\x04 broken", "not a network file"),
        (b"{}", "not a network file"),
        (archive(), "no entry 'network'"),
        (archive(network=b"nonsense"), "not a network file"),
        (archive(network=npy(np.array([{"a": 1}], dtype=object), pickle=True)), "declares|not a network"),
        (archive(network=declaring((10**15,))), r"declares 8,000,000,000,000,000 bytes"),
        (archive(network=declaring((-5,))), "declares|not a network|no entry"),
    ],
    ids=range(8),
)
def test_bad_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load_network(path)
    assert "bad.npz" in str(caught.value)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save_network(branched(), path)
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            load_network(path)


def test_flipped_bytes_are_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save_network(branched(), path)
    content = path.read_bytes()
    net = branched()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load_network(path)
        except FileFormatError:
            continue
        assert loaded(np.ones(2)).tobytes() == net(np.ones(2)).tobytes()


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_network(tmp_path / "none.npz")


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
