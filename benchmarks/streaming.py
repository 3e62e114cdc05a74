"""Time and peak memory of `stream` and `summarise` beside `partition`: python -m benchmarks.streaming [net]."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import re, time
import splinegeo as sg
from benchmarks.nets import WIDTHS, make_network
from splinegeo.streaming import Raster, stream, summarise

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

box, net = sg.Box([-2, -2], [2, 2]), make_network(WIDTHS[{name!r}])
small = make_network((2, 4, 1))
sg.partition(small, box)
summarise(small, box, linear_regions=True, raster=Raster(9, 9))
before, seconds = peak(), []
for _ in range(3):
    start = time.perf_counter()
    {call}
    seconds.append(time.perf_counter() - start)
print(f"{{min(seconds):8.2f}} s  {{peak() - before:6.0f}} MB")
"""
CALLS = {
    "partition": "sg.partition(net, box, threads={threads})",
    "stream": "[None for _ in stream(net, box, threads={threads})]",
    "summarise": "summarise(net, box, threads={threads})",
    "with linear regions": "summarise(net, box, threads={threads}, linear_regions=True)",
    "with two rasters of 512 x 512": "summarise(net, box, threads={threads}, raster=Raster(512, 512, ('psi', 'nu')))",
}


def main(name: str) -> None:
    for threads in (1, 2):
        for label, call in CALLS.items():
            code = CODE.format(name=name, call=call.format(threads=threads))
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            print(f"{name}, {threads} threads, {label:30} {done.stdout.strip()}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "big")
