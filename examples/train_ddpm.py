"""Train the small denoisers that the example of diffusion in the plane looks at.

Two denoising diffusion models of the same points in the plane, a dinosaur's outline drawn with straight lines, T = 50
steps: one with ReLU, whose deterministic sampler is exactly piecewise linear, and one with GELU. A step enters through
a bias of its own in each hidden layer, so that a network at one step is a plain multilayer perceptron.

Run ``python examples/train_ddpm.py out.npz``: about a minute on one core, the same weights every time on one machine.
The result of one run is part of the package, ``splinegeo/data/ddpm.npz``: weights under the names of the modules' own
state dictionaries, and the points.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

from splinegeo.jacobian import Schedule

N_STEPS, WIDTH = 50, 48
SCHEDULE = Schedule.linear(N_STEPS, 1e-3, 0.2)

# Corners of the outline, by hand, in units in which it is about four wide: jaw, snout, head, back, tail, legs, belly.
OUTLINE = np.array(
    [
        (1.15, 0.75), (1.95, 0.7), (2.05, 1.0), (1.95, 1.35), (1.5, 1.55), (0.95, 1.5), (0.7, 1.15), (0.55, 0.6),
        (0.1, 0.15), (-0.6, -0.05), (-1.2, -0.35), (-1.7, -0.9), (-2.1, -1.1), (-1.6, -1.2), (-1.0, -1.05),
        (-0.75, -1.3), (-0.8, -1.75), (-0.35, -1.75), (-0.35, -1.3), (0.15, -1.25), (0.3, -1.75), (0.75, -1.75),
        (0.65, -1.1), (0.85, -0.5), (1.35, -0.45), (1.3, -0.25), (0.9, -0.2), (0.95, 0.3), (1.15, 0.75),
    ]
)  # fmt: skip


def dinosaur(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points (n, 2) uniform along the outline, with a little noise."""
    ends = np.diff(OUTLINE, axis=0)
    lengths = np.linalg.norm(ends, axis=1)
    side = rng.choice(len(ends), n, p=lengths / lengths.sum())
    return OUTLINE[side] + rng.uniform(size=(n, 1)) * ends[side] + 0.03 * rng.standard_normal((n, 2))


class Denoiser(nn.Module):
    """Predicts the noise in z at step t: three hidden layers, a bias for each step in each."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 2)
        self.steps = nn.Parameter(0.1 * torch.randn(N_STEPS, 3, WIDTH))
        self.activation = activation()

    def forward(self, z: torch.Tensor, t: int | torch.Tensor) -> torch.Tensor:
        """Noise (n, 2) in z (n, 2) at step t, a number or (n,)."""
        bias = self.steps[t]
        h = self.activation(self.first(z) + bias[..., 0, :])
        h = self.activation(self.second(h) + bias[..., 1, :])
        h = self.activation(self.third(h) + bias[..., 2, :])
        return self.last(h)


def train(activation: type[nn.Module], points: torch.Tensor, steps: int = 12_000) -> Denoiser:
    """Minimise the squared error of the predicted noise at random steps."""
    torch.manual_seed(0)
    net = Denoiser(activation)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    a = torch.tensor(SCHEDULE.alphas_cumprod, dtype=torch.float32)
    losses = []
    for _ in range(steps):
        x = points[torch.randint(len(points), (512,))]
        t = torch.randint(N_STEPS, (512,))
        noise = torch.randn_like(x)
        z = a[t, None].sqrt() * x + (1 - a[t, None]).sqrt() * noise
        loss = ((net(z, t) - noise) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"{activation.__name__}: mean squared error of the noise {np.mean(losses[-500:]):.3f}")
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    points = dinosaur(4000, np.random.default_rng(0))
    result: dict[str, np.ndarray] = {"points": points[:1000].astype(np.float16)}
    for name, activation in (("relu", nn.ReLU), ("gelu", nn.GELU)):
        net = train(activation, torch.tensor(points, dtype=torch.float32))
        result |= {f"{name}.{key}": value.numpy() for key, value in net.state_dict().items()}
    np.savez_compressed(sys.argv[1], **result)
