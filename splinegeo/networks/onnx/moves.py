"""Operators that only rearrange: NumPy itself rearranges the positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo.networks.builder import MAX_ENTRIES
from splinegeo.networks.onnx.call import Call, operator
from splinegeo.networks.onnx.values import Constant
from splinegeo.networks.ops import Live

MODES: tuple[Any, ...] = ("constant", "reflect", "edge", "wrap")


@operator("Shape", "Size")
def shape(call: Call) -> Any:
    """The sizes of a value: constants."""
    sizes = np.array(call.shape(), np.int64)
    if call.op == "Size":
        return Constant.of(np.array(sizes.prod()))
    return Constant.of(sizes[slice(call.integer("start"), call.integer("end", len(sizes)))])


@operator("Reshape")
def reshape(call: Call) -> Any:
    """Another shape; 0 copies a size unless ``allowzero``, -1 is what is left."""
    x = call.live()
    wanted = (call.numbers(1) if call.version >= 5 else call.integers("shape")) or []
    if not call.integer("allowzero"):
        wanted = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(wanted)]
    known = int(np.prod([n for n in wanted if n != -1], dtype=object)) if wanted else 1
    if wanted.count(-1) == 1 and known > 0 and x.size % known == 0:
        wanted = [x.size // known if n == -1 else n for n in wanted]
        known = x.size
    if known != x.size or any(n < 1 for n in wanted):
        raise ShapeMismatch(
            f"{call.b.site.describe()} to turn a value of shape {x.shape} into {tuple(wanted[:8])}, which does not "
            f"fit. Check input_shape; the export may have fixed another batch size than 1."
        )
    return Live(x.node, tuple(wanted))


@operator("Flatten")
def flatten(call: Call) -> Any:
    """A matrix: the dimensions before ``axis``, and those from there on."""
    x = call.live()
    axis = call.integer("axis", 1)
    axis = len(x.shape) if axis == len(x.shape) else call.axis(axis, len(x.shape))
    return Live(x.node, (int(np.prod(x.shape[:axis], dtype=int)), int(np.prod(x.shape[axis:], dtype=int))))


@operator("Squeeze", "Unsqueeze")
def squeeze(call: Call) -> Any:
    """Sizes of 1 taken away or put in; the axes are an attribute before version 13."""
    x = call.live()
    axes = call.numbers(1) if call.version >= 13 else call.integers("axes")
    if call.op == "Squeeze":
        ones = [i for i, n in enumerate(x.shape) if n == 1]
        found = ones if axes is None else [call.axis(a, len(x.shape)) for a in axes]
        if not set(found) <= set(ones):
            raise ShapeMismatch(
                f"{call.b.site.describe()} to axes {found} of a value of shape {x.shape}; not all are 1."
            )
        return Live(x.node, tuple(n for i, n in enumerate(x.shape) if i not in found))
    if not axes:
        call.refuse(" without axes; the file is damaged.", FileFormatError)
    rank = len(x.shape) + len(axes)
    places = {call.axis(a, rank) for a in axes}
    if len(places) != len(axes) or rank > 32:
        call.refuse(f" at axes {axes[:8]}; the file is damaged.", FileFormatError)
    sizes = iter(x.shape)
    return Live(x.node, tuple(1 if i in places else next(sizes) for i in range(rank)))


@operator("Transpose")
def transpose(call: Call) -> Any:
    """Dimensions in another order, the reverse one by default."""
    perm = call.integers("perm")
    return call.moved(lambda at: at.transpose(perm), call.live())


@operator("Concat")
def concat(call: Call) -> Any:
    """Values one behind the other."""
    values = call.operands()
    axis = call.axis(call.integer("axis", 1), len(values[0].shape))
    sizes = list(values[0].shape)
    sizes[axis] = sum(v.shape[axis] if len(v.shape) > axis else 0 for v in values)
    call.sized(sizes)
    return call.moved(lambda *at: np.concatenate(at, axis), *values)


@operator("Slice")
def cut(call: Call) -> Any:
    """A range along each axis; attributes before version 10."""
    x = call.live()
    if call.version < 10:
        starts, ends = call.integers("starts") or [], call.integers("ends") or []
        axes, steps = call.integers("axes"), None
    else:
        starts, ends = call.numbers(1) or [], call.numbers(2) or []
        axes, steps = call.numbers(3), call.numbers(4)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    parts = [slice(None)] * len(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = call.axis(axis, len(x.shape))
        size = x.shape[axis]
        # Python reads a negative end as counted from behind once more; ONNX clamps at the first entry.
        start, end = (n + size if n < 0 else n for n in (start, end))
        if step > 0:
            parts[axis] = slice(max(start, 0), max(end, 0), step)
        else:
            parts[axis] = slice(min(max(start, 0), size - 1), None if end < 0 else end, step)
    return call.moved(lambda at: at[tuple(parts)], x)


@operator("Split")
def split(call: Call) -> Any:
    """Parts along an axis: of given sizes, or as even as they get."""
    x = call.live()
    axis = call.axis(call.integer("axis"), len(x.shape))
    size, count = x.shape[axis], len(call.outputs)
    sizes = call.numbers(1) if call.version >= 13 or call.value(1) is not None else call.integers("split")
    if sizes is None:
        count = call.integer("num_outputs", count)
        each = -(-size // max(count, 1))
        sizes = [each] * (count - 1) + [size - each * (count - 1)]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(call.outputs):
        call.refuse(f" into parts of sizes {sizes[:8]} of {size}; they do not add up.", FileFormatError)
    ends = np.cumsum(sizes)[:-1]
    return call.moved(lambda at: list(np.split(at, ends, axis)), x)


@operator("Expand")
def expand(call: Call) -> Any:
    """Broadcast together with a shape."""
    x, wanted = call.live(), tuple(call.numbers(1) or ())
    if any(n < 1 for n in wanted):
        call.refuse(f" to the shape {wanted[:8]}, which is no shape.", FileFormatError)
    sizes = call.broadcast(x.shape, wanted)
    return call.moved(lambda at: np.broadcast_to(at, sizes), x)


@operator("Tile")
def tile(call: Call) -> Any:
    """Repetitions along each axis; version 1 names one axis."""
    x = call.live()
    repeats = call.numbers(1) or []
    if call.version < 6:
        axis = call.axis((call.numbers(2) or [0])[0], len(x.shape))
        repeats = [repeats[0] if i == axis else 1 for i in range(len(x.shape))]
    if len(repeats) != len(x.shape):
        call.refuse(f" {repeats[:8]} times to a value of shape {x.shape}; the file is damaged.", FileFormatError)
    call.sized([n * r for n, r in zip(x.shape, repeats, strict=True)])
    return call.moved(lambda at: np.tile(at, repeats), x)


@operator("DepthToSpace", "SpaceToDepth")
def depth_space(call: Call) -> Any:
    """Blocks of channels against blocks of positions."""
    x, block = call.live(), call.integer("blocksize")
    crd = call.op == "DepthToSpace" and call.text("mode", "DCR") == "CRD"
    n, c, h, w = x.shape if len(x.shape) == 4 else (0, 0, 0, 0)
    deep = call.op == "DepthToSpace"
    if not 1 <= block <= MAX_ENTRIES or n == 0 or (c % block**2 if deep else h % block or w % block):
        call.refuse(f" with blocks of {block} to a value of shape {x.shape}, which does not divide.", InvalidArgument)

    def rearranged(at: Array) -> Array:
        if not deep:
            parts = at.reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
            return parts.reshape(n, c * block**2, h // block, w // block)
        less = c // block**2
        if crd:
            parts = at.reshape(n, less, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
        else:
            parts = at.reshape(n, block, block, less, h, w).transpose(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, less, h * block, w * block)

    return call.moved(rearranged, x)


@operator("Pad")
def pad(call: Call) -> Any:
    """A border of a constant or of the value's own entries; negative pads crop."""
    x, rank = call.live(), len(call.shape())
    mode: Any = call.text("mode", "constant")
    axes, fill = None, call.real("value") if call.version < 11 else 0.0
    if call.version < 11:
        pads = call.integers("paddings" if call.version < 2 else "pads") or []
    else:
        pads, given, axes = call.numbers(1) or [], call.constant(2), call.numbers(3)
        fill = float(given.exact.reshape(())) if given is not None and given.size == 1 else 0.0
    axes = list(range(rank)) if axes is None else [call.axis(a, rank) for a in axes]
    if len(pads) != 2 * len(axes) or len(set(axes)) != len(axes) or mode not in MODES:
        call.refuse(
            f" in mode '{mode[:20]}' with {len(pads)} pads in {rank} dimensions; the file is damaged.", FileFormatError
        )
    sides = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        sides[axis] = (pads[i], pads[i + len(axes)])
    call.sized([n + a + c for n, (a, c) in zip(x.shape, sides, strict=True)])
    call.sized([n + max(a, 0) + max(c, 0) for n, (a, c) in zip(x.shape, sides, strict=True)])
    grown = [(max(a, 0), max(c, 0)) for a, c in sides]
    crop = tuple(slice(max(-a, 0), -max(-c, 0) or None) for a, c in sides)
    if mode != "constant":
        return call.moved(lambda at: np.pad(at[crop], grown, mode), x)
    value = torch.tensor([fill], dtype=torch.float64)
    return call.moved(lambda at, of: np.pad(at[crop], grown, constant_values=of[0]), x, value)
