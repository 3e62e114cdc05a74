"""Models of diffusers as maps of one tensor, and decoders behind a smooth clamp.

Nothing here imports diffusers: what is passed in comes from there, and `load_vae` and `load_unet` import it when they
are called.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from splinegeo._errors import InvalidArgument, ShapeMismatch, SplineGeoError, WrongType
from splinegeo._types import Array
from splinegeo._validate import real_array
from splinegeo.jacobian.errors import MissingWeights

Latents = Literal["scaled", "raw"]
ImageRange = Literal["-1..1", "0..1"]


class Decoder(nn.Module):
    """The decoder of an autoencoder of diffusers (``AutoencoderKL``, ``AutoencoderTiny``): latents to images.

    Args:
        vae: the autoencoder. It is held, not copied, and left as it is.
        latents: "scaled" for the latents that a diffusion model works on, which are divided by the scaling factor (and
            shifted, where the configuration says so) before they are decoded; "raw" for what the decoder itself takes.
        image_range: of the pixels: "-1..1" as the decoder returns them, or "0..1". Nothing is clamped.

    ψ of one convention from another: `psi_shift`.
    """

    def __init__(self, vae: nn.Module, *, latents: Latents = "scaled", image_range: ImageRange = "-1..1") -> None:
        super().__init__()
        if not hasattr(vae, "decode") or not hasattr(vae, "config"):
            raise WrongType(f"Decoder: vae must be an autoencoder of diffusers; got {type(vae).__name__}")
        _check_conventions("Decoder", latents, image_range)
        self.vae = vae
        self.scale = scaling_factor(vae) if latents == "scaled" else 1.0
        self.shift = float(getattr(vae.config, "shift_factor", None) or 0.0) if latents == "scaled" else 0.0
        self.image_range = image_range
        self.training = vae.training  # not self.train(), which would set the modes of its parts

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, height, width) of latents z (n, channels, h, w)."""
        images = self.vae.decode(z / self.scale + self.shift, return_dict=False)[0]
        return images if self.image_range == "-1..1" else images / 2 + 0.5


class Denoiser(nn.Module):
    """A UNet of diffusers as ``denoiser(z, t)``, for `DiffusionStep` and `unrolled`.

    Args:
        unet: ``UNet2DModel``, ``UNet2DConditionModel`` or the like. It is held, not copied.
        conditioning: further arguments of its call, such as ``encoder_hidden_states`` (1, tokens, width); tensors are
            repeated for each sample.
    """

    def __init__(self, unet: nn.Module, **conditioning: Any) -> None:
        super().__init__()
        self.unet = unet
        self._names = list(conditioning)
        for name, value in conditioning.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(f"conditioning_{name}", value.detach().clone())
            else:
                setattr(self, f"conditioning_{name}", value)
        self.training = unet.training

    def forward(self, z: torch.Tensor, t: int) -> torch.Tensor:
        """What the UNet predicts at z ``(n, *shape)`` and step t."""
        arguments = {}
        for name in self._names:
            value = getattr(self, f"conditioning_{name}")
            arguments[name] = value.expand(len(z), *value.shape[1:]) if isinstance(value, torch.Tensor) else value
        return self.unet(z, t, return_dict=False, **arguments)[0]


def scaling_factor(vae: Any) -> float:
    """The factor between the decoder's latents and those of the diffusion model: 0.18215 for Stable Diffusion 1."""
    return float(getattr(vae.config, "scaling_factor", 1.0))


