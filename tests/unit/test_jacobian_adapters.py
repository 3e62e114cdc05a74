"""Adapters to diffusers: conventions of latents and images, steps against its schedulers, models from folders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo.jacobian import (
    Decoder,
    Denoiser,
    DiffusionStep,
    MissingWeights,
    Schedule,
    SmoothClamp,
    clamped_maps,
    descriptors,
    estimate_cost,
    jacobians,
    load_unet,
    load_vae,
    psi_shift,
    unrolled,
)

REASON = "diffusers is not installed: pip install 'splinegeo[diffusers]'"


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason=REASON)


@pytest.fixture(scope="module")
def vae(diffusers):
    """Stable Diffusion's autoencoder with the blocks of its v1.4 configuration, narrow: 8 x 8 latents to 64 x 64."""
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 32, 32),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=0.18215,
    ).eval()


@pytest.fixture(scope="module")
def unet(diffusers):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
    ).eval()


def latents(n: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((n, 4, 8, 8)).astype(np.float32))


# -- the decoder -------------------------------------------------------------------------------------------------------


def test_decoder_is_the_vaes(vae):
    z = latents(2)
    with torch.no_grad():
        raw = vae.decode(z).sample
        torch.testing.assert_close(Decoder(vae, latents="raw")(z), raw)
        torch.testing.assert_close(Decoder(vae)(z * 0.18215), raw, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(Decoder(vae, latents="raw", image_range="0..1")(z), (raw + 1) / 2)


def test_modes_of_the_autoencoder_are_left_alone(vae):
    part = vae.decoder.mid_block
    part.train()
    try:
        decoder = Decoder(vae)
        assert not decoder.training
        assert part.training
    finally:
        part.eval()


def test_both_modes_and_a_projection(vae):
    """The real AutoencoderKL, 64 x 64 images: 120 rows pulled back are W J, both ways."""
    z = latents()
    decoder = Decoder(vae)
    reverse = descriptors(decoder, z, projection=12)
    forward = descriptors(decoder, z, projection=12, mode="forward")
    assert reverse.mode == "reverse"
    assert reverse.n_outputs == 3 * 64 * 64
    np.testing.assert_allclose(reverse.singular_values, forward.singular_values, rtol=1e-4)
    exact = descriptors(decoder, z, projection=12, precision="float64")
    np.testing.assert_allclose(reverse.psi, exact.psi, atol=1e-3)
    np.testing.assert_allclose(reverse.nu, exact.nu, atol=1e-3)
    assert next(vae.parameters()).dtype == torch.float32
    assert all(p.grad is None for p in vae.parameters())


def test_conventions_shift_psi_and_nothing_else(vae):
    z, found = latents(), {}
    for kind in ("raw", "scaled"):
        for span in ("-1..1", "0..1"):
            here = z if kind == "raw" else z * 0.18215
            found[kind, span] = descriptors(
                Decoder(vae, latents=kind, image_range=span), here, projection=6, precision="float64"
            )
    start = found["raw", "-1..1"]
    for (kind, span), other in found.items():
        moved = psi_shift(6, latents=("raw", kind), image_range=("-1..1", span), scale=0.18215)
        np.testing.assert_allclose(other.psi, start.psi + moved, atol=1e-5)
        np.testing.assert_allclose(other.nu, start.nu, atol=1e-6)


def test_shifts_add_up():
    there = psi_shift(120, latents=("raw", "scaled"), image_range=("0..1", "-1..1"), scale=0.18215)
    back = psi_shift(120, latents=("scaled", "raw"), image_range=("-1..1", "0..1"), scale=0.18215)
    assert there == -back == pytest.approx(120 * (math.log(1 / 0.18215) + math.log(2)))
    assert psi_shift(120, latents=("raw", "raw"), image_range=("0..1", "0..1"), scale=1) == 0


def test_tiny_autoencoder_is_a_clamp_and_a_piecewise_linear_net(diffusers):
    """A = A_ω diag(1 - tanh²(z / 3)) on diffusers' own TAESD, A_ω from the library's reading of what follows."""
    torch.manual_seed(0)
    taesd = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).eval()
    rest = taesd.decoder.layers
    z = latents(1)[:, :, :2, :2]
    clamped = SmoothClamp()(z.double())
    maps = jacobians(rest, clamped, precision="float64") * 2  # images from [0, 1] to [-1, 1]
    found = jacobians(Decoder(taesd), z, precision="float64")
    expected = clamped_maps(maps, z.double().reshape(1, -1))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_steps_are_those_of_the_schedulers(diffusers, unet, prediction, clip, kind):
    name = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler"}[kind]
    scheduler = getattr(diffusers, name)(num_train_timesteps=100, prediction_type=prediction, clip_sample=clip)
    if kind == "ddim":
        scheduler.set_timesteps(10)
    t, s = (50, 40) if kind == "ddim" else (50, 49)
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 1, 8, 8)).astype(np.float32))
    denoiser = Denoiser(unet)
    with torch.no_grad():
        m = denoiser(z, t)
        if kind == "ddim":
            expected = scheduler.step(m, t, z).prev_sample
        else:
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(5))
            expected = scheduler.step(m, t, z, generator=torch.Generator().manual_seed(5)).prev_sample
        step = DiffusionStep(
            denoiser, Schedule.of(scheduler), t, s, kind=kind, clip=1.0 if clip else None,
            noise=noise if kind == "ddpm" else None,
        )  # fmt: skip
        torch.testing.assert_close(step(z), expected, rtol=1e-4, atol=1e-5)


