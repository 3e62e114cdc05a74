"""A call from a compiled kernel into Python through a bare address, so that the kernel stays cacheable.

Numba does not cache code that closes over a ctypes function; an address passed as an argument it does not mind. The
ctypes wrapper takes the interpreter's lock for the duration of the call, so kernels run without it otherwise.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)


@intrinsic
def call(typing_context: Any, address: Any, kind: Any, level: Any, p: Any, q: Any, vertex: Any) -> Any:
    """``call(address, kind, level, p, q, vertex)``: all int64, returns int64."""
    signature = types.int64(*[types.int64] * 6)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        function = builder.inttoptr(args[0], ir.FunctionType(i64, [i64] * 5).as_pointer())
        return builder.call(function, args[1:])

    return signature, codegen


class Callback:
    """A Python function of five integers with an address; -1 and a kept exception where it raises."""

    def __init__(self, function: Callable[[int, int, int, int, int], int]) -> None:
        self.error: BaseException | None = None

        def guarded(kind: int, level: int, p: int, q: int, vertex: int) -> int:
            try:
                return function(kind, level, p, q, vertex)
            except BaseException as error:  # noqa: BLE001 - must not travel through compiled code; re-raised by the caller
                self.error = error
                return -1

        self._keep = _PROTOTYPE(guarded)
        self.address = ctypes.cast(self._keep, ctypes.c_void_p).value or 0
