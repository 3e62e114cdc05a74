"""Samples of a digits VAE, in order
==================================

What ψ and ν of a decoder say about its samples: which are the plainest and which the oddest, how diverse they are, how
a pool is drawn from evenly, and whether an image belongs to what the decoder was trained on. The decoder is that of
``examples/train_digits.py`` with eight latent dimensions; it is piecewise linear, and its Jacobians are taken.
"""

# %%
# The decoder with its committed weights, and the latents of the 1,797 digits.
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

import splinegeo as sg
from splinegeo import assess
from splinegeo.data import load_arrays
from splinegeo.data.modules import load_digits_decoder
from splinegeo.jacobian import descriptors

data = load_arrays("digits")
decoder = load_digits_decoder(8)


def decode(z):
    """Images (n, 8, 8) of latents (n, 8)."""
    with torch.no_grad():
        return decoder(torch.as_tensor(z, dtype=torch.float32))[:, 0].numpy()


# %%
# A thousand samples of the prior, in the order of ψ. Where ψ is lowest the image changes least with the latent, and
# digits are clear; where it is highest they are on the way from one digit to another.
pool = np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32)
found = descriptors(decoder, pool, projection=None)
images = decode(pool)
ends = assess.extremes(found.psi, 32)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
figure.get_layout_engine().set(wspace=0.06)
sg.plot.plot_contact_sheet(images, ends.lowest, axes[0], title=r"lowest $\psi$", vmin=0, vmax=1, cmap="gray_r")
sg.plot.plot_contact_sheet(images, ends.highest, axes[1], title=r"highest $\psi$", vmin=0, vmax=1, cmap="gray_r")
plt.show()

# %%
# Diversity in each of eight bins of ψ and of ν: the Vendi score, the effective number of different images among 125.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, symbol in zip(axes, ("psi", "nu"), strict=True):
    scores = {}
    for q in (0.5, 1, 2):
        scores[f"q = {q:g}"], centres = assess.vendi_by_bin(getattr(found, symbol), images, 8, q=q)
    sg.plot.plot_bins(centres, scores, ax, label="Vendi score", value=rf"$\{symbol}$")
plt.show()

# %%
# Drawing from the pool by e^{ρψ}: with ρ = 1 samples are spread evenly over what the decoder can draw, with ρ < 0 they
# come from its modes. The effective size says how much of the pool that leaves.
figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained")
figure.get_layout_engine().set(wspace=0.06)
for ax, rho in zip(axes, (-1.0, 0.0, 1.0), strict=True):
    draw = assess.polarity_sample(found.psi, 48, rho=rho, rng=0)
    title = rf"$\rho$ = {rho:g}, effective size {draw.effective_size:.0f}"
    sg.plot.plot_contact_sheet(images, draw.indices, ax, title=title, vmin=0, vmax=1, cmap="gray_r")
plt.show()

# %%
# Digits against letters. The letters are drawn with Matplotlib's own font, turned and shifted a little. Both kinds of
# images get their latents in the same way: the most probable one under the model that the decoder was trained with.
inside = np.stack(np.meshgrid(np.linspace(0, 8, 33)[:-1] + 0.125, np.linspace(8, 0, 33)[1:] + 0.125), -1)


def letter(character, angle, shift):
    """An image (8, 8) of a letter, by how much of each pixel it covers."""
    path = TextPath((0, 0), character, size=10, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    corners = (path.vertices - (box.min + box.max) / 2) * 6.5 / max(box.width, box.height)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    outlines = Path(corners @ turn + 4 + shift, path.codes).to_polygons()
    covered = np.logical_xor.reduce([Path(outline).contains_points(inside.reshape(-1, 2)) for outline in outlines])
    return covered.reshape(8, 4, 8, 4).mean((1, 3))


def encode(images, steps=300):
    """Latents (n, 8) that minimise ‖decode(z) - image‖² / (2 · 0.2²) + ‖z‖² / 2."""
    target = torch.tensor(images, dtype=torch.float32)
    z = torch.zeros(len(images), 8, requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(steps):
        loss = ((decoder(z)[:, 0] - target) ** 2).sum() / (2 * 0.2**2) + (z**2).sum() / 2
        optimizer.zero_grad()
        loss.backward(inputs=[z])
        optimizer.step()
    return z.detach()


rng = np.random.default_rng(1)
characters = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in "IOSZ"]  # those that are no digits
letters = np.stack(
    [letter(rng.choice(characters), rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.4, 2)) for _ in range(400)]
)
digits = decode(data["latents8"][rng.choice(1797, 400, replace=False)])
latents = {"digits": encode(digits), "letters": encode(letters)}
both = {name: descriptors(decoder, z, projection=None) for name, z in latents.items()}

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
sg.plot.plot_contact_sheet(letters, np.arange(32), axes[0], title="some letters", cmap="gray_r", vmin=0, vmax=1)
for ax, symbol in zip(axes[1:], ("psi", "nu"), strict=True):
    reference, other = (getattr(both[name], symbol) for name in ("digits", "letters"))
    result = assess.separation(reference, other)
    print(f"{symbol}: {result}")
    sg.plot.plot_separation(
        reference, {"letters": other}, ax, name="digits", separations={"letters": result}, label=rf"$\{symbol}$"
    )
plt.show()

# %%
# ψ over the plane through the latents of three digits.
grid = assess.plane_grid(latents["digits"][:3].numpy(), 96, margin=0.4)
values = descriptors(decoder, grid.points.reshape(-1, 8), projection=None).psi
ax = sg.plot.plot_plane_map(grid, values, label=r"$\psi$")
_ = ax.set_title("a plane through three digits")
