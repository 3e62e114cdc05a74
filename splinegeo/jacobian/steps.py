"""Steps of a diffusion model as maps z_t -> z_s, and several of them unrolled into one.

Formulas: Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), and Song, Meng and Ermon, "Denoising
Diffusion Implicit Models" (2021). Plain torch: a denoiser is any module called as ``denoiser(z, t)``. With a
piecewise-linear denoiser every step is piecewise linear, and so is every unrolled sampler without clipping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from splinegeo._errors import InvalidArgument, WrongType
from splinegeo._types import Array
from splinegeo._validate import float_array

Prediction = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True, eq=False)
class Schedule:
    """The noise of each training step: z_t = √ᾱ_t x + √(1 - ᾱ_t) ε with ᾱ (T,) = ``alphas_cumprod``, falling in t.

    Attributes:
        alphas_cumprod: ᾱ_t for t = 0, 1, …, T - 1.
        final: ᾱ after the last step, to t = -1: 1 by default, the data themselves.
        prediction: what the denoiser returns, under the names that diffusers gives them.
    """

    alphas_cumprod: Array
    final: float = 1.0
    prediction: Prediction = "epsilon"

    def __post_init__(self) -> None:
        a = float_array(self.alphas_cumprod, "Schedule: alphas_cumprod", ndim=1)
        if not (len(a) and (a > 0).all() and (a < 1).all() and (np.diff(a) <= 0).all()):
            raise InvalidArgument("Schedule: alphas_cumprod must lie strictly between 0 and 1 and fall with t")
        if not 0 < self.final <= 1:
            raise InvalidArgument(f"Schedule(final={self.final!r}): a number in (0, 1] is expected")
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise InvalidArgument(
                f"Schedule(prediction={self.prediction!r}): 'epsilon', 'v_prediction' or 'sample' is expected"
            )
        object.__setattr__(self, "alphas_cumprod", a)

    @classmethod
    def linear(cls, n_steps: int, start: float = 1e-4, end: float = 0.02) -> Schedule:
        """β_t linear from ``start`` to ``end``, as Ho et al. have it for T = 1000; larger β for fewer steps."""
        return cls(np.cumprod(1 - np.linspace(start, end, n_steps)))

    @classmethod
    def of(cls, scheduler: Any) -> Schedule:
        """The schedule of a diffusers scheduler of the DDPM and DDIM family.

        Raises:
            WrongType: a scheduler without ``alphas_cumprod``.
        """
        a = getattr(scheduler, "alphas_cumprod", None)
        if a is None:
            raise WrongType(f"Schedule.of: a {type(scheduler).__name__} has no alphas_cumprod; pass a DDPM or DDIM one")
        final = float(getattr(scheduler, "final_alpha_cumprod", 1.0))
        return cls(a, final, getattr(scheduler.config, "prediction_type", "epsilon"))

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def at(self, t: int) -> float:
        """ᾱ_t; t = -1 is after the last step.

        Raises:
            InvalidArgument: no such step.
        """
        if not isinstance(t, int | np.integer) or isinstance(t, bool) or not -1 <= t < len(self):
            raise InvalidArgument(f"Schedule: t must be a whole number from -1 to {len(self) - 1}; got {t!r}")
        return self.final if t < 0 else float(self.alphas_cumprod[t])


class DiffusionStep(nn.Module):
    """z_t -> z_s for s < t by DDIM (``noise_scale`` 0), or the mean of DDPM's posterior plus a fixed noise.

    Both are affine in (z, denoiser(z, t)): z_s = c_z z + c_m m with numbers that depend on s and t alone, and clipping
    of the predicted sample where it is asked for.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        schedule: Schedule,
        t: int,
        s: int,
        *,
        kind: Literal["ddim", "ddpm"] = "ddim",
        noise: torch.Tensor | None = None,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        at, a_s = schedule.at(t), schedule.at(s)
        if not s < t:
            raise InvalidArgument(f"DiffusionStep: a step goes from t to s < t; got t={t}, s={s}")
        if kind not in ("ddim", "ddpm"):
            raise InvalidArgument(f"DiffusionStep(kind={kind!r}): 'ddim' or 'ddpm' is expected")
        if noise is not None and kind == "ddim":
            raise InvalidArgument("DiffusionStep: kind='ddim' draws no noise; leave noise out, or use kind='ddpm'")
        if clip is not None and not clip > 0:
            raise InvalidArgument(f"DiffusionStep(clip={clip!r}): a bound > 0 on the predicted sample, or None")
        self.denoiser, self.t, self.clip = denoiser, int(t), clip
        # the predicted sample x0 = p_z z + p_m m, and z_s = q_z z + q_x x0 + q_c clip(x0)
        self.predict = _prediction(schedule.prediction, at)
        if kind == "ddim":  # the noise comes from the sample as predicted, before it is clipped
            q_z = (1 - a_s) ** 0.5 / (1 - at) ** 0.5
            self.combine = q_z, -q_z * at**0.5, a_s**0.5
        else:
            ratio = at / a_s
            self.combine = ratio**0.5 * (1 - a_s) / (1 - at), 0.0, a_s**0.5 * (1 - ratio) / (1 - at)
        self.noise_scale = 0.0 if kind == "ddim" else ((1 - a_s) / (1 - at) * (1 - at / a_s)) ** 0.5
        self.register_buffer("noise", None if noise is None else noise.detach().clone())
        self.training = denoiser.training  # not self.train(), which would set the modes of its parts

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z_s of z = z_t ``(n, *shape)``."""
        p_z, p_m = self.predict
        q_z, q_x, q_c = self.combine
        m = self.denoiser(z, self.t)
        if self.clip is None:
            q = q_x + q_c
            out = (q_z + q * p_z) * z + (q * p_m) * m
        else:
            x0 = p_z * z + p_m * m
            out = q_z * z + q_x * x0 + q_c * x0.clamp(-self.clip, self.clip)
        return out if self.noise is None else out + self.noise_scale * self.noise


def _prediction(kind: Prediction, a: float) -> tuple[float, float]:
    """x0 = p_z z + p_m m for what the denoiser returns at ᾱ = a."""
    if kind == "epsilon":
        return a**-0.5, -(((1 - a) / a) ** 0.5)
    if kind == "v_prediction":
        return a**0.5, -((1 - a) ** 0.5)
    return 0.0, 1.0


def unrolled(
    denoiser: nn.Module,
    schedule: Schedule,
    steps: Sequence[int],
    *,
    kind: Literal["ddim", "ddpm"] = "ddim",
    clip: float | None = None,
) -> nn.Sequential:
    """Steps t_1 > t_2 > … > t_n and then to -1, the data, as one module z_{t_1} -> x. DDPM steps without their noise.

    Raises:
        InvalidArgument: steps that do not fall.

    >>> from splinegeo.jacobian import Schedule, unrolled
    >>> class Zero(torch.nn.Module):
    ...     def forward(self, z, t):
    ...         return torch.zeros_like(z)
    >>> sampler = unrolled(Zero(), Schedule.linear(50), [40, 20])
    >>> len(sampler)
    2
    """
    if not len(steps):
        raise InvalidArgument("unrolled: steps is empty")
    ends = [*steps[1:], -1]
    sampler = nn.Sequential(
        *(DiffusionStep(denoiser, schedule, t, s, kind=kind, clip=clip) for t, s in zip(steps, ends, strict=True))
    )
    sampler.training = denoiser.training
    return sampler
