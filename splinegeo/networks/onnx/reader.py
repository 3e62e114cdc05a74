"""Walks a file's graph from its input to one output and builds the network's graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from splinegeo._errors import FileFormatError, InvalidArgument, SplineGeoError, UnsupportedOperation
from splinegeo.networks.builder import Builder, Site
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.onnx import elementwise, indexing, layers, moves, pooling, resize  # noqa: F401 (they fill the table)
from splinegeo.networks.onnx.call import OPERATORS, Call
from splinegeo.networks.onnx.files import versions
from splinegeo.networks.onnx.folding import fold
from splinegeo.networks.onnx.graphs import MAX_DEPTH, MAX_NODES, domain_of, function_key, needed, substitute
from splinegeo.networks.onnx.refusals import CONTAINERS, LOOPS, QUANTISED, RANDOM, UNKNOWN, reason
from splinegeo.networks.onnx.tensors import read_tensor
from splinegeo.networks.onnx.values import Constant, Value, first_line, is_real, shown
from splinegeo.networks.ops import Live
from splinegeo.networks.ops.moves import constant_output
from splinegeo.networks.ops.values import Mask

NEVER_CONSTANT = RANDOM | CONTAINERS | LOOPS | QUANTISED


class Scope(dict[str, Value]):
    """Values by name, and those of the graphs around this one."""

    def __init__(self, outer: Scope | None = None) -> None:
        super().__init__()
        self.outer = outer

    def find(self, name: str) -> Value:
        """The value of that name; KeyError if there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope:
                return scope[name]
            scope = scope.outer
        raise KeyError(name)


