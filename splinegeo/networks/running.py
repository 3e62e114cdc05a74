"""Runs the user's module without leaving traces, and compares a captured network with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from splinegeo._errors import CaptureMismatch, ShapeMismatch, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.graph import Combine, Input, Knot, Linear, Select, SplineNetwork, apply_knot

POINTS_PER_SCALE = 8
SCALES = (0.0, 1e-2, 1.0, 1e2)
# The tolerance is this many standard deviations of rounding errors that are independent of each other. Errors of real
# networks, 2 to 100 layers deep in all four float types, stay below half of one; a wrongly read operation shows in the
# first digits.
SAFETY = 16.0


def working_tensor(module: nn.Module) -> torch.Tensor:
    """A tensor with the dtype and device that the module computes in."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor
    return torch.zeros(())


def example_input(module: nn.Module, shape: tuple[int, ...], values: Array | None = None) -> torch.Tensor:
    """Samples (n, *shape) in the module's dtype and device; one sample of zeros to ones by default."""
    like = working_tensor(module)
    if values is None:
        values = np.linspace(-0.5, 1.0, int(np.prod(shape)))[None]
    return torch.from_numpy(values.reshape(-1, *shape)).to(like.dtype).to(like.device)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Puts back what a forward pass may change: attributes, random generators. Tensors are up to `_run`."""
    # The tables of tensors and children are attributes too, and may gain or lose entries.
    attributes = [vars(layer) for layer in module.modules()]
    attributes += [vars(layer)[t] for layer in module.modules() for t in ("_parameters", "_buffers", "_modules")]
    attributes = [(table, dict(table)) for table in attributes]
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (modules may draw from it)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        for table, before in attributes:
            for key in [k for k in table if k not in before]:
                del table[key]
            table.update(before)


def _run(module: nn.Module, x: torch.Tensor, pure: bool) -> Any:
    """The module's output. Unless it is known to be pure it works on copies of parameters and buffers."""
    with torch.no_grad():
        if pure:
            return module(x.clone())
        state = {n: t.detach().clone() for n, t in (*module.named_parameters(), *module.named_buffers())}
        return torch.func.functional_call(module, state, (x.clone(),))


def first_run(module: nn.Module, name: str, shape: tuple[int, ...], pure: bool = False) -> None:
    """Call the module once, so that its own errors are told before those of a tracer."""
    x = example_input(module, shape)
    try:
        with untouched(module):
            y = _run(module, x, pure)
    except Exception as error:  # whatever the user's code raises
        text = str(error).strip().splitlines()
        line = text[0].rstrip(".") if text else type(error).__name__
        if isinstance(error, RuntimeError | ValueError | IndexError) and _about_shapes(line):
            raise ShapeMismatch(f"{name} does not take samples of shape {shape}: {line}. Check input_shape.") from error
        if "indices" in line and "Long" in line:
            line += "; networks on integer inputs have no affine pieces"
        raise UnsupportedOperation(
            f"{name} fails on one sample of shape {shape}: {type(error).__name__}: {line}."
        ) from error
    if not isinstance(y, torch.Tensor):
        raise UnsupportedOperation(
            f"{name} returns a {type(y).__name__}; splinegeo reads networks that return one tensor. "
            f"Wrap it in a module that picks one."
        )
    if not y.is_floating_point():
        raise UnsupportedOperation(f"{name} returns {y.dtype} numbers; splinegeo reads networks with real outputs.")
    if y.numel() == 0:
        raise UnsupportedOperation(f"{name} returns an empty tensor of shape {tuple(y.shape)}.")


def _about_shapes(line: str) -> bool:
    words = ("shape", "size", "dimension", "Dimension", "Expected", "out of range", "dim")
    return any(word in line for word in words) and "indices" not in line


def self_check(
    module: nn.Module, name: str, network: SplineNetwork, *, pure: bool, types: set[torch.dtype] | None = None
) -> None:
    """Compare network and module on random points of several scales.

    ``pure`` modules consist of layers that the library knows; ``types`` are floating types that take part beside those
    of the module's tensors, as under autocast.

    Raises:
        CaptureMismatch: they disagree by more than rounding explains.
        UnsupportedOperation: the module gives two answers for one point, or mixes the samples of a batch.
    """
    rng = np.random.default_rng(0)
    z = np.concatenate([s * rng.standard_normal((POINTS_PER_SCALE, network.n_inputs)) for s in SCALES])
    x = example_input(module, network.input_shape, z)
    z = x.detach().cpu().double().numpy().reshape(len(z), -1)
    expected, tolerance = values_and_errors(network, z, _coarsest(module, x, types or set()))

    if pure:  # known layers neither mix samples nor remember anything
        with untouched(module):
            _compare(name, _flat(_run(module, x, pure), len(x)), expected, tolerance, z)
        return
    chosen = np.arange(0, len(x), 5)
    with untouched(module):
        one, two = (np.concatenate([_flat(_run(module, x[[i]], pure), 1) for i in chosen]) for _ in range(2))
        try:
            batch = _flat(_run(module, x, pure), len(x))
        except Exception:  # noqa: BLE001 - user's code raises anything; one sample at a time is fine
            batch = None
    if _differ(one, two, tolerance[chosen]) is not None:
        raise UnsupportedOperation(
            f"{name} gives two answers for one input; it draws random numbers or depends on what was called before. "
            f"Call .eval() on it and remove such state."
        )
    _compare(name, one, expected[chosen], tolerance[chosen], z[chosen])
    if batch is None:
        return
    if batch.shape != expected.shape or _differ(batch, expected, tolerance) is not None:
        raise UnsupportedOperation(
            f"{name} treats a sample differently when it comes in a batch with others; "
            f"splinegeo reads networks that map each sample by itself."
        )


