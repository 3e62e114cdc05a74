"""Memory of a tall Jacobian, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_tall_jacobian_stays_small():
    """16 -> 12,288 under 300 MB above the imports and the model; row by row it would fit too, and take minutes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.jacobian", "--way", "splinegeo, one latent"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["peak_megabytes"] < 300
