"""Operators that pick or replace entries at constant positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError
from splinegeo._types import Array
from splinegeo.networks.onnx.call import Call, operator


@operator("Gather", "GatherElements", "GatherND")
def gather(call: Call) -> Any:
    """Entries at constant positions, which may count from behind."""
    x = call.live()
    index = call.constant(1)
    if index is None or index.native.dtype.kind not in "iu":
        call.refuse(" at positions that are no integers; the file is damaged.", FileFormatError)
    at_index = index.native.astype(np.int64)
    if call.op == "GatherND":
        call.sized((*index.shape[:-1], *x.shape[index.shape[-1] + call.integer("batch_dims") :]))
        return call.moved(lambda at: _gather_nd(at, at_index, call.integer("batch_dims")), x)
    axis = call.axis(call.integer("axis"), len(x.shape))
    if ((at_index < -x.shape[axis]) | (at_index >= x.shape[axis])).any():
        call.refuse(f" at positions outside the {x.shape[axis]} entries of axis {axis}.", FileFormatError)
    at_index = at_index % x.shape[axis]
    if call.op == "Gather":
        call.sized((*x.shape[:axis], *at_index.shape, *x.shape[axis + 1 :]))
        return call.moved(lambda at: np.take(at, at_index, axis), x)
    return call.moved(lambda at: np.take_along_axis(at, at_index, axis), x)


def _gather_nd(at: Array, index: Array, batch: int) -> Array:
    if batch == 0:
        return at[tuple(np.moveaxis(index, -1, 0))]
    return np.stack([_gather_nd(a, i, batch - 1) for a, i in zip(at, index, strict=True)])


@operator("ScatterElements", "Scatter", "ScatterND")
def scatter(call: Call) -> Any:
    """Entries replaced at constant positions: what assignment to a part of a tensor becomes."""
    index = call.constant(1)
    if call.text("reduction", "none") != "none" or index is None or index.native.dtype.kind not in "iu":
        call.refuse(" with a reduction or odd positions; splinegeo reads plain assignment.", FileFormatError)
    places = index.native.astype(np.int64)

    def put(at: Array, updates: Array) -> Array:
        result = at.copy()
        if call.op == "ScatterND":
            result[tuple(np.moveaxis(places, -1, 0))] = updates
        else:
            np.put_along_axis(result, places, updates, call.axis(call.integer("axis"), at.ndim))
        return result

    return call.moved(put, call.operand(0), call.operand(2))
