"""Small torch modules, at least one for every operation that is captured, with generic and degenerate weights.

Inputs are images on a plane through their space; `Case` holds the captured network, so the oracle and the engine see
the same graph, and the module itself, run in float64, says whether that graph is the right one.
"""

# ruff: noqa: E501  one line a module reads as a table

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import splinegeo as sg
from splinegeo._types import Array
from tests.oracles.families import SQUARE, Case, random_domain

Shape = tuple[int, ...]


class Function(nn.Module):
    """A function of the input and of some layers, ``f(x, *layers)``."""

    def __init__(self, f: Callable[..., torch.Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.f = f
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(x, *self.layers)


def chain(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def of(f: Callable[..., torch.Tensor], *layers: nn.Module) -> nn.Module:
    return Function(f, *layers)


def conv(a: int, b: int, k: Any = 2, *args: Any, **kwargs: Any) -> nn.Module:
    return nn.Conv2d(a, b, k, *args, **kwargs)


def head(n: int) -> list[nn.Module]:
    """Rectified, flattened, two outputs."""
    return [nn.ReLU(), nn.Flatten(), nn.Linear(n, 2)]


def pruned(layer: nn.Module) -> nn.Module:
    """Half of the weights masked."""
    return prune.random_unstructured(layer, "weight", 0.5)


def residual(x: torch.Tensor, stem: nn.Module, branch: nn.Module, last: nn.Module) -> torch.Tensor:
    h = F.relu(stem(x))
    return last(F.relu(h + 0.5 * branch(h)).flatten(1))


def dense_block(x: torch.Tensor, a: nn.Module, b: nn.Module, last: nn.Module) -> torch.Tensor:
    h = torch.cat([x, F.relu(a(x))], 1)
    h = torch.cat([h[:, 1:], F.relu(b(h))], 1)
    return last(h.permute(0, 2, 1, 3)[:, ::2].flatten(1))


def stacked(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
    h = torch.stack([a(x), a(-x), x.flatten(1)[:, :3]], 1)
    return b(F.relu(h).transpose(1, 2).flatten(1))


def tied(x: torch.Tensor, a: nn.Module, last: nn.Module) -> torch.Tensor:
    return last(F.relu(a(F.relu(a(x)))).flatten(1))


def assigned(x: torch.Tensor, a: nn.Module) -> torch.Tensor:
    h = a(x)
    h = h.relu_()
    h[:, 0] = h[:, 1] - 0.5
    return F.leaky_relu_(h, 0.25)


def maxout(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
    h = a(x).view(len(x), 2, 3).amax(2)
    return b(h).view(len(x), 1, 4).amax(2)


def extremes(x: torch.Tensor, a: nn.Module) -> torch.Tensor:
    p, q, r, s = a(x).chunk(4, 1)
    return torch.maximum(torch.minimum(p, q), torch.minimum(r, torch.maximum(s, q)))


def chosen(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
    h = a(x)
    h = torch.where(h > 0.25, h, 0.25)
    p, q = b(h).chunk(2, 1)
    return torch.cat([torch.where(p > q, p, q), p * (p > 0)], 1)


def reductions(x: torch.Tensor, a: nn.Module) -> torch.Tensor:
    h = F.relu(a(x))
    return torch.cat([h.sum((2, 3)), h.mean(1).flatten(1), h.amax((1, 2)), h.amin(3).flatten(1)], 1)


def norms(x: torch.Tensor, a: nn.Module) -> torch.Tensor:
    h = a(x)
    return torch.cat([h.norm(1, dim=1, keepdim=True), h.norm(float("inf"), dim=1, keepdim=True)], 1)


# What to build and the shape of a sample; images are so small that the oracle takes a fraction of a second.
MODULES: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    # convolutions
    "conv1d": (lambda: chain(nn.Conv1d(2, 3, 3, 2, 1), *head(9)), (2, 5)),
    "conv1d dilated, grouped": (lambda: chain(nn.Conv1d(2, 4, 2, dilation=2, groups=2), *head(12)), (2, 5)),
    "conv2d": (lambda: chain(conv(1, 2, (2, 3), (2, 1), (1, 0)), nn.LeakyReLU(0.1), conv(2, 1, 2), nn.ReLU()), (1, 3, 4)),
    "conv2d grouped": (lambda: chain(conv(2, 4, 2, 2, 1, (2, 1), 2), *head(16)), (2, 3, 3)),
    "conv2d depthwise": (lambda: chain(conv(2, 2, 2, groups=2), nn.ReLU(), conv(2, 2, 1), *head(8)), (2, 3, 3)),
    "conv3d": (lambda: chain(nn.Conv3d(1, 2, 2, (1, 2, 1)), nn.Hardtanh(), nn.Flatten(), nn.Linear(4, 2), nn.ReLU()), (1, 2, 3, 3)),
    "conv transpose 1d": (lambda: chain(nn.ConvTranspose1d(2, 2, 3, 2, 1, 1), *head(8)), (2, 2)),
    "conv transpose 2d": (lambda: chain(nn.ConvTranspose2d(2, 2, 2, (2, 1), (1, 0), (1, 0), 2, dilation=(1, 2)), *head(24)), (2, 2, 2)),
    "conv transpose 3d": (lambda: chain(nn.ConvTranspose3d(1, 1, 2, (1, 1, 2), (0, 1, 0)), *head(12)), (1, 2, 2, 2)),
    "generator": (lambda: chain(nn.Linear(2, 4), nn.ReLU(), nn.Unflatten(1, (1, 2, 2)), nn.ConvTranspose2d(1, 2, 2, 2), nn.LeakyReLU(0.2), conv(2, 1, 3)), (2,)),
    # normalisation
    "batch norm": (lambda: chain(conv(1, 3, 2, bias=False), nn.BatchNorm2d(3), *head(12)), (1, 3, 3)),
    "batch norm 1d": (lambda: chain(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU6(), nn.Linear(5, 2), nn.BatchNorm1d(2, affine=False), nn.ReLU()), (3,)),
    # averages
    "average pool": (lambda: chain(conv(1, 2), nn.ReLU(), nn.AvgPool2d(2, 1, 1, ceil_mode=True), nn.ReLU(), conv(2, 1, 3)), (1, 3, 3)),
    "average pool, not counting": (lambda: chain(conv(1, 2), nn.ReLU(), nn.AvgPool2d(2, 2, 1, count_include_pad=False), conv(2, 1), nn.ReLU()), (1, 3, 4)),
    "adaptive average pool": (lambda: chain(conv(1, 2), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 1)), conv(2, 2, 1), nn.ReLU()), (1, 4, 3)),
    # maxima
    "max pool": (lambda: chain(conv(1, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2), nn.ReLU()), (1, 3, 3)),
    "max pool of rectified": (lambda: chain(conv(1, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(4, 2), nn.ReLU()), (1, 3, 4)),
    "max pool, rectified": (lambda: chain(conv(1, 2), nn.MaxPool2d(2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), (1, 3, 4)),
    "max pool, overlapping": (lambda: chain(conv(1, 1), nn.MaxPool2d(3, 2, 1), nn.ReLU()), (1, 4, 4)),
    "max pool, ceiling": (lambda: chain(conv(1, 2), nn.MaxPool2d(2, 2, ceil_mode=True), nn.LeakyReLU(0.5)), (1, 4, 4)),
    "max pool, dilated": (lambda: chain(conv(1, 1), nn.MaxPool2d((2, 1), 1, 0, (2, 1)), nn.ReLU()), (1, 4, 3)),
    "max pool 1d": (lambda: chain(nn.Conv1d(2, 2, 2), nn.MaxPool1d(3, 1, 1), nn.Conv1d(2, 1, 2), nn.ReLU()), (2, 4)),
    "max pool 3d": (lambda: chain(nn.Conv3d(1, 1, 1), nn.MaxPool3d(2, (1, 1, 2)), nn.ReLU()), (1, 2, 3, 2)),
    "max pool of the image": (lambda: chain(nn.MaxPool2d(2, 1), conv(1, 2), nn.ReLU()), (1, 3, 3)),
    "max pool twice": (lambda: chain(conv(1, 1), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1), nn.ReLU()), (1, 4, 4)),
    "max pool, convolution, max pool": (lambda: chain(conv(1, 2), nn.MaxPool2d(2, 1), conv(2, 2), nn.MaxPool2d((1, 2))), (1, 4, 5)),
    "adaptive max pool": (lambda: chain(conv(1, 2), nn.AdaptiveMaxPool2d((2, 1)), nn.Flatten(), nn.Linear(4, 2), nn.ReLU()), (1, 4, 3)),
    "maxout": (lambda: of(maxout, nn.Linear(3, 6), nn.Linear(2, 4)), (3,)),
    "maximum and minimum": (lambda: of(extremes, nn.Linear(3, 8)), (3,)),
    "norms": (lambda: of(norms, nn.Linear(3, 4)), (3,)),
    "pooled branches": (lambda: of(lambda x, a, b: torch.maximum(F.max_pool2d(a(x), 2), F.avg_pool2d(b(x), 2)), conv(1, 2), conv(1, 2)), (1, 3, 3)),
    # resampling, padding, rearranging
    "upsample nearest": (lambda: chain(conv(1, 2), nn.ReLU(), nn.Upsample(scale_factor=2), conv(2, 1, 3, 2), nn.ReLU()), (1, 3, 3)),
    "upsample bilinear": (lambda: chain(conv(1, 1), nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(1, 1, 2, 2), nn.ReLU()), (1, 3, 3)),
    "upsample, corners": (lambda: chain(conv(1, 1), nn.ReLU(), nn.Upsample(size=(3, 4), mode="bilinear", align_corners=True), conv(1, 1, 2), nn.ReLU()), (1, 3, 3)),
    "constant padding": (lambda: chain(conv(1, 1), nn.ReLU(), nn.ConstantPad2d((1, 0, 1, 1), 0.5), conv(1, 1), nn.ReLU()), (1, 3, 3)),
    "reflection": (lambda: chain(conv(1, 1, 3, padding=1, padding_mode="reflect"), nn.ReLU(), nn.ReflectionPad2d(1), conv(1, 1, 3, 2), nn.ReLU()), (1, 3, 3)),
    "replication": (lambda: chain(conv(1, 1), nn.ReLU(), nn.ReplicationPad2d((0, 1, 1, 0)), conv(1, 1), nn.ReLU()), (1, 3, 3)),
    "circular": (lambda: chain(nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"), *head(8)), (2, 4)),
    "pixel shuffle": (lambda: chain(conv(1, 4), nn.ReLU(), nn.PixelShuffle(2), conv(1, 1, 2, 2), nn.ReLU()), (1, 3, 3)),
    "stack and slice": (lambda: of(stacked, nn.Linear(4, 3), nn.Linear(9, 2)), (4,)),
    "cat, slice, permute": (lambda: of(dense_block, conv(2, 2, 3, padding=1), conv(4, 2, 1), nn.Linear(30, 2)), (2, 3, 3)),
    "residual": (lambda: of(residual, conv(1, 2), conv(2, 2, 3, padding=1), nn.Linear(8, 2)), (1, 3, 3)),
    # weights that are computed, shared or short
    "weight norm": (lambda: chain(parametrizations.weight_norm(conv(1, 2)), *head(8)), (1, 3, 3)),
    "spectral norm": (lambda: chain(parametrizations.spectral_norm(conv(1, 2)), *head(8)), (1, 3, 3)),
    "pruned": (lambda: chain(pruned(conv(1, 3)), nn.ReLU(), nn.Flatten(), pruned(nn.Linear(12, 3)), nn.ReLU()), (1, 3, 3)),
    "tied": (lambda: of(tied, conv(2, 2, 3, padding=1), nn.Linear(8, 2)), (2, 2, 2)),
    "in place": (lambda: of(assigned, nn.Linear(3, 5)), (3,)),
    "float16": (lambda: chain(conv(1, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(2, 2)).half(), (1, 3, 3)),
    "bfloat16": (lambda: chain(conv(1, 2), nn.LeakyReLU(0.01), nn.ConvTranspose2d(2, 1, 2), nn.ReLU()).bfloat16(), (1, 3, 3)),
    "float32": (lambda: chain(conv(1, 2), nn.PReLU(2), nn.AvgPool2d(2, 1), nn.ReLU()).float(), (1, 3, 3)),
    # sums and choices
    "reductions": (lambda: of(reductions, conv(1, 2)), (1, 3, 3)),
    "where": (lambda: of(chosen, nn.Linear(3, 4), nn.Linear(4, 4)), (3,)),
}  # fmt: skip
# What pooling ties everywhere on: constant images under kernels whose weights are all one.
KINDS = ("generic", "ternary", "quarter", "bias free", "duplicated", "dead", "equal")


@dataclass(frozen=True)
class ModuleCase(Case):
    """A case with the module that it was captured from."""

    module: nn.Module
    double: nn.Module  # the same with its weights and sums in float64
    input_shape: Shape

    def outputs(self, u: Array) -> Array:
        """What the module itself gives (n, D) at points u (n, 2), in float64."""
        origin, basis = self.slice or (np.zeros(2), np.eye(2))
        z = torch.from_numpy(origin + u @ basis.T).reshape(len(u), *self.input_shape)
        with torch.no_grad():
            return self.double(z).reshape(len(u), -1).numpy()


def make_module_case(name: str, kind: str, seed: int = 0) -> ModuleCase:
    """One of the `MODULES` with weights of one of the `KINDS`."""
    rng = np.random.default_rng([list(MODULES).index(name), KINDS.index(kind), seed])
    torch.manual_seed(seed)
    build, shape = MODULES[name]
    module = build().eval()
    short = {p.dtype for p in module.parameters()} & {torch.float16, torch.bfloat16} or name == "float32"
    module = module if short else module.double()
    _fill(module, kind, rng)
    double = build().eval().double()
    double.load_state_dict(module.state_dict())
    network = sg.capture(module, shape)
    plane = None if shape == (2,) else _plane(rng, shape, kind)
    polygon = SQUARE if kind == "bias free" else random_domain(rng, seed + KINDS.index(kind))
    return ModuleCase(f"{name}-{kind}-{seed}", network, polygon, plane, module, double, shape)


def _fill(module: nn.Module, kind: str, rng: np.random.Generator) -> None:
    """Overwrite parameters and running statistics."""
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.from_numpy(rng.integers(-2, 3, buffer.shape) / 4))
        elif name.endswith("running_var"):
            buffer.copy_(torch.from_numpy(rng.choice([0.25, 1.0, 4.0], buffer.shape)))
    for name, parameter in module.named_parameters():
        value = _weights(kind, name, tuple(parameter.shape), rng)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(value))


def _weights(kind: str, name: str, shape: Shape, rng: np.random.Generator) -> Array:
    fan = max(1, int(np.prod(shape[1:])))
    normal = rng.normal(size=shape) * (2 / fan) ** 0.5
    is_bias = name.endswith("bias")
    if "original" in name and kind != "generic":  # a norm divides by it
        return np.round(4 * normal) / 4 + 0.125
    match kind:
        case "ternary":
            return rng.integers(-1, 2, shape) * 1.0
        case "quarter":
            return np.round(4 * normal) / 4
        case "equal":
            return np.full(shape, 0.25 if is_bias else 1.0)
        case "bias free" if is_bias:
            return np.zeros(shape)
        case "duplicated":
            normal[1::2] = normal[: 2 * (shape[0] // 2) : 2]
        case "dead" if shape[0] > 1:  # the first channel is zero, the last one never above
            normal[0] = 0.0
            normal[-1] = -100.0 if is_bias else normal[-1]
    return normal / 2 if is_bias else normal


def _plane(rng: np.random.Generator, shape: Shape, kind: str) -> tuple[Array, Array]:
    n = int(np.prod(shape))
    while True:
        if kind == "equal":  # each channel a constant; a single one with a step
            channels = np.arange(n) * shape[0] // n
            half = np.arange(n) * (2 if shape[0] == 1 else shape[0]) // n
            origin = np.where(channels % 2, 0.5, -0.25)
            basis = np.stack([np.ones(n), 0.0 + (half % 2 if len(shape) > 1 else np.arange(n) == 1)], 1)
        elif kind in ("ternary", "quarter", "duplicated"):
            origin, basis = rng.integers(-2, 3, n) / 2, rng.integers(-1, 2, (n, 2)) * 1.0
        else:
            origin, basis = rng.normal(size=n) / 2, rng.normal(size=(n, 2))
        if kind == "bias free":
            origin = np.zeros(n)
        if np.linalg.matrix_rank(basis) == 2:
            return origin, basis
