"""How to have a small network walked in parts, as large ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from splinegeo.partition import result, tasks


@contextmanager
def reduced(leaf: int) -> Iterator[None]:
    """Every network counts as large, and parts have no more than ``leaf`` live hinges where cuts can do that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "LARGE", 0)
        patch.setattr(result, "LARGE", 0)
        patch.setattr(tasks, "LEAF", leaf)
        yield
