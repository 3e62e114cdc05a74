"""Builds a `SplineNetwork` node by node and keeps it free of nodes that do nothing.

Only rewrites that are exact in rational arithmetic happen here: identities vanish, selections are composed, scales of
one input are added if float64 holds the sum. Weight matrices are never multiplied together, because that rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from splinegeo._errors import InvalidArgument, NotPiecewiseLinear, SplineGeoError
from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.nodes import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Node,
    Select,
    Sparse,
    frozen,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_ENTRIES = 2**27  # numbers in one array of a network: 1 GiB of float64
MAX_DENSE = 2**14  # entries up to which a structured matrix is kept dense, which is quicker and easier to read


@dataclass(frozen=True)
class Site:
    """Where in the user's code an operation stands."""

    module: str  # the module's path, or its class when it is the root
    op: str = ""  # "aten.relu"
    source: str = ""  # "model.py:31"; empty when unknown
    is_layer: bool = True  # the operation *is* the module (nn.ReLU), not a line of its forward

    @property
    def node_name(self) -> str:
        """Name for the nodes made here."""
        if self.is_layer:
            return self.module
        op = self.op.removeprefix("aten.")
        return f"{self.module}: {op}" + (f" ({self.source})" if self.source else "")

    def describe(self) -> str:
        """``'act2' applies aten.gelu (model.py:31)``."""
        return f"'{self.module}' applies {self.op}" + (f" ({self.source})" if self.source else "")


