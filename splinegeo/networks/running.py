"""Runs the user's module without leaving traces, and compares a captured network with it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from splinegeo._errors import CaptureMismatch, ShapeMismatch, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.closing import Closing
from splinegeo.networks.evaluation import value
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.nodes import (
    Combine,
    Convolution,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    apply_maximum,
)

POINTS_PER_SCALE = 8
INTERPOLATION_TERMS = 64  # values that one is interpolated from, at most
MAX_PRODUCTS = 2**31  # products in the points of one scale, in a few seconds
MAX_VALUES = 2**21  # values of one node at the points of one scale
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
    module: nn.Module,
    name: str,
    network: SplineNetwork,
    *,
    pure: bool,
    types: set[torch.dtype] | None = None,
    closing: Closing | None = None,
) -> None:
    """Compare network and module on random points of several scales.

    ``pure`` modules consist of layers that the library knows; ``types`` are floating types that take part beside those
    of the module's tensors, as under autocast; ``closing`` is what was left off.

    Raises:
        CaptureMismatch: they disagree by more than rounding explains.
        UnsupportedOperation: the module gives two answers for one point, or mixes the samples of a batch.
    """
    rng = np.random.default_rng(0)
    n = _points_per_scale(network)
    z = np.concatenate([s * rng.standard_normal((n, network.n_inputs)) for s in SCALES])
    x = example_input(module, network.input_shape, z)
    z = x.detach().cpu().double().numpy().reshape(len(z), -1)
    kind = _coarsest(module, x, types or set())
    expected, tolerance = values_and_errors(closing.core if closing else network, z, kind)
    if closing:
        expected, tolerance = closing.values_and_errors(expected, tolerance, kind.eps)

    if pure:  # known layers neither mix samples nor remember anything
        with untouched(module):
            _compare(name, _flat(_run(module, x, pure), len(x)), expected, tolerance, z)
        return
    chosen = np.arange(0, len(x), max(1, len(x) // 6))
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


def _points_per_scale(network: SplineNetwork) -> int:
    """Eight points of each scale, fewer where a point takes long or much memory."""
    affine = [node for node in network.nodes if isinstance(node, Linear | Sparse | Convolution)]
    products = sum(node.size * linear_maps.terms(node) for node in affine)
    widest = max(node.size for node in network.nodes)
    return max(1, min(POINTS_PER_SCALE, MAX_PRODUCTS // (products + 1), MAX_VALUES // widest))


def _interpolation_error(node: Sparse, x: Array, eps: float) -> Array:
    """How far (n, size) rounded weights of an interpolation may take its values.

    The module computes them from coordinates, in float32 at least, so their errors are relative to coordinates and
    reach neighbours whose weight should be 0.
    """
    weights = linear_maps.apply_abs(node, np.ones((1, x.shape[1])))
    coordinate = math.sqrt(x.shape[1])  # what images measure across, roughly
    return min(eps, float(torch.finfo(torch.float32).eps)) * coordinate * weights * np.abs(x).max(1, keepdims=True)


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
    last_use = {j: i for i, node in enumerate(network.nodes) for j in node.inputs}
    values: dict[int, Array] = {}
    variances: dict[int, Array] = {}
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for i, node in enumerate(network.nodes):
            x = [values[j] for j in node.inputs] or [z]
            y = value(node, x)
            v = [variances[j] for j in node.inputs]
            # How large the numbers are that are added up, and how many roundings that takes.
            size = value(node, [np.abs(u) for u in x], magnitudes=True)
            match node:
                case Linear() | Sparse() | Convolution():
                    var = linear_maps.apply_square(node, v[0]) + (eps * size) ** 2 * (linear_maps.terms(node) + 1)
                    if isinstance(node, Sparse) and linear_maps.terms(node) <= INTERPOLATION_TERMS:
                        var = var + _interpolation_error(node, x[0], eps) ** 2
                case Combine():
                    var = sum((s**2 * w for s, w in zip(node.scales, v, strict=True)), (2 * eps * size) ** 2)
                case Select():
                    var = np.concatenate(v, 1)[:, node.index]
                case Maximum():
                    var = apply_maximum(node, v[0])
                case Knot():
                    var = np.abs(node.slopes).max(1) ** 2 * v[0] + (2 * eps * size) ** 2
                case _:
                    var = np.zeros_like(z)
            values[i] = y
            variances[i] = np.where(np.abs(y) < largest / 2, var + tiny**2 * node.size, np.inf)
            for j in node.inputs:
                if last_use[j] == i and j != network.output:
                    values.pop(j, None), variances.pop(j, None)
    tolerance = SAFETY * np.sqrt(variances[network.output])
    return values[network.output], np.where(np.isnan(tolerance), np.inf, tolerance)
