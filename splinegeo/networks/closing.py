"""The smooth map that closes a network, and may be left off: sigmoid, tanh, softmax and what follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork

# Smooth operations that an output may go through last.
DROPPABLE = frozenset((
    "sigmoid", "tanh", "softmax", "_softmax", "log_softmax", "_log_softmax", "softplus", "log_sigmoid", "exp", "erf",
    "atan",
))  # fmt: skip
# What may stand behind them, apart from positive scales and shifts.
RESHAPES = frozenset((
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "squeeze", "unsqueeze",
    "movedim", "moveaxis", "swapaxes", "swapdims", "ravel", "pixel_shuffle", "pixel_unshuffle",
))  # fmt: skip


@dataclass(frozen=True)
class Closing:
    """What was left off, so that the rest can still be compared with the module."""

    core: SplineNetwork  # the network up to where the closing map starts
    function: Callable[[torch.Tensor], torch.Tensor]  # the closing map on one sample of the core's output, in float64
    gain: float = 1.0  # the product of its scales

    def values_and_errors(self, expected: Array, tolerance: Array, eps: float) -> tuple[Array, Array]:
        """The module's outputs (n, D') and their errors, from the core's (n, D).

        The droppable maps stretch by 2 at most in the largest component (log_softmax does), but for exp, whose errors
        are relative.
        """
        rows = [torch.from_numpy(row.reshape(1, *self.core.output_shape)) for row in expected]
        values = np.stack([self.function(row).numpy().ravel() for row in rows])
        reach = tolerance.max(1, keepdims=True) + 16 * eps * (1 + np.abs(expected).max(1, keepdims=True))
        return values, 4 * reach * (self.gain + np.abs(values))
