"""Modules whose weights are shipped: the architecture here, the weights in the archives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from splinegeo.data import load_arrays

M = TypeVar("M", bound=nn.Module)


def make_decoder(n_latents: int) -> nn.Sequential:
    """Latents to images of digits, untrained: 8 channels of 2 × 2 pixels grow into one of 8 × 8."""
    return nn.Sequential(
        nn.Linear(n_latents, 32),
        nn.ReLU(),
        nn.Unflatten(1, (8, 2, 2)),
        nn.ConvTranspose2d(8, 8, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 1, kernel_size=3, padding=1),
    )


def load_digits_decoder(n_latents: int) -> nn.Sequential:
    """The decoder of handwritten digits with 2 or 8 latent dimensions, in evaluation mode; see `make_decoder`."""
    return with_weights(make_decoder(n_latents), load_arrays("digits"), f"decoder{n_latents}").eval()


def with_weights(module: M, arrays: Mapping[str, Any], prefix: str) -> M:
    """``module`` with the weights that ``arrays`` hold under ``prefix.`` and the names of its state dictionary."""
    module.load_state_dict({name: torch.tensor(arrays[f"{prefix}.{name}"]) for name in module.state_dict()})
    return module
