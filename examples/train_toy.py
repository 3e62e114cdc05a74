"""Train the toy generator that the demonstration and the first figure use.

A ReLU network of width 20 and depth 3 learns a sheet in space over the square [-1, 1]²: points crowd together in the
middle of the square and spread towards its sides, and a ripple runs out from the middle. So the
local scaling ψ varies by a few units over the square, and a uniform latent gives a clearly uneven density on the sheet.

Run ``python examples/train_toy.py out.npz``: half a minute on one core, the same weights every time on one machine. The
result of one such run is part of the package, ``splinegeo/data/toy_generator.npz``.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import splinegeo as sg


def surface(z: torch.Tensor) -> torch.Tensor:
    """The sheet that is learnt: (n, 2) latents in [-1, 1]² to (n, 3) points."""
    x, y = (z * (0.4 + 0.6 * z**2)).T
    height = 0.3 * torch.cos(7 * torch.sqrt(x**2 + y**2 + 0.02))
    return torch.stack([x, y, height], 1)


def toy_generator() -> nn.Sequential:
    """An untrained 2-20-20-20-3 ReLU network, He-normal weights, N(0, 0.5²) biases: lines all over the square."""
    net = nn.Sequential(
        nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3)
    )
    for layer in net[::2]:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.normal_(layer.bias, std=0.5)
    return net


def train(steps: int = 12000, seed: int = 1) -> nn.Sequential:
    """Least squares on fresh uniform latents, Adam with a cosine schedule."""
    torch.manual_seed(seed)
    net = toy_generator()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        z = 2 * torch.rand(512, 2) - 1
        loss = ((net(z) - surface(z)) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    z = 2 * torch.rand(20_000, 2) - 1
    with torch.no_grad():
        error = ((net(z) - surface(z)) ** 2).sum(1).mean().sqrt()
    print(f"root mean square distance from the sheet: {error:.4f}")
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    sg.save_network(sg.capture(train()), sys.argv[1])
