"""Scratch and output buffers of a walk in d dimensions, and the names of their entries."""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.memory import Table

# Entries of `scalars`.
DIM, WORDS, ROOM, POOL, BASE, SP, POOL_TOP, LEVEL, POSITION, N_VERTICES, DEPTH, HAVE, STARTED = range(13)
N_OUT, C_OUT, F_OUT, V_OUT, ZEROS_ONLY = range(13, 18)
EMPTY = -(1 << 40)  # a slot that stands for nothing
MOST_TIES = 16  # sums of hinges tight at a vertex that are compared with another one


def add_state(table: Table, dim: int, words: int, zeros_only: bool) -> None:
    """Fresh scratch for one thread; ``zeros_only`` leaves out regions on which the last hinge does not vanish."""
    offsets = table["offsets"]
    levels, hinges = len(offsets) - 2, int(offsets[-2])
    wide = max(8, int(np.diff(offsets[:-1]).max(initial=0)))
    scalars = np.zeros(18, np.int64)
    scalars[DIM], scalars[WORDS], scalars[ZEROS_ONLY] = dim, words, zeros_only
    fresh: dict[str, Array] = {
        "scalars": scalars,
        "rows": np.zeros((dim + 1) * hinges),
        "row_error": np.zeros(hinges),
        "drift": np.zeros(hinges),
        "row_size": np.zeros(hinges),
        "tilt": np.zeros(hinges),
        "noise": np.zeros(hinges),
        "bits": np.zeros(hinges + (-hinges) % 8 + 8, np.int8),
        "flat": np.zeros(hinges, np.int8),
        "seen": np.zeros(int(table["block_seen"][-1]), np.int8),
        "stamp": np.zeros(levels, np.int64),
        "version": np.zeros(levels, np.int64),
        "updates": np.zeros(levels, np.int64),
        "biggest": np.zeros(levels),
        "crossing": np.zeros(hinges, np.int64),
        "n_crossing": np.zeros(levels, np.int64),
        "hashes": np.zeros(levels + 1, np.uint64),
        "relaxed": np.zeros((dim + 1) * hinges),
        "chord": np.zeros((dim + 1) * hinges),
        "chord_radius": np.zeros(hinges),
        "atoms": np.zeros((1 + MOST_TIES) * hinges),
        "pivots": np.zeros(MOST_TIES, np.int64),
        "nodes": np.zeros((64, 8), np.int64),
        "values": np.zeros(wide),
        "up": np.zeros(wide, np.int8),
        "down": np.zeros(wide, np.int8),
        "has_zero": np.zeros(wide, np.int8),
        "answer_signs": np.zeros(wide, np.int8),
        "answer_point": np.zeros(dim),
    }
    for name, array in fresh.items():
        table[name] = array
    table["bits_words"] = table["bits"].view(np.uint64)
    scalars[ROOM], scalars[POOL] = max(32, 2 * len(table["start_error"])), 32 * max(32, len(table["start_error"]))
    _add_cells(table, table["start_slots"])


def _add_cells(table: Table, start_slots: Array) -> None:
    """Room for cells, with nothing in them; all sizes are those that the scalars say."""
    dim, words, room, pool = (int(table["scalars"][k]) for k in (DIM, WORDS, ROOM, POOL))
    total, slots = 2 * room + pool, 64 * words
    table["x"] = np.zeros(total * dim)
    table["error"] = np.zeros(total)
    table["tight"] = np.zeros(total * words, np.uint64)
    table["id"] = np.full(total, -1, np.int64)
    table["slots"] = np.full((2 + len(table["nodes"])) * slots, EMPTY, np.int64)
    table["value"], table["doubt"] = np.zeros(room), np.zeros(room)
    table["sign"] = np.zeros(room, np.int8)
    table["zeros"] = np.zeros(room * len(table["values"]), np.int8)
    table["above"], table["below"] = np.zeros(room, np.int64), np.zeros(room, np.int64)
    table["n_tight"] = np.zeros(room, np.int64)
    table["pairs"] = np.zeros(2 * room + 2, np.int64)  # one more is written before it is left out
    places = 1 << (2 * room * dim).bit_length()
    table["edge_table"], table["edge_key"] = np.zeros(places, np.int64), np.zeros(places, np.uint64)
    table["met"] = np.zeros(room, np.uint64)
    table["meets"] = np.zeros(slots * words, np.uint64)
    table["counts"] = np.zeros(slots, np.int64)
    # Four entries at once are read, also at the end of the matrix and of a row of the inverse.
    table["matrix"], table["work"] = np.zeros(slots * (dim + 1) + 4), np.zeros(slots * dim)
    table["matrix_error"], table["inverse"], table["step"] = np.zeros(slots), np.zeros(dim * (dim + 3)), np.zeros(dim)
    table["swapped"] = np.zeros(dim, np.int64)
    table["slot_hash"] = np.zeros(slots, np.uint64)
    table["asked"] = np.zeros(slots, np.int64)
    table["start_slots"] = start_slots


