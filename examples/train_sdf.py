"""Train the signed distance function that ``plot_sdf.py`` looks at.

A 3-32-32-1 ReLU network learns the signed distance to a torus: a circle of radius 0.6 in the plane z = 0, thickened by
0.25. Run ``python examples/train_sdf.py out.npz``: half a minute on one core, the same weights every time on one
machine. The result of one such run is part of the package, ``splinegeo/data/torus_sdf.npz``.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import splinegeo as sg


def distance(points: torch.Tensor) -> torch.Tensor:
    """Signed distance (n, 1) of points (n, 3) to the torus: negative inside."""
    x, y, z = points.T
    return (torch.hypot(torch.hypot(x, y) - 0.6, z) - 0.25)[:, None]


def train(steps: int = 12000, seed: int = 0) -> nn.Sequential:
    """Least squares on fresh points of the cube [-1, 1]³, weighted towards the surface."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        points = 2 * torch.rand(1024, 3) - 1
        true = distance(points)
        loss = ((net(points) - true) ** 2 / (0.05 + true.abs())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    points = 2 * torch.rand(100_000, 3) - 1
    with torch.no_grad():
        true = distance(points)
        error = (net(points) - true).abs()
    print(f"mean error of the distance: {error.mean():.4f}, near the surface {error[true.abs() < 0.05].mean():.4f}")
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    sg.save_network(sg.capture(train()), sys.argv[1])
