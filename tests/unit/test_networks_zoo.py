"""Networks that people train: a convolutional generator of full size, and published ones where they are at hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from splinegeo._errors import NotPiecewiseLinear
from splinegeo.networks import capture

ROOT = Path(__file__).parents[2]
GENERATOR = """
from torch import nn
from benchmarks.plane import peak_megabytes
from splinegeo.networks import capture

layers = []
for i, (a, b) in enumerate([(100, 512), (512, 256), (256, 128), (128, 64)]):
    layers += [nn.ConvTranspose2d(a, b, 4, 2 if i else 1, 1 if i else 0, bias=False)]
    layers += [nn.BatchNorm2d(b), nn.LeakyReLU(0.2, inplace=True)]
net = nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh()).eval()
network = capture(net, (100, 1, 1), drop_output_activation=True)
print(network.n_units, network.n_outputs, peak_megabytes())
"""


def test_a_generator_of_full_size_is_captured_in_little_memory() -> None:
    # In a process of its own: the peak of this one is not the generator's, nor is what the other inherits of it.
    run = subprocess.run([sys.executable, "-c", GENERATOR], check=True, capture_output=True, text=True, cwd=ROOT)
    units, outputs, peak = run.stdout.split()
    assert (int(units), int(outputs)) == (122_880, 3 * 64 * 64)
    assert float(peak) < 1500


# id: module, shape of a sample, units
PUBLISHED: dict[str, tuple[Callable[[Any], nn.Module], tuple[int, ...], int]] = {
    "vae2d_mnist": (lambda zoo: zoo.vae2d_mnist(), (2,), 40_768),
    "vae2d_mnist, sigmoid": (lambda zoo: zoo.vae2d_mnist(logits=False), (2,), 40_768),
    "disvae mnist": (lambda zoo: zoo.disvae("mnist"), (10,), 11_264),
    "disvae celeba": (lambda zoo: zoo.disvae("celeba"), (10,), 44_032),
    "disvae mnist encoder": (lambda zoo: zoo.disvae_encoder("mnist"), (1, 32, 32), 11_264),
    "ganlab line": (lambda zoo: zoo.ganlab("line")[0], (2,), 10),
    "ganlab gaussians": (lambda zoo: zoo.ganlab("gaussians")[0], (2,), 16),
    "ganlab ring": (lambda zoo: zoo.ganlab("ring")[0], (2,), 20),
    "ganlab disjoint": (lambda zoo: zoo.ganlab("disjoint")[0], (2,), 30),
    "pendulum": (lambda zoo: zoo.pendulum(), (2,), 721),
    "fox": (lambda zoo: zoo.sdf("fox"), (3,), 256),
    "resnet2b": (lambda zoo: zoo.resnet2b(), (3, 32, 32), 6_244),
    "mnist_conv_small": (lambda zoo: zoo.mnist_conv_small(), (1, 28, 28), 3_604),
    "taesd decoder": (lambda zoo: zoo.taesd_decoder(clamp=False), (4, 8, 8), 1_564_672),
    "taesd encoder": (lambda zoo: zoo.taesd_encoder(), (3, 64, 64), 1_560_576),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "taesd" in name else ()) for name in PUBLISHED]
)
def test_published_networks(name: str, zoo: Any) -> None:
    make, shape, units = PUBLISHED[name]
    module = make(zoo)
    net = capture(module, shape, drop_output_activation=True)
    assert net.n_units == units
    closes = isinstance(list(module)[-1], nn.Tanh | nn.Sigmoid)
    assert len(net.dropped) == closes
    z = np.random.default_rng(0).standard_normal((1, net.n_inputs))
    with torch.no_grad():
        body = nn.Sequential(*list(module)[: -1 if closes else None]).double()
        expected = body(torch.from_numpy(z.reshape(1, *shape))).numpy().ravel()
    np.testing.assert_allclose(net(z)[0], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_smooth_maps_inside_published_networks_are_refused(zoo: Any) -> None:
    with pytest.raises(NotPiecewiseLinear, match=r"^'0' applies aten\.tanh \(zoo\.py:\d+\), which is smooth"):
        capture(zoo.taesd_decoder(), (4, 8, 8), drop_output_activation=True)
    with pytest.raises(NotPiecewiseLinear, match=r"^'1' applies aten\.elu, which is smooth"):
        capture(zoo.sdf("bunny"), (3,))
