"""The general reader: any `nn.Module`, through ``torch.export``."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from splinegeo._errors import InvalidArgument, SplineGeoError, UnsupportedOperation
from splinegeo.networks.builder import Builder, Site
from splinegeo.networks.closing import DROPPABLE, RESHAPES, Closing
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.ops import Live, apply
from splinegeo.networks.ops.knots import hardshrink, softshrink
from splinegeo.networks.ops.moves import CASTS, SAME, constant_output
from splinegeo.networks.ops.values import Mask, Op, Positions, leaves

TORCH_FOLDER = str(Path(torch.__file__).parent)


def read(
    module: nn.Module, example: torch.Tensor, name: str, *, drop: bool = False
) -> tuple[SplineNetwork, Closing | None, set[torch.dtype]]:
    """The graph of ``module`` as it treats ``example``, a batch of one sample.

    With it come what was left off at the end, if ``drop`` allows that, and the floating types it computes in.

    Raises:
        NotPiecewiseLinear: an operation is smooth, jumps, or multiplies two live values.
        UnsupportedOperation: an operation is not known, or torch.export cannot trace the module.
        InvalidArgument: a constant in use is NaN or infinite, or the module changes its buffers or its input.
    """
    program = _export(module, example, name)
    types = {getattr(node.meta.get("val"), "dtype", None) for node in program.graph.nodes}
    floating = {t for t in types if isinstance(t, torch.dtype) and t.is_floating_point}
    return *_Reader(program, name, tuple(example.shape[1:]), drop).read(), floating


def _export(module: nn.Module, example: torch.Tensor, name: str) -> torch.export.ExportedProgram:
    try:
        with _quiet(), warnings.catch_warnings():
            # torch.export copies an internal class with a deprecated name, and says so.
            warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            # A module that remembers an activation: `untouched` puts the attribute back.
            warnings.filterwarnings("ignore", message="The tensor attributes? .* assigned during export")
            return torch.export.export(module, (example,)).run_decompositions({})
    except SplineGeoError:
        raise
    except Exception as error:  # torch.export raises many types, some of them private
        kind, text = type(error).__name__, _first_line(error)
        if "DataDependent" in kind or "data-dependent" in text:
            raise UnsupportedOperation(
                f"{name} reads or branches on values that depend on its input; use the same tensor operations for "
                f"every input."
            ) from error
        raise UnsupportedOperation(
            f"torch.export cannot trace {name}: {kind}: {text} "
            f"Rewrite that part with tensor operations, or capture the submodule that holds the network."
        ) from error


class _Reader:
    """One pass over an exported graph."""

    def __init__(
        self, program: torch.export.ExportedProgram, root: str, input_shape: tuple[int, ...], drop: bool
    ) -> None:
        self.program, self.root, self.input_shape, self.drop = program, root, input_shape, drop
        self.graph = program.graph
        self.b = Builder(math.prod(input_shape))
        self.values: dict[fx.Node, Any] = {}
        self.constant_names: dict[fx.Node, str] = {}

    def read(self) -> tuple[SplineNetwork, Closing | None]:
        result = self._output_node()
        closing, gain = self._closing_nodes(result)
        shrinks = {node: found for node in self.graph.nodes if (found := _shrink(node))}
        dropped: list[str] = []
        for node in self._needed(result, shrinks):
            self.b.closing = node in closing
            if node in shrinks:
                shrink, x, lambd = shrinks[node]
                self.b.site = self._site(node, f"aten.{shrink.__name__}")
                self.values[node] = shrink(self.b, self.values[x], lambd)
            elif self.drop and node in closing and _name(node) not in RESHAPES:
                self.values[node] = self.values[closing[node]]
                if _name(node) not in SAME | CASTS:
                    dropped.append(self._site(node, f"aten.{_name(node)}").describe())
            else:
                self._evaluate(node)
        network = self._finish(self.values[result], tuple(dropped))
        if not dropped:
            return network, None
        core = self._finish(self.values[next(iter(closing.values()))], ())
        return network, Closing(core, self._closing_function(closing), gain)

    def _finish(self, out: Any, dropped: tuple[str, ...]) -> SplineNetwork:
        if isinstance(out, Mask | Positions):
            self.b.refuse(", which jumps, and is all that comes out; a network must be continuous.")
        self.b.site = Site("output", "output")
        if not isinstance(out, Live):
            out = constant_output(self.b, torch.as_tensor(out, dtype=torch.float64))
        shape = out.shape[1:] if out.shape[:1] == (1,) else out.shape
        return self.b.finish(out.node, self.input_shape, tuple(shape), dropped)

    def _evaluate(self, node: fx.Node) -> Any:
        self.values[node] = self._placeholder(node) if node.op == "placeholder" else self._call(node)
        return self.values[node]

    def _closing_nodes(self, result: fx.Node) -> tuple[dict[fx.Node, fx.Node], float]:
        """The nodes that a smooth output map consists of, in order, each with its live input; and its scale."""
        live: set[fx.Node] = set()
        for node in self.graph.nodes:
            if node.op == "placeholder":
                live |= {node} if self._spec(node).kind.name == "USER_INPUT" else set()
            elif any(source in live for source in node.all_input_nodes):
                live.add(node)
        chain: list[tuple[fx.Node, fx.Node, float]] = []
        length, node = 0, result
        while isinstance(node.target, torch._ops.OpOverload):
            name = _name(node)
            sources = [a for a in leaves((node.args, node.kwargs)) if isinstance(a, fx.Node) and a in live]
            scale = 1.0
            if len(sources) != 1:
                break
            if name in ("add", "sub", "mul", "div") and (name in ("add", "mul") or node.args[0] is sources[0]):
                scale = self._scale(node, name, sources[0])
            elif name not in DROPPABLE | RESHAPES | SAME | CASTS:
                break
            if not scale > 0:
                break
            chain.append((node, sources[0], scale))
            node = sources[0]
            length = len(chain) if name in DROPPABLE else length
        kept = chain[:length][::-1]
        return {node: source for node, source, _ in kept}, math.prod(scale for *_, scale in kept)

    def _scale(self, node: fx.Node, name: str, live: fx.Node) -> float:
        """By what ``node`` multiplies at most; 0 if that is not positive throughout."""
        if name in ("add", "sub") or len(node.args) != 2 or node.kwargs:
            return 1.0 if name in ("add", "sub") else 0.0
        other = node.args[1] if node.args[0] is live else node.args[0]
        if isinstance(other, fx.Node):
            for source in self._needed(other, {}):
                if source not in self.values:
                    self._evaluate(source)
            other = self.values[other]
        numbers = torch.as_tensor(other, dtype=torch.float64)
        return float((1 / numbers if name == "div" else numbers).max()) if bool((numbers > 0).all()) else 0.0

    def _closing_function(self, closing: dict[fx.Node, fx.Node]) -> Callable[[torch.Tensor], torch.Tensor]:
        def function(x: torch.Tensor) -> torch.Tensor:
            x = x.reshape(self.values[next(iter(closing.values()))].shape)
            for node, source in closing.items():
                values = {**self.values, source: x}
                if _name(node) not in SAME | CASTS:
                    x = node.target(*fx.map_arg(node.args, values.__getitem__), **node.kwargs)
            return x

        return function

    def _output_node(self) -> fx.Node:
        for spec in self.program.graph_signature.output_specs:
            if spec.kind.name == "BUFFER_MUTATION":
                raise InvalidArgument(
                    f"{self.root} changes its buffer '{spec.target}' when it is called, so it is not one function; "
                    f"call .eval() on it, or keep the buffer fixed."
                )
            if spec.kind.name == "USER_INPUT_MUTATION":
                raise InvalidArgument(
                    f"{self.root} overwrites its input; use inplace=False in the first layer, or work on x.clone()."
                )
        outputs = self.graph.output_node().args[0]
        if len(outputs) != 1 or not isinstance(outputs[0], fx.Node):
            raise UnsupportedOperation(f"{self.root} returns {len(outputs)} values; splinegeo reads networks with one.")
        return outputs[0]

    def _needed(self, result: fx.Node, shrinks: dict[fx.Node, tuple[Op, fx.Node, float]]) -> list[fx.Node]:
        """What the result depends on, in graph order."""
        needed, stack = set(), [result]
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend([shrinks[node][1]] if node in shrinks else node.all_input_nodes)
        return [node for node in self.graph.nodes if node in needed]

    def _spec(self, node: fx.Node) -> Any:
        return next(s for s in self.program.graph_signature.input_specs if getattr(s.arg, "name", "") == node.name)

    def _placeholder(self, node: fx.Node) -> Any:
        spec = self._spec(node)
        if spec.kind.name == "USER_INPUT":
            return Live(0, (1, *self.input_shape))
        self.constant_names[node] = f"{spec.kind.name.lower().replace('_', ' ')} '{spec.target}'"
        for table in (self.program.state_dict, self.program.constants):
            if spec.target in table:
                return _as_constant(table[spec.target])
        raise UnsupportedOperation(f"{self.root} uses {spec.target}, which torch.export does not store.")

    def _call(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            return None  # a branch of torch.cond and its like, which are refused by name when they are called
        if node.op != "call_function":
            raise UnsupportedOperation(f"{self.root} holds a graph node of kind {node.op}; splinegeo cannot read it.")
        args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), self.values.__getitem__)
        target: Any = node.target
        if getattr(target, "__name__", "") == "getitem":
            return args[0][args[1]]
        name = _name(node)
        self.b.site = self._site(node, f"{getattr(target, 'namespace', '')}.{name}".lstrip("."))
        if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
            self.b.refuse(", which splinegeo cannot read; use plain PyTorch operations.", UnsupportedOperation)
        if not any(isinstance(leaf, Live | Mask | Positions) for leaf in leaves((args, kwargs))):
            return self._constant(node, target, args, kwargs)
        self._check_constants(node)
        return apply(self.b, name, target, *args, **kwargs)

    def _constant(self, node: fx.Node, target: Any, args: Any, kwargs: Any) -> Any:
        if torch.Tag.nondeterministic_seeded in target.tags and not target._schema.name.endswith("dropout"):
            self.b.refuse(", which draws random numbers; a network must be one function.", UnsupportedOperation)
        self._check_constants(node)
        dtype = next((a for a in (*args[1:], *kwargs.values()) if isinstance(a, torch.dtype)), torch.int64)
        if target.overloadpacket.__name__ in CASTS and dtype.is_floating_point:
            return args[0].double()  # stored weights are exact: casts between floating types round nothing here
        kwargs = {k: torch.device("cpu") if k == "device" else v for k, v in kwargs.items()}
        try:
            with torch.no_grad():
                return fx.node.map_aggregate(target(*args, **kwargs), _as_constant)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            self.b.refuse(f" to constants, which fails in float64: {_first_line(error)}", UnsupportedOperation, error)

    def _check_constants(self, node: fx.Node) -> None:
        for source in node.all_input_nodes:
            value = self.values[source]
            if source in self.constant_names and isinstance(value, torch.Tensor) and not value.isfinite().all():
                bad = float(value[~value.isfinite()][0])
                raise InvalidArgument(
                    f"{self.constant_names[source]} holds {bad}; splinegeo needs finite weights. "
                    f"The training run may have diverged."
                )

    def _site(self, node: fx.Node, op: str) -> Site:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = stack[-1] if stack else ("", "")
        path = path.split("@")[0].removeprefix("L['self'].")
        kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__name__}"
        return Site(path or self.root, op, _source(node), kind.startswith("torch.nn.modules.") and bool(path))


def _shrink(node: fx.Node) -> tuple[Op, fx.Node, float] | None:
    """torch.export takes two activations apart; this puts them together again.

    softshrink is where(|x| > l, x - sign(x) * l, x * 0), hardshrink is where(|x| <= l, 0, x).
    """
    where = _parts(node, "where")
    compared = where and len(where) == 3 and (_parts(where[0], "gt") or _parts(where[0], "le"))
    if not where or not compared or not isinstance(compared[1], int | float) or compared[1] < 0:
        return None
    size, lambd = compared
    if _parts(where[0], "le"):
        whole = where[1] == 0 and _magnitude(size) is where[2]
        return (hardshrink, where[2], float(lambd)) if whole else None
    moved, zero = _parts(where[1], "sub"), _parts(where[2], "mul")
    if not (moved and zero):
        return None
    x, step = moved[0], _parts(moved[1], "mul")
    sign = _parts(step[0], "sign") if step else None
    if step and sign and sign[0] is x and step[1] == lambd and zero == (x, 0) and _magnitude(size) is x:
        return softshrink, x, float(lambd)
    return None


def _name(node: fx.Node) -> str:
    """The name of the operation that a node applies."""
    target = node.target
    return target.overloadpacket.__name__ if isinstance(target, torch._ops.OpOverload) else str(target)


def _parts(node: Any, op: str) -> tuple[Any, ...] | None:
    """The arguments of a node if it applies ``op``, with numbers for all but tensors."""
    named = isinstance(node, fx.Node) and isinstance(node.target, torch._ops.OpOverload) and not node.kwargs
    return tuple(node.args) if named and node.target.overloadpacket.__name__ == op else None


def _magnitude(node: Any) -> Any:
    """X if the node is |x|."""
    inner = _parts(node, "abs")
    return inner[0] if inner else None


def _as_constant(value: Any) -> Any:
    """Constants are held on the CPU, real ones in float64."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    if value.is_complex():
        raise UnsupportedOperation("the network uses complex constants; splinegeo reads real networks.")
    return value.double() if value.is_floating_point() else value


def _source(node: fx.Node) -> str:
    """``file.py:31`` of the user's innermost line, from the trace that torch.export keeps."""
    for line in reversed((node.meta.get("stack_trace") or "").splitlines()):
        if line.strip().startswith('File "') and TORCH_FOLDER not in line and "<eval_with_key>" not in line:
            file, rest = line.strip()[6:].split('"', 1)
            return f"{Path(file).name}:{rest.split('line', 1)[1].split(',')[0].strip()}"
    return ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") + "." if lines else "no message."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.export from logging and printing a failure that becomes an error message here."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes", "torch._dynamo")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
