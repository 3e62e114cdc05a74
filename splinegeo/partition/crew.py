"""Threads that work together, and Ctrl-C, which ends their work and keeps what there is.

Python raises KeyboardInterrupt in the main thread wherever that happens to be: also inside `Thread.start`, when a
thread runs that nobody has noted yet and that nobody would wait for. So threads wait at a gate, which opens when all
calls are handed out and noted; where that is cut short, no call begins at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

TICK = 0.05  # seconds between two looks at what is going on


def work_together(
    calls: Iterable[Callable[[], object]],
    threads: int,
    tick: Callable[[int], object],
    stop: Callable[[], object],
) -> bool:
    """Make all calls in so many threads; True when Ctrl-C ended that early. None of them runs any more on return.

    Args:
        calls: what to do.
        threads: how many calls run at a time, one or more.
        tick: called in this thread with the number of calls that returned since the last time, every 50 ms at least.
        stop: called in this thread on Ctrl-C and on any exception; it makes the calls that run return soon. Those that
            have not begun never begin.

    Raises:
        BaseException: what a call or ``tick`` raised first, other than KeyboardInterrupt. What calls raise after that,
            or after Ctrl-C, is dropped.
    """
    gate, going = threading.Event(), threading.Event()

    def wait_and(call: Callable[[], object]) -> None:
        gate.wait()
        if going.is_set():
            call()

    with ThreadPoolExecutor(threads, "splinegeo") as pool:
        try:
            running: set[Future[None]] = {pool.submit(wait_and, call) for call in calls}
            going.set()
            gate.set()
            while running:
                finished, running = wait(running, timeout=TICK, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                tick(len(finished))
        except BaseException as error:
            going.clear()
            stop()
            if not isinstance(error, KeyboardInterrupt):
                raise
            return True
        finally:
            gate.set()  # whatever happened: nobody would ever open it again
    return False
