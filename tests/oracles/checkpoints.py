"""What may happen to a run with a checkpoint: it is killed, interrupted, or its file is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from splinegeo.io import container
from splinegeo.streaming.state import State

ROOT = Path(__file__).resolve().parents[2]

# Statements for a process of its own, which then ends when its checkpoint has been written at task 8.
KILL_AFTER_A_WRITE = """
import os, signal
from splinegeo.streaming.checkpoint import Checkpoint

save = Checkpoint.save
def killing(self, state):
    save(self, state)
    if state.next_task == 8:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.save = killing
"""


def assert_killed(*code: str) -> None:
    """Run these statements in a process of their own, which SIGKILL ends."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", "\n".join(map(textwrap.dedent, code))]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr


def press_every_third_task(patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C whenever three more tasks were described."""
    add = State.add

    def press(state: State, part: Any, *more: Any) -> None:
        add(state, part, *more)
        if state.next_task % 3 == 0:
            signal.raise_signal(signal.SIGINT)

    patch.setattr(State, "add", press)


def damage_arrays(path: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    """Change the arrays of a checkpoint; the file is well-formed."""
    header, arrays = container.read(path, "checkpoint")
    arrays = {name: array.copy() for name, array in arrays.items()}
    damage(arrays)
    container.write(path, "checkpoint", {k: header[k] for k in ("generation", "fingerprints")}, arrays)
