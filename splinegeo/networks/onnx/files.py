"""From a path to a parsed model: what can be said about a file before its graph is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from splinegeo._errors import FileFormatError, InvalidArgument, UnsupportedOperation, WrongType
from splinegeo.networks.onnx.tensors import check_tensor
from splinegeo.networks.onnx.values import first_line, shown

MAX_BYTES = 2**31 - 1  # what a protobuf message may have


def read_model(path: Any, name: str) -> Any:
    """The ``ModelProto`` in the file at ``path``; ``name`` is what messages call it.

    Raises:
        WrongType: not a path.
        InvalidArgument: no file is there, or it cannot be opened or is too large.
        FileFormatError: it does not hold an ONNX model.
        UnsupportedOperation: it holds a kind of model that is not read.
    """
    model = _parse(_bytes(path, name), name)
    if not model.HasField("graph") or not model.graph.output:
        raise FileFormatError(f"{name} holds no graph with an output; it is not an ONNX model, or is truncated.")
    if model.training_info:
        raise UnsupportedOperation(f"{name} holds a training graph; export the network for inference.")
    for domain, version in versions(model.opset_import, name).items():
        if domain == "" and version > onnx.defs.onnx_opset_version():
            raise UnsupportedOperation(
                f"{name} uses operator set {version}; the installed onnx {onnx.__version__} knows sets up to "
                f"{onnx.defs.onnx_opset_version()}. Upgrade it: pip install --upgrade onnx."
            )
    if "" not in versions(model.opset_import, name):
        raise FileFormatError(f"{name} names no ONNX operator set; it is not an ONNX model, or is truncated.")
    _check_tensors(model)
    return model


def versions(opset_import: Any, name: str) -> dict[str, int]:
    """Operator set versions by domain; the default domain is ``""``."""
    found: dict[str, int] = {}
    for entry in opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if entry.version < 1 or found.get(domain, entry.version) != entry.version:
            raise FileFormatError(f"{name} names operator set {entry.version} of '{shown(domain)}'; it is damaged.")
        found[domain] = entry.version
    return found


def _bytes(path: Any, name: str) -> bytes:
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise WrongType(f"load_onnx takes the path of a file; got {type(path).__name__}.")
    if "\0" in str(path):
        raise InvalidArgument(f"load_onnx cannot open '{name}': a path cannot hold a null character.")
    file = Path(path)
    try:
        if file.is_dir():
            raise InvalidArgument(f"load_onnx cannot read {name}: it is a folder.")
        if file.exists() and not file.is_file():  # a pipe would block
            raise InvalidArgument(f"load_onnx cannot read {name}: it is not a regular file.")
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise InvalidArgument(
                f"load_onnx cannot read {name}: it has {size:,} bytes, more than the 2 GiB of a model."
            )
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise InvalidArgument(f"load_onnx cannot read {name}: there is no such file.") from error
    except OSError as error:
        raise InvalidArgument(
            f"load_onnx cannot read {name}: {(error.strerror or 'it cannot be opened').lower()}."
        ) from error


def _parse(data: bytes, name: str) -> Any:
    if not data:
        raise FileFormatError(f"{name} is empty; it is not an ONNX model.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{name} is not an ONNX model, or is truncated: {first_line(error)}.") from error
    return model


def _check_tensors(model: Any) -> None:
    """Look at every tensor that a reader, or the evaluator of the onnx package, could come across."""
    for graph, where in _graphs(model):
        for tensor in getattr(graph, "initializer", ()):
            check_tensor(tensor, f"initialiser '{shown(tensor.name)}'{where}")
        for sparse in getattr(graph, "sparse_initializer", ()):
            raise UnsupportedOperation(
                f"initialiser '{shown(sparse.values.name)}'{where} is sparse; splinegeo reads dense weights."
            )


def _graphs(model: Any) -> Iterator[tuple[Any, str]]:
    """The graph, those inside its nodes, and the model's functions."""
    stack: list[tuple[Any, str]] = [(model.graph, "")]
    stack += [(f, f" of function '{shown(f.name)}'") for f in model.functions]
    while stack:
        graph, where = stack.pop()
        yield graph, where
        for node in graph.node:
            for attribute in node.attribute:
                inner = [attribute.g] if attribute.HasField("g") else []
                stack += [(g, f" inside '{shown(node.name)}'") for g in (*inner, *attribute.graphs)]
