"""A tour on one page
==================

The exact partition of your own network, its local descriptors, and the decision boundary of a classifier.
"""

# %%
# Any module of linear layers and piecewise-linear activations will do. Here a small classifier learns to tell two
# half moons apart.
import numpy as np
import torch
from torch import nn

import splinegeo as sg

rng = np.random.default_rng(0)
angle = rng.uniform(0, np.pi, 600)
label = np.arange(600) % 2
moons = np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(label, -1, 1)[:, None] + np.outer(label, [1, 0.5])
moons += 0.12 * rng.normal(size=moons.shape)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
inputs, targets = torch.tensor(moons, dtype=torch.float32), torch.tensor(label)
for _ in range(400):
    loss = nn.functional.cross_entropy(net(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
# The partition: every region of the box on which the network is one affine map. Regions have distinct activation
# patterns; linear regions join neighbours that happen to have the same map.
part = sg.partition(net, sg.Box([-1.6, -1.1], [2.6, 1.6]))
print(part)
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")

# %%
# Coloured by the log-volume ψ of the map of each region, with the decision boundary: the exact set on which both
# classes tie, as line segments.
ax = part.plot(color="psi")
sg.plot.plot_decision_boundary(part, 0, 1, ax=ax)
_ = ax.scatter(*moons.T, s=6, c=np.where(label, "white", "black"), edgecolors="black", linewidths=0.3, zorder=4)
# %%
# Colours can be anything that has one value a region: here the difference of the two logits at an interior point.
ax = part.plot(
    color=lambda p: np.diff(p.network(p.slice.embed(p.interior_points)), axis=1)[:, 0],
    cmap="cividis",
    label="logit of class 2 over class 1",
    edges=False,
)
_ = sg.plot.plot_decision_boundary(part, 0, 1, ax=ax)
# %%
# Statistics are exact: a region weighs what its area is, so this is the law of ψ at a uniformly random point.
print(sg.descriptors.summarize(part.psi, part.volumes))
_ = sg.plot.plot_histogram(part, "psi")
