"""The arrays of the walk in d dimensions, see `splinegeo.partition.memory`.

Rows are kept column by column, so that sums over all hinges of a level run in vector registers: entry c of row i is
``rows[c * R + i]``. Tight sets are bit sets of W words; a cell has 64 W slots, each with the hinge or the facet of the
domain whose hyperplane it stands for.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from splinegeo.partition.memory import Fields, viewer

__all__ = ["FIELDS", "length", "popcount", "trailing_zeros", "view"]

_F, _I, _U, _B = types.float64, types.int64, types.uint64, types.int8
PLAN: Fields = {
    "offsets": (_I, 1),  # (L + 2,) first row of each level; level L holds the outputs and has no rows here
    "constant": (_F, 1),  # ((d + 1) R,) P, column by column
    "block_start": (_I, 1),  # (L + 1,) blocks of a level
    "block_source": (_I, 1),  # the level that a block reads
    "block_offset": (_I, 1),  # its place in `weights`
    "block_seen": (_I, 1),  # its place in `seen`
    "weights": (_F, 1),  # blocks column by column: the weights of one source hinge lie together
    "inputs": (_I, 1),  # (L,) number of hinges that a level reads
    "slopes": (_F, 2),  # (H, 2) below and above the kink
    "steep": (_F, 1),  # (H,) the larger one's size
    "slack": (_F, 1),  # (H,) error of the stored weights relative to the largest input, or one
    "twin": (_I, 1),  # (H,) the hinge of the level to which this one is proportional, or itself: its representative
    "twin_start": (_I, 1),  # (H + 1,) CSR: the hinges proportional to a representative, itself first
    "twin_index": (_I, 1),
    "twin_sign": (_B, 1),
    "hash_side": (_U, 2),  # (H, 2) of the bits active on the negative / positive side of a representative
    "hash_zero": (_U, 1),  # (H,) xor-ed over the representatives that vanish
    "hash_domain": (_U, 1),  # (F,) the same for facets of the domain
    "facet_rows": (_F, 1),  # (F (d + 2),) of the domain: coefficients, and a bound on their error
    # The cell to start from.
    "start_x": (_F, 1),  # (n d,)
    "start_error": (_F, 1),  # (n,)
    "start_tight": (_U, 1),  # (n W,)
    "start_slots": (_I, 1),  # (64 W,)
}
STATE: Fields = {
    "scalars": (_I, 1),  # see `state`
    "rows": (_F, 1),  # ((d + 1) H,)
    "row_error": (_F, 1),  # (H,) bound on the error of an entry
    "drift": (_F, 1),  # (H,) the same without the errors of the weights
    "row_size": (_F, 1),  # (H,) largest entry
    "tilt": (_F, 1),  # (H,) how much a value moves with the vertex
    "noise": (_F, 1),  # (H,) bound on the error of a value at an exact vertex
    "bits": (_B, 1),  # activation of each hinge, padded to words
    "bits_words": (_U, 1),
    "flat": (_B, 1),  # (H,) identically zero here
    "seen": (_B, 1),  # the activations that the rows reflect, block by block
    "stamp": (_I, 1),  # (L,) versions of what a level reads, summed, when its rows were last made; -1 for never
    "version": (_I, 1),
    "updates": (_I, 1),  # (L,) rank-one changes since the rows were made afresh
    "biggest": (_F, 1),  # (L,) largest coefficient that a level hands on
    "crossing": (_I, 1),  # (H,) by level the hinges that cross the cell on which it was opened
    "n_crossing": (_I, 1),  # (L,)
    "hashes": (_U, 1),  # (L + 1,) of the pattern up to a level
    # Cells: the current one and its successor (ROOM each, in turns), then the stack.
    "x": (_F, 1),
    "error": (_F, 1),
    "tight": (_U, 1),
    "id": (_I, 1),  # exact id of a vertex, -1 while nobody asked
    "slots": (_I, 1),
    "nodes": (_I, 8),  # start, vertices, level, position, hinge, side, depth
    # Bounds, see `prune`: a later level's affine parts, chords of hinges, radii around these.
    "relaxed": (_F, 1),
    "chord": (_F, 1),
    "chord_radius": (_F, 1),
    # What a row and those tight at a vertex are sums of, see `ties`.
    "atoms": (_F, 1),  # (17 H,)
    "pivots": (_I, 1),  # (16,) an atom of each of the latter that those behind it do not have
    # Scratch.
    "value": (_F, 1),
    "values": (_F, 1),
    "doubt": (_F, 1),
    "sign": (_B, 1),
    "up": (_B, 1),
    "down": (_B, 1),
    "zeros": (_B, 1),  # (ROOM wide,) hinges of the level being opened that vanish at a vertex
    "has_zero": (_B, 1),
    "above": (_I, 1),
    "below": (_I, 1),
    "n_tight": (_I, 1),  # (ROOM,)
    "edge_table": (_I, 1),  # a power of two of places, twice what `_matched_edges` fills: vertex + 1, or 0
    "edge_key": (_U, 1),  # its keys; also those of the corners of a region
    "met": (_U, 1),  # (ROOM,) what the table of vertices has at the key of each corner
    "pairs": (_I, 1),  # (2 ROOM + 2,) the edges that are cut: a vertex above and one below, by turns
    "slot_hash": (_U, 1),  # (64 W,) of a slot that is tight
    "matrix": (_F, 1),  # (64 W (d + 1),) rows that are tight at a vertex
    "matrix_error": (_F, 1),
    "work": (_F, 1),
    "inverse": (_F, 1),  # rows of a multiple of four entries
    "swapped": (_I, 1),  # (d,) the row that took the place of each in the elimination
    "step": (_F, 1),
    "meets": (_U, 1),  # (64 W W,) what is tight wherever a slot is
    "counts": (_I, 1),  # (64 W,) vertices on each slot; then the facet that it is, from 1 on, 0 for none
    "asked": (_I, 1),  # labels of what is tight at the vertex that the judge is to find
    "answer_signs": (_B, 1),
    "answer_point": (_F, 1),
    "control": (_I, 1),  # [0] non-zero: stop
}
OUTPUT: Fields = {
    "out_bits": (types.uint8, 1),
    "out_counts": (types.int32, 2),  # (N, 2) corners, facets
    "out_corner": (types.int32, 1),  # (C,) vertex
    "out_tight": (_U, 1),  # (C W,) the facets on which a corner lies, as its region numbers them
    "out_side": (types.int32, 1),  # (F,) facet of the domain, or -1
    "out_key": (_U, 1),  # (F,) the same on both sides
    "vertex_x": (_F, 1),
    "vertex_error": (_F, 1),  # only its length is used: the room for vertices
    "vertex_key": (_U, 1),
    "hash_table": (_U, 1),  # a power of two of places: vertex + 1, or 0, and the vertex's key
}
FIELDS: Fields = {**PLAN, **STATE, **OUTPUT}
_rows = viewer(FIELDS)
_SLOTS = {name: 2 * k for k, name in enumerate(FIELDS)}


def _load(builder: Any, table: Any, slot: int) -> Any:
    i64 = ir.IntType(64)
    return builder.load(builder.gep(builder.inttoptr(table, i64.as_pointer()), [ir.Constant(i64, slot)]))


@intrinsic(prefer_literal=True)
def view(typing_context: Any, table: Any, name: Any) -> Any:
    """``view(table, "name")``: a bare pointer to what is kept under this name; an array where it has columns.

    An index into a pointer is taken as it is, where an array would first ask whether it is negative: an inner loop of
    a few turns spends half its time on that.
    """
    item, columns = FIELDS[name.literal_value]
    if columns > 1:
        return _rows._defn(typing_context, table, name)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _load(builder, args[0], _SLOTS[name.literal_value])
        return builder.inttoptr(address, context.get_data_type(item).as_pointer())

    return types.CPointer(item)(table, name), codegen


@intrinsic(prefer_literal=True)
def length(typing_context: Any, table: Any, name: Any) -> Any:
    """``length(table, "name")``: how many rows are kept under this name."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, args[0], _SLOTS[name.literal_value] + 1)

    return types.int64(table, name), codegen


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Number of bits set in a uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Position of the lowest bit of a uint64 that is not zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen
