"""Published models on the first-order path: TAESD and its clamp, and a VAE's descriptors of other data sets."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from splinegeo import assess
from splinegeo.jacobian import clamped_maps, descriptors, jacobians


def resized(images: np.ndarray, size: int, channels: int = 1) -> torch.Tensor:
    """uint8 (N, 28, 28) to [0, 1] (N, channels, size, size)."""
    x = torch.from_numpy(np.asarray(images, np.float32) / 255)[:, None]
    x = torch.nn.functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
    return x.expand(-1, channels, -1, -1)


def taesd_latents(zoo: Any, n: int, size: int) -> torch.Tensor:
    """Latents of chest X-rays, the images of the zoo that are closest to photographs."""
    with torch.no_grad():
        return zoo.taesd_encoder()(resized(zoo.pneumonia()["val_images"][:n], size, 3))


@pytest.mark.slow
def test_taesd_descriptors_of_real_images(zoo):
    """32 x 32 images: 64 latents, 3,072 outputs; float32 against float64, projected against full."""
    z = taesd_latents(zoo, 2, 32)
    decoder = zoo.taesd_decoder()
    full = descriptors(decoder, z, projection=None)
    assert (full.rank == 64).all()
    assert (full.nu > 1).all()
    assert (full.nu < 64).all()
    exact = descriptors(decoder, z[:1], projection=None, precision="float64")
    # the weights are ReLU networks': a float32 pass may be on another side of a knot, nothing worse
    assert exact.psi[0] == pytest.approx(full.psi[0], abs=1e-2)
    w = descriptors(decoder, z[:1], projection=40)
    assert (w.singular_values[0] <= full.singular_values[0, :40] * (1 + 1e-5)).all()  # Cauchy


def test_taesd_clamp_identity(zoo):
    """A = A_ω diag(1 - tanh²(z / 3)); the property tests have A_ω from exact partitions, on smaller networks."""
    z = taesd_latents(zoo, 1, 16).double()
    assert float(z.abs().max()) > 1  # where the clamp bends
    maps = jacobians(zoo.taesd_decoder(clamp=False), 3 * torch.tanh(z / 3), precision="float64")
    expected = clamped_maps(maps, z.numpy().reshape(1, -1))
    found = jacobians(zoo.taesd_decoder(), z, precision="float64")
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


def scores(zoo: Any, images: np.ndarray, logits: bool) -> Any:
    with torch.no_grad():
        z = zoo.disvae_encoder("mnist")(resized(images, 32)).view(-1, 10, 2)[:, :, 0]
    return descriptors(zoo.disvae("mnist", logits=logits), z, projection=None)


@pytest.mark.parametrize("logits", [False, True], ids=["pixels", "logits"])
@pytest.mark.parametrize("n", [300, pytest.param(900, marks=pytest.mark.slow)])  # 900: the table of the documentation
def test_digits_against_other_images(zoo, capsys, logits, n):
    """ψ and ν of a VAE trained on digits, at the latents of digits, of clothes and of X-rays."""
    digits = scores(zoo, zoo.mnist_test()[0][:n], logits)
    others = {
        "Fashion-MNIST": scores(zoo, zoo.fashion_sprite()[0][:: 900 // n], logits),
        "PneumoniaMNIST": scores(zoo, zoo.pneumonia()["test_images"][:n], logits),
    }
    with capsys.disabled():
        for name, found in others.items():
            for what in ("psi", "nu"):
                result = assess.separation(getattr(digits, what), getattr(found, what))
                sys.stdout.write(f"\n{what} of digits against {name}, {'logits' if logits else 'pixels'}: {result!r}")
                # of the images, other data are stretched more; of the logits, the descriptors tell little
                if not logits:
                    assert result.low > 0.5
