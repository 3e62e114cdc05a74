"""`stream`: the regions of a partition, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.arguments import Reduction
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import NO_LIMIT, Task
from splinegeo.partition.tasks import tasks
from splinegeo.streaming.arguments import Setting, checked_budget, checked_count, checked_flag, checked_threads
from splinegeo.streaming.batch import RegionBatch
from splinegeo.streaming.estimate import expected_regions
from splinegeo.streaming.pool import Pool, Stopped
from splinegeo.streaming.regions import TaskRegions

if TYPE_CHECKING:
    from torch import nn

BATCH = 1 << 14


def stream(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    batch: int = BATCH,
    reduction: Reduction | None = None,
) -> Stream:
    """The regions of a network over a domain, exactly, in batches and in bounded memory.

    The batches hold the same regions as `partition`, in the same order, for any number of threads. Threads work ahead
    of the loop by a few tasks.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the polygon of slice coordinates to look at.
        slice: the plane z = origin + basis @ u in latent space. May be left out for E = 2.
        budget: limits on regions, on seconds (those that the loop takes count, too), and on the memory of regions that
            wait for the loop. When one is reached the stream ends, with ``complete=False``.
        threads: number of threads, all cores by default.
        progress: show a progress bar on stderr, with an estimate of the number of regions.
        batch: the most regions a batch holds; it may hold fewer.
        reduction: memory and device for networks with thousands of units, which are reduced first.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    call = "stream"
    limits, count = checked_budget(call, budget), checked_threads(call, threads)
    show, size = checked_flag(call, "progress", progress), checked_count(call, "batch", batch)
    return Stream(Setting.of(call, net, domain, slice, reduction), limits, count, show, size)


class Stream(Iterator[RegionBatch]):
    """An iterator over `RegionBatch`; closing it, or letting go of it, stops the work behind it.

    A ``with`` block closes it for certain. After the last batch ``complete`` says whether the regions are all there.
    """

    def __init__(self, setting: Setting, budget: Budget, threads: int, show: bool, size: int) -> None:
        self._status: dict[str, str | None] = {"reason": None}
        self._batches = _batches(setting, budget, threads, show, size, self._status)

    @property
    def stop_reason(self) -> str:
        """Why the stream ended before its time; empty while it runs and when it is complete."""
        return self._status["reason"] or ""

    @property
    def complete(self) -> bool:
        """Whether all regions were handed out."""
        return self._status["reason"] == ""

    def close(self) -> None:
        """Stop the work; no thread is left afterwards."""
        self._batches.close()  # type: ignore[attr-defined]
        if self._status["reason"] is None:
            self._status["reason"] = "closed"

    def __next__(self) -> RegionBatch:
        return next(self._batches)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        reason = self._status["reason"]
        state = "running" if reason is None else "complete" if reason == "" else f"incomplete: {reason}"
        return f"<Stream of regions, {state}>"


def _work(task: Task, arrays: dict[str, Array]) -> TaskRegions:
    return TaskRegions.of(task, arrays)


def _batches(
    setting: Setting, budget: Budget, threads: int, show: bool, size: int, status: dict[str, str | None]
) -> Iterator[RegionBatch]:
    plane, cap, n = setting.slice, budget.regions or NO_LIMIT, 0
    source = tasks(setting.network, plane.origin, plane.basis, setting.domain.vertices, reduction=setting.reduction)
    pool = Pool(source, _work, threads, budget, keeps=True)
    total = expected_regions(setting) if show else None
    bar = tqdm(unit=" regions", unit_scale=True, disable=not show, desc="stream", total=total)
    try:
        with bar:
            while (job := pool.take()) is not None:
                regions = job.value
                here = min(len(regions), cap - n)
                for first in range(0, here, size):
                    last = min(first + size, here)
                    batch = RegionBatch.of(regions, first, last, n + first)
                    bar.update(len(batch))
                    yield batch
                n += here
                if here < len(regions):
                    status["reason"] = f"budget of {cap:,} regions"
                    return
        status["reason"] = ""
    except Stopped as stop:
        status["reason"] = str(stop)
    finally:
        pool.close()
        if status["reason"] is None:
            status["reason"] = "closed"
