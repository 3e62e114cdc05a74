"""Interpolation: what PyTorch does to each channel, as positions or as a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from splinegeo.networks.builder import Builder
from splinegeo.networks.ops.affine import on_unit_vectors
from splinegeo.networks.ops.moves import move
from splinegeo.networks.ops.values import Live, refuse_product

NEAREST = frozenset(f"{name}{d}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for d in (1, 2, 3))
# Linear in the first argument, and the same for every channel.
PER_CHANNEL = frozenset((
    "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d",
))  # fmt: skip


def nearest(b: Builder, function: Callable[..., torch.Tensor], x: Live, *args: Any, **kwargs: Any) -> Any:
    """Repeats or drops entries; PyTorch does it to floating values only, and float64 holds every position exactly."""
    return move(b, lambda at: function(at.double(), *args, **kwargs).long(), x)


def per_channel(b: Builder, function: Callable[..., torch.Tensor], x: Live, *args: Any, **kwargs: Any) -> Live:
    """The matrix of one channel, which PyTorch gives in float64, for each of them."""
    from scipy.sparse import block_diag

    if not isinstance(x, Live) or any(isinstance(a, Live) for a in args):
        refuse_product(b)
    matrix, shape = on_unit_vectors(b, function, (1, 1, *x.shape[2:]), Live(x.node, ()), *args, **kwargs)
    channels = math.prod(x.shape[:2])
    # Never dense: the check of a captured network knows interpolations by being sparse.
    node = b.sparse(x.node, block_diag([matrix] * channels, format="csr"), dense=0)
    return Live(node, (*x.shape[:2], *shape[2:]))