class Builder:
    """Nodes so far, and the site that new ones belong to."""

    def __init__(self, input_size: int) -> None:
        self.nodes: list[Node] = [Input("input", input_size, ())]
        self.site = Site("input")
        self.closing = False  # whether nothing but a smooth output map follows
        self._used: dict[str, int] = {}

    def refuse(
        self, why: str, error: type[SplineGeoError] = NotPiecewiseLinear, cause: Exception | None = None
    ) -> NoReturn:
        """Raise ``error`` about the operation at the current site; ``why`` ends with the remedy."""
        raise error(f"{self.site.describe()}{why}") from cause

    def linear(self, x: int, weight: Array, bias: Array) -> int:
        """``weight @ x + bias``."""
        return self._add(Linear(self.site.node_name, len(weight), (x,), self._array(weight), self._array(bias)))

    def sparse(self, x: int, weight: csr_array, bias: Array | None = None, *, dense: int = MAX_DENSE) -> int:
        """``weight @ x + bias`` with a sparse weight, which the node takes for its own.

        With up to ``dense`` entries, zeros included, it becomes a linear node.
        """
        bias = np.zeros(weight.shape[0]) if bias is None else bias
        if weight.shape[0] * weight.shape[1] <= dense:
            return self.linear(x, weight.toarray(), bias)
        self._array(weight.data)
        weight = frozen(weight)
        return self._add(Sparse(self.site.node_name, weight.shape[0], (x,), weight, self._array(bias)))

    def convolution(
        self,
        x: int,
        kernel: Array,
        bias: Array,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int = 1,
        transposed: bool = False,
    ) -> int:
        """A convolution of ``x``, seen as ``in_shape`` (C_in, *spatial), with PyTorch's kernel layout."""
        shapes = [tuple(map(int, s)) for s in (in_shape, out_shape, stride, padding, dilation)]
        kept = Convolution(
            self.site.node_name,
            math.prod(shapes[1]),
            (x,),
            self._array(kernel),
            self._array(bias),
            in_shape=shapes[0],
            out_shape=shapes[1],
            stride=shapes[2],
            padding=shapes[3],
            dilation=shapes[4],
            groups=int(groups),
            transposed=transposed,
        )
        return self._add(kept)

    def maximum(self, x: int, groups: Array) -> int:
        """The largest entry of each group; ``groups`` (size, k) indexes ``x``."""
        groups = np.asarray(groups, np.int64)
        node = self.nodes[x]
        if isinstance(node, Select) and len(node.inputs) == 1:
            (x,), groups = node.inputs, node.index[groups]
        if (groups == groups[:, :1]).all():
            return self.select([x], groups[:, 0])
        if groups.size > MAX_ENTRIES:
            self.refuse(f", which compares {groups.size:,} numbers; that is too large.", InvalidArgument)
        groups = np.ascontiguousarray(groups)
        groups.setflags(write=False)
        return self._add(Maximum(self._unit_name(), len(groups), (x,), groups))

    def combine(self, inputs: Sequence[int], scales: Sequence[Array], bias: Array) -> int | Array:
        """``bias + sum_k scales[k] * inputs[k]``: a node, or the bias when no input has a say."""
        terms: list[tuple[int, Array]] = []
        for node, scale in zip(inputs, scales, strict=True):
            same = next((k for k, (other, _) in enumerate(terms) if other == node), None)
            if same is not None and _exact_sum(terms[same][1], scale):
                terms[same] = (node, terms[same][1] + scale)
            else:
                terms.append((node, np.asarray(scale, np.float64)))
        terms = [(node, scale) for node, scale in terms if scale.any()]
        bias = self._array(bias)
        if not terms:
            return bias
        if len(terms) == 1 and not bias.any() and (terms[0][1] == 1).all():
            return terms[0][0]
        kept, factors = zip(*terms, strict=True)
        return self._add(Combine(self.site.node_name, len(bias), kept, tuple(map(self._array, factors)), bias))

    def constant(self, x: int, value: Array) -> int:
        """``0 * x + value``, for an output that does not depend on the input."""
        value = self._array(value)
        return self._add(Combine(self.site.node_name, len(value), (x,), (self._array(0 * value),), value))

    def select(self, inputs: Sequence[int], index: Array) -> int:
        """``concatenate(inputs)[index]``, read through selections before it."""
        owners, places = [], []
        for i in inputs:
            node = self.nodes[i]
            if isinstance(node, Select):
                start = np.cumsum([0, *(self.nodes[j].size for j in node.inputs)])
                part = np.searchsorted(start, node.index, side="right") - 1
                owners.append(np.array(node.inputs)[part])
                places.append(node.index - start[part])
            else:
                owners.append(np.full(node.size, i))
                places.append(np.arange(node.size))
        index = np.asarray(index, np.int64).ravel()
        owner, place = np.concatenate(owners)[index], np.concatenate(places)[index]
        sources, part = np.unique(owner, return_inverse=True)
        size = [self.nodes[i].size for i in sources]
        if len(sources) == 1 and len(index) == size[0] and (place == np.arange(size[0])).all():
            return int(sources[0])
        start = np.cumsum([0, *size])
        merged = (start[part] + place).astype(np.int64)
        merged.setflags(write=False)
        return self._add(Select(self.site.node_name, len(merged), tuple(map(int, sources)), merged))

    def knot(self, x: int, breakpoints: Array, slopes: Array, value: Array) -> int:
        """A piecewise-linear function of each unit; ``breakpoints`` (size, k) ascend strictly."""
        if (slopes == 1).all() and (value == breakpoints[:, 0]).all():
            return x
        if not breakpoints.any() and not value.any() and (slopes == slopes[:, :1]).all() and slopes.all():
            return self._live(self.combine([x], [slopes[:, 0]], np.zeros(len(slopes))))
        arrays = self._array(breakpoints), self._array(slopes), self._array(value)
        return self._add(Knot(self._unit_name(), self.nodes[x].size, (x,), *arrays))

    def finish(
        self,
        output: int,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        dropped: tuple[str, ...] = (),
    ) -> SplineNetwork:
        """The network of what the output depends on, and the input."""
        needed = {0, output}
        for i in range(output, 0, -1):
            if i in needed:
                needed.update(self.nodes[i].inputs)
        order = sorted(needed)
        position = {old: new for new, old in enumerate(order)}
        nodes = [replace(self.nodes[i], inputs=tuple(position[j] for j in self.nodes[i].inputs)) for i in order]
        return SplineNetwork(tuple(nodes), position[output], input_shape, output_shape, dropped)

    def _unit_name(self) -> str:
        """A name of its own for a knot: a module's second use is ``act#2``."""
        name = self.site.node_name
        self._used[name] = count = self._used.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _array(self, values: Array) -> Array:
        array = np.array(values, np.float64, order="C")
        if array.size > MAX_ENTRIES:
            self.refuse(f", which needs an array of {array.size:,} numbers; that is too large.", InvalidArgument)
        if not np.isfinite(array).all():
            bad = array[~np.isfinite(array)].flat[0]
            self.refuse(f" with a constant that is {bad}; networks need finite numbers.", InvalidArgument)
        array += 0.0  # no negative zeros: equal networks have equal bytes
        array.setflags(write=False)
        return array

    @staticmethod
    def _live(node: int | Array) -> int:
        assert isinstance(node, int)
        return node


def _exact_sum(a: Array, b: Array) -> bool:
    """Whether float64 holds every a + b exactly (Knuth's two-sum has no remainder)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = a + b
        back = total - a
        return bool(((a - (total - back)) + (b - back) == 0).all())