def _compare(name: str, got: Array, expected: Array, tolerance: Array, z: Array) -> None:
    if got.shape != expected.shape:
        raise CaptureMismatch(f"{name} returns {got.shape[1]} values a sample, its captured graph {expected.shape[1]}.")
    worst = _differ(got, expected, tolerance)
    if worst is not None:
        i, j = worst
        point = np.array2string(z[i], precision=17, threshold=8)
        theirs, ours = float(got[i, j]), float(expected[i, j])
        raise CaptureMismatch(
            f"{name} and its captured graph disagree: output {j} at {point} is {theirs!r} from the module and "
            f"{ours!r} from the graph. This is a defect of splinegeo, unless the module depends on more than its input."
        )


def _differ(a: Array, b: Array, tolerance: Array) -> tuple[int, int] | None:
    """Where two results differ most beyond the tolerance; NaN in one of them differs, overflow does not."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
        # Where the tolerance is not finite the module's type overflows, and there is nothing to compare.
        excess = np.where(np.isnan(gap), np.inf, gap - tolerance)
    excess = np.where(np.isfinite(tolerance), excess, -1.0)
    i, j = np.unravel_index(np.argmax(excess), excess.shape)
    return (int(i), int(j)) if excess[i, j] > 0 else None


def _flat(y: Any, n: int) -> Array:
    return y.detach().cpu().double().numpy().reshape(n, -1)


def _coarsest(module: nn.Module, x: torch.Tensor, types: set[torch.dtype]) -> torch.finfo:
    """The coarsest floating type that takes part."""
    kinds = {t.dtype for t in (x, *module.parameters(), *module.buffers()) if t.is_floating_point()} | types
    return max((torch.finfo(k) for k in kinds), key=lambda info: info.eps)


def values_and_errors(network: SplineNetwork, z: Array, kind: torch.finfo) -> tuple[Array, Array]:
    """Outputs (n, D) at z (n, E), and how far rounding in a float type of that kind may take them.

    Each node adds independent errors to the variances of its inputs, a random walk in the length of its sums.
    Infinite where a value overflows the type.
    """
    eps, tiny, largest = kind.eps, kind.tiny, kind.max
    values: list[Array] = []
    variances: list[Array] = []
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for node in network.nodes:
            x = [values[i] for i in node.inputs]
            v = [variances[i] for i in node.inputs]
            match node:
                case Input():
                    y, var = z, np.zeros_like(z)
                case Linear():
                    y = x[0] @ node.weight.T + node.bias
                    size = np.abs(x[0]) @ np.abs(node.weight).T + np.abs(node.bias)
                    var = v[0] @ (node.weight**2).T + (eps * size) ** 2 * (node.weight.shape[1] + 1)
                case Combine():
                    y = sum((s * u for s, u in zip(node.scales, x, strict=True)), node.bias)
                    size = sum((np.abs(s * u) for s, u in zip(node.scales, x, strict=True)), np.abs(node.bias))
                    var = sum((s**2 * w for s, w in zip(node.scales, v, strict=True)), (2 * eps * size) ** 2)
                case Select():
                    y, var = np.concatenate(x, 1)[:, node.index], np.concatenate(v, 1)[:, node.index]
                case Knot():
                    y = apply_knot(node, x[0])
                    slope = np.abs(node.slopes).max(1)
                    size = slope * (np.abs(x[0]) + np.abs(node.breakpoints).max(1)) + np.abs(node.value)
                    var = slope**2 * v[0] + (2 * eps * size) ** 2
                case _:
                    raise UnsupportedOperation(f"nodes of type {type(node).__name__} cannot be checked.")
            var = np.where(np.abs(y) < largest / 2, var + tiny**2 * node.size, np.inf)
            values.append(y)
            variances.append(var)
    tolerance = SAFETY * np.sqrt(variances[network.output])
    return values[network.output], np.where(np.isnan(tolerance), np.inf, tolerance)
