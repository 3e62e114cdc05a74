"""Arrays that Python owns and kernels see: a table of addresses, and `view` to look one up by name.

A kernel that took each of its eighty arrays as an argument would spend its time passing them on. It takes the address
of one table instead, and ``view(table, "bits")`` reads address and length there: two loads.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from splinegeo._types import Array

# name -> (type of an item, columns): one column is a 1-D array, more are the second dimension.
_F, _I, _U = types.float64, types.int64, types.uint64
PLAN = {
    "offsets": (_I, 1),  # (L + 2,) first row of each level; level L holds the outputs
    "constant": (_F, 1),  # (3 R,) P: the coefficients of x, those of y, those of 1
    "block_start": (_I, 1),  # (L + 2,) blocks of a level
    "block_source": (_I, 1),  # the level that a block reads
    "block_offset": (_I, 1),  # its place in `weights`
    "inputs": (_I, 1),  # (L + 1,) number of hinges that a level reads
    "weights": (_F, 1),  # blocks column by column: the weights of one source hinge lie together
    "slopes": (_F, 2),  # (H, 2) below and above the kink
    "rho": (_F, 1),  # (R,) absolute sum of a row
    "rho_max": (_F, 1),  # (L + 1,)
    "steep_max": (_F, 1),  # (L + 1,) largest |slope|
    "row_slack": (_F, 1),  # (R,) error of the stored weights relative to the largest input, or one
    "slack": (_F, 1),  # (L + 1,) largest of it in a level
    "shared": (
        _F,
        1,
    ),  # (2,) norm of errors that output rows share: of their probes, and of all else like `slack`
    "has_constant": (types.int8, 1),  # (L + 1,)
    "exact": (types.int8, 1),  # (L + 1,) floats compute every predicate of the level exactly
    "grid": (_F, 1),  # (L + 1,) half the smallest non-zero predicate there
    "loose": (_F, 1),  # (1,) a vertex known less well than this is rounded from its exact position
    "sure": (_F, 1),  # (1,) singular values so many times above the error of the maps need no fresh rows
    "twin": (_I, 1),  # (H,) the hinge to which this one is proportional, or itself
    "twin_start": (_I, 1),  # (H + 1,) CSR: the hinges proportional to a representative, itself first
    "twin_index": (_I, 1),
    "twin_sign": (types.int8, 1),
    "hash_bit": (_U, 1),  # (H,) xor-ed over the active hinges
    "hash_side": (_U, 2),  # (H, 2) of the bits active on the negative / positive side of a representative
    "hash_zero": (_U, 1),  # (H,) xor-ed over the hinges that vanish
    # The polygon to start from: homogeneous corners and their errors, lines of the edges behind them and their errors;
    # as in poly_i and poly_u, the lines that define each corner, the edges' labels, the hashes of what vanishes there.
    "corners": (_F, 8),
    "corner_labels": (_I, 4),
    "corner_hashes": (_U, 2),
    "base_hash": (_U, 1),  # (2,) of the hinges that are folded away: those identically zero, those active
    "column_scale": (_F, 1),  # (2,) from engine rows in the frame to A in slice coordinates
}
STATE = {
    "scalars": (_I, 1),
    "rows": (
        _F,
        1,
    ),  # (4 R,) of each row in the current region: coefficients of x, y, 1; bound on the error it inherits
    "history": (_I, 4),  # (L + 1, 4) see N_TERMS in state.py
    "history_f": (_F, 8),  # (L + 1, 8) three coefficients and an error for each rank-one change
    "bits": (types.int8, 1),  # activation of each hinge, padded
    "bits_words": (_U, 1),  # the same memory, eight hinges a word
    "map_bits": (types.int8, 1),  # the activations that the rows of the level above reflect
    "stamp": (_I, 1),  # (L + 2,) version of the level below when a level's rows were last made
    "version": (_I, 1),
    "level_f": (_F, 8),  # (L + 1, 8) see BIGGEST in state.py
    "flips": (_I, 1),  # (L + 1,) since the rebuild
    "frame_list": (_I, 1),  # hinges that cross the parent region, by level
    "frame_n": (_I, 1),
    "hashes": (_U, 2),  # (L + 2, 2) of the identically zero hinges up to a level, of the activations up to it
    "poly_f": (_F, 8),  # polygons: X, Y, W, error of a vertex; a, b, c, error of the edge behind it
    "poly_i": (_I, 4),  # lines p and q that define the vertex, its exact id, label of the edge
    "poly_u": (_U, 2),  # hash of the hinges that vanish on the edge, and of those active here
    "signs": (types.int8, 1),  # (2 m,)
    "nodes": (_I, 8),  # start, vertices, level, first candidate, candidates, hinge, side, depth
    "candidates": (_I, 1),
    "scratch": (_F, 1),  # least and largest scaled value of each row; the columns of A
    "products": (_F, 1),  # of the sources of a rebuild; refresh() may run while `scratch` and `listed` are in use
    "place": (_I, 1),  # of their weights
    "flag": (types.int8, 1),
    "listed": (_I, 1),
    "near": (_F, 4),  # (m, 4) vertices of the current polygon in units of the error
    "table": (types.int8, 1),  # (m * wide,) exact signs of a level at each vertex of the current polygon
    "has_table": (types.int8, 1),
    "answer_signs": (types.int8, 1),  # written by the judge
    "answer_point": (_F, 1),
    "control": (_I, 1),  # [0] non-zero: stop
}
OUTPUT = {
    "out_corners": (types.int32, 1),  # (n,)
    "out_bits": (types.uint8, 1),  # (n * bytes,)
    "out_sigma": (_F, 2),
    "out_noise": (_F, 1),  # bound on the error of an entry of the maps
    "out_maps": (_F, 1),  # (n * rows * 3,), or empty where maps are not kept
    "out_xy": (_F, 2),
    "out_spread": (types.float32, 1),
    "out_label": (_I, 1),  # of the edge behind a corner, see poly_i; empty where nobody asks
    "out_key": (_U, 1),  # the same on both sides of an edge; 0 on the boundary
}
Fields: TypeAlias = dict[str, tuple[Any, int]]
FIELDS: Fields = {**PLAN, **STATE, **OUTPUT}


def viewer(fields: Fields) -> Any:
    """``view(table, "name")`` for tables of these fields: the array of that name in the table at this address."""
    slots = {name: 2 * k for k, name in enumerate(fields)}

    @intrinsic(prefer_literal=True)
    def view(typing_context: Any, table: Any, name: Any) -> Any:
        item, columns = fields[name.literal_value]
        slot = slots[name.literal_value]
        array = types.Array(item, 1 if columns == 1 else 2, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            i64 = ir.IntType(64)
            base = builder.inttoptr(args[0], i64.as_pointer())
            address = builder.load(builder.gep(base, [ir.Constant(i64, slot)]))
            length = builder.load(builder.gep(base, [ir.Constant(i64, slot + 1)]))
            result = context.make_array(array)(context, builder)
            size = context.get_abi_sizeof(context.get_data_type(item))
            shape = [length] if columns == 1 else [length, ir.Constant(i64, columns)]
            strides = (
                [ir.Constant(i64, size)] if columns == 1 else [ir.Constant(i64, size * columns), ir.Constant(i64, size)]
            )
            context.populate_array(
                result,
                data=builder.inttoptr(address, context.get_data_type(item).as_pointer()),
                shape=cgutils.pack_array(builder, shape),
                strides=cgutils.pack_array(builder, strides),
                itemsize=ir.Constant(i64, size),
                meminfo=None,
            )
            return result._getvalue()

        return array(table, name), codegen

    return view


view = viewer(FIELDS)


@intrinsic
def part(typing_context: Any, array: Any, start: Any, stop: Any) -> Any:
    """``part(array, start, stop)``: the rows start, ..., stop - 1 of an array of the table, 0 <= start <= stop.

    What ``array[start:stop]`` is, without the handling of negative and missing ends, which takes longer to compile than
    the loop that follows.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        source = context.make_array(array)(context, builder, args[0])
        strides = cgutils.unpack_tuple(builder, source.strides)
        shape = cgutils.unpack_tuple(builder, source.shape)
        address = builder.add(builder.ptrtoint(source.data, i64), builder.mul(args[1], strides[0]))
        result = context.make_array(array)(context, builder)
        context.populate_array(
            result,
            data=builder.inttoptr(address, source.data.type),
            shape=cgutils.pack_array(builder, [builder.sub(args[2], args[1]), *shape[1:]]),
            strides=source.strides,
            itemsize=source.itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return array(array, types.int64, types.int64), codegen


class Table:
    """Named arrays and the table of their addresses. Assigning an array updates the table."""

    def __init__(self, arrays: dict[str, Array], fields: Fields = FIELDS) -> None:
        self._fields = fields
        self._slots = {name: 2 * k for k, name in enumerate(fields)}
        self._entries = np.zeros(2 * len(fields), np.int64)
        self.arrays: dict[str, Array] = {}
        for name, array in arrays.items():
            self[name] = array

    @property
    def address(self) -> int:
        """What kernels take."""
        return self._entries.ctypes.data

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __setitem__(self, name: str, array: Array) -> None:
        item, columns = self._fields[name]
        if (
            array.dtype != np.dtype(str(item))
            or array.ndim != (1 if columns == 1 else 2)
            or not array.flags.c_contiguous
        ):
            raise AssertionError(f"{name}: {array.dtype} {array.shape} is not what kernels expect")
        if columns > 1 and array.shape[1] != columns:
            raise AssertionError(f"{name}: {array.shape[1]} columns, not {columns}")
        self.arrays[name] = array
        self._entries[self._slots[name]] = array.ctypes.data
        self._entries[self._slots[name] + 1] = len(array)
