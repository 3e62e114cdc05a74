"""What is settled before a graph is read: which output, which input, which shapes, and what is left off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch, UnsupportedOperation, WrongType
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.graphs import needed
from splinegeo.networks.onnx.refusals import CLOSING
from splinegeo.networks.onnx.tensors import REAL, read_tensor, type_name
from splinegeo.networks.onnx.values import shown

# What may stand between a closing map and the output without changing what dropping it means.
CARRIERS = frozenset(("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast"))


@dataclass(frozen=True)
class Latent:
    """The input that is the latent."""

    name: str
    shape: tuple[int, ...]  # of one sample as the graph sees it; a batch dimension is 1
    sample: tuple[int, ...]  # without the batch dimension
    free_batch: bool  # the file leaves the size of a batch open
    element: int  # the ONNX type of its numbers


def choose_output(model: Any, output: str | None, name: str) -> str:
    """The name of the value to read: the only output, or the one asked for, which may be any value on the way."""
    graph = model.graph
    names = [o.name for o in graph.output]
    if output is None:
        if len(names) > 1:
            listed = ", ".join(f"'{shown(n)}'" for n in names[:5])
            raise InvalidArgument(
                f"{name} has {len(names)} outputs ({listed}{', …' if len(names) > 5 else ''}); "
                f"choose one: load_onnx(path, output={names[0][:60]!r})."
            )
        output = str(names[0])
    if not isinstance(output, str):
        raise WrongType(f"output must be the name of a value; got {output!r}.")
    made = {n for node in graph.node for n in node.output if n}
    known = made | {entry.name for field in (graph.input, graph.initializer) for entry in field}
    if output not in known and output in names:
        raise FileFormatError(f"{name}: nothing makes its output '{shown(output)}'; it is damaged.")
    if output not in known:
        listed = ", ".join(f"'{shown(n)}'" for n in names[:5])
        raise InvalidArgument(f"{name} has no value '{shown(output)}'; its outputs are {listed}.")
    return output


def drop_closing(model: Any, output: str) -> tuple[str, ...]:
    """Turn smooth maps at the end, and positive scales and shifts behind them, into identities.

    Returns:
        What they were, in the order they were applied; empty if there is no smooth map at the end.
    """
    graph = model.graph
    makers = {n: node for node in graph.node for n in node.output if n}
    stored = {t.name: t for t in graph.initializer}
    stored |= {
        n.output[0]: a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"
    }
    dropped: list[tuple[Any, str]] = []
    chain: list[tuple[Any, str]] = []
    seen: set[str] = set()
    while output in makers and output not in seen:
        seen.add(output)
        node = makers[output]
        through = None if node.domain not in ("", "ai.onnx") else _through(node, stored)
        if through is None:
            break
        if node.op_type not in CARRIERS:
            chain.append((node, through))
        if node.op_type in CLOSING:
            dropped, chain = dropped + chain, []
        output = through
    names = tuple(
        f"'{shown(node.name or node.output[0])}' applies onnx.{node.op_type}" for node, _ in reversed(dropped)
    )
    for node, kept in dropped:
        node.op_type = "Identity"
        del node.attribute[:], node.input[:]
        node.input.append(kept)
    return names


def _through(node: Any, stored: dict[str, Any]) -> str | None:
    """The input that a node at the end closes, carries or scales; None for any other node."""
    if not node.input:
        return None
    if node.op_type in CLOSING | CARRIERS:
        return str(node.input[0])
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    constant = next((i for i in (1, 0) if node.input[i] in stored), None)
    if constant is None or (constant == 0 and node.op_type in ("Sub", "Div")):
        return None
    value = read_tensor(stored[node.input[constant]], f"the constant '{shown(node.input[constant])}'").exact
    if value.size != 1 or value.ndim > 1 or (node.op_type in ("Mul", "Div") and not value.reshape(()) > 0):
        return None
    return str(node.input[1 - constant])


def prune(model: Any, output: str) -> None:
    """Keep of the graph only what ``output`` depends on; it becomes the graph's only output."""
    graph = model.graph
    chosen, names = needed(graph.node, [output])
    kept = [graph.node[i] for i in sorted(chosen)]
    if len(kept) < len(graph.node):
        kept = [type(n).FromString(n.SerializeToString()) for n in kept]
        del graph.node[:]
        graph.node.extend(kept)
    for field in (graph.initializer, graph.input):
        for i in reversed(range(len(field))):
            if field[i].name not in names:
                del field[i]
    del graph.value_info[:], graph.output[:]
    graph.output.add().name = output


