"""A plane through three latents of a generator
============================================

The latent space of a generator has more than two dimensions. Through any three latents there is a plane, and on it the
partition is exact: here for a convolutional decoder from R⁸ to handwritten digits of 8 × 8 pixels, trained by
``examples/train_digits.py``, and the latents of three digits.
"""

# %%
# The decoder, with its committed weights.
import matplotlib.pyplot as plt
import numpy as np

import splinegeo as sg
from splinegeo.data import load_arrays
from splinegeo.data.modules import load_digits_decoder

data = load_arrays("digits")
decoder = load_digits_decoder(8)

# %%
# The plane through the latents of a 0, a 3 and a 4. ``orthonormal=True`` makes a unit of u a unit of latent distance,
# so that areas, ψ and ν on the plane do not depend on how far apart the three happen to be.
corners = np.array([data["latents8"][data["labels"] == digit][0] for digit in (0, 3, 4)], float)
plane = sg.Slice.through(*corners, orthonormal=True)
triangle = plane.coordinates(corners)
low, high = triangle.min(0), triangle.max(0)
margin = 0.1 * (high - low).max()

part = sg.partition(decoder, sg.Box(low - margin, high + margin), plane)
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")
print(part.summary("nu"))

# %%
# The local rank ν of each region lies between 1, where the image moves in one direction only, and 2, where both
# directions of the plane change it alike. The three corners, and the image that the decoder makes of each.
figure, axes = plt.subplot_mosaic(
    [["map", "0"], ["map", "1"], ["map", "2"]], figsize=(9.2, 5.8), width_ratios=(4.2, 1), layout="constrained"
)
part.plot(ax=axes["map"], color="nu")
axes["map"].plot(*triangle[[0, 1, 2, 0]].T, color="white", lw=1.2, ls="--")
axes["map"].set_title(f"{part.n_regions:,} regions")
for k, (letter, image) in enumerate(zip("abc", part.network(corners).reshape(3, 8, 8), strict=True)):
    axes["map"].annotate(
        letter, triangle[k], ha="center", va="center", bbox={"boxstyle": "circle,pad=0.25", "fc": "white"}, zorder=4
    )
    axes[str(k)].imshow(image, cmap="gray_r", vmin=0, vmax=1)
    axes[str(k)].set(xticks=[], yticks=[], title=letter)
plt.show()

# %%
# On the way from a to b the image is a polygon in R⁶⁴: straight within each region, with a kink at each edge that the
# way crosses.
way = np.linspace(triangle[0], triangle[1], 20_001)
crossed = part.locate(way)
print(f"the way from a to b goes through {1 + np.count_nonzero(np.diff(crossed))} regions")
figure, axes = plt.subplots(1, 9, figsize=(9.2, 1.35), layout="constrained")
for ax, z in zip(axes, plane.embed(way[::2500]), strict=True):
    ax.imshow(part.network(z).reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
axes[0].set_title("a")
_ = axes[-1].set_title("b")
