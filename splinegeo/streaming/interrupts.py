"""Ctrl-C while results are put together: noted at once, obeyed between two tasks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, as a function; a second press raises KeyboardInterrupt as ever.

    Sums that are half added must not be cut off. Handlers of the user's own, and threads other than the main one (which
    Python never interrupts), are left alone.
    """
    before = signal.getsignal(signal.SIGINT)
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield pressed.is_set
        return

    def note(*_: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
