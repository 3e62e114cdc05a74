"""Giving up long Python work between its steps, when a budget is spent or somebody pressed Ctrl-C.

Compiled walks look at a flag by themselves. Reductions and exact arithmetic on large networks, which take as long, call
`checkpoint` between two layers; whoever runs them says with `gives_up` when that is to raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_here = threading.local()


class GivenUp(Exception):
    """Work was given up before its end."""


@contextmanager
def gives_up(stopped: Callable[[], object]) -> Iterator[None]:
    """Within it, in this thread, `checkpoint` raises `GivenUp` once ``stopped()`` is true."""
    before = getattr(_here, "stopped", None)
    _here.stopped = stopped
    try:
        yield
    finally:
        _here.stopped = before


def checkpoint() -> None:
    """A place where work may be given up.

    Raises:
        GivenUp: whoever runs this wants it to stop.
    """
    stopped = getattr(_here, "stopped", None)
    if stopped is not None and stopped():
        raise GivenUp
