"""Diffusion in the plane, exactly and to first order
==================================================

Two denoising diffusion models learn a dinosaur in the plane in T = 50 steps (``examples/train_ddpm.py``): one with
ReLU, one with GELU. Every step of the first, and the whole of its deterministic sampler, is piecewise linear, so that
its exact partition and its Jacobians can be laid side by side. The second is smooth, and has Jacobians only.
"""

# %%
# The models, with their committed weights. A step t enters as a bias of its own in each hidden layer.
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import splinegeo as sg
from splinegeo import assess
from splinegeo.data import load_arrays
from splinegeo.data.modules import with_weights
from splinegeo.jacobian import DiffusionStep, Schedule, descriptors, unrolled


class Denoiser(nn.Module):
    """Predicts the noise in z at step t."""

    def __init__(self, activation):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 48), nn.Linear(48, 48), nn.Linear(48, 48)
        self.last = nn.Linear(48, 2)
        self.steps = nn.Parameter(torch.zeros(50, 3, 48))
        self.activation = activation()

    def forward(self, z, t):
        """Noise (n, 2) in z (n, 2)."""
        bias = self.steps[t]
        h = self.activation(self.first(z) + bias[0])
        h = self.activation(self.second(h) + bias[1])
        return self.last(self.activation(self.third(h) + bias[2]))


data = load_arrays("ddpm")
models = {}
for name, activation in (("ReLU", nn.ReLU), ("GELU", nn.GELU)):
    models[name] = with_weights(Denoiser(activation), data, name.lower()).eval()
schedule = Schedule.linear(50, 1e-3, 0.2)

# %%
# What they draw with all 50 deterministic steps, beside the points that they were trained on.
noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
axes[0].plot(*data["points"].astype(float).T, ".", markersize=2)
axes[0].set_title("data")
for ax, (name, model) in zip(axes[1:], models.items(), strict=True):
    with torch.no_grad():
        samples = unrolled(model, schedule, range(49, -1, -1))(noise)
    ax.plot(*samples.T, ".", markersize=2)
    ax.set_title(f"{name}, 50 steps")
for ax in axes:
    ax.set_aspect("equal")
plt.show()

# %%
# ψ, ν and δ of single steps z_t -> z_{t-1}, the mean of the posterior, over [-6, 6]². Early steps (large t) do nearly
# the same wherever there is noise; late ones have their structure where the data lie. δ is the published estimate,
# which takes smooth activations at their inputs: how many of the 144 units change sign between the corners of a ball.
# Steps count from 1 here, as in the papers, and from 0 in a `Schedule`.
times = (6, 17, 28, 39, 50)
RADIUS = 0.1  # of the balls, whose plane is the whole space here
ticks = np.linspace(-6, 6, 81)
grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
for name, model in models.items():
    figure, axes = plt.subplots(3, 5, figsize=(13, 7.6), sharex=True, sharey=True, layout="constrained")
    for column, t in zip(axes.T, times, strict=True):
        step = DiffusionStep(model, schedule, t - 1, t - 2, kind="ddpm")
        found = descriptors(step, grid, projection=None)
        delta = sg.local_complexity(step, grid, radius=RADIUS, kind="vertices", input_shape=(2,)).values
        for ax, symbol, values in zip(column, ("psi", "nu", "delta"), (found.psi, found.nu, delta), strict=True):
            low, high = np.quantile(values, [0.005, 0.995])
            shown = ax.imshow(
                values.reshape(81, 81), origin="lower", extent=(-6, 6, -6, 6), vmin=low, vmax=high, cmap="viridis"
            )
            figure.colorbar(shown, ax=ax, shrink=0.8)
            ax.set_title(rf"$\{symbol}^{{{t}}}$")
    figure.suptitle(f"{name}: single steps")
    plt.show()

# %%
# Four deterministic steps in one. With ReLU the sampler is piecewise linear: every region is found, and at a point
# inside a region the Jacobian is the region's map. The picture in the middle evaluates Jacobians on a grid; the one on
# the right does so for GELU, where there is nothing else.
steps = [49, 36, 24, 12]
samplers = {name: unrolled(model, schedule, steps) for name, model in models.items()}
box = sg.Box([-2.5, -2.5], [2.5, 2.5])
part = sg.partition(samplers["ReLU"], box)
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")
largest = np.argsort(-part.volumes)[:2000]
found = descriptors(samplers["ReLU"], part.interior_points[largest], projection=None, precision="float64")
gap_psi, gap_nu = np.abs(found.psi - part.psi[largest]).max(), np.abs(found.nu - part.nu[largest]).max()
print(f"in the 2,000 largest regions psi differs by {gap_psi:.1e} at most, nu by {gap_nu:.1e}")

ticks = np.linspace(-2.5, 2.5, 101)
square = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
maps = {name: descriptors(sampler, square, projection=None).psi.reshape(101, 101) for name, sampler in samplers.items()}
low, high = np.quantile(np.stack(list(maps.values())), [0.01, 0.99])
figure, axes = plt.subplots(1, 3, figsize=(13, 4.9), sharex=True, sharey=True, layout="constrained")
part.plot(ax=axes[0], color="psi", limits=(low, high), edges=False, colorbar=False)
axes[0].set_title(f"ReLU: exact, {part.n_regions:,} regions")
for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
    shown = ax.imshow(values, origin="lower", extent=(-2.5, 2.5, -2.5, 2.5), vmin=low, vmax=high, cmap="viridis")
    ax.set_title(f"{name}: Jacobians on a grid")
figure.colorbar(shown, ax=axes, label=r"$\psi$ of four steps", extend="both", shrink=0.8)
plt.show()

# %%
# A part of the first picture, enlarged: the regions themselves.
closer = sg.partition(samplers["ReLU"], sg.Box([0.5, 0.5], [0.9, 0.9]))
ax = closer.plot(color="psi")
_ = ax.set_title(f"{closer.n_regions:,} regions")

# %%
# ψ, ν and δ of every step along 64 trajectories, with 95 % bands over their starts.
bands = {"psi": {}, "nu": {}, "delta": {}}
for name, model in models.items():
    z, rows = noise[:64], {symbol: [] for symbol in bands}
    for t in range(49, 0, -1):
        step = DiffusionStep(model, schedule, t, t - 1)
        found = descriptors(step, z, projection=None)
        delta = sg.local_complexity(step, z, radius=RADIUS, kind="vertices", input_shape=(2,)).values
        for symbol, values in zip(bands, (found.psi, found.nu, delta), strict=True):
            rows[symbol].append(values)
        with torch.no_grad():
            z = step(z)
    for symbol, lines in bands.items():
        lines[name] = assess.confidence_band(np.stack(rows[symbol], 1))
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for ax, (symbol, lines) in zip(axes, bands.items(), strict=True):
    sg.plot.plot_trajectories(np.arange(49, 0, -1), lines, ax=ax, label=rf"$\{symbol}$ of a step")
plt.show()