def find_latent(model: Any, input_shape: Any, name: str) -> Latent:
    """The one input that the pruned graph has beside its weights, and the shape of a sample.

    Raises:
        UnsupportedOperation: there are several inputs or none, or it holds no real numbers.
        InvalidArgument: the shape cannot be told, or declares a batch of several samples, or is too large.
        ShapeMismatch: ``input_shape`` is not what the file declares.
        FileFormatError: the declared shape is none.
    """
    stored = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in stored]
    if len(inputs) != 1:
        listed = ", ".join(f"'{shown(i.name)}'" for i in inputs[:5])
        what = f"{len(inputs)} inputs ({listed}); splinegeo reads functions of one" if inputs else "no input in use"
        raise UnsupportedOperation(f"{name} has {what}. Export the network with all but the latent fixed.")
    entry = inputs[0]
    if not entry.type.HasField("tensor_type"):
        raise UnsupportedOperation(f"{name}: input '{shown(entry.name)}' is no tensor; splinegeo reads tensors.")
    kind = entry.type.tensor_type
    if kind.elem_type not in REAL:
        raise UnsupportedOperation(
            f"{name}: input '{shown(entry.name)}' holds {type_name(kind.elem_type)} values; networks on integer inputs "
            f"have no affine pieces."
        )
    declared = _declared(kind, f"{name}: input '{shown(entry.name)}'") if kind.HasField("shape") else None
    given = None if input_shape is None else _sizes(input_shape)
    shape, sample = _fit(declared, given, f"{name}: input '{shown(entry.name)}'")
    if math.prod(sample) > MAX_ENTRIES:
        raise InvalidArgument(f"{name}: its input has {math.prod(sample):,} numbers; that is too large.")
    free = len(shape) > len(sample) and (declared is None or declared[0] is None)
    return Latent(entry.name, shape, sample, free, kind.elem_type)


def _declared(kind: Any, what: str) -> list[int | None]:
    """Sizes as they are declared; None for one that is left open: a name, 0 or -1."""
    sizes: list[int | None] = []
    for dim in kind.shape.dim:
        size = dim.dim_value if dim.HasField("dim_value") else 0
        if size < -1:
            raise FileFormatError(f"{what} declares a size of {size}; it is damaged.")
        sizes.append(size if size > 0 else None)
    if len(sizes) > 32:
        raise FileFormatError(f"{what} declares {len(sizes)} dimensions; it is damaged.")
    return sizes


def _fit(
    declared: list[int | None] | None, given: tuple[int, ...] | None, what: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of one sample with its batch dimension, if it has one, and without."""
    if declared is None:
        if given is None:
            raise InvalidArgument(f"{what} declares no shape; give that of one sample with input_shape=.")
        return (1, *given), given
    text = f"({', '.join('?' if n is None else str(n) for n in declared)}{',' if len(declared) == 1 else ''})"
    if given is None:
        if len(declared) > 1 and (declared[0] or 1) > 1:
            raise InvalidArgument(
                f"{what} is declared as {text}, a batch of {declared[0]}; export the network with a batch of 1 or an "
                f"open one, or give input_shape={text} if that is one sample."
            )
        wanted = declared[1:] if len(declared) > 1 else declared
        if None in wanted:
            raise InvalidArgument(f"{what} is declared as {text}; give the shape of one sample with input_shape=.")
        given = tuple(n for n in wanted if n is not None)
    batched = len(declared) == len(given) + 1 and (declared[0] or 1) == 1
    if batched and _agree(declared[1:], given):
        return (1, *given), given
    if _agree(declared, given) and (len(given) < 2 or declared[0] is not None):
        return given, given
    raise ShapeMismatch(f"{what} is declared as {text}; samples of shape {given} do not fit it.")


def _agree(declared: list[int | None], given: tuple[int, ...]) -> bool:
    return len(declared) == len(given) and all(n in (None, m) for n, m in zip(declared, given, strict=True))


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int | np.integer) else shape
    if not isinstance(sizes, tuple | list) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) for n in sizes
    ):
        raise WrongType(f"input_shape must be a tuple of integers; got {shape!r}.")
    if not sizes or min(sizes) < 1:
        raise ShapeMismatch(f"input_shape needs at least one dimension, each at least 1; got {shape!r}.")
    return tuple(int(n) for n in sizes)
