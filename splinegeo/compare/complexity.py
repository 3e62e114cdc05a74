"""Local complexity: the published estimate beside the exact numbers of crossing units and of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.balls import L1Ball, random_frame
from splinegeo.compare.result import Comparison, frozen
from splinegeo.complexity import local_complexity
from splinegeo.complexity.witness import find_witness
from splinegeo.networks import SplineNetwork, capture
from splinegeo.partition.budget import Budget, Clock

if TYPE_CHECKING:
    from torch import nn

COLUMNS = ("latent", "radius", "dim", "frame", "vertices", "crossing", "regions", "complete", "estimate")


def complexity(
    net: nn.Module | SplineNetwork,
    z: Any,
    radii: Sequence[float] = (0.01, 0.1),
    dims: Sequence[int] | None = None,
    frames: int = 1,
    *,
    regions: bool = True,
    rng: Any = 0,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Comparison:
    """The three forms of δ over latents, radii, dimensions P and frames; see `local_complexity`.

    Columns of the table: ``latent``, ``radius``, ``dim`` and ``frame`` (numbers of the latent and the frame),
    ``vertices`` (the estimate), ``crossing`` (what it estimates, exact), ``regions`` (exact where ``complete``, else a
    lower bound, with ``estimate`` beside it; -1 and NaN if left out). The witness is a `Witness` of the worst row, or
    None where nothing is missed.

    Args:
        net: a module that `capture` reads, or a captured network.
        z: latents (E,) or (n, E).
        radii: radii of the balls.
        dims: dimensions P, each at most E; 20, or E if that is less, by default.
        frames: number of frames to draw for each dimension, the same for all latents and radii.
        regions: also count regions, which takes longest.
        rng: a seed or a `numpy.random.Generator`.
        budget: as in `local_complexity`, for each call of it. Ctrl-C ends the table early, with a ``stop_reason``.
        threads: as in `local_complexity`.
        progress: show a progress bar on stderr.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch, NotPiecewiseLinear, UnsupportedOperation: as `local_complexity`.
    """
    latents = np.atleast_2d(float_array(z, "compare.complexity z"))
    if latents.ndim != 2:
        raise ShapeMismatch(f"compare.complexity: z must have shape (E,) or (n, E); got {latents.shape}")
    e = latents.shape[1]
    network = net if isinstance(net, SplineNetwork) else capture(net, (e,))
    radii, sizes = _sequence("radii", radii), (min(20, e),) if dims is None else _sequence("dims", dims)
    if isinstance(frames, bool) or not isinstance(frames, int | np.integer):
        raise WrongType(f"compare.complexity(frames={frames!r}): a whole number is expected")
    if frames < 1:
        raise InvalidArgument(f"compare.complexity(frames={frames}): at least one frame is needed")
    generator = np.random.default_rng(rng)
    drawn = {(p, k): random_frame(e, p, generator) for p in sizes for k in range(frames)}
    parts: dict[str, list[Array]] = {name: [] for name in COLUMNS}
    n, stopped = len(latents), ""
    settings = [(p, k, frame, radius) for (p, k), frame in drawn.items() for radius in radii]
    with tqdm(total=len(settings), disable=not progress, desc="compare", unit=" settings") as bar:
        for p, k, frame, radius in settings:
            if stopped:
                break
            common: dict[str, Any] = {"radius": radius, "frame": frame, "budget": budget, "threads": threads}
            vertices = local_complexity(network, latents, kind="vertices", **common)
            crossing = local_complexity(network, latents, kind="crossing", **common)
            columns = {
                "latent": np.arange(n),
                "radius": np.full(n, float(radius)),
                "dim": np.full(n, p),
                "frame": np.full(n, k),
                "vertices": vertices.values,
                "crossing": crossing.values,
                "regions": np.full(n, -1),
                "complete": crossing.complete,
                "estimate": np.full(n, np.nan),
            }
            if regions:
                found = local_complexity(network, latents, kind="regions", rng=generator, **common)
                columns |= {
                    "regions": found.values,
                    "complete": crossing.complete & found.complete,
                    "estimate": found.estimate,
                }
                stopped = "interrupted" if found.stop_reason == "interrupted" else ""
            for name, column in columns.items():
                parts[name].append(column)
            if "interrupted" in (vertices.stop_reason, crossing.stop_reason):
                stopped = "interrupted"
            bar.update(1)
    table = frozen({name: np.concatenate(columns) for name, columns in parts.items()})
    result = Comparison("vertex sign changes with crossing units", table, "crossing", "vertices", None, stopped)
    if stopped or result.worst < 0 or not result.errors[result.worst]:
        return result
    row = result.row(result.worst)
    ball = L1Ball(latents[row["latent"]], row["radius"], drawn[row["dim"], row["frame"]])
    clock = Clock(budget or Budget())
    witness = find_witness(network, ball, lambda: bool(clock.reason(0)))
    return Comparison(result.what, table, "crossing", "vertices", witness)


def _sequence(name: str, values: Any) -> tuple[Any, ...]:
    """Several values, each of which is checked where it is used.

    Raises:
        WrongType, InvalidArgument: a single value, or none.
    """
    try:
        several = tuple(values)
    except TypeError:
        raise WrongType(f"compare.complexity({name}={values!r}): a sequence is expected; write ({values!r},)") from None
    if not several:
        raise InvalidArgument(f"compare.complexity({name}={several!r}): at least one is needed")
    return several
