"""The zero set of a signed distance function
==========================================

A network that learnt the signed distance to a shape holds the shape as its zero set. On a plane that set is found
exactly, segment by segment: here for a torus, learnt by ``examples/train_sdf.py``, on three horizontal slices, where
the true sections are circles.
"""

# %%
# The 3-32-32-1 network, and the torus that it learnt: a circle of radius 0.6, thickened by 0.25.
import matplotlib.pyplot as plt
import numpy as np

import splinegeo as sg
from splinegeo.data import load_shipped_network

net = load_shipped_network("torus_sdf")
ring, tube = 0.6, 0.25

# %%
# A slice at height h is the plane (x, y, h). The gradient of a true distance has length 1 everywhere; that of the
# network is constant on each region, and ``affine_maps(latent=True)`` gives it in all three directions of space.
heights = (0.0, 0.15, 0.24)
square = sg.Box([-1, -1], [1, 1])
parts = [sg.partition(net, square, sg.Slice([0, 0, h], [[1, 0], [0, 1], [0, 0]])) for h in heights]


def gradient_length(part):
    """Length of the gradient of the distance in space, one number a region."""
    return np.linalg.norm(part.affine_maps(latent=True)[0][:, 0], axis=1)


figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained", sharey=True)
for ax, part, h in zip(axes, parts, heights, strict=True):
    part.plot(ax=ax, color=gradient_length, cmap="RdBu_r", limits=(0.5, 1.5), colorbar=False)
    zero = part.decision_boundary(0)
    sg.plot.plot_decision_boundary(zero, ax=ax)
    radii = ring + np.sqrt(tube**2 - h**2) * np.array([-1, 1])
    for radius in radii:
        ax.add_patch(plt.Circle((0, 0), radius, fill=False, color="#009e73", ls="--", lw=1.6, zorder=4))
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="$x$", ylabel="$y$" if ax is axes[0] else "")
    ax.set_title(f"$z = {h:g}$: {part.n_regions:,} regions")

    ends = np.linalg.norm(zero.segments.reshape(-1, 2), axis=1)
    print(f"z = {h:g}: {part.n_regions:,} regions, zero set of {len(zero)} segments, length {zero.length:.3f},")
    print(f"  circles {2 * np.pi * radii.sum():.3f}; corners off the circles by at most", end=" ")
    print(f"{np.abs(ends[:, None] - radii).min(1).max():.3f}")
figure.colorbar(
    axes[0].collections[0], ax=axes, label=r"length of the gradient $\|\nabla f\|$", extend="both", shrink=0.9
)
zero_line = plt.Line2D([], [], color="black", lw=1.6, label="zero set of the network")
true_line = plt.Line2D([], [], color="#009e73", lw=1.6, ls="--", label="torus")
figure.legend(handles=[zero_line, true_line], loc="outside lower center", ncols=2, frameon=False)
plt.show()
