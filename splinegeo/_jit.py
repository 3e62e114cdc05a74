"""Compiled kernels that are cached on disk, and recompiled when any of their sources changes.

Numba's own cache looks at the file of the function it compiles, not at those of the functions that it calls; a change
in one file would leave stale machine code behind another. Here every kernel is stamped with all kernel sources.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

_ROOT = Path(__file__).parent
_log = logging.getLogger("splinegeo")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for folder in ("networks", "partition", "descriptors", "streaming", "complexity", "space"):
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


def kernel(fastmath: set[str] | bool = False, *, inner: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compile without the interpreter's lock, cache on disk, let only the named liberties be taken.

    ``inner`` kernels are called by other kernels only; that halves the time they take to compile. A division by zero
    gives infinity, as in NumPy.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        options = {"no_cpython_wrapper": inner, "no_cfunc_wrapper": True}
        dispatcher = njit(nogil=True, fastmath=fastmath, **options)(function)
        if inner:
            return dispatcher
        try:
            dispatcher._cache = _Cache(dispatcher.py_func)
        except RuntimeError:  # no folder on this machine can hold a cache; compile in every process
            _log.debug("no place for compiled kernels on disk")
        return dispatcher

    return decorate


def announce(dispatcher: Any) -> None:
    """Say, once a process, that kernels are about to be compiled, if they are not on disk."""
    global _announced
    if _announced or dispatcher.signatures:
        return
    _announced = True
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is None or not cache_file._load_index():
        _log.warning("compiling kernels, about 20 seconds; later processes will find them on disk")


_announced = False
