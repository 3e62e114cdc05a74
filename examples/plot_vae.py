"""The latent square of a variational autoencoder
==============================================

A convolutional decoder from R² to images of 8 × 8 pixels, trained on handwritten digits by
``examples/train_digits.py``, is affine on each of tens of thousands of polygons. All of them are found, and the local
scaling ψ of each shows where a step in the latent space changes the image much: most of all in the middle,
where many classes are close together.
"""

# %%
# The decoder, with its committed weights. It is trained on pixels in [0, 1] with a normal likelihood, so what leaves
# the last convolution is the image, and ψ is measured in pixel values.
import matplotlib.pyplot as plt
import numpy as np

import splinegeo as sg
from splinegeo.data import load_arrays
from splinegeo.data.modules import load_digits_decoder

data = load_arrays("digits")
decoder = load_digits_decoder(2)

# %%
# The partition of a square that holds the latents of all 1,797 digits.
latents, labels = data["latents2"].astype(float), data["labels"]
part = sg.partition(decoder, sg.Box([-3.2, -3.2], [3.2, 3.2]))
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")
print(f"they meet at {part.n_vertices:,} vertices and along {part.n_edges:,} edges")
print(part.summary("psi"))

# %%
# ψ, and the encoded digits on top. ψ is high in the middle, where many classes are a short step from each other, and
# falls off towards the rim, where the image hardly changes any more.
at_digits = part.psi[part.locate(latents)]
over_square = dict(part.summary("psi").quantiles)[0.5]
print(f"median of psi: {np.median(at_digits):.2f} at the digits, {over_square:.2f} over the square")
colors = [*plt.cm.tab10.colors[:7], (1, 1, 1), *plt.cm.tab10.colors[8:]]  # white for grey, which ψ has
figure, ax = plt.subplots(figsize=(8.2, 6.2), layout="constrained")
part.plot(ax=ax, color="psi", cmap="gray", edges=False)
for digit in range(10):
    ax.scatter(*latents[labels == digit].T, s=9, color=colors[digit], edgecolors="black", linewidths=0.25)
handles = [
    plt.Line2D([], [], ls="", marker="o", color=colors[digit], mec="black", label=str(digit)) for digit in range(10)
]
figure.legend(handles=handles, loc="outside lower center", ncols=10, frameon=False, handletextpad=0.1)
ax.set_title(f"{part.n_regions:,} regions and {len(latents):,} encoded digits")
plt.show()

# %%
# The regions themselves are too small to be seen at this size. A part of the square, enlarged: every polygon is one
# affine map from latents to images.
closer = sg.partition(decoder, sg.Box([-0.4, -0.4], [0.4, 0.4]))
ax = closer.plot(color="psi")
_ = ax.set_title(f"{closer.n_regions:,} regions in the middle")

# %%
# What the decoder draws over the square.
steps = np.linspace(-2.4, 2.4, 13)
grid = np.stack(np.meshgrid(steps, steps[::-1]), -1)  # rows from the top, as in the picture above
tiles = np.pad(part.network(grid).reshape(13, 13, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))  # a pixel of white around
sheet = tiles.swapaxes(1, 2).reshape(130, 130)
figure, ax = plt.subplots(figsize=(5.6, 5.4), layout="constrained")
half = 2.4 * 13 / 12
ax.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, extent=(-half, half, -half, half))
_ = ax.set(xlabel="$z_1$", ylabel="$z_2$", title="decoded")
