"""Speed and memory of partitions in the plane, as ratios to T_fwd: ``python -m benchmarks.plane``.

T_fwd is one float64 torch forward pass over as many points as the partition has vertices, in chunks of 512, on one
thread, measured between the repeats of the call it is compared with. The call is a whole `partition()` of the captured
network with maps, patterns, neighbours, psi and nu; `capture`, which is torch.export and knows nothing of regions, has
a column of its own and counts in the first call of a fresh process. All times are wall-clock seconds; compare ratios,
not machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.nets import HALF_WIDTH, REGIONS, WIDTHS

LIMITS = {"mid": 3.0, "wide": 1.5, "deep": 4.0, "big": 1.5}  # times T_fwd
THREADS_LIMIT = 1.6  # one thread's time over two threads'
MEMORY_LIMIT = 600.0  # MB above the imports, on big
WARM_LIMIT = 1.0  # seconds of the first call in a fresh process, toy
COMPILE_LIMIT = 20.0  # seconds of the very first call
CHUNK = 512

# What a fresh process does; prints one JSON line. Torch is imported before the clock starts.
CHILD = """
import json, resource, time
import numpy, torch
from benchmarks.plane import call, peak_megabytes
from benchmarks.nets import WIDTHS, make_module, make_network
torch.set_num_threads(1)
net = {make}(WIDTHS[{net!r}])
if not {cold}:
    import torch.export, splinegeo.networks, splinegeo.descriptors, splinegeo.partition
before = peak_megabytes()
start = time.perf_counter()
part = call(net, 1)
seconds = time.perf_counter() - start
print(json.dumps(dict(seconds=seconds, before=before, peak=peak_megabytes(), regions=part.n_regions)))
"""


def call(net: Any, threads: int | None) -> Any:
    """The whole job on one network or module: the partition and everything the issue counts in."""
    import splinegeo as sg

    part = sg.partition(net, sg.Box([-HALF_WIDTH] * 2, [HALF_WIDTH] * 2), threads=threads)
    part.affine_maps()
    assert len(part.packed_patterns) == len(part.psi) == len(part.nu) == part.n_regions
    assert len(part.corner_neighbors) == len(part.corner_vertices)
    return part


def forward(module: Any, n_points: int) -> None:
    """The yardstick."""
    import torch

    points = (torch.rand(n_points, 2, dtype=torch.float64) * 2 - 1) * HALF_WIDTH
    with torch.no_grad():
        for chunk in points.split(CHUNK):
            module(chunk)


def timed(job: Callable[[], Any]) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Medians over interleaved repeats of the yardstick and the call, after one warm-up of each."""
    import splinegeo as sg
    from benchmarks.nets import make_module

    module = make_module(WIDTHS[name])
    sg.capture(module)
    capture = min(timed(lambda: sg.capture(module)) for _ in range(3))
    net = sg.capture(module)
    part = call(net, 1)
    vertices, regions, linear = len(part.vertices), part.n_regions, part.n_linear_regions
    del part
    forward(module, vertices)
    pairs = [(timed(lambda: forward(module, vertices)), timed(lambda: call(net, 1))) for _ in range(repeats)]
    yardstick, seconds = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio, limit = seconds / yardstick, LIMITS.get(name)
    return {
        "net": name,
        "regions": regions,
        "regions_true": REGIONS[name],
        "linear_regions": linear,
        "vertices": vertices,
        "t_fwd": yardstick,
        "t_call": seconds,
        "t_capture": capture,
        "ratio": ratio,
        "limit": limit,
        "pairs": pairs,
        "ok": regions == REGIONS[name] and (limit is None or ratio <= limit),
    }


def measure_threads(name: str, repeats: int) -> dict[str, Any]:
    """Two threads against one, interleaved."""
    from benchmarks.nets import make_network

    net = make_network(WIDTHS[name])
    call(net, 2)
    pairs = [(timed(lambda: call(net, 1)), timed(lambda: call(net, 2))) for _ in range(repeats)]
    one, two = (statistics.median(column) for column in zip(*pairs, strict=True))
    return _check("two threads", name, one / two, THREADS_LIMIT, one / two >= THREADS_LIMIT, pairs=pairs)