def psi_shift(
    n_terms: int, *, latents: tuple[Latents, Latents], image_range: tuple[ImageRange, ImageRange], scale: float
) -> float:
    """What to add to a ψ of ``n_terms`` singular values to go from the first conventions to the second.

    Dividing latents by ``scale`` before the decoder multiplies every singular value by 1 / scale; the image range [0,
    1] halves them. So ψ moves by n · ln(1 / scale) from "raw" to "scaled" latents and by n · ln 2 from "0..1" to
    "-1..1"; ν does not change. Only for ψ with the same number of terms in both.

    >>> round(psi_shift(120, latents=("raw", "scaled"), image_range=("-1..1", "-1..1"), scale=0.18215), 2)
    204.35
    """
    for one, other in zip(latents, image_range, strict=True):
        _check_conventions("psi_shift", one, other)
    if not scale > 0:
        raise InvalidArgument(f"psi_shift(scale={scale!r}): a factor > 0 is expected")
    by_latents = ((latents[1] == "scaled") - (latents[0] == "scaled")) * math.log(1 / scale)
    by_range = ((image_range[1] == "-1..1") - (image_range[0] == "-1..1")) * math.log(2)
    return n_terms * (by_latents + by_range)


def load_vae(folder: Any, *, kind: str = "AutoencoderKL") -> Any:
    """An autoencoder of diffusers from a local folder, in eval mode; nothing is downloaded.

    Args:
        folder: what ``save_pretrained`` wrote, or a pipeline's folder with a ``vae`` subfolder.
        kind: name of the class in diffusers.

    Raises:
        MissingWeights: no such folder, no configuration or no weights in it.
        SplineGeoError: diffusers is not installed.
    """
    return _load("load_vae", folder, kind, "vae")


def load_unet(folder: Any, *, kind: str = "UNet2DModel") -> Any:
    """A UNet of diffusers from a local folder, as `load_vae`."""
    return _load("load_unet", folder, kind, "unet")


def _load(call: str, folder: Any, kind: str, part: str) -> Any:
    path = Path(folder)
    if (path / part / "config.json").is_file():
        path = path / part
    if not path.is_dir():
        raise MissingWeights(f"{call}: there is no folder {path}; models are read from local folders, none is fetched")
    if not (path / "config.json").is_file():
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise MissingWeights(f"{call}: {path} has no config.json (it holds {found}); pass what save_pretrained wrote")
    if not any(path.glob("*.safetensors")):
        raise MissingWeights(
            f"{call}: {path} has a configuration and no weights (*.safetensors); copy the weights there, or build the "
            f"model with {kind}.from_config for random ones"
        )
    try:
        diffusers = importlib.import_module("diffusers")
    except ImportError as error:
        raise SplineGeoError(f"{call}: needs diffusers; pip install 'splinegeo[diffusers]'") from error
    if not hasattr(diffusers, kind):
        raise InvalidArgument(f"{call}(kind={kind!r}): diffusers has no class of this name")
    return getattr(diffusers, kind).from_pretrained(path, local_files_only=True, use_safetensors=True).eval()


class SmoothClamp(nn.Module):
    """z -> limit · tanh(z / limit), with which TAESD keeps its latents within ±3."""

    def __init__(self, limit: float = 3.0) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The clamped latents."""
        return torch.tanh(z / self.limit) * self.limit


def clamped_maps(maps: Any, z: Any, *, limit: float = 3.0) -> Array:
    """Jacobians (N, D, E) at z (N, E) of a piecewise-linear network behind a `SmoothClamp`.

    ``maps`` (N, D, E) are the affine maps A_ω of the network at the clamped latents, from an exact partition say. Then
    the Jacobian is A_ω · diag(1 - tanh²(z / limit)), exactly: all that is smooth is one function of each coordinate.

    Raises:
        ShapeMismatch: shapes that do not fit.
    """
    a, z = real_array(maps, "clamped_maps: maps"), real_array(z, "clamped_maps: z")
    if a.ndim != 3 or z.shape != (a.shape[0], a.shape[2]):
        raise ShapeMismatch(f"clamped_maps: maps (N, D, E) and z (N, E) are expected; got {a.shape} and {z.shape}")
    return a * (1 - np.tanh(z / limit) ** 2)[:, None, :]


def _check_conventions(call: str, latents: Any, image_range: Any) -> None:
    if latents not in ("scaled", "raw"):
        raise InvalidArgument(f"{call}(latents={latents!r}): 'scaled' or 'raw' is expected")
    if image_range not in ("-1..1", "0..1"):
        raise InvalidArgument(f"{call}(image_range={image_range!r}): '-1..1' or '0..1' is expected")
