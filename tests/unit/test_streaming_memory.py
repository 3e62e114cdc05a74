"""Memory does not grow with the number of regions; in a process of its own, so that nothing else counts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1 << 20
CODE = """
    import re
    import splinegeo as sg
    from benchmarks.nets import REGIONS, WIDTHS, make_network
    from splinegeo.streaming import Raster, stream, summarise

    def peak():
        return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

    box, small, net = sg.Box([-2, -2], [2, 2]), make_network((2, 4, 1)), make_network(WIDTHS["big"])
    sg.partition(small, box)
    summarise(small, box, linear_regions=True, raster=Raster(9, 9))
    before = peak()
    assert {call} == REGIONS["big"]
    print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("call", "limit"),
    [
        ("sum(len(batch) for batch in stream(net, box, threads=2))", 180),
        ("summarise(net, box, threads=2).n_regions", 180),
        ("summarise(net, box, threads=2, linear_regions=True, raster=Raster(400, 400)).n_regions", 240),
    ],
)
def test_peak_memory(call: str, limit: int) -> None:
    """354,339 regions; a partition of them takes about 360 MB."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = textwrap.dedent(CODE).replace("{call}", call)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < limit * MEGABYTE
