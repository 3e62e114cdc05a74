"""Scratch and output buffers of a walk, and the names of their entries."""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.memory import Table

# Entries of `scalars`.
SP, CAND_TOP, POOL_TOP, CLOCK, HAVE, LEVEL, N_VERTICES, C0, CN, DEPTH, STARTED = range(11)
N_OUT, C_OUT, ASKED, BASE, ROOM, NEAR = range(11, 17)
# Columns of `level_f`.
# BIGGEST: largest coefficient among the inputs of the rows; REACH: largest error among them; ROUNDING: of the rows
# relative to rho, of which DRIFT stems from pushes; TAKEN and TAKEN_SIZE: ROUNDING and BIGGEST of the level below that
# they account for.
BIGGEST, ROUNDING, REACH, DRIFT, TAKEN, TAKEN_SIZE = range(6)
# Columns of `history`: number of rank-one changes of the rows since a version of them, that version, their vectors.
N_TERMS, TERMS_SINCE = 0, 1
# Rows of `hashes` start with one for "no level".
FLAT, ACTIVE = 0, 1


def add_state(table: Table, room: int = 64) -> None:
    """Fresh scratch for one thread; ``room`` vertices a polygon to begin with."""
    offsets = table["offsets"]
    levels = len(offsets) - 1
    rows, hinges = int(offsets[-1]), int(offsets[-2])
    wide = max(8, int(np.diff(offsets).max()))
    room = max(room, 2 * len(table["corners"]) + 16)
    scalars = np.zeros(17, np.int64)
    scalars[ROOM] = room
    fresh: dict[str, Array] = {
        "scalars": scalars,
        "rows": np.zeros(4 * rows),
        "history": np.zeros((levels, 4), np.int64),
        "history_f": np.zeros((levels, 8)),
        "bits": np.zeros(hinges + (-hinges) % 8 + 8, np.int8),
        "map_bits": np.zeros(hinges, np.int8),
        "stamp": np.zeros(levels + 1, np.int64),
        "version": np.zeros(levels + 1, np.int64),
        "level_f": np.zeros((levels, 8)),
        "flips": np.zeros(levels, np.int64),
        "frame_list": np.zeros(hinges, np.int64),
        "frame_n": np.zeros(levels, np.int64),
        "hashes": np.zeros((levels + 1, 2), np.uint64),
        "nodes": np.zeros((256, 8), np.int64),
        "candidates": np.zeros(16 * wide + 64, np.int64),
        "scratch": np.zeros(2 * wide + 8),
        "products": np.zeros(4 * max(wide, hinges) + 16),
        "place": np.zeros(max(wide, hinges) + 8, np.int64),
        "flag": np.zeros(wide + 16, np.int8),
        "listed": np.zeros(wide + 8, np.int64),
        "answer_signs": np.zeros(wide, np.int8),
        "answer_point": np.zeros(2),
    }
    for name, array in fresh.items():
        table[name] = array
    table["bits_words"] = table["bits"].view(np.uint64)
    _add_polygons(table, room, 16 * room)


def _add_polygons(table: Table, room: int, pool: int) -> None:
    # Rows: the current polygon and its successor (``room`` each, in turns), two cuts, then the stack of polygons.
    total = 2 * room + 2 + pool
    wide = len(table["answer_signs"])
    table["poly_f"] = np.zeros((total, 8))
    table["poly_i"] = np.zeros((total, 4), np.int64)
    table["poly_u"] = np.zeros((total, 2), np.uint64)
    table["signs"] = np.zeros(2 * room, np.int8)
    table["table"] = np.zeros(room * wide, np.int8)
    table["near"] = np.zeros((room, 4))
    table["has_table"] = np.zeros(room, np.int8)


def grow(table: Table) -> None:
    """Twice the room for vertices, nodes and candidates, everything kept."""
    scalars = table["scalars"]
    room = int(scalars[ROOM])
    pool = len(table["poly_f"]) - 2 * room - 2
    old = {name: table[name] for name in ("poly_f", "poly_i", "poly_u")}
    _add_polygons(table, 2 * room, 2 * pool)
    base = int(scalars[BASE])
    for name, array in old.items():
        table[name][:room] = array[base : base + room]
        table[name][4 * room + 2 : 4 * room + 2 + pool] = array[2 * room + 2 :]
    scalars[BASE] = 0
    scalars[ROOM] = 2 * room
    for name in ("nodes", "candidates"):
        table[name] = np.concatenate([table[name], np.zeros_like(table[name])])


def add_output(table: Table, regions: int, corners: int, keep_maps: bool, keep_labels: bool) -> None:
    """Empty buffers for regions and corners, with room for the regions' maps and the edges' labels if asked for."""
    offsets = table["offsets"]
    hinges = int(offsets[-2])
    rows = int(offsets[-1]) - hinges
    table["out_corners"] = np.empty(regions, np.int32)
    table["out_bits"] = np.empty(regions * ((hinges + 7) // 8), np.uint8)
    table["out_sigma"] = np.empty((regions, 2))
    table["out_noise"] = np.empty(regions)
    table["out_maps"] = np.empty(regions * rows * 3 if keep_maps else 0)
    table["out_xy"] = np.empty((corners, 2))
    table["out_spread"] = np.empty(corners, np.float32)
    table["out_label"] = np.empty(corners if keep_labels else 0, np.int64)
    table["out_key"] = np.empty(corners, np.uint64)
    table["scalars"][[N_OUT, C_OUT]] = 0


def take_output(table: Table) -> dict[str, Array]:
    """Copies of what the buffers hold, cut to size; the buffers are empty again."""
    scalars, hinges = table["scalars"], int(table["offsets"][-2])
    n, c = int(scalars[N_OUT]), int(scalars[C_OUT])
    rows = int(table["offsets"][-1]) - hinges
    width = (hinges + 7) // 8
    scalars[[N_OUT, C_OUT]] = 0
    maps = table["out_maps"]
    return {
        "corners": table["out_corners"][:n].copy(),
        "bits": table["out_bits"][: n * width].reshape(n, width).copy(),
        "sigma": table["out_sigma"][:n].copy(),
        "noise": table["out_noise"][:n].copy(),
        "maps": maps[: n * rows * 3].reshape(n, rows, 3).copy() if len(maps) else np.empty((0, rows, 3)),
        "xy": table["out_xy"][:c].copy(),
        "spread": table["out_spread"][:c].copy(),
        "label": table["out_label"][:c].copy(),
        "key": table["out_key"][:c].copy(),
    }
