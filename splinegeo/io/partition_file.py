"""`Partition` and `SplineNetwork` to and from files.

What a partition's file holds follows from the fields of the class: arrays become arrays, numbers and text go into
the header, and the values it is built from (domain, slice) are taken apart in the same way. A new field is therefore
saved without a word here. A file names no code: the classes that may be rebuilt are those in the annotations.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError, SplineGeoError, WrongType
from splinegeo._types import Array
from splinegeo.io import container
from splinegeo.io.consistency import check_partition, check_space
from splinegeo.networks import SplineNetwork
from splinegeo.networks.arrays import from_arrays, to_arrays
from splinegeo.partition.result import Partition
from splinegeo.space.result import SpacePartition

_NETWORK_PREFIX = "network/"


def save(part: Partition | SpacePartition, path: str | os.PathLike[str]) -> Path:
    """Write a partition with its network, domain and slice to ``path``; the file's real path is returned.

    The file is a compressed ``.npz`` without pickles. It takes the place of an older one at once and only when it is
    complete, so an interrupted save leaves the old file as it was. Equal partitions give equal bytes.

    Raises:
        WrongType: ``part`` is no `Partition` or `SpacePartition`.
        FileAccessError: the path cannot be written.
    """
    if not isinstance(part, (Partition, SpacePartition)):
        raise WrongType(f"save: the first argument must be a Partition, not {type(part).__name__}")
    arrays: dict[str, Array] = {}
    header = {"partition": _encode(part, "", arrays)}
    return container.write(path, "partition", header, arrays)


def load(path: str | os.PathLike[str], *, max_bytes: int = container.DEFAULT_MAX_BYTES) -> Partition | SpacePartition:
    """Read a `Partition` or a `SpacePartition` that `save` wrote; it equals the one that was saved, byte for byte.

    A file from a stranger is safe to load: nothing is unpickled, declared sizes are checked against the size of the
    file and against ``max_bytes`` before memory is taken, and every index is checked against what it points into.

    Raises:
        FileFormatError: the file is damaged, inconsistent, too large, too new or something else altogether.
        FileAccessError: the path cannot be read.
    """
    header, arrays = container.read(path, "partition", max_bytes)
    try:
        part = _decode(header["partition"], arrays, (Partition, SpacePartition))
        if arrays:
            raise FileFormatError(f"it holds arrays that nothing refers to: {', '.join(sorted(arrays)[:5])}")
        if isinstance(part, Partition):
            check_partition(part)
        else:
            check_space(part)
    except (SplineGeoError, KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"load: {os.fspath(path)!r} is inconsistent: {error}") from error
    return part


def save_network(network: SplineNetwork, path: str | os.PathLike[str]) -> Path:
    """Write a captured network to ``path``, in the same safe format as `save`."""
    if not isinstance(network, SplineNetwork):
        raise WrongType(
            f"save_network: the first argument must be a SplineNetwork, not {type(network).__name__}; "
            "splinegeo.capture turns a module into one"
        )
    return container.write(path, "network", {}, to_arrays(network))


def load_network(path: str | os.PathLike[str], *, max_bytes: int = container.DEFAULT_MAX_BYTES) -> SplineNetwork:
    """Read a network that `save_network` wrote. No torch is needed and no code of the file's is run."""
    _, arrays = container.read(path, "network", max_bytes)
    try:
        return from_arrays(arrays)
    except (SplineGeoError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError(f"load_network: {os.fspath(path)!r} is inconsistent: {error}") from error


def _encode(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """The value as JSON; arrays go to ``arrays`` under their name."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.generic):
        return _encode(value.item(), name, arrays)
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, (tuple, list)):
        return {"tuple": [_encode(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, SplineNetwork):
        arrays.update({f"{_NETWORK_PREFIX}{key}": array for key, array in to_arrays(value).items()})
        return {"network": True}
    if type(value).__name__ in _classes():
        fields = {
            f.name: _encode(getattr(value, f.name), f"{name}/{f.name}".lstrip("/"), arrays)
            for f in dataclasses.fields(value)
            if f.init
        }
        return {"class": type(value).__name__, "fields": fields}
    raise WrongType(f"save: field {name!r} holds a {type(value).__name__}, which the file format has no place for")


def _decode(node: Any, arrays: dict[str, Array], expected: tuple[type, ...] | None = None) -> Any:
    """The value of a JSON node; arrays that are used leave ``arrays``."""
    if node is None or isinstance(node, (bool, int, str)):
        return node
    (kind,) = [key for key in node if key != "fields"]
    content = node[kind]
    if kind == "float":
        return float.fromhex(content)
    if kind == "array":
        return arrays.pop(content)
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    if kind == "network":
        keys = [key for key in arrays if key.startswith(_NETWORK_PREFIX)]
        return from_arrays({key.removeprefix(_NETWORK_PREFIX): arrays.pop(key) for key in keys})
    cls = _classes().get(content) if kind == "class" else None
    if cls is None or (expected is not None and cls not in expected):
        raise FileFormatError(f"it holds a {content!r} where this splinegeo knows no such thing")
    return _build(cls, node["fields"], arrays)


def _build(cls: type, nodes: Mapping[str, Any], arrays: dict[str, Array]) -> Any:
    known = {f.name: f for f in dataclasses.fields(cls) if f.init}
    if unknown := sorted(set(nodes) - set(known)):
        raise FileFormatError(f"{cls.__name__} has no field {', '.join(unknown)}; a newer splinegeo may know it")
    missing = [
        f.name
        for f in known.values()
        if f.name not in nodes and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise FileFormatError(f"{cls.__name__} lacks {', '.join(missing)}")
    return cls(**{key: _decode(node, arrays) for key, node in nodes.items()})


@functools.cache
def _classes() -> dict[str, type]:
    """The partitions and the dataclasses that their annotations name, and so on; a network has its own format."""
    found: dict[str, type] = {}
    todo: list[Any] = [Partition, SpacePartition]
    while todo:
        hint = todo.pop()
        todo.extend(typing.get_args(hint))
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint.__name__ not in found:
            if hint is SplineNetwork:
                continue
            found[hint.__name__] = hint
            todo.extend(typing.get_type_hints(hint).values())
    return found
