"""Ctrl-C while a step runs that is short and must not be cut in half."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def first_interrupt_waits() -> Iterator[None]:
    """Put off the first Ctrl-C for good; a second one raises KeyboardInterrupt as ever.

    For the moment between the end of an enumeration and its result: all regions are found, there is nothing left to
    stop, and an exception would throw them away. Handlers of the user's own, and threads other than the main one (which
    Python never interrupts), are left alone.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return

    def note(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
