"""`summarise`: exact statistics of all regions in bounded memory, with checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import SplineNetwork
from splinegeo.partition.arguments import Reduction
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import Task
from splinegeo.partition.job import NO_LIMIT
from splinegeo.partition.tasks import tasks
from splinegeo.streaming.arguments import Setting, checked_budget, checked_flag, checked_threads
from splinegeo.streaming.checkpoint import Checkpoint, fingerprints
from splinegeo.streaming.estimate import expected_regions
from splinegeo.streaming.histograms import checked_bins
from splinegeo.streaming.interrupts import interrupts_noted
from splinegeo.streaming.mapping import Marks
from splinegeo.streaming.pool import Pool, Stopped
from splinegeo.streaming.raster import Grid, Raster
from splinegeo.streaming.regions import TaskRegions
from splinegeo.streaming.state import State
from splinegeo.streaming.summary import Summary
from splinegeo.streaming.tally import Part, Plan, exponent_of, summary_of

if TYPE_CHECKING:
    from torch import nn

HISTOGRAMS = ("psi", "nu", "volume", "log_volume")
BINS = 64


def summarise(
    net: nn.Module | SplineNetwork,
    domain: Box | Polygon,
    slice: Slice | None = None,
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    bins: int | Mapping[str, Any] = BINS,
    raster: Raster | None = None,
    linear_regions: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    reduction: Reduction | None = None,
) -> Summary:
    """Statistics of all regions of a network over a domain, exactly, without storing the regions.

    The result does not depend on the number of threads, nor on how often the work was interrupted and resumed.

    Args:
        net: a module (see `capture` for what can be read) or a captured network, R^E -> R^D.
        domain: the polygon of slice coordinates to look at.
        slice: the plane z = origin + basis @ u in latent space. May be left out for E = 2.
        budget: limits on regions, on seconds, and on the memory of regions that are held at one time. When one is
            reached, or on Ctrl-C, the result describes what was found, with ``complete=False``.
        threads: number of threads, all cores by default.
        progress: show a progress bar on stderr, with an estimate of the number of regions.
        bins: how many bins a histogram has at most (their edges follow from what is found), or a mapping from "psi",
            "nu", "volume" or "log_volume" to such a number or to the edges of the bins; what it leaves out gets 64.
        raster: pictures to draw; see `Raster`.
        linear_regions: count linear regions, too. Takes time and a little memory for the maps on the edge of what is
            done.
        checkpoint: a file that the work so far is written to, atomically, every now and then and at the end. If it
            exists, the work goes on from there.
        checkpoint_seconds: how often the file is written; 0 is after every task.
        reduction: memory and device for networks with thousands of units, which are reduced first.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        CheckpointMismatch: the checkpoint belongs to other arguments.
        FileFormatError, FileAccessError: the checkpoint is damaged, or cannot be read or written.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    call = "summarise"
    limits, count = checked_budget(call, budget), checked_threads(call, threads)
    show, linear = checked_flag(call, "progress", progress), checked_flag(call, "linear_regions", linear_regions)
    binning = _binning(call, bins)
    if raster is not None and not isinstance(raster, Raster):
        raise WrongType(f"{call}: raster is a Raster or None, not {type(raster).__name__}")
    every = _seconds(call, checkpoint_seconds)
    setting = Setting.of(call, net, domain, slice, reduction)
    plane, network = setting.slice, setting.network
    plan = Plan(
        shape=(network.n_outputs, plane.dim),
        n_bytes=(network.n_breakpoints + 7) // 8,
        exponent=exponent_of(domain.volume),
        bins=binning,
        grid=None if raster is None else Grid(raster, domain),
        pictures=() if raster is None else raster.values,
        marks=Marks(network.n_outputs) if linear else None,
        pieces=setting.has_maxima,
    )
    state = State(plan)
    file = None
    if checkpoint is not None:
        options = {"bins": binning, "raster": raster, "linear_regions": linear, "reduction": setting.reduction}
        file = Checkpoint(_path(call, checkpoint), fingerprints(setting, options), every)
        if not file.load(state):
            file.save(state)  # better to fail now than after hours
    reason = "" if state.finished else _work(setting, state, limits, count, show, file)
    return Summary.of(setting, state, reason)


def _work(setting: Setting, state: State, budget: Budget, threads: int, show: bool, file: Checkpoint | None) -> str:
    """Go on until all is done, or empty-handed with the reason why not."""
    most, pieces = NO_LIMIT, state.plan.pieces

    def work(task: Task, arrays: dict[str, Array]) -> Part:
        return summary_of(state.plan, TaskRegions.of(task, arrays), most)

    total = expected_regions(setting) if show else None
    bar = tqdm(
        unit=" regions", unit_scale=True, disable=not show, desc="summarise", total=total, initial=state.n_regions
    )
    cap, reason = budget.regions or NO_LIMIT, ""
    with interrupts_noted() as pressed, bar:
        source = _tasks(setting, state.next_task, state.plan.marks is not None)
        # A number of pieces says nothing about how many regions they are.
        pool = Pool(source, work, threads, replace(budget, regions=None) if pieces else budget, keeps=False)
        cut: Part | None = None
        try:
            while (job := pool.take(pressed)) is not None:
                room, before = cap - state.n_regions, state.n_regions
                if cap != NO_LIMIT and state.growth(job.value) > room:
                    reason, most = f"budget of {cap:,} regions", room
                    cut = pool.again(job.task, NO_LIMIT if pieces else room) if room > 0 else None
                    break
                state.add(job.value)
                pool.kept = state.held
                bar.update(state.n_regions - before)
                if file is not None:
                    file.save_if_due(state)
        except Stopped as stop:
            reason = str(stop)
        except KeyboardInterrupt:  # from a handler of the user's own
            reason = "interrupted"
        finally:
            pool.close()
        if not reason:
            state.finish()
        if file is not None:
            file.save(state)
        if cut is not None:  # part of a task: not for the file, where whole tasks are counted
            state.add(cut, most)
    return reason


def _tasks(setting: Setting, start: int, keep_maps: bool) -> Iterator[Task]:
    """All tasks from number ``start`` on; without maps, with walks that do not write them down."""
    plane, before, lean = setting.slice, None, None
    corners = setting.domain.vertices
    for task in tasks(setting.network, plane.origin, plane.basis, corners, start, reduction=setting.reduction):
        problem = task.problem
        if keep_maps or not problem.outputs.keep:
            yield task
            continue
        if lean is None or problem is not before:  # tasks of one problem stay so: threads keep what they prepared
            before, lean = problem, replace(problem, outputs=replace(problem.outputs, keep=False))
        yield replace(task, problem=lean)


def _binning(call: str, bins: Any) -> dict[str, int | Array]:
    if not isinstance(bins, Mapping):
        return dict.fromkeys(HISTOGRAMS, checked_bins(call, bins))
    for name in bins:
        if name not in HISTOGRAMS:
            raise InvalidArgument(f"{call}: bins has no place for {name!r}; choose from {', '.join(HISTOGRAMS)}")
    return {name: checked_bins(call, bins.get(name, BINS)) for name in HISTOGRAMS}


def _seconds(call: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongType(f"{call}(checkpoint_seconds={value!r}): a number of seconds is expected")
    if not value >= 0:
        raise InvalidArgument(f"{call}(checkpoint_seconds={value!r}): a number of seconds is not negative")
    return float(value)


def _path(call: str, path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise WrongType(f"{call}: checkpoint is the path of a file, not {type(path).__name__}")
    return os.fspath(path)
