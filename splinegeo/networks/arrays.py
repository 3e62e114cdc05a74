"""A network as named arrays: a JSON description of the nodes beside their numbers, without pickle.

The round trip is exact, and everything that is read is checked. `splinegeo.save_network` and `splinegeo.load_network`
keep these arrays in a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError, SplineGeoError
from splinegeo._types import Array
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.nodes import Combine, Convolution, Input, Knot, Linear, Maximum, Node, Select, Sparse

FORMAT = "splinegeo network"
VERSION = 1
MAX_HEADER = 2**26  # bytes of JSON
HEADER = "network"

KINDS: dict[str, type[Node]] = {
    kind.__name__: kind for kind in (Input, Linear, Sparse, Convolution, Combine, Select, Knot, Maximum)
}
ARRAYS: dict[str, tuple[str, ...]] = {
    "Input": (),
    "Linear": ("weight", "bias"),
    "Sparse": ("bias",),  # and the three arrays of its weight
    "Convolution": ("kernel", "bias"),
    "Combine": ("bias",),  # and scales, as many as inputs
    "Select": ("index",),
    "Knot": ("breakpoints", "slopes", "value"),
    "Maximum": ("groups",),
}
INTEGER = frozenset({"index", "groups", "indices", "indptr"})
# Numbers of a convolution that stand in the description.
GEOMETRY = ("in_shape", "out_shape", "stride", "padding", "dilation")


def to_arrays(network: SplineNetwork) -> dict[str, Array]:
    """The network as named arrays: ``network`` holds the description (UTF-8 JSON), ``3.weight`` that of node 3."""
    arrays: dict[str, Array] = {}
    described = []
    for i, node in enumerate(network.nodes):
        kind = type(node).__name__
        entry: dict[str, Any] = {"kind": kind, "name": node.name, "size": node.size, "inputs": list(node.inputs)}
        described.append(entry)
        for field in ARRAYS[kind]:
            arrays[f"{i}.{field}"] = getattr(node, field)
        if isinstance(node, Combine):
            for k, scale in enumerate(node.scales):
                arrays[f"{i}.scales.{k}"] = scale
        if isinstance(node, Sparse):
            arrays[f"{i}.weight.data"] = node.weight.data
            arrays[f"{i}.weight.indices"] = node.weight.indices.astype(np.int64)
            arrays[f"{i}.weight.indptr"] = node.weight.indptr.astype(np.int64)
        if isinstance(node, Convolution):
            entry.update({field: list(getattr(node, field)) for field in GEOMETRY})
            entry.update(groups=node.groups, transposed=node.transposed)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "nodes": described,
        "output": network.output,
        "input_shape": list(network.input_shape),
        "output_shape": list(network.output_shape),
        "dropped": list(network.dropped),
    }
    text = json.dumps(header, ensure_ascii=False).encode()
    return {HEADER: np.frombuffer(text, np.uint8), **arrays}


def from_arrays(mapping: Mapping[str, Any]) -> SplineNetwork:
    """The network that `to_arrays` described; entries that do not belong to it are ignored.

    Raises:
        FileFormatError: something is missing, of the wrong type or shape, or does not form a network.
    """
    header = _header(mapping)
    nodes: list[Node] = []
    for i, entry in enumerate(_list(header, "nodes")):
        if not isinstance(entry, dict) or str(entry.get("kind")) not in KINDS:
            raise FileFormatError(f"network node {i} is of no known kind: {str(entry)[:80]}.")
        name, size = entry.get("name"), entry.get("size")
        inputs = _ints(entry, "inputs")
        if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool):
            raise FileFormatError(f"network node {i} needs a name and a size; got {str(entry)[:80]}.")
        kind = entry["kind"]
        fields: dict[str, Any] = {f: _array(mapping, f"{i}.{f}") for f in ARRAYS[kind]}
        if kind == "Combine":
            fields["scales"] = tuple(_array(mapping, f"{i}.scales.{k}") for k in range(len(inputs)))
        if kind == "Sparse":
            before = [nodes[j].size for j in inputs if j < i]
            fields["weight"] = _sparse(mapping, f"{i}.weight", size, before[0] if before else 0)
        if kind == "Convolution":
            fields.update({field: _ints(entry, field) for field in GEOMETRY})
            (fields["groups"],) = _ints({"groups": [entry.get("groups")]}, "groups")
            fields["transposed"] = entry.get("transposed") is True
        nodes.append(KINDS[kind](name, size, inputs, **fields))
    output = header.get("output")
    if not isinstance(output, int) or isinstance(output, bool):
        raise FileFormatError(f"network output must be a node; got {output!r}.")
    shapes = _ints(header, "input_shape"), _ints(header, "output_shape")
    dropped = tuple(map(str, _list(header, "dropped"))) if "dropped" in header else ()
    try:
        return SplineNetwork(tuple(nodes), output, *shapes, dropped)
    except SplineGeoError as error:
        raise FileFormatError(f"the file does not hold a network: {error}") from error


def _header(mapping: Mapping[str, Any]) -> dict[str, Any]:
    if HEADER not in mapping:
        raise FileFormatError(f"there is no entry '{HEADER}'; this is not a network.")
    raw = np.asarray(mapping[HEADER])
    if raw.dtype != np.uint8 or raw.ndim != 1 or raw.size > MAX_HEADER:
        raise FileFormatError(f"the entry '{HEADER}' must be bytes of JSON; got {raw.dtype} of shape {raw.shape}.")
    try:
        header = json.loads(raw.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"the entry '{HEADER}' is not JSON: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise FileFormatError(f"the entry '{HEADER}' does not describe a network.")
    if header.get("version") != VERSION:
        raise FileFormatError(
            f"the network has format version {header.get('version')!r}; this splinegeo reads {VERSION}. Upgrade it."
        )
    return header


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise FileFormatError(f"network '{key}' must be a list; got {str(value)[:80]}.")
    return value


def _ints(entry: dict[str, Any], key: str) -> tuple[int, ...]:
    value = _list(entry, key)
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**62 for n in value):
        raise FileFormatError(f"network '{key}' must hold sizes or positions; got {str(value)[:80]}.")
    return tuple(value)


def _sparse(mapping: Mapping[str, Any], key: str, size: int, n_in: int) -> Any:
    from scipy.sparse import csr_array

    data, indices, indptr = (_array(mapping, f"{key}.{part}") for part in ("data", "indices", "indptr"))
    if data.ndim != 1 or data.shape != indices.shape or indptr.shape != (size + 1,):
        raise FileFormatError(
            f"the arrays '{key}' do not form a sparse matrix of {size} rows: {data.shape}, {indices.shape}, "
            f"{indptr.shape}."
        )
    try:
        weight = csr_array((data, indices, indptr), shape=(size, n_in))
    except ValueError as error:
        raise FileFormatError(f"the arrays '{key}' do not form a sparse matrix: {error}.") from error
    for part in (weight.data, weight.indices, weight.indptr):
        part.setflags(write=False)
    return weight


def _array(mapping: Mapping[str, Any], key: str) -> Array:
    if key not in mapping:
        raise FileFormatError(f"the array '{key}' is missing.")
    array = np.asarray(mapping[key])
    wanted = np.dtype(np.int64 if key.rpartition(".")[2] in INTEGER else np.float64)
    if array.dtype != wanted:  # byte order included
        raise FileFormatError(f"the array '{key}' must be {wanted}; got {array.dtype}.")
    if array.size > MAX_ENTRIES:
        raise FileFormatError(f"the array '{key}' has {array.size:,} entries; that is too many.")
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array


def same_network(a: SplineNetwork, b: SplineNetwork) -> bool:
    """Whether two networks have the same nodes and weights."""
    mine, theirs = to_arrays(a), to_arrays(b)
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[k], theirs[k]) for k in mine)
