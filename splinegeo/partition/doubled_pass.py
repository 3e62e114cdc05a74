"""Activation bits at many points at once, with some 100 bits of precision: what float64 leaves open, nearly always.

A vertex of a partition, rounded to floats, lies beside its edges, nearer than error bounds in float64 can tell. The
bounds here are 2**44 times as sharp, for some thirty times the work of a forward pass. What they leave open is mostly
zero, and that only exact arithmetic can say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Node, Select, Sparse
from splinegeo.partition.longs import Long, cut_error, mapped, rounding

if TYPE_CHECKING:
    from splinegeo.partition.setting import Setting

TINY = 1e-290  # products below this lose their low parts
EPS = 2.0**-53
ROUNDING = rounding(2)
LIMBS = 4  # of the rows that go through a layer
CHUNK = 1 << 20  # numbers that are held at a time


def doubled_bits(setting: Setting, origin: Array, basis: Array, points: Array) -> tuple[Array, Array]:
    """Activation bits (n, B) at points (n, 2), and for which (n,) of them an error bound vouches for all."""
    step = max(1, CHUNK // max(node.size for node in setting.exact.network.nodes))
    with np.errstate(all="ignore"):  # what overflows is in doubt
        parts = [_bits(setting, origin, basis, points[k : k + step]) for k in range(0, len(points), step)]
    return np.concatenate([bits for bits, _ in parts]), np.concatenate([sure for _, sure in parts])


def _bits(setting: Setting, origin: Array, basis: Array, points: Array) -> tuple[Array, Array]:
    values: list[tuple[Long, Array]] = []  # of each node, and bounds on the errors
    found: list[Array] = [np.zeros((len(points), 0), bool)]
    sure = np.ones(len(points), bool)
    for i, node in enumerate(setting.exact.network.nodes):
        x = [values[k] for k in node.inputs]
        if isinstance(node, Input):
            out = _latents(origin, basis, points)
        elif isinstance(node, Knot):
            live = node.slopes[:, 1:] != node.slopes[:, :-1]
            gaps, above = [], []
            for k in range(node.breakpoints.shape[1]):
                gap, error = _plus(x[0], (_pair(-node.breakpoints[:, k]), np.zeros(node.size)))
                sure &= ((np.abs(gap.hi) > 1.01 * error) | ~live[:, k]).all(1) & np.isfinite(gap.hi).all(1)
                gaps.append((gap, error))
                above.append(gap.hi > 0)
            found.append((np.stack(above, 2) & live).reshape(len(points), -1) if above else found[0])
            out = _bent(node, x[0], gaps, above)
        else:
            out = _affine(setting, i, node, x)
        values.append((out[0], out[1] + TINY))
    bits = np.zeros((len(points), setting.network.n_breakpoints), np.uint8)
    bits[:, setting.breakpoints] = np.concatenate(found, 1)
    bits[:, setting.active] = 1
    return bits, sure


def _latents(origin: Array, basis: Array, points: Array) -> tuple[Long, Array]:
    z = _pair(np.broadcast_to(origin, (len(points), len(origin))))
    for column, u in zip(basis.T, points.T, strict=True):
        z = z.plus(_pair(np.broadcast_to(column, z.hi.shape)).times(u[:, None]))
    return z, 4 * ROUNDING * (np.abs(origin) + np.abs(points) @ np.abs(basis).T)


def _pair(values: Array) -> Long:
    """Floats as they are, with room for more digits."""
    return Long(np.stack([values, np.zeros_like(values)]))


def _plus(x: tuple[Long, Array], y: tuple[Long, Array]) -> tuple[Long, Array]:
    total = x[0].plus(Long(np.stack([np.broadcast_to(part, x[0].hi.shape) for part in y[0].parts])))
    return total, 1.01 * (x[1] + y[1] + ROUNDING * (np.abs(x[0].hi) + np.abs(y[0].hi)))


def _times(x: tuple[Long, Array], factor: Array) -> tuple[Long, Array]:
    out = x[0].times(np.broadcast_to(factor, x[0].hi.shape))
    return out, 1.01 * (np.abs(factor) * x[1] + ROUNDING * np.abs(out.hi))


def _bent(node: Knot, x: tuple[Long, Array], gaps: list[tuple[Long, Array]], above: list[Array]) -> tuple[Long, Array]:
    """As `apply_knot`: the value at the first breakpoint, and each slope times how far it goes."""
    shape, t = x[0].hi.shape, node.breakpoints
    total = _pair(np.broadcast_to(node.value, shape)), np.zeros(shape)
    if not gaps:
        return _plus(total, _times(x, node.slopes[:, 0]))
    total = _plus(total, _times(_where(~above[0], gaps[0]), node.slopes[:, 0]))
    for k, gap in enumerate(gaps):
        reach = _where(above[k], gap)
        if k + 1 < len(gaps):
            width = _pair(t[:, k + 1]).plus(_pair(-t[:, k]))
            passed = above[k + 1]
            reach = (
                Long(np.where(passed, width.parts[:, None], reach[0].parts)),
                np.where(passed, ROUNDING * np.abs(width.hi), reach[1]),
            )
        total = _plus(total, _times(reach, node.slopes[:, k + 1]))
    return total


def _where(chosen: Array, x: tuple[Long, Array]) -> tuple[Long, Array]:
    return Long(np.where(chosen, x[0].parts, 0.0)), np.where(chosen, x[1], 0.0)


def _affine(setting: Setting, i: int, node: Node, x: list[tuple[Long, Array]]) -> tuple[Long, Array]:
    match node:
        case Linear() | Sparse() | Convolution():
            v, e = x[0]
            terms, bias = linear_maps.terms(node) + 4, linear_maps.bias(node)
            size = np.abs(v.hi)
            cut = cut_error(LIMBS, terms) * size.max(1, initial=0.0, keepdims=True)
            error = linear_maps.apply_abs(node, e + 4 * ROUNDING * size + cut) * (1 + 4 * terms * EPS)
            bias = np.broadcast_to(bias, error.shape)
            out = mapped(setting.exact.pieces(i), node, v, LIMBS, linear_maps.apply).plus(_pair(bias))
            return out, error + 2 * ROUNDING * np.abs(bias)
        case Combine():
            shape = x[0][0].hi.shape
            total = _pair(np.broadcast_to(node.bias, shape)), np.zeros(shape)
            for scale, value in zip(node.scales, x, strict=True):
                total = _plus(total, _times(value, scale))
            return total
        case Select():
            parts = np.concatenate([v.parts for v, _ in x], 2)[:, :, node.index]
            return Long(parts), np.concatenate([e for _, e in x], 1)[:, node.index]
    raise AssertionError(f"no pass through {type(node).__name__}")