def test_jacobians_of_unet_steps(unet):
    schedule = Schedule.linear(50, 1e-3, 0.2)
    step = DiffusionStep(Denoiser(unet), schedule, 30, 20)
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 1, 8, 8)).astype(np.float32))
    z = z.double()
    found = jacobians(step, z, precision="float64", projection=np.eye(64)[[3, 30]])
    # torch has no forward mode for this attention, so against differences instead
    assert estimate_cost(step, z, projection=64).mode == "reverse"
    step = step.double()
    with torch.no_grad():
        for k in (5, 40):
            h = torch.zeros(64, dtype=torch.float64)
            h[k] = 1e-5
            h = h.reshape(z.shape)
            difference = ((step(z + h) - step(z - h)) / 2e-5).reshape(-1)[[3, 30]]
            np.testing.assert_allclose(found[0, :, k], difference, atol=1e-8)
    step.float()
    z = z.float()
    sampler = unrolled(Denoiser(unet), schedule, [40, 20])
    assert len(descriptors(sampler, z, projection=3)) == 1


def test_conditioning_is_repeated_for_each_sample():
    class Conditioned(nn.Module):
        def forward(self, z, t, return_dict, encoder_hidden_states, guidance):
            assert not return_dict
            assert len(encoder_hidden_states) == len(z)
            return (z * encoder_hidden_states.mean((1, 2))[:, None] * guidance + t,)

    denoiser = Denoiser(Conditioned(), encoder_hidden_states=torch.full((1, 3, 2), 5.0), guidance=2)
    np.testing.assert_array_equal(denoiser(torch.ones(4, 3), 1), np.full((4, 3), 11))


# -- folders -----------------------------------------------------------------------------------------------------------


def test_models_come_back_from_their_folders(vae, unet, tmp_path):
    vae.save_pretrained(tmp_path / "pipeline" / "vae")
    unet.save_pretrained(tmp_path / "unet")
    z = latents()
    with torch.no_grad():
        for folder in (tmp_path / "pipeline", tmp_path / "pipeline" / "vae"):
            torch.testing.assert_close(Decoder(load_vae(folder))(z), Decoder(vae)(z))
        x = torch.ones(1, 1, 8, 8)
        torch.testing.assert_close(Denoiser(load_unet(tmp_path / "unet"))(x, 3), Denoiser(unet)(x, 3))
    with pytest.raises(sg.InvalidArgument, match="no class"):
        load_vae(tmp_path / "pipeline", kind="AutoencoderNone")


def test_folders_without_a_model(tmp_path):
    with pytest.raises(MissingWeights, match="no folder"):
        load_vae(tmp_path / "nowhere")
    with pytest.raises(MissingWeights, match=r"no config\.json \(it holds nothing\)"):
        load_vae(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MissingWeights, match="no weights"):
        load_vae(tmp_path)
    with pytest.raises(OSError, match="no weights"):
        load_unet(tmp_path)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: Decoder(nn.Linear(2, 2)), sg.WrongType),
        (lambda: psi_shift(1, latents=("raw", "half"), image_range=("0..1", "0..1"), scale=1), sg.InvalidArgument),
        (lambda: psi_shift(1, latents=("raw", "raw"), image_range=("0..1", "0..255"), scale=1), sg.InvalidArgument),
        (lambda: psi_shift(1, latents=("raw", "raw"), image_range=("0..1", "0..1"), scale=0), sg.InvalidArgument),
        (lambda: clamped_maps(np.ones((1, 2, 3)), np.ones((1, 2))), sg.ShapeMismatch),
    ],
    ids=["module", "latents", "range", "scale", "maps"],
)
def test_bad_arguments(call, error):
    with pytest.raises(error):
        call()
