"""Layers of images: convolutions, pooling, normalisation and resampling against the module itself in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from splinegeo.networks import Combine, Convolution, Knot, Maximum, Sparse, capture

S1, S2, S3 = (4, 9), (4, 7, 6), (2, 5, 4, 4)


class Function(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("kind", torch.zeros((), dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def pruned() -> nn.Module:
    conv = nn.Conv2d(4, 3, 3)
    prune.l1_unstructured(conv, "weight", 0.5)
    return conv


def statistics(layer: nn.Module) -> nn.Module:
    """The layer with running statistics and weights of some training."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape, generator=generator) + (0.0 if name.endswith("mean") else 0.2)
    return layer


def shared() -> nn.Module:
    conv = nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(inplace=True), conv, nn.LeakyReLU(0.1, inplace=True))


def function(f: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    return lambda: Function(f)


G = torch.Generator().manual_seed(0)
GRID = 2 * torch.rand(1, 3, 5, 2, generator=G, dtype=torch.float64) - 1
K2 = torch.randn(3, 4, 2, 2, generator=G, dtype=torch.float64)
W6 = torch.randn(6, 8, generator=G, dtype=torch.float64)

# id: module, shape of a sample
TABLE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    # convolutions
    "conv1d": (lambda: nn.Conv1d(4, 3, 3, 2, 1), S1),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2), S2),
    "conv2d depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), S2),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding=1), S3),
    "conv same": (lambda: nn.Conv2d(4, 3, 3, padding="same", dilation=2), S2),
    "conv same, even": (lambda: nn.Conv2d(4, 3, (4, 2), padding="same"), S2),
    "conv1d same, even": (lambda: nn.Conv1d(4, 3, 2, padding="same"), S1),
    "conv valid": (lambda: nn.Conv2d(4, 3, 3, padding="valid"), S2),
    "conv reflect": (lambda: nn.Conv2d(4, 3, 3, padding=2, padding_mode="reflect"), S2),
    "conv replicate": (lambda: nn.Conv3d(2, 3, 3, padding=1, padding_mode="replicate"), S3),
    "conv circular": (lambda: nn.Conv1d(4, 3, 3, padding=1, padding_mode="circular"), S1),
    "conv transpose 1d": (lambda: nn.ConvTranspose1d(4, 3, 3, 2, 1, 1), S1),
    "conv transpose 2d": (lambda: nn.ConvTranspose2d(4, 6, (4, 3), (2, 3), (1, 0), (1, 2), groups=2), S2),
    "conv transpose dilated": (lambda: nn.ConvTranspose2d(4, 2, 3, 1, 1, dilation=(1, 2), bias=False), S2),
    "conv transpose 3d": (lambda: nn.ConvTranspose3d(2, 2, 2, 2), S3),
    "conv of several samples": (function(lambda x: F.conv2d(x.view(-1, 4, 7, 3), K2).flatten(1).view(len(x), -1)), S2),
    "conv without a batch": (function(lambda x: F.conv2d(x[0], K2)[None] if len(x) == 1 else None), S2),
    "linear at many positions": (lambda: nn.Linear(6, 50), (40, 6)),
    "matmul at many positions": (function(lambda x: x @ W6), (40, 6)),
    # normalisation
    "batch norm 1d": (lambda: statistics(nn.BatchNorm1d(6)), (6,)),
    "batch norm 1d, positions": (lambda: statistics(nn.BatchNorm1d(4)), S1),
    "batch norm 2d": (lambda: statistics(nn.BatchNorm2d(4, eps=0.1)), S2),
    "batch norm 2d, plain": (lambda: statistics(nn.BatchNorm2d(4, affine=False)), S2),
    "batch norm 3d": (lambda: statistics(nn.BatchNorm3d(2)), S3),
    "instance norm": (lambda: statistics(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)), S2),
    # pooling
    "avg 1d": (lambda: nn.AvgPool1d(2, ceil_mode=True), S1),
    "avg 2d": (lambda: nn.AvgPool2d(3, 2, 1), S2),
    "avg 2d, ceil": (lambda: nn.AvgPool2d((2, 3), (3, 2), (1, 1), ceil_mode=True), S2),
    "avg 2d, not counting": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), S2),
    "avg 2d, divisor": (lambda: nn.AvgPool2d(3, 2, divisor_override=7), S2),
    "avg 3d": (lambda: nn.AvgPool3d(2, 1, 1), S3),
    "adaptive avg 1d": (lambda: nn.AdaptiveAvgPool1d(4), S1),
    "adaptive avg 2d": (lambda: nn.AdaptiveAvgPool2d((3, None)), S2),
    "adaptive avg 2d to 1": (lambda: nn.AdaptiveAvgPool2d(1), S2),
    "adaptive avg 3d": (lambda: nn.AdaptiveAvgPool3d((2, 3, 3)), S3),
    "max 1d": (lambda: nn.MaxPool1d(3, 2, 1), S1),
    "max 2d": (lambda: nn.MaxPool2d(2), S2),
    "max 2d, all options": (lambda: nn.MaxPool2d((3, 2), (2, 2), (1, 1), (2, 1), ceil_mode=True), S2),
    "max 3d": (lambda: nn.MaxPool3d(2, 1, 1), S3),
    "adaptive max 1d": (lambda: nn.AdaptiveMaxPool1d(4), S1),
    "adaptive max 2d": (lambda: nn.AdaptiveMaxPool2d((3, 4)), S2),
    "adaptive max 3d": (lambda: nn.AdaptiveMaxPool3d((2, 3, None)), S3),
    "max without its indices": (function(lambda x: F.max_pool2d(x, 2, return_indices=True)[0]), S2),
    # reductions
    "amax": (function(lambda x: x.amax((1, 3))), S2),
    "amax of all": (function(lambda x: x.amax((1, 2, 3), keepdim=True)), S2),
    "amin": (function(lambda x: x.amin(2, keepdim=True)), S2),
    "max over a dimension": (function(lambda x: x.max(1)[0]), S2),
    "max of one sample": (function(lambda x: x.max()[None, None] if len(x) == 1 else None), S2),
    "min over a dimension": (function(lambda x: x.min(-1).values), S2),
    "aminmax": (function(lambda x: torch.cat(list(x.aminmax(dim=1)), 1)), S2),
    "maxout": (function(lambda x: F.conv2d(x, K2.repeat(2, 1, 1, 1)).view(len(x), 2, 3, 6, 5).amax(1)), S2),
    "sums": (function(lambda x: torch.cat([x.sum((2, 3)), x.sum(1).flatten(1), x.mean(-1).flatten(1)], 1)), S2),
    "large mean": (function(lambda x: x.mean((2, 3), keepdim=True)), (8, 60, 60)),
    "large cumsum": (function(lambda x: x.cumsum(1)), (300,)),
    "norms": (function(lambda x: torch.stack([x.norm(1, dim=1), x.norm(float("inf"), dim=1)], 1)), S2),
    # resampling
    "nearest 1d": (lambda: nn.Upsample(scale_factor=3), S1),
    "nearest 2d": (lambda: nn.Upsample(size=(5, 11)), S2),
    "nearest 3d": (lambda: nn.Upsample(scale_factor=(2, 1, 2)), S3),
    "nearest exact": (lambda: nn.Upsample(size=(10, 9), mode="nearest-exact"), S2),
    "linear": (lambda: nn.Upsample(scale_factor=2, mode="linear"), S1),
    "bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), S2),
    "bilinear, corners": (lambda: nn.Upsample(size=(11, 5), mode="bilinear", align_corners=True), S2),
    "bilinear, smoothed": (function(lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)), S2),
    "trilinear": (lambda: nn.Upsample(scale_factor=1.5, mode="trilinear"), S3),
    "bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), S2),
    "area": (function(lambda x: F.interpolate(x, size=(3, 4), mode="area")), S2),
    "large bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (3, 20, 20)),
    "grid sample": (function(lambda x: F.grid_sample(x, GRID.expand(len(x), -1, -1, -1), align_corners=False)), S2),
    # padding and rearrangements
    "zero padding": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), S2),
    "constant padding": (lambda: nn.ConstantPad1d(2, 1.5), S1),
    "reflection": (lambda: nn.ReflectionPad2d((1, 2, 3, 0)), S2),
    "replication": (lambda: nn.ReplicationPad3d(1), S3),
    "circular": (lambda: nn.CircularPad2d(2), S2),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), S2),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(3), (4, 6, 9)),
    "channel shuffle": (lambda: nn.ChannelShuffle(2), S2),
    "unfold": (lambda: nn.Unfold(2, padding=1), S2),
    "fold": (lambda: nn.Fold((4, 4), 2), (8, 9)),
    # parametrised weights, sharing
    "weight norm": (lambda: parametrizations.weight_norm(nn.Conv2d(4, 3, 3)), S2),
    "weight norm, hooks": (lambda: nn.utils.weight_norm(nn.Conv2d(4, 3, 3)), S2),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Conv2d(4, 3, 3)), S2),
    "spectral norm, hooks": (lambda: nn.utils.spectral_norm(nn.ConvTranspose2d(4, 3, 3)), S2),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(6, 6)), (6,)),
    "pruned": (pruned, S2),
    "shared and in place": (shared, S2),
    "addcmul": (function(lambda x: torch.addcmul(x, x.flip(1), torch.arange(6.0).double(), value=0.5)), S2),
}  # fmt: skip
# What the fast reader must not hand over.
FAST = (
    "conv1d", "conv2d", "conv3d", "conv same", "conv same, even", "conv valid", "conv transpose 1d",
    "conv transpose 2d", "conv transpose dilated", "conv transpose 3d", "batch norm 1d", "batch norm 1d, positions",
    "batch norm 2d", "batch norm 2d, plain", "batch norm 3d", "avg 1d", "avg 2d", "avg 2d, ceil",
    "avg 2d, not counting", "avg 2d, divisor", "avg 3d", "adaptive avg 1d", "adaptive avg 2d", "adaptive avg 3d",
    "max 1d", "max 2d", "max 2d, all options", "max 3d",
)  # fmt: skip


