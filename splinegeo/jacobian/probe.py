"""What running torch code takes: floating-point operations and the peak of live tensor memory, on any device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class Usage:
    """What a call took: operations in products (two a multiply-add), peak and final bytes of what it allocated."""

    flops: int
    peak_bytes: int
    kept_bytes: int
    attention: bool  # whether it went through a fused attention kernel


class _Meter(TorchDispatchMode):
    """Follows every tensor that an operation allocates until nobody holds its memory any more.

    Workspaces inside an operation are not seen, so a peak is a lower bound; callers leave room.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.peak = 0
        self.attention = False
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = tree_leaves((args, kwargs))
        for tensor in given:
            self._note(tensor, new=False)
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        self.attention = self.attention or "scaled_dot_product" in str(packet)
        if packet in flop_registry and not any(map(_is_nothing, given)):
            self.flops += int(flop_registry[packet](*args, **kwargs, out_val=out))
        for tensor in tree_leaves(out):
            self._note(tensor, new=True)
        self.peak = max(self.peak, self.live())
        return out

    def _note(self, tensor: Any, new: bool) -> None:
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or _is_nothing(tensor):
            return
        storage = tensor.untyped_storage()
        known = self._live.get(storage._cdata)
        if known is None or known[0].expired():  # an address may be used again
            self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes() if new else 0

    def live(self) -> int:
        for key in [k for k, (reference, _) in self._live.items() if reference.expired()]:
            del self._live[key]
        return sum(size for _, size in self._live.values())


def _is_nothing(tensor: Any) -> bool:
    """Whether it is a tangent that is zero by construction: it has a size, no memory, and products skip it."""
    return isinstance(tensor, torch.Tensor) and tensor._is_zerotensor()


def measure(function: Callable[[], Any]) -> tuple[Any, Usage]:
    """The result of ``function()`` and what it took; the result counts as kept."""
    meter = _Meter()
    with meter:
        result = function()
    return result, Usage(meter.flops, meter.peak, meter.live(), meter.attention)