def grow_room(table: Table) -> None:
    """Twice the room for vertices of a cell, and on the stack; everything kept."""
    _regrow(table, room=2, pool=2, nodes=1, words=1)


def grow_stack(table: Table) -> None:
    """Twice the stack."""
    _regrow(table, room=1, pool=2, nodes=2, words=1)


def grow_words(table: Table) -> None:
    """Twice the slots of a cell."""
    _regrow(table, room=1, pool=1, nodes=1, words=2)


def _regrow(table: Table, *, room: int, pool: int, nodes: int, words: int) -> None:
    s = table["scalars"]
    dim, old_words, old_room, old_pool, base = (int(s[k]) for k in (DIM, WORDS, ROOM, POOL, BASE))
    names = ("x", "error", "tight", "id", "slots")
    old = {name: table[name] for name in names}
    old_nodes = table["nodes"]
    if nodes > 1:
        table["nodes"] = np.concatenate([old_nodes, np.zeros_like(old_nodes)])
    s[ROOM], s[POOL], s[WORDS] = old_room * room, old_pool * pool, old_words * words
    first, second = 64 * old_words, 64 * old_words * words

    def widened(array: Array, fill: int, before: int, after: int) -> Array:
        out = np.full((len(array) // before, after), fill, array.dtype)
        out[:, :before] = array.reshape(-1, before)
        return out.ravel()

    if words > 1:
        old["tight"] = widened(old["tight"], 0, old_words, old_words * words)
        old["slots"] = widened(old["slots"], EMPTY, first, second)
        table["start_tight"] = widened(table["start_tight"], 0, old_words, old_words * words)
        if "out_tight" in table.arrays:
            table["out_tight"] = widened(table["out_tight"], 0, old_words, old_words * words)
    _add_cells(table, widened(table["start_slots"], EMPTY, first, second) if words > 1 else table["start_slots"])
    width = {"x": dim, "error": 1, "tight": old_words * words, "id": 1}
    for name, w in width.items():
        table[name][: old_room * w] = old[name][base * w : (base + old_room) * w]
        start = 2 * old_room * room * w
        table[name][start : start + old_pool * w] = old[name][2 * old_room * w :]
    which = second if base else 0
    table["slots"][:second] = old["slots"][which : which + second]
    table["slots"][2 * second : len(old["slots"])] = old["slots"][2 * second :]
    s[BASE] = 0


def add_output(table: Table, regions: int, corners: int, facets: int) -> None:
    """Empty buffers for regions, their corners and their facets."""
    s, hinges = table["scalars"], int(table["offsets"][-2])
    table["out_bits"] = np.empty(regions * ((hinges + 7) // 8), np.uint8)
    table["out_counts"] = np.empty((regions, 2), np.int32)
    table["out_corner"] = np.empty(corners, np.int32)
    table["out_tight"] = np.empty(corners * int(s[WORDS]), np.uint64)
    table["out_side"] = np.empty(facets, np.int32)
    table["out_key"] = np.empty(facets, np.uint64)
    s[[N_OUT, C_OUT, F_OUT]] = 0


def add_vertices(table: Table, vertices: int) -> None:
    """Room for so many distinct vertices in all, those found so far kept."""
    s, dim = table["scalars"], int(table["scalars"][DIM])
    n = int(s[V_OUT])
    width = {"vertex_x": dim, "vertex_key": 1}
    old = {name: table[name][: n * w] for name, w in width.items()} if n else {}
    table["vertex_x"] = np.empty(vertices * dim)
    table["vertex_key"] = np.empty(vertices, np.uint64)
    table["vertex_error"] = np.empty(vertices)
    for name, array in old.items():
        table[name][: len(array)] = array
    places = 1 << int(2 * vertices - 1).bit_length()
    table["hash_table"] = np.zeros(2 * places, np.uint64)


def take_regions(table: Table) -> dict[str, Array]:
    """Copies of the regions in the buffers, which are empty again."""
    s, hinges, words = table["scalars"], int(table["offsets"][-2]), int(table["scalars"][WORDS])
    n, c, f = (int(s[k]) for k in (N_OUT, C_OUT, F_OUT))
    width = (hinges + 7) // 8
    s[[N_OUT, C_OUT, F_OUT]] = 0
    return {
        "bits": table["out_bits"][: n * width].reshape(n, width).copy(),
        "counts": table["out_counts"][:n].copy(),
        "corner": table["out_corner"][:c].copy(),
        "tight": table["out_tight"][: c * words].reshape(c, words).copy(),
        "side": table["out_side"][:f].copy(),
        "key": table["out_key"][:f].copy(),
    }


def take_vertices(table: Table) -> dict[str, Array]:
    """Copies of the distinct vertices, which are forgotten."""
    s, dim = table["scalars"], int(table["scalars"][DIM])
    n = int(s[V_OUT])
    out = {
        "x": table["vertex_x"][: n * dim].reshape(n, dim).copy(),
        "key_of_vertex": table["vertex_key"][:n].copy(),
    }
    s[V_OUT] = 0
    table["hash_table"][:] = 0
    return out
