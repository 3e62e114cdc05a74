"""Resize and Upsample: nearest, linear and cubic interpolation, one axis after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, eye_array, kron

from splinegeo._errors import FileFormatError, InvalidArgument, UnsupportedOperation
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call, operator
from splinegeo.networks.onnx.values import Constant
from splinegeo.networks.ops import Live

HALF = Fraction(1, 2)
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Rule:
    """How positions of the result map to positions of the value, and what is taken there."""

    mode: str
    coordinates: str
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False


@operator("Upsample")
def upsample(call: Call) -> Any:
    """The older form: position / scale, rounded down where it is not interpolated."""
    x = call.live()
    if call.version < 7:
        given = [1.0, 1.0, call.real("height_scale", 1.0), call.real("width_scale", 1.0)]
    elif call.version < 9:
        given = call.reals("scales") or []
    else:
        given = _reals(call, 1) or []
    scales = _scales(call, given, len(x.shape))
    mode = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}.get(call.text("mode", "nearest"))
    if mode is None:
        call.refuse(" in an unknown mode; the file is damaged.", FileFormatError)
    sizes = [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)]
    return _resized(call, x, sizes, scales, Rule(mode, "asymmetric", "floor"))


@operator("Resize")
def resize(call: Call) -> Any:
    """To a size or by scales, in the coordinates and with the rounding that the attributes name."""
    x, rank = call.live(), len(call.shape())
    mode = call.text("mode", "nearest")
    if call.version < 11:
        scales = _scales(call, _reals(call, 1) or [], rank)
        sizes = [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)]
        return _resized(call, x, sizes, scales, Rule(mode, "asymmetric", "floor"))
    rule = Rule(
        mode,
        call.text("coordinate_transformation_mode", "half_pixel"),
        call.text("nearest_mode", "round_prefer_floor"),
        call.real("cubic_coeff_a", -0.75),
        bool(call.integer("exclude_outside")),
    )
    if mode not in ("nearest", "linear", "cubic") or rule.nearest not in NEAREST:
        call.refuse(f" in mode '{mode[:20]}' ('{rule.nearest[:20]}'); the file is damaged.", FileFormatError)
    if rule.coordinates not in COORDINATES or call.integer("antialias"):
        what = "antialias" if call.integer("antialias") else rule.coordinates[:40]
        call.refuse(f" with {what}, which splinegeo does not read; resize without it.", UnsupportedOperation)
    axes = [call.axis(a, rank) for a in call.integers("axes") or range(rank)]
    given, wanted = _reals(call, 2), call.numbers(3)
    sizes, scales = list(x.shape), [Fraction(1)] * rank
    if given:
        for axis, scale in zip(axes, _scales(call, given, len(axes)), strict=True):
            sizes[axis], scales[axis] = math.floor(x.shape[axis] * scale), scale
    elif wanted and len(wanted) == len(axes):
        for axis, size, scale in zip(axes, *_by_sizes(call, x, axes, wanted), strict=True):
            sizes[axis], scales[axis] = size, scale
    else:
        call.refuse(f" without scales or sizes for {len(axes)} axes; the file is damaged.", FileFormatError)
    return _resized(call, x, sizes, scales, rule)


def _by_sizes(call: Call, x: Live, axes: list[int], wanted: list[int]) -> tuple[list[int], list[Fraction]]:
    scales = [Fraction(n, x.shape[a]) for n, a in zip(wanted, axes, strict=True)]
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return wanted, scales
    if policy not in ("not_larger", "not_smaller"):
        call.refuse(f" with the policy '{policy[:20]}'; the file is damaged.", FileFormatError)
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [math.floor(scale * x.shape[a] + HALF) for a in axes], [scale] * len(axes)


def _reals(call: Call, i: int) -> list[float] | None:
    value = call.constant(i)
    if not isinstance(value, Constant) or value.size == 0:
        return None
    return [float(v) for v in value.exact.ravel()[:64]]


def _scales(call: Call, given: list[float], rank: int) -> list[Fraction]:
    if len(given) != rank or not all(math.isfinite(s) and 0 < s <= MAX_ENTRIES for s in given):
        call.refuse(f" with scales {given[:8]} for {rank} axes; the file is damaged.", FileFormatError)
    return [Fraction(s) for s in given]


def _resized(call: Call, x: Live, sizes: list[int], scales: list[Fraction], rule: Rule) -> Live:
    call.sized(sizes)
    for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        n = x.shape[axis]
        if scale == 1 and size == n:
            continue
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        points = [_source(Fraction(i), scale, n, size, rule.coordinates) for i in range(size)]
        if rule.mode == "nearest":
            index = np.array([_nearest(p, n, rule.nearest) for p in points])
            x = call.moved(lambda at, a=axis, k=index: np.take(at, k, a), x)
            continue
        taps = _taps(points, n, rule)
        before, behind = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        if taps.nnz * before * behind > MAX_ENTRIES:
            call.refuse(
                f" with a matrix of {taps.nnz * before * behind:,} entries; that is too large.", InvalidArgument
            )
        matrix = kron(kron(eye_array(before), taps), eye_array(behind), format="csr")
        x = Live(call.b.sparse(x.node, csr_array(matrix)), shape)
    return x


def _source(i: Fraction, scale: Fraction, n: int, size: int, coordinates: str) -> Fraction:
    """Where in the value's axis of n entries the i-th of the result's lies, exactly."""
    length = scale * n  # of the result, before it is rounded down
    if coordinates == "align_corners":
        return Fraction(0) if length == 1 else i * (n - 1) / (length - 1)
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "pytorch_half_pixel" and length == 1:
        return -HALF
    at = (i + HALF) / scale - HALF
    return at + Fraction(n, 2) * (1 - size / length) if coordinates == "half_pixel_symmetric" else at


def _nearest(at: Fraction, n: int, how: str) -> int:
    below = math.floor(at)
    gap = at - below
    up = gap > 0 if how == "ceil" else gap >= HALF if how == "round_prefer_ceil" else gap > HALF
    return min(max(below + (up and how != "floor"), 0), n - 1)


def _taps(points: list[Fraction], n: int, rule: Rule) -> csr_array:
    """(result, n) interpolation weights along one axis; entries beyond the ends are those at the ends."""
    rows, columns, weights = [], [], []
    for row, point in enumerate(points):
        below = math.floor(point)
        t = float(point - below)
        near = [0, 1] if rule.mode == "linear" else [-1, 0, 1, 2]
        shares = [1 - t, t] if rule.mode == "linear" else [_cubic(abs(t - k), rule.cubic) for k in near]
        if rule.exclude_outside:
            shares = [s if 0 <= below + k < n else 0.0 for s, k in zip(shares, near, strict=True)]
            shares = [s / sum(shares) for s in shares]
        rows += [row] * len(near)
        columns += [min(max(below + k, 0), n - 1) for k in near]
        weights += shares
    # Entries at the ends may come twice: building the matrix adds them.
    matrix = csr_array(coo_array((weights, (rows, columns)), shape=(len(points), n)))
    matrix.eliminate_zeros()
    return matrix


def _cubic(x: float, a: float) -> float:
    """The weight of an entry at distance x (Keys 1981)."""
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0
