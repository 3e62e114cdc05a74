"""The operations of a network, the same for every reader; one function each.

A function takes the builder and the operation's arguments in PyTorch's order. A value is `Live` if it depends on the
latent, else a torch tensor (constants are float64) or a Python number. Operations on constants alone never come here:
the readers evaluate them. Comparisons give a `Mask`, which only the operations in `comparisons` may take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from splinegeo._errors import NotPiecewiseLinear
from splinegeo.networks.builder import Builder
from splinegeo.networks.ops import affine, comparisons, convolutions, knots, normalisation, pooling
from splinegeo.networks.ops.affine import LINEAR, probe
from splinegeo.networks.ops.moves import CASTS, JOINS, MOVES, SAME, SCATTERS, SHAPE_ONLY, move
from splinegeo.networks.ops.refusals import refuse
from splinegeo.networks.ops.resampling import NEAREST, PER_CHANNEL, nearest, per_channel
from splinegeo.networks.ops.values import OPS, Live, Mask, Positions, Value, leaves

__all__ = [
    "OPS",
    "Live",
    "Value",
    "affine",
    "apply",
    "comparisons",
    "convolutions",
    "knots",
    "move",
    "normalisation",
    "pooling",
]

# Overloads that are another operation under the same name.
RENAMED = {("max", "other"): "maximum", ("min", "other"): "minimum"}
PLACEMENT = ("dtype", "device", "layout", "pin_memory", "memory_format")


def apply(b: Builder, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The aten operation ``name`` on arguments of which one at least is live; ``function`` is what torch runs."""
    name = RENAMED.get((name, getattr(function, "_overloadname", "")), name)
    arguments = list(leaves((args, kwargs)))
    if any(isinstance(a, Positions) for a in arguments):
        b.refuse(" to the positions of maxima, which jump; use the maxima themselves (return_indices=False).")
    if any(isinstance(a, Mask) for a in arguments):
        return comparisons.masked(b, name, args, kwargs)
    if name in OPS:
        return OPS[name](b, *args, **kwargs)
    if name in SAME:
        return args[0]
    if name in CASTS:
        dtype = next((a for a in (*args[1:], *kwargs.values()) if isinstance(a, torch.dtype)), torch.float64)
        if not dtype.is_floating_point:
            b.refuse(f" to {dtype}, which does not hold real numbers.", NotPiecewiseLinear)
        return args[0]
    if name in SHAPE_ONLY:
        kept = {k: v for k, v in kwargs.items() if k not in PLACEMENT}
        return function(torch.zeros(args[0].shape, dtype=torch.float64), *args[1:], **kept).double()
    if name in NEAREST:
        return nearest(b, function, *args, **kwargs)
    if name in PER_CHANNEL:
        return per_channel(b, function, *args, **kwargs)
    if name in LINEAR:
        return probe(b, function, *args, **{k: v for k, v in kwargs.items() if k not in PLACEMENT})
    if name in MOVES:
        return move(b, function, *args, join="all" if name in JOINS else "", **kwargs)
    if name in SCATTERS and not (name == "index_put" and (True in args[3:] or kwargs.get("accumulate"))):
        return move(b, function, *args, join="floating", **kwargs)
    return refuse(b, name)