class Reader:
    """One pass over a model. ``rounded`` tells afterwards whether the file's own rounding of constants had a say."""

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name = model, name
        self.functions = {function_key(f): f for f in model.functions}
        self.rounded = False
        self.n_nodes = 0

    def read(
        self, latent: str, shape: tuple[int, ...], sample: tuple[int, ...], output: str, dropped: tuple[str, ...]
    ) -> SplineNetwork:
        """The network of value ``output`` as a function of the input ``latent``.

        Args:
            latent: name of the graph's input that is the latent.
            shape: its shape for one sample; a batch dimension, if any, is 1.
            sample: its shape without the batch dimension.
            output: name of the value that is the network's output.
            dropped: what was left off after it.
        """
        self.b = Builder(math.prod(sample))
        scope = Scope()
        scope[latent] = Live(0, shape)
        graph = self.model.graph
        out = self._run(graph, [output], scope, versions(self.model.opset_import, self.name), "", 0)[0]
        self.b.site = Site("output", "output")
        if not isinstance(out, Live):
            if not isinstance(out, Constant) or not is_real(out.exact):
                raise UnsupportedOperation(f"{self.name}: output '{shown(output)}' holds no real numbers.")
            out = constant_output(self.b, out.tensor())
        one = len(shape) > len(sample) and out.shape[:1] == (1,)
        return self.b.finish(out.node, sample, out.shape[1:] if one else out.shape, dropped)

    def _run(
        self, graph: Any, outputs: list[str], scope: Scope, opsets: dict[str, int], prefix: str, depth: int
    ) -> list[Value]:
        """Evaluate what ``outputs`` depend on; ``graph`` is a graph, a branch or the body of a function."""
        if depth > MAX_DEPTH:
            raise FileFormatError(f"{self.name} nests functions and branches more than {MAX_DEPTH} deep.")
        nodes = list(graph.node)
        initialisers = {t.name: t for t in getattr(graph, "initializer", ())}
        chosen, names = needed(nodes, outputs)
        for name in names & set(initialisers):
            scope[name] = read_tensor(initialisers[name], f"initialiser '{shown(name)}'", name)
        for i in sorted(chosen):
            node = nodes[i]
            self.n_nodes += 1
            if self.n_nodes > MAX_NODES:
                raise InvalidArgument(f"{self.name} makes more than {MAX_NODES:,} steps; that is too large.")
            label = prefix + shown(node.name or next(filter(None, node.output), node.op_type))
            self.b.site = Site(label, f"onnx.{shown(node.op_type)}")
            results = self._node(node, scope, opsets, label, depth)
            for name, value in zip(node.output, results, strict=False):
                if name in scope and name:
                    raise FileFormatError(f"{self.b.site.describe()} and makes '{shown(name)}' a second time.")
                scope[name] = value
        try:
            return [scope.find(name) for name in outputs]
        except KeyError as error:
            raise FileFormatError(f"{self.name}: nothing makes the output '{shown(error.args[0])}'.") from None

    def _node(self, node: Any, scope: Scope, opsets: dict[str, int], label: str, depth: int) -> list[Value]:
        domain = domain_of(node.domain)
        inputs = [self._input(name, scope) for name in node.input]
        attributes = {a.name: a for a in node.attribute}
        function = self.functions.get((domain, node.op_type, node.overload))
        if function is not None:
            return self._function(function, inputs, attributes, label, depth)
        if domain:
            self.b.refuse(
                f", an operator of '{shown(domain)}'; splinegeo reads standard ONNX operators and the functions that "
                f"a file defines.",
                UnsupportedOperation,
            )
        if "" not in opsets:
            raise FileFormatError(f"{self.b.site.describe()} in a function that names no operator set.")
        if node.op_type == "If":
            return self._branch(attributes, inputs, scope, opsets, label, depth)
        call = Call(self.b, node.op_type, opsets[""], _trimmed(inputs), attributes, list(node.output))
        live = any(isinstance(v, Live | Mask) for v in inputs)
        refused = reason(node.op_type)
        if refused and (live or node.op_type in NEVER_CONSTANT):
            self.b.refuse(refused[1], refused[0])
        if not live:
            constants, rounded = fold(call, opsets[""])
            self.rounded |= rounded
            return list(constants)
        return self._live(call)

    def _live(self, call: Call) -> list[Value]:
        if call.op not in OPERATORS:
            self.b.refuse(UNKNOWN, UnsupportedOperation)
        for value in call.inputs:
            self._check_finite(call, value)
        try:
            result = OPERATORS[call.op](call)
        except SplineGeoError:
            raise
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            self.b.refuse(f", which cannot be read: {first_line(error)}.", FileFormatError, error)
        results = result if isinstance(result, list) else [result]
        return [Constant.of(r.numpy()) if isinstance(r, torch.Tensor) else r for r in results]

    def _check_finite(self, call: Call, value: Value) -> None:
        if not isinstance(value, Constant) or not value.initialiser or call.op == "Clip" or not is_real(value.exact):
            return
        finite = np.isfinite(value.exact)
        if not finite.all():
            raise InvalidArgument(
                f"initialiser '{shown(value.initialiser)}' of {self.name} holds {value.exact[~finite].flat[0]}; "
                f"splinegeo needs finite weights. The training run may have diverged."
            )

    def _input(self, name: str, scope: Scope) -> Value:
        if not name:
            return None
        try:
            return scope.find(name)
        except KeyError:
            raise FileFormatError(
                f"{self.b.site.describe()} to '{shown(name)}', which nothing before it makes; the file is damaged."
            ) from None

    def _function(
        self, function: Any, inputs: list[Value], given: dict[str, Any], label: str, depth: int
    ) -> list[Value]:
        """The body of a function that the file defines, in place of its call."""
        scope = Scope()
        inputs = inputs + [None] * (len(function.input) - len(inputs))
        scope.update(zip(function.input, inputs, strict=True))
        attributes = {a.name: a for a in function.attribute_proto} | given
        body = type(function)()
        body.CopyFrom(function)
        substitute(body.node, attributes)
        opsets = versions(function.opset_import, self.name)
        return self._run(body, list(function.output), scope, opsets, f"{label}/", depth + 1)

    def _branch(
        self,
        attributes: dict[str, Any],
        inputs: list[Value],
        scope: Scope,
        opsets: dict[str, int],
        label: str,
        depth: int,
    ) -> list[Value]:
        """The branch that a constant condition takes."""
        condition = inputs[0] if inputs else None
        if isinstance(condition, Live | Mask):
            self.b.refuse(
                ", a branch by a condition that depends on the input; use the same operators for every input."
            )
        if condition is None or condition.size != 1 or not {"then_branch", "else_branch"} <= set(attributes):
            self.b.refuse(" without a condition and two branches; the file is damaged.", FileFormatError)
        graph = attributes["then_branch" if condition.native.reshape(()) else "else_branch"].g
        return self._run(graph, [o.name for o in graph.output], Scope(scope), opsets, f"{label}/", depth + 1)


def _trimmed(inputs: list[Value]) -> list[Value]:
    """Without optional inputs left out at the end."""
    while inputs and inputs[-1] is None:
        inputs = inputs[:-1]
    return inputs
