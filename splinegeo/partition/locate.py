"""Which region a point lies in: its activation pattern, exactly, looked up.

In floating point, many points at once; what its error bounds leave open with twice the precision, still many at once;
what that leaves open, which is mostly points on facets, in exact arithmetic.

A point on a facet has no pattern of its own; it is given the region that a step from it towards the domain's centre
enters (and, should that step run along a facet, one to the left of it): the pattern of the point plus two
infinitesimals, which exact arithmetic carries along as two more columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import (
    Combine,
    Convolution,
    Input,
    Knot,
    Linear,
    Maximum,
    Select,
    Sparse,
    SplineNetwork,
    apply_knot,
)
from splinegeo.networks.tournament import canonical_bits
from splinegeo.partition.doubled_pass import doubled_bits
from splinegeo.partition.unite import decisive_patterns

if TYPE_CHECKING:
    from splinegeo.partition.exact import ExactNetwork, Value
    from splinegeo.partition.setting import Setting

EPS = 2.0**-53


def patterns_at(setting: Setting, origin: Array, basis: Array, points: Array) -> Array:
    """Packed patterns (n, ceil(B / 8)) at points (n, 2) of the domain."""
    step = max(1, (1 << 22) // max(node.size for node in setting.network.nodes))
    return np.concatenate(
        [_patterns(setting, origin, basis, points[k : k + step]) for k in range(0, max(len(points), 1), step)]
    )


def _patterns(setting: Setting, origin: Array, basis: Array, points: Array) -> Array:
    bits, sure = float_bits(setting.network, origin, basis, points)
    left = np.nonzero(~sure)[0]
    if len(left):
        bits[left], sure = doubled_bits(setting, origin, basis, points[left])
        for k in left[~sure]:
            bits[k] = exact_bits(setting, points[k])
    packed = np.packbits(bits, axis=1, bitorder="little")
    return decisive_patterns(setting.network, packed) if setting.has_maxima else packed


def float_bits(network: SplineNetwork, origin: Array, basis: Array, points: Array) -> tuple[Array, Array]:
    """Activation bits (n, B) in floating point, and for which points (n,) an error bound vouches for all of them."""
    z = origin + points @ basis.T
    error = (basis.shape[1] + 3) * EPS * (np.abs(origin) + np.abs(points) @ np.abs(basis).T)
    if np.array_equal(basis, np.eye(len(basis))) and not origin.any():
        error[:] = 0
    values: list[tuple[Array, Array]] = []
    # What is zero all around a point, and therefore ties with others like it: units that are off.
    off: list[Array] = []
    bits: list[Array] = [np.zeros((len(points), 0), np.uint8)]
    sure = np.ones(len(points), bool)
    for node in network.nodes:
        x = [values[k] for k in node.inputs]
        out_off = np.zeros((len(points), node.size), bool)
        match node:
            case Input():
                out = (z, error)
            case Linear():
                v, e = x[0]
                # One number a point and one a row: looser than |weight| @ e, and free beside the product itself.
                into = e.max(1) + (node.weight.shape[1] + 3) * EPS * np.abs(v).max(1)
                bound = np.outer(into, np.abs(node.weight).sum(1)) + 4 * EPS * np.abs(node.bias)
                out = v @ node.weight.T + node.bias, bound * 1.01
            case Sparse() | Convolution():
                v, e = x[0]
                rounding = (linear_maps.terms(node) + 3) * EPS
                bias = linear_maps.bias(node)
                bound = linear_maps.apply_abs(node, e + rounding * np.abs(v)) + 4 * EPS * np.abs(bias)
                out = linear_maps.apply(node, v) + bias, bound * (1.01 + 2 * rounding)
            case Combine():
                v, e = np.broadcast_to(node.bias, x[0][0].shape), np.zeros_like(x[0][0])
                size = np.abs(v)
                for s, (xv, xe) in zip(node.scales, x, strict=True):
                    v, e, size = v + s * xv, e + np.abs(s) * xe, size + np.abs(s * xv)
                out = v, (e + (len(x) + 3) * EPS * size) * 1.01
            case Select():
                out = (
                    np.concatenate([v for v, _ in x], 1)[:, node.index],
                    np.concatenate([e for _, e in x], 1)[:, node.index],
                )
                out_off = np.concatenate([off[k] for k in node.inputs], 1)[:, node.index]
            case Maximum():
                v, e = (y[:, node.groups] for y in x[0])
                best = v.argmax(2)[:, :, None]
                top, doubt = (np.take_along_axis(y, best, 2) for y in (v, e))
                # Entries that are the same value of the node before tie for good, and their comparison's bit is 0.
                same = node.groups == np.take_along_axis(np.broadcast_to(node.groups, v.shape), best, 2)
                lying = off[node.inputs[0]][:, node.groups]
                out_off = np.take_along_axis(lying, best, 2)[:, :, 0]
                same |= lying & out_off[:, :, None]
                sure &= ((top - v > 1.01 * (e + doubt)) | same).all((1, 2)) & np.isfinite(v).all((1, 2))
                bits.append(canonical_bits(node, x[0][0]).reshape(len(points), -1))
                out = top[:, :, 0], e.max(2)
            case Knot():
                v, e = x[0]
                live = node.slopes[:, 1:] != node.slopes[:, :-1]
                gap = v[:, :, None] - node.breakpoints
                bound = e[:, :, None] + 2 * EPS * (np.abs(v)[:, :, None] + np.abs(node.breakpoints))
                sure &= ((np.abs(gap) > bound) | ~live).all((1, 2)) & np.isfinite(v).all(1)
                bits.append(((gap > 0) & live).reshape(len(points), gap.shape[1] * gap.shape[2]).astype(np.uint8))
                steep = np.abs(node.slopes).max(1)
                near = np.abs(node.breakpoints).max(1, initial=0.0)
                y = apply_knot(node, v)
                size = np.abs(y) + np.abs(node.value) + steep * (np.abs(v) + near)
                if node.breakpoints.shape[1]:
                    out_off = (gap < -bound)[:, :, 0] & (node.slopes[:, 0] == 0) & (node.value == 0)
                out = y, np.where(out_off, 0.0, (steep * e + (2 * node.slopes.shape[1] + 4) * EPS * size) * 1.01)
            case _:
                raise AssertionError(f"no forward pass through {type(node).__name__}")
        values.append(out)
        off.append(out_off)
    return np.concatenate(bits, 1), sure


def exact_bits(setting: Setting, point: Array) -> Array:
    """Activation bits (B,) of the region at a point of the domain, or beside it towards the centre."""
    frame, exact = setting.frame, setting.exact
    u = [Fraction(float(v)) for v in point]
    t = [(v - Fraction(c)) / Fraction(s) for v, c, s in zip(u, frame.centre, frame.scale, strict=True)]
    corners = frame.exact_corners
    inward = [sum((c[k] for c in corners), Fraction(0)) / len(corners) - t[k] for k in range(2)]
    if not any(inward):
        inward = [Fraction(1), Fraction(0)]
    rows = [(t[0], inward[0], -inward[1]), (t[1], inward[1], inward[0])]
    bits = bits_beside(exact, rows)
    out = np.zeros(setting.network.n_breakpoints, np.uint8)
    out[setting.breakpoints] = bits
    out[setting.active] = 1
    return out


def bits_beside(exact: ExactNetwork, rows: Sequence[Sequence[Fraction]]) -> list[int]:
    """Activation bits beside a point: rows (d, 1 + k) hold the point's frame coordinates and k infinitesimal steps."""
    w = lcm(*(v.denominator for row in rows for v in row))
    coordinates = [tuple(int(v * w) for v in row) for row in rows]
    nothing = (0,) * len(rows[0])
    one = (w, *nothing[1:])
    values: list[Value] = []
    bits: list[int] = []
    for i, node in enumerate(exact.network.nodes):
        x = [values[k] for k in node.inputs]
        if isinstance(node, Input):
            values.append(exact.latent(coordinates, one))
        elif isinstance(node, Knot):
            live = node.slopes[:, 1:] != node.slopes[:, :-1]
            pieces = []
            for unit, here in enumerate(exact.above(i, x[0], one)):
                above = [row > nothing and bool(live[unit, k]) for k, row in enumerate(here)]
                bits += map(int, above)
                pieces.append(max((k + 1 for k, up in enumerate(above) if up), default=0))
            values.append(exact.knot(i, x[0], pieces, one))
        else:
            values.append(exact.apply(i, x, one))
    return bits