def peak_megabytes() -> float:
    """The largest resident set this process has had, in units of 10^6 bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024 / 1e6
    except (OSError, StopIteration):  # no procfs: getrusage counts kilobytes, on macOS bytes
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def fresh(name: str, cold: bool, make: str, cache: str | None = None) -> dict[str, Any]:
    """One call in a new process; `cold` includes the import of splinegeo in the time."""
    env = dict(os.environ, **({"NUMBA_CACHE_DIR": cache} if cache else {}))
    code = CHILD.format(net=name, cold=cold, make=make)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the fresh process for {name} failed:\n{done.stderr}")
    return {**json.loads(done.stdout.splitlines()[-1]), "log": done.stderr.strip()}


def measure_fresh() -> list[dict[str, Any]]:
    """The first call ever (nothing compiled), and the first call of a process that finds the kernels compiled."""
    with tempfile.TemporaryDirectory() as cache:
        first = fresh("toy", True, "make_network", cache)
        checks = [
            _check(
                "first compile, s",
                "toy",
                first["seconds"],
                COMPILE_LIMIT,
                first["seconds"] < COMPILE_LIMIT,
                log=first["log"],
            )
        ]
        for what, make in (("first call, s", "make_network"), ("... of a module, s", "make_module")):
            warm = statistics.median(fresh("toy", True, make, cache)["seconds"] for _ in range(3))
            checks.append(_check(what, "toy", warm, WARM_LIMIT, warm < WARM_LIMIT))
    return checks


def measure_memory(name: str) -> dict[str, Any]:
    """Peak resident memory above what the imports take, in a process of its own with the kernels compiled."""
    fresh("toy", False, "make_network")
    run = fresh(name, False, "make_network")
    used = run["peak"] - run["before"]
    return _check("peak memory, MB", name, used, MEMORY_LIMIT, used <= MEMORY_LIMIT, imports=run["before"])


def _check(what: str, net: str, value: float, limit: float, ok: bool, **more: Any) -> dict[str, Any]:
    return {"what": what, "net": net, "value": value, "limit": limit, "ok": ok, **more}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    packages = ("numpy", "numba", "torch", "python-flint")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def table(nets: list[dict[str, Any]], checks: list[dict[str, Any]]) -> str:
    """For the terminal."""
    columns = {"net": -6, "regions": 10, "linear": 10, "vertices": 10, "capture, s": 12}
    columns |= {"T_fwd, s": 11, "call, s": 10, "ratio": 8}
    lines = ["".join(f"{c:<{-w}}" if w < 0 else f"{c:>{w}}" for c, w in columns.items()) + "  limit"]
    for row in nets:
        limit = "–" if row["limit"] is None else f"{row['limit']:g}"
        wrong = "" if row["regions"] == row["regions_true"] else f"  WRONG: {row['regions_true']:,} regions"
        lines.append(
            f"{row['net']:<6}{row['regions']:>10,}{row['linear_regions']:>10,}{row['vertices']:>10,}"
            f"{row['t_capture']:>12.4f}{row['t_fwd']:>11.5f}{row['t_call']:>10.4f}{row['ratio']:>8.2f}{limit:>7}{_mark(row)}{wrong}"
        )
    lines += [f"{c['what']:<20}{c['net']:<6}{c['value']:>10.2f}   limit {c['limit']:g}{_mark(c)}" for c in checks]
    return "\n".join(lines)


def _mark(row: dict[str, Any]) -> str:
    return "" if row["ok"] else "  MISSED"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; 0 if every limit holds, 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plane", description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--quick", action="store_true", help="three repeats, no thread, memory and start-up checks")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/plane.json"), help="the JSON file")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    repeats = 3 if options.quick else 7
    facts = machine()
    # Start-up first: nothing else of ours runs then.
    checks = [] if options.quick else measure_fresh()
    nets = [measure(name, max(repeats, 15) if name in ("toy", "mid", "deep") else repeats) for name in options.nets]
    if not options.quick and "big" in options.nets:
        checks += [measure_threads("big", 5), measure_memory("big")]
    print(table(nets, checks))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": facts, "nets": nets, "checks": checks}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {options.output}")
    return 0 if all(row["ok"] for row in [*nets, *checks]) else 1


if __name__ == "__main__":
    sys.exit(main())
