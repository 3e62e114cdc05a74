"""Compiled kernels that are cached on disk, and recompiled when any of their sources changes.

Numba's own cache looks at the file of the function it compiles, not at those of the functions that it calls; a change
in one file would leave stale machine code behind another. Here every kernel is stamped with all kernel sources.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

_ROOT = Path(__file__).parent
_log = logging.getLogger("splinegeo")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for folder in ("partition", "descriptors"):
        for path in sorted((_ROOT / folder).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class _Stamped:
    """A cache locator whose source stamp is the fingerprint of all kernels."""

    stamp = _fingerprint()

    def get_source_stamp(self) -> str:
        return self.stamp


class _Impl(CompileResultCacheImpl):
    _locator_classes = [type(c.__name__, (_Stamped, c), {}) for c in CompileResultCacheImpl._locator_classes]  # noqa: RUF012


class _Cache(FunctionCache):
    _impl_class = _Impl


def kernel(fastmath: set[str] | bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compile without the interpreter's lock, cache on disk, let only the named liberties be taken."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, fastmath=fastmath)(function)
        try:
            dispatcher._cache = _Cache(dispatcher.py_func)
        except RuntimeError:  # no folder on this machine can hold a cache; compile in every process
            _log.debug("no place for compiled kernels on disk")
        return dispatcher

    return decorate


def warm(dispatcher: Any, *arguments: Any) -> None:
    """Compile a kernel for these arguments, and say so if that takes long enough to wonder."""
    if dispatcher.signatures:
        return
    start = time.perf_counter()
    dispatcher.compile(tuple(map(_typeof, arguments)))
    took = time.perf_counter() - start
    if took > 2:
        _log.info("compiled %s in %.0f s; the next process will find it on disk", dispatcher.__name__, took)


def _typeof(value: Any) -> Any:
    from numba import typeof

    return typeof(value)
