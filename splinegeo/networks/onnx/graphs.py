"""Graphs of a file: what depends on what, and how large its functions become when they are written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from splinegeo._errors import FileFormatError, InvalidArgument

MAX_NODES = 50_000  # executed, calls of functions included: a small file can name a great many
MAX_DEPTH = 32  # functions and branches inside each other


def needed(nodes: Any, outputs: Iterable[str]) -> tuple[set[int], set[str]]:
    """Which nodes and which names ``outputs`` depend on."""
    makers: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in node.output:
            makers.setdefault(name, i)
    chosen: set[int] = set()
    names: set[str] = set()
    stack = list(outputs)
    while stack:
        name = stack.pop()
        if name in names:
            continue
        names.add(name)
        if name in makers and makers[name] not in chosen:
            chosen.add(makers[name])
            stack.extend(_reads(nodes[makers[name]]))
    return chosen, names


def _reads(node: Any) -> Iterator[str]:
    """Names that a node reads, also from inside its branches."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from _reads(inner)
            yield from (o.name for o in attribute.g.output)


def substitute(nodes: Any, attributes: dict[str, Any]) -> None:
    """Put a function's attributes in place of the references to them, in branches too."""
    for node in nodes:
        kept = []
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                if attribute.ref_attr_name not in attributes:
                    continue
                name = attribute.name
                attribute = type(attribute).FromString(attributes[attribute.ref_attr_name].SerializeToString())
                attribute.name = name
            elif attribute.HasField("g"):
                substitute(attribute.g.node, attributes)
            kept.append(attribute)
        kept = [type(a).FromString(a.SerializeToString()) for a in kept]
        del node.attribute[:]
        node.attribute.extend(kept)


def check_functions(model: Any, name: str) -> None:
    """Raise if the model's functions call themselves, or become too large when every call is written out.

    Raises:
        FileFormatError: they call themselves, or nest too deep.
        InvalidArgument: they become too large.
    """
    bodies = {function_key(f): list(_all_nodes(f.node)) for f in model.functions}
    sizes: dict[Any, int] = {}

    def size(nodes: list[Any], depth: int) -> int:
        if depth > MAX_DEPTH:
            raise FileFormatError(f"{name} nests functions more than {MAX_DEPTH} deep, or they call themselves.")
        total = 0
        for node in nodes:
            key = (domain_of(node.domain), node.op_type, node.overload)
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], depth + 1)
            total += sizes.get(key, 1)
        return total

    if size(list(_all_nodes(model.graph.node)), 0) > MAX_NODES:
        raise InvalidArgument(f"{name} takes more than {MAX_NODES:,} steps; that is too large.")


def _all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g.node)


def function_key(function: Any) -> tuple[str, str, str]:
    """What a call of a function names."""
    return domain_of(function.domain), function.name, function.overload


def domain_of(name: str) -> str:
    """The default domain has two names."""
    return "" if name == "ai.onnx" else name
