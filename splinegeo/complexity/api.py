"""`local_complexity`: how many regions, or crossing units, there are around a latent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.balls import L1Ball
from splinegeo.complexity.arguments import (
    Balls,
    checked_balls,
    checked_budget,
    checked_flag,
    checked_kind,
    checked_network,
    checked_rows,
    checked_shape,
    checked_threads,
)
from splinegeo.complexity.result import LocalComplexity
from splinegeo.networks import SplineNetwork
from splinegeo.partition.budget import Budget, Clock

if TYPE_CHECKING:
    from torch import nn


def local_complexity(
    net: nn.Module | SplineNetwork,
    z: Any,
    radius: float = 0.1,
    dim: int | None = None,
    kind: str = "regions",
    frame: Any = None,
    *,
    rng: Any = 0,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
    outputs: bool = False,
    input_shape: Any = None,
    rows: int = 512,
) -> LocalComplexity:
    """Local complexity δ of latents, from the ℓ1 balls of a given radius around them in a P-dimensional plane.

    Three things go by that name, and are told apart here:

    - ``"regions"``: the number of regions that meet the open ball, exactly.
    - ``"crossing"``: the number of units whose pre-activation takes both signs in the open ball, exactly. A knot with
      several breakpoints counts as a unit for each.
    - ``"vertices"``: the estimate of Humayun, Balestriero and Baraniuk ("Deep networks always grok and here is why",
      2024), the number of units whose pre-activation takes both signs at the 2P vertices z ± radius * frame[:, p].

    vertices <= crossing always, but for rounding; crossing <= regions - 1 unless units share their kinks.

    Args:
        net: a module (see `capture` for what the exact kinds can read) or a captured network. ``"vertices"`` takes any
            module that maps batches to batches, smooth ones included, and runs it where it is, in its own precision.
        z: latents (E,) or (..., E), or of ``input_shape``; or an `L1Ball`, which brings its radius and its frame.
        radius: of the balls.
        dim: P, the dimension of the balls, at most E; 20 by default, or E if that is less.
        kind: one of the three above.
        frame: (E, P) directions of all balls, or (..., E, P) of each; drawn from ``rng`` if left out, the same for all.
        rng: a seed or a `numpy.random.Generator`, for the frame and for estimates of counts that explode.
        budget: limits on the regions in a ball, on the seconds of the call, and on the memory of what is carried
            through the network for a ball (2 GB by default). Beyond them, and after Ctrl-C, values are lower bounds,
            with upper bounds and estimates beside them, which take about as long again.
        threads: number of threads that share the balls, all cores by default. No count depends on it. Forward passes of
            ``"vertices"`` have the threads that torch or NumPy give them.
        progress: show a progress bar on stderr.
        outputs: for ``"vertices"``, also count sign changes of the outputs (logits).
        input_shape: shape of one sample, for networks whose input is not flat.
        rows: for ``"vertices"``, the most vertices in a forward pass.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be; P > E.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
        UnsupportedOperation: crossing units of networks with max-pooling, whose ties are no unit's sign.

    Example:
        >>> import splinegeo as sg
        >>> net = sg.SplineNetwork.from_layers([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, 0.5], [0]])
        >>> [int(sg.local_complexity(net, [0, 0], 1, kind=kind, frame=[[1, 0], [0, 1]]))
        ...  for kind in ("regions", "crossing", "vertices")]
        [7, 3, 3]
    """
    kind, limits, count = checked_kind(kind), checked_budget(budget), checked_threads(threads)
    outputs, show = checked_flag("outputs", outputs), checked_flag("progress", progress)
    sample, rows = checked_shape(input_shape), checked_rows(rows)
    if isinstance(z, L1Ball):
        if frame is not None or dim is not None:
            raise InvalidArgument("local_complexity: a ball has a frame and a dimension; leave out frame and dim")
        z, radius, frame = z.center, z.radius, z.frame
    if sample is None and isinstance(net, SplineNetwork):
        z_shape = np.shape(z)
        sample = net.input_shape if z_shape[-len(net.input_shape) :] == net.input_shape else None
    generator = np.random.default_rng(rng)
    balls = checked_balls(z, radius, dim, frame, generator, sample)
    with tqdm(unit=" balls", disable=not show, desc=kind, total=len(balls)) as bar:
        if kind == "vertices":
            return _vertices(net, balls, limits, outputs, rows, bar.update)
        from splinegeo.complexity.counting import Counter

        counter = Counter(checked_network(net, balls), kind, limits)
        counts = counter.run(balls, generator, count, bar.update)
    by_layer = np.array([c.crossing for c in counts], np.int64).reshape(len(balls), len(counter.layers))
    reasons = [c.reason for c in counts if c.reason]
    return _result(
        kind,
        balls,
        values=np.array([c.value for c in counts], np.int64),
        complete=np.array([c.complete for c in counts], bool),
        upper=np.array([c.upper for c in counts], float),
        estimate=np.array([c.estimate for c in counts], float),
        interval=np.array([c.interval for c in counts], float).reshape(-1, 2),
        by_layer=by_layer,
        layers=counter.layers,
        reason=reasons[0] if reasons else "",
    )


def _vertices(
    net: Any, balls: Balls, budget: Budget, outputs: bool, rows: int, bar: Callable[[int], object]
) -> LocalComplexity:
    clock = Clock(budget)
    reasons: list[str] = []

    def advance(done: int) -> bool:
        bar(done)
        reasons[:] = [r for r in (clock.reason(0),) if r]
        return bool(reasons)

    arguments = (balls.centers, balls.radius, balls.frames, outputs, advance)
    if isinstance(net, SplineNetwork):
        from splinegeo.complexity.vertices import layer_names, sign_changes

        counts, done = sign_changes(checked_network(net, balls), *arguments)
        names = layer_names(net, outputs)
    else:
        from splinegeo.complexity.modules import module_sign_changes

        counts, names, done = module_sign_changes(net, *arguments, balls.sample, rows)
    n = len(balls)
    values = counts.sum(1)
    complete = np.arange(n) < done
    known = np.where(complete, values, np.nan)
    return _result(
        "vertices",
        balls,
        values=values,
        complete=complete,
        upper=np.full(n, np.inf),
        estimate=known,
        interval=np.full((n, 2), np.nan),
        by_layer=counts,
        layers=names,
        reason="" if complete.all() else (reasons or ["interrupted"])[0],
    )


def _result(
    kind: str,
    balls: Balls,
    *,
    values: Array,
    complete: Array,
    upper: Array,
    estimate: Array,
    interval: Array,
    by_layer: Array,
    layers: tuple[str, ...],
    reason: str,
) -> LocalComplexity:
    shape = balls.shape
    arrays = {
        "values": values.reshape(shape),
        "complete": complete.reshape(shape),
        "upper": upper.reshape(shape),
        "estimate": estimate.reshape(shape),
        "interval": interval.reshape(*shape, 2),
        "crossing": by_layer.sum(1).reshape(shape),
        "per_layer": by_layer.reshape(*shape, len(layers)),
    }
    for array in arrays.values():
        array.setflags(write=False)
    return LocalComplexity(
        kind=kind, **arrays, layers=layers, radius=balls.radius, frame=balls.frame_argument, stop_reason=reason
    )
