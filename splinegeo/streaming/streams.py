"""`stream`: the regions of a partition, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.arguments import Reduction
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import Task
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.tasks import tasks
from splinegeo.streaming.arguments import Setting, checked_budget, checked_count, checked_flag, checked_threads
from splinegeo.streaming.batch import RegionBatch
from splinegeo.streaming.estimate import expected_regions
from splinegeo.streaming.pending import Pending
from splinegeo.streaming.pool import Pool, Stopped
from splinegeo.streaming.regions import TaskRegions
from splinegeo.streaming.uniting import OpenRegions, gather, opened

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

    The batches hold the same regions as `partition`, in the same order, for any number of threads. (Of networks with
    max-pooling or Maxout they come when they are complete, which is another order.) Threads work ahead of the loop by a
    few tasks.

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


@dataclass(frozen=True, eq=False)
class _Found:
    """What a task found: its regions; of networks with maxima those that are complete, and what goes on elsewhere."""

    regions: TaskRegions
    open: OpenRegions | None = None


def _work(task: Task, arrays: dict[str, Array]) -> _Found:
    pieces = TaskRegions.of(task, arrays)
    if not task.problem.has_maxima:
        return _Found(pieces)
    gathered, none = gather(pieces), np.zeros(0, np.int64)
    complete = gathered.regions.only(np.nonzero(~gathered.open)[0])
    return _Found(complete, opened(gathered, pieces, None, None, True, none, none))


def _batches(
    setting: Setting, budget: Budget, threads: int, show: bool, size: int, status: dict[str, str | None]
) -> Iterator[RegionBatch]:
    plane, cap, n = setting.slice, budget.regions or NO_LIMIT, 0
    source = tasks(setting.network, plane.origin, plane.basis, setting.domain.vertices, reduction=setting.reduction)
    pending = Pending((setting.network.n_breakpoints + 7) // 8, linear=False)
    # A number of pieces says nothing about how many regions they are.
    pool = Pool(source, _work, threads, replace(budget, regions=None) if setting.has_maxima else budget, keeps=True)
    total = expected_regions(setting) if show else None
    bar = tqdm(unit=" regions", unit_scale=True, disable=not show, desc="stream", total=total)
    try:
        with bar:
            while (job := pool.take()) is not None:
                for regions in _complete(job.value, pending):
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
                pool.kept = pending.nbytes
        if pending:
            raise SplineGeoError(
                f"internal error: {len(pending):,} regions are not complete; please report the network"
            )
        status["reason"] = ""
    except Stopped as stop:
        status["reason"] = str(stop)
    finally:
        pool.close()
        if status["reason"] is None:
            status["reason"] = "closed"


def _complete(found: _Found, pending: Pending) -> Iterator[TaskRegions]:
    """The regions that are complete with this task."""
    yield found.regions
    done = None if found.open is None else pending.add(found.open)
    if done is not None:
        yield done.regions
