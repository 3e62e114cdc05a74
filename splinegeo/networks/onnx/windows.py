"""Sliding windows: where a convolution or a pooling looks, from the attributes of every version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from splinegeo._errors import FileFormatError, ShapeMismatch
from splinegeo._types import Array
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call
from splinegeo.networks.ops import Live


@dataclass(frozen=True)
class Windows:
    """Windows over the spatial dimensions; one entry a dimension everywhere."""

    sizes: tuple[int, ...]  # of the value
    kernel: tuple[int, ...]
    stride: list[int]
    dilation: list[int]
    begin: list[int]  # padding before
    end: list[int]  # padding behind
    counts: list[int]  # windows; the last one may stick out behind the padding in ceil mode

    def places(self, axis: int) -> Array:
        """(count, kernel) positions along one dimension; outside [0, size) lies padding."""
        starts = np.arange(self.counts[axis]) * self.stride[axis] - self.begin[axis]
        return starts[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]


def windows(call: Call, kernel: tuple[int, ...] | None = None) -> Windows:
    """The windows of the node at hand; ``kernel`` is its weight's, which the attribute may repeat.

    Raises:
        FileFormatError: attributes that contradict each other.
        ShapeMismatch: no window fits into the value.
    """
    sizes = call.live().shape[2:]
    d = len(sizes)
    given = call.integers("kernel_shape", kernel)
    if d < 1 or given is None or len(given) != d or (kernel and tuple(given) != kernel):
        raise ShapeMismatch(
            f"{call.b.site.describe()} with windows {given} to a value of shape {call.live().shape}, which do not go "
            f"together. Check input_shape."
        )
    if any(not 1 <= n <= MAX_ENTRIES for n in given):
        call.refuse(f" with windows {given[:8]}; the file is damaged.", FileFormatError)
    stride, dilation = (positive(call, name, [1] * d) for name in ("strides", "dilations"))
    auto = call.text("auto_pad", "NOTSET")
    pads = call.integers("pads") if auto == "NOTSET" else None
    if pads is not None and (len(pads) != 2 * d or any(not 0 <= n <= MAX_ENTRIES for n in pads)):
        call.refuse(f" with pads {pads[:8]} in {d} dimensions; the file is damaged.", FileFormatError)
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        call.refuse(f" with auto_pad '{auto[:20]}'; the file is damaged.", FileFormatError)
    begin, end, counts = geometry(sizes, given, stride, dilation, auto, pads, bool(call.integer("ceil_mode")))
    if min(counts) < 1:
        raise ShapeMismatch(
            f"{call.b.site.describe()} with windows {given} to a value of shape {call.live().shape}; none fits. "
            f"Check input_shape."
        )
    return Windows(sizes, tuple(given), stride, dilation, begin, end, counts)


def geometry(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    auto_pad: str,
    pads: Sequence[int] | None,
    ceil_mode: bool,
) -> tuple[list[int], list[int], list[int]]:
    """Padding before and behind, and the number of windows, along each dimension."""
    begin, end, counts = [], [], []
    for axis, (n, k, s, r) in enumerate(zip(sizes, kernel, stride, dilation, strict=True)):
        reach = (k - 1) * r + 1
        before = pads[axis] if pads and auto_pad == "NOTSET" else 0
        behind = pads[axis + len(sizes)] if pads and auto_pad == "NOTSET" else 0
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            count = -(-n // s)
            spare = max(0, (count - 1) * s + reach - n)
            before = spare // 2 if auto_pad == "SAME_UPPER" else spare - spare // 2
            behind = spare - before
        elif ceil_mode:
            count = -(-(n + before + behind - reach) // s) + 1
            if (count - 1) * s >= n + before:  # a window must start before its value ends
                count -= 1
        else:
            count = (n + before + behind - reach) // s + 1
        begin.append(before)
        end.append(behind)
        counts.append(count)
    return begin, end, counts


def padded(call: Call, x: Live, grid: Windows) -> tuple[Any, list[int]]:
    """The value with the uneven part of its padding, and the padding that is left to do on both sides."""
    if grid.begin == grid.end:
        return x, grid.begin
    sides = [n for pair in zip(grid.begin[::-1], grid.end[::-1], strict=True) for n in pair]
    call.sized((*x.shape[:2], *(n + a + c for n, a, c in zip(grid.sizes, grid.begin, grid.end, strict=True))))
    return call.apply("constant_pad_nd", torch.constant_pad_nd, x, sides, 0.0), [0] * len(grid.begin)


def positive(call: Call, name: str, default: list[int]) -> list[int]:
    """An attribute of positive integers, one a dimension."""
    values = call.integers(name, default) or default
    if len(values) != len(default) or any(not 1 <= n <= MAX_ENTRIES for n in values):
        call.refuse(f" with {name} {values[:8]}; the file is damaged.", FileFormatError)
    return values