def points(shape: tuple[int, ...]) -> np.ndarray:
    """Small integers, so that windows hold ties, and general points of several sizes."""
    rng = np.random.default_rng(2)
    n = int(np.prod(shape))
    return np.concatenate([rng.integers(-1, 2, (3, n)), *(s * rng.standard_normal((3, n)) for s in (0.1, 1, 100))])


def values(module: nn.Module, z: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    with torch.no_grad():
        return np.stack([module(torch.from_numpy(p.reshape(1, *shape))).numpy().ravel() for p in z])


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning", "ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("name", TABLE)
def test_graph_is_the_module(name: str) -> None:
    torch.manual_seed(0)
    make, shape = TABLE[name]
    module = make().double().eval()
    net = capture(module, shape)
    z = points(shape)
    expected = values(module, z, shape)
    np.testing.assert_allclose(net(z), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    sample = module(torch.zeros(1, *shape, dtype=torch.float64))
    assert net.output_shape == tuple(sample.shape[1:])


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
def test_known_layers_need_no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export, "export", lambda *_: pytest.fail("torch.export was called"))
    for name in FAST:
        make, shape = TABLE[name]
        capture(make().eval(), shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_stored_weights_are_what_is_captured(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ConvTranspose2d(3, 2, 2)).to(dtype)
    net = capture(module, (2, 6, 6))
    first, second = (node for node in net.nodes if isinstance(node, Convolution))
    for node, layer in ((first, module[0]), (second, module[3])):
        assert (torch.from_numpy(node.kernel.copy()) == layer.weight.double()).all()
        assert (torch.from_numpy(node.bias.copy()) == layer.bias.double()).all()
        assert not node.kernel.flags.writeable


def test_batch_norm_is_one_scale_and_one_shift() -> None:
    norm = statistics(nn.BatchNorm2d(2)).eval()
    (node,) = capture(norm, (2, 1, 2)).nodes[1:]
    assert isinstance(node, Combine)
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    assert node.scales[0].tolist() == scale.repeat_interleave(2).tolist()
    assert node.bias.tolist() == shift.repeat_interleave(2).tolist()


def test_windows_are_the_groups_of_a_maximum() -> None:
    net = capture(nn.Sequential(nn.MaxPool2d(2, 2, 1)), (1, 3, 3))
    (pool,) = (net.nodes[i] for i in net.knots)
    assert isinstance(pool, Maximum)
    assert [sorted(set(g)) for g in pool.groups.tolist()] == [[0], [1, 2], [3, 6], [4, 5, 7, 8]]
    assert net.n_breakpoints == 4 * 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("large mean", Sparse),
        ("large cumsum", Sparse),
        ("large bilinear", Sparse),
        ("linear at many positions", Convolution),
        ("matmul at many positions", Sparse),
    ],
)
def test_large_structured_maps_are_not_dense(name: str, kind: type) -> None:
    make, shape = TABLE[name]
    assert any(isinstance(node, kind) for node in capture(make().double(), shape).nodes)


def test_elementwise_maximum_is_a_knot_in_the_difference() -> None:
    net = capture(Function(lambda x: torch.maximum(x[:, :2], x[:, 2:])), (4,))
    assert [type(net.nodes[i]) for i in net.knots] == [Knot]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("corners", [False, True])
def test_coordinates_are_rounded_in_the_type_of_the_module(corners: bool, dtype: torch.dtype) -> None:
    layer = nn.Upsample(scale_factor=(1.5, 2.7), mode="bilinear", align_corners=corners)
    for shape in ((1, 3, 3), (2, 7, 9), (1, 50, 60)):
        capture(nn.Sequential(nn.Conv2d(shape[0], 1, 1), layer).to(dtype), shape)
