r"""Local scaling is density
========================

A generator takes the uniform law on a square to a law on a surface. Where a region ω of its partition is stretched, by
the factor e^ψ of its affine map, the law thins out by the same factor: the exact density on the image of ω is

.. math:: p_\text{out} = e^{-\psi_\omega} / \text{area of the square}.

This is the first figure of "What Secrets Do Your Manifolds Hold? Understanding the Local Geometry of Generative Models"
(Humayun et al., 2024), with the toy generator R² → R³ of width 20 and depth 3 that ``examples/train_toy.py`` trained.
``python examples/plot_figure1.py FOLDER`` writes the pictures to a folder.
"""

# %%
# The generator and its exact partition
# -------------------------------------
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

import splinegeo as sg
from splinegeo.data import load_shipped_network

generator = load_shipped_network("toy_generator")
square = sg.Box([-1, -1], [1, 1])
part = sg.partition(generator, square)
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")

# %%
# The partition and the surface, both coloured by the factor e^ψ by which area is stretched.
figure = plt.figure(figsize=(11, 4.6), layout="compressed")
left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
part.plot(ax=left, color="exp_psi", colorbar=False)
sg.plot.plot_image(part, ax=right, color="exp_psi")
right.view_init(elev=38, azim=-60)

# %%
# Samples, and a density fitted to them
# -------------------------------------
# Latents drawn uniformly from the square land densely where ψ is low. A Gaussian kernel density estimate sees only the
# points in R³, not the network. Its kernel is normalised for a surface, so that it estimates density per unit of area.
rng = np.random.default_rng(0)
latents = rng.uniform(-1, 1, (40_000, 2))
samples = generator(latents)

bandwidth = 0.04
fitted_to = cKDTree(samples)
probe = np.arange(4_000)  # the density is looked up at some of the samples
log_density = np.empty(len(probe))
for k, near in enumerate(fitted_to.query_ball_point(samples[probe], 5 * bandwidth)):
    square_distance = ((samples[near] - samples[k]) ** 2).sum(1)
    kernel = np.exp(-square_distance / (2 * bandwidth**2)) / (2 * np.pi * bandwidth**2)
    log_density[k] = np.log((kernel.sum() - kernel.max()) / (len(samples) - 1))  # all samples but the point itself

# %%
# Rank correlation
# ----------------
# ψ at a sample is that of its region. The exact density is a decreasing function of it, so their rank correlation is
# -1; the fitted density, which knows nothing of the network, comes close. What is missing is the estimate's own blur:
# over slivers and folds narrower than the bandwidth, and at the rim of the surface, beyond which there are no samples.
region = part.locate(latents[probe])
psi = part.psi[region]
exact = sg.descriptors.output_densities(part.psi, part.rank, square.volume, log=True)[region]
fitted_correlation = spearmanr(psi, log_density).statistic
exact_correlation = spearmanr(psi, exact).statistic
print(
    f"Spearman correlation of psi with the log-density: fitted {fitted_correlation:.3f}, exact {exact_correlation:.3f}"
)

scatter, (cloud, ranks) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(1, 1.1))
scatter.get_layout_engine().set(wspace=0.06)
drawn = cloud.scatter(samples[probe, 0], samples[probe, 1], s=3, c=log_density, cmap="viridis", rasterized=True)
cloud.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title="samples, seen from above")
scatter.colorbar(drawn, ax=cloud, label="fitted log-density")
ranks.scatter(
    psi, log_density, s=3, color="#3b6fa0", rasterized=True, label=f"fitted, rank correlation {fitted_correlation:.2f}"
)
ranks.plot(
    np.sort(psi), -np.sort(psi) - np.log(square.volume), color="#d55e00", label=f"exact, {exact_correlation:.0f}"
)
ranks.set(xlabel=r"local scaling $\psi$", ylabel="log-density")
ranks.legend(frameon=False)
ranks.spines[["top", "right"]].set_visible(False)

# %%
# The areas of the images, each weighted with its density, hold the whole probability.
areas = sg.descriptors.image_areas(part.psi, part.volumes, part.rank)
print(f"area of the surface {areas.sum():.6f}")
print(f"total probability {(areas * sg.descriptors.output_densities(part.psi, part.rank, square.volume)).sum():.15f}")

# %%
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "figure1_partition.png", dpi=200)
    scatter.savefig(folder / "figure1_density.png", dpi=200)
