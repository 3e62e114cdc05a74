"""The arguments of `local_complexity`, checked and made definite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.balls import checked_frame, positive_radius, random_frame
from splinegeo.complexity.result import KINDS
from splinegeo.networks import SplineNetwork, capture
from splinegeo.partition.budget import Budget
from splinegeo.partition.enumerate import n_threads

DEFAULT_DIM = 20


@dataclass(frozen=True, eq=False)
class Balls:
    """The balls of a call: n of them, whatever the shape of the batch."""

    shape: tuple[int, ...]  # of the batch
    sample: tuple[int, ...]  # of one latent, as the network takes it
    centers: Array  # (n, E)
    radius: float
    frames: Array  # (1 or n, E, P)

    def __len__(self) -> int:
        return len(self.centers)

    def frame(self, i: int) -> Array:
        """(E, P) of ball i."""
        return self.frames[0 if len(self.frames) == 1 else i]

    @property
    def frame_argument(self) -> Array:
        """The frames as they are given: (E, P), or one for each latent."""
        e, p = self.frames.shape[1:]
        return self.frames[0] if len(self.frames) == 1 else self.frames.reshape(*self.shape, e, p)


def checked_balls(
    z: Any, radius: Any, dim: Any, frame: Any, rng: np.random.Generator, sample: tuple[int, ...] | None
) -> Balls:
    """The balls of a call.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
    """
    call = "local_complexity"
    latents = float_array(z, f"{call} z")
    if latents.ndim == 0:
        raise ShapeMismatch(f"{call}: z is a latent (E,) or a batch of them (n, E); got a single number")
    sample = latents.shape[-1:] if sample is None else sample
    if latents.shape[-len(sample) :] != sample:
        e = math.prod(sample)
        if latents.shape[-1] != e:
            raise ShapeMismatch(
                f"{call}: z must have shape (..., {', '.join(map(str, sample))}), or (..., {e}) flat; "
                f"got {latents.shape}"
            )
        shape = latents.shape[:-1]
    else:
        shape = latents.shape[: latents.ndim - len(sample)]
    e = math.prod(sample)
    r = positive_radius(radius, f"{call} radius")
    if frame is None:
        p = min(DEFAULT_DIM, e) if dim is None else dim
        frames = random_frame(e, p, rng)[None]
    else:
        given = float_array(frame, f"{call} frame")
        if given.ndim > 2 and given.shape[:-2] == shape:
            parts = given.reshape(-1, *given.shape[-2:])
            frames = np.stack([checked_frame(f, e, f"{call} frame") for f in parts])
        else:
            frames = checked_frame(given, e, f"{call} frame")[None]
        if dim is not None and dim != frames.shape[2]:
            raise ShapeMismatch(f"{call}: dim={dim!r} is not the {frames.shape[2]} columns of frame; leave it out")
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(latents).max(initial=0) + r * np.abs(frames).max()):
            raise InvalidArgument(f"{call}: the balls leave the range of float64")
    return Balls(shape, sample, latents.reshape(-1, e), r, frames)


def checked_kind(kind: Any) -> str:
    """One of the three kinds.

    Raises:
        InvalidArgument: it is none of them.
    """
    if kind not in KINDS:
        raise InvalidArgument(f"local_complexity(kind={kind!r}): one of {', '.join(map(repr, KINDS))} is expected")
    return str(kind)


def checked_network(net: Any, balls: Balls) -> SplineNetwork:
    """The captured network, whose inputs are those of the latents.

    Raises:
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
        ShapeMismatch: it takes another number of inputs.
    """
    network = net if isinstance(net, SplineNetwork) else capture(net, balls.sample)
    e = balls.centers.shape[1]
    if network.n_inputs != e:
        raise ShapeMismatch(f"local_complexity: the network takes {network.n_inputs} inputs, the latents have {e}")
    return network


def checked_budget(budget: Any) -> Budget:
    """The budget, one without limits for None.

    Raises:
        WrongType: it is something else.
    """
    if budget is not None and not isinstance(budget, Budget):
        raise WrongType(f"local_complexity: budget is a Budget or None, not {type(budget).__name__}")
    return budget or Budget()


def checked_threads(threads: Any) -> int:
    """The number of threads, all cores for None.

    Raises:
        WrongType, InvalidArgument: not a positive whole number.
    """
    try:
        return n_threads(threads)
    except (WrongType, InvalidArgument) as error:
        raise type(error)(str(error).replace("partition", "local_complexity", 1)) from None


def checked_flag(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        WrongType: it is neither.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise WrongType(f"local_complexity({name}={value!r}): True or False is expected")
    return bool(value)


def checked_rows(rows: Any) -> int:
    """A positive whole number of rows.

    Raises:
        WrongType, InvalidArgument: it is none.
    """
    if isinstance(rows, bool) or not isinstance(rows, int | np.integer):
        raise WrongType(f"local_complexity(rows={rows!r}): a whole number is expected")
    if rows < 1:
        raise InvalidArgument(f"local_complexity(rows={rows}): a forward pass needs at least one row")
    return int(rows)


def checked_shape(shape: Any) -> tuple[int, ...] | None:
    """The shape of one sample, or None.

    Raises:
        WrongType: not whole numbers.
    """
    if shape is None:
        return None
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not sizes or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise WrongType(f"local_complexity(input_shape={shape!r}): a tuple of positive whole numbers is expected")
    return tuple(int(n) for n in sizes)
