"""Partitions in three to eight dimensions: counts, CPU seconds of one thread, microseconds a region.

``python -m benchmarks.space`` prints a table and writes ``results/space.json``; ``--data FOLDER`` adds the networks
of a data folder with a ``zoo.py``. Times are process times, after a warm-up: up to six dimensions of the walk by
vertices with its linking, from seven on of the linear programmes; the ratio to the first row says more than they do
on a shared machine. Every box is partitioned three times, of which the fastest counts; the first, which touches its
memory for the first time, is given, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import splinegeo as sg
from benchmarks.nets import make_network

# Confirmed by independent prototypes: vertices in C++, and linear programs.
REGIONS: dict[tuple[int, ...], int] = {
    (3, 16, 16, 1): 2_438,
    (4, 12, 12, 1): 4_899,
    (5, 10, 10, 1): 7_937,
    (3, 64, 64, 1): 240_847,
    (4, 32, 32, 1): 389_434,
    (5, 20, 20, 1): 294_824,
    (6, 10, 10, 1): 20_386,
    (7, 10, 10, 1): 26_460,
    (8, 10, 10, 1): 88_511,
}
RESULTS = Path(__file__).parent / "results" / "space.json"


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    before = time.process_time()
    found = call()
    return found, time.process_time() - before


def boxes() -> list[dict[str, Any]]:
    rows = []
    for widths, expected in REGIONS.items():
        net, box = make_network(widths), sg.Box([-2] * widths[0], [2] * widths[0])
        runs = []
        for _ in range(3):
            part, seconds = timed(lambda net=net, box=box: sg.partition(net, box, threads=1))
            runs.append(seconds)
        seconds = min(runs)
        assert part.complete
        row = {
            "net": "-".join(map(str, widths)),
            "regions": part.n_regions,
            "expected": expected,
            "cpu_seconds": round(seconds, 3),
            "us_per_region": round(seconds / part.n_regions * 1e6, 2),
            "first_us_per_region": round(runs[0] / part.n_regions * 1e6, 2),
        }
        if part.stored_geometry is None:  # linear programmes: neighbours are another pass, vertices are not asked for
            pairs, seconds = timed(lambda part=part: part.adjacency)
            row |= {"neighbours": len(pairs), "neighbours_us_per_region": round(seconds / part.n_regions * 1e6, 2)}
        else:
            row |= {
                "vertices": part.n_vertices,
                "facets": part.n_facets,
                "corners_per_region": round(len(part.corner_vertices) / part.n_regions, 2),
            }
        if widths[0] <= 4:
            volumes, seconds = timed(lambda part=part: part.volumes)
            row |= {
                "volume_error": float(volumes.sum() / 4.0 ** widths[0] - 1),
                "volumes_us_per_region": round(seconds / part.n_regions * 1e6, 2),
            }
        print(row)
        rows.append(row)
    return rows


def published(folder: Path) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None
    assert spec.loader is not None
    zoo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(zoo)
    rows: list[dict[str, Any]] = []
    fox = sg.capture(zoo.sdf("fox"), (3,))
    surface, seconds = timed(lambda: sg.zero_set(fox, sg.Box([-1] * 3, [1] * 3), threads=1))
    rows.append(
        {
            "net": "fox, zero set in [-1, 1]^3",
            "faces": surface.n_faces,
            "vertices": len(surface.vertices),
            "triangles": len(surface.triangles),
            "watertight": surface.is_watertight,
            "euler_characteristic": surface.euler_characteristic,
            "area": surface.area,
            "volume": surface.volume,
            "cpu_seconds": round(seconds, 2),
        }
    )
    print(rows[-1])
    net = sg.load_onnx(zoo.ONNX["acasxu"][0])
    for half in (0.01, 0.03, 0.05):
        box = sg.Box([-half] * 5, [half] * 5)
        part, seconds = timed(lambda box=box: sg.partition(net, box, threads=1))
        rows.append(
            {
                "net": f"acasxu 1_1, [-{half}, {half}]^5",
                "regions": part.n_regions,
                "linear_regions": part.n_linear_regions,
                "vertices": part.n_vertices,
                "cpu_seconds": round(seconds, 3),
                "us_per_region": round(seconds / part.n_regions * 1e6, 1),
            }
        )
        print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    sg.partition(make_network((3, 4, 1)), sg.Box([-2] * 3, [2] * 3), threads=1).volumes  # noqa: B018 - compiles
    sg.partition(make_network((7, 4, 1)), sg.Box([-2] * 7, [2] * 7), threads=1).adjacency  # noqa: B018 - compiles
    found = {"boxes": boxes()}
    if options.data is not None:
        found["published"] = published(options.data)
    assert all(row["regions"] == row["expected"] for row in found["boxes"])
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
