"""One node of a file as an operator's function sees it, and the table of such functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from onnx import AttributeProto

from splinegeo._errors import (
    FileFormatError,
    InvalidArgument,
    NotPiecewiseLinear,
    SplineGeoError,
    UnsupportedOperation,
)
from splinegeo.networks.builder import MAX_ENTRIES, Builder
from splinegeo.networks.onnx.values import Constant, Value, shown
from splinegeo.networks.ops import Live, apply, move
from splinegeo.networks.ops.values import Mask, leaves

KINDS = {
    "integer": AttributeProto.INT,
    "integers": AttributeProto.INTS,
    "real": AttributeProto.FLOAT,
    "reals": AttributeProto.FLOATS,
    "text": AttributeProto.STRING,
    "tensor": AttributeProto.TENSOR,
}


@dataclass
class Call:
    """An operator, its version and its arguments; one input at least is live."""

    b: Builder
    op: str
    version: int
    inputs: list[Value]
    attributes: dict[str, Any]
    outputs: list[str]  # names, "" for those that nothing reads

    def refuse(self, why: str, error: type[SplineGeoError] = NotPiecewiseLinear) -> NoReturn:
        """Raise ``error`` about this node; ``why`` ends with the remedy."""
        self.b.refuse(why, error)

    # --- attributes ---

    def has(self, name: str) -> bool:
        """Whether the attribute is given."""
        return name in self.attributes

    def _attribute(self, name: str, kind: str, default: Any) -> Any:
        if name not in self.attributes:
            return default
        a = self.attributes[name]
        if a.type != KINDS[kind]:
            self.refuse(f" with an attribute '{name}' that is no {kind}; the file is damaged.", FileFormatError)
        return a

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute of one integer."""
        a = self._attribute(name, "integer", default)
        return a if isinstance(a, int) else int(a.i)

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int] | None:
        """An attribute of several integers; the default if it is absent."""
        a = self._attribute(name, "integers", default)
        return None if a is None else list(a.ints) if name in self.attributes else list(a)

    def real(self, name: str, default: float = 0.0) -> float:
        """An attribute of one float32 number, defaults included."""
        a = self._attribute(name, "real", default)
        value = float(np.float32(a)) if isinstance(a, int | float) else float(a.f)
        if not math.isfinite(value):
            self.refuse(f" with {name} = {value}; networks need finite numbers.", InvalidArgument)
        return value

    def reals(self, name: str) -> list[float] | None:
        """An attribute of several float32 numbers."""
        a = self._attribute(name, "reals", None)
        return None if a is None else list(a.floats)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        a = self._attribute(name, "text", default)
        return a if isinstance(a, str) else a.s.decode("utf-8", "replace")

    # --- inputs ---

    def value(self, i: int) -> Value:
        """Input i, None if it is left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    def required(self, i: int) -> Live | Mask | Constant:
        """Input i, which must be there."""
        value = self.value(i)
        if value is None:
            self.refuse(f" without its input {i}; the file is damaged.", FileFormatError)
        return value

    def live(self, i: int = 0) -> Live:
        """Input i where nothing but a live value makes sense, the others being its parameters."""
        value = self.required(i)
        if isinstance(value, Mask):
            self.refuse(" to a comparison, which jumps; choose with Where between values that agree there.")
        if not isinstance(value, Live):
            self.refuse(" with parameters that depend on the input; splinegeo reads constant ones.")
        return value

    def constant(self, i: int) -> Constant | None:
        """Input i, a constant or absent."""
        value = self.value(i)
        if isinstance(value, Live | Mask):
            self.refuse(f" with an input {i} that depends on the network's input; splinegeo reads constant ones.")
        return value

    def tensor(self, i: int) -> torch.Tensor | None:
        """Input i as a constant tensor, or None."""
        value = self.constant(i)
        return None if value is None else value.tensor()

    def operand(self, i: int) -> Any:
        """Input i as operations take it: live, or a tensor."""
        value = self.required(i)
        return value.tensor() if isinstance(value, Constant) else value

    def operands(self) -> list[Any]:
        """All inputs, as operations take them."""
        return [self.operand(i) for i in range(len(self.inputs))]

    def numbers(self, i: int) -> list[int] | None:
        """Input i as a list of integers, or None if it is absent."""
        value = self.constant(i)
        if value is None:
            return None
        if value.native.dtype.kind not in "iu" or value.native.ndim > 1:
            self.refuse(f" with an input {i} that is no list of integers; the file is damaged.", FileFormatError)
        return [int(n) for n in np.atleast_1d(value.native)]

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Shape of input i."""
        return self.required(i).shape

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            self.refuse(f" along axis {axis} of a value with {rank} dimensions; the file is damaged.", FileFormatError)
        return axis % rank

    def only_output(self) -> None:
        """Refuse a second output that something reads."""
        for name in self.outputs[1:]:
            if name:
                self.refuse(f" with a second output '{shown(name)}'; splinegeo reads the first.", UnsupportedOperation)

    # --- results ---

    def sized(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a result to come, if it is one and not too large."""
        sizes = tuple(int(n) for n in shape)
        if any(n < 1 for n in sizes):
            self.refuse(f" and makes a value of shape {_shape(sizes)}, which holds no numbers.", FileFormatError)
        if math.prod(sizes) > MAX_ENTRIES:
            self.refuse(f" and makes a value of shape {_shape(sizes)}; that is too large.", InvalidArgument)
        return sizes

    def broadcast(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The common shape of values, checked."""
        try:
            common = np.broadcast_shapes(*shapes)
        except ValueError:
            text = " and ".join(_shape(s) for s in shapes[:4])
            self.refuse(f" to values of shapes {text}, which do not go together.", FileFormatError)
        return self.sized(common)

    def apply(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """An operation of `splinegeo.networks.ops`; on constants alone it is ``function``."""
        if any(isinstance(leaf, Live | Mask) for leaf in leaves(args)):
            return apply(self.b, name, function, *args, **kwargs)
        return function(*args, **kwargs)

    def moved(self, function: Callable[..., Any], *values: Any) -> Any:
        """Values rearranged by a NumPy function of their positions; constants among them take part."""

        def by_torch(*positions: Any) -> Any:
            result = function(*(p.numpy() for p in positions))
            parts = result if isinstance(result, list) else [result]
            tensors = [torch.from_numpy(np.array(p, np.int64, order="C")) for p in parts]
            return tensors if isinstance(result, list) else tensors[0]

        return move(self.b, by_torch, *values, join="all")


Operator: TypeAlias = Callable[[Call], Any]
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register a function for the operators of these names, in all their versions."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def _shape(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, sizes[:8]))}{', …' if len(sizes) > 8 else ''})"
