"""psi of the MNIST VAE with two latents, and the digits that it encodes: ``python -m benchmarks.vae_raster``.

The regions are never held: `summarise` draws each one into the raster and forgets it. The default square, half a
unit wide in a latent space that digits fill to about [-4, 4]^2, has millions of regions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.plane import peak_megabytes
from benchmarks.zoo import DATA


def draw(summary: Any, half: float, points: Any, labels: Any, path: Path) -> None:
    """The picture: psi in colour, encoded digits as dots."""
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    psi = summary.raster["psi"]
    # A few slivers lie far below all others: the scale leaves out a thousandth on each side and says so by its arrows.
    low, high = np.nanquantile(psi, (0.001, 0.999))
    fig, ax = plt.subplots(figsize=(10, 7.6), layout="constrained")
    image = ax.imshow(
        psi, origin="lower", extent=summary.raster.extent, cmap="viridis", vmin=low, vmax=high, interpolation="nearest"
    )
    bar = fig.colorbar(image, ax=ax, extend="both", pad=0.02)
    bar.set_label("ψ", rotation=0, fontsize=14, labelpad=10)
    inside = (np.abs(points) <= half).all(1)
    size = 42 if inside.sum() < 100 else 22
    colours = plt.get_cmap("tab10")
    for digit in np.unique(labels[inside]):
        x, y = points[inside & (labels == digit)].T
        label = f"{digit} ({len(x)})"
        ax.scatter(x, y, size, color=colours(int(digit)), edgecolors="white", linewidths=0.8, label=label, zorder=3)
    if inside.any():
        fig.legend(title="encoded digits\n(how many)", loc="outside right center", frameon=False)
    ax.set(
        xlim=(-half, half), ylim=(-half, half), aspect="equal", xlabel="latent $z_1$", ylabel="latent $z_2$",
        title=f"ψ of an MNIST VAE decoder: {summary.n_regions:,} regions in $[-{half:g}, {half:g}]^2$",
    )  # fmt: skip
    fig.savefig(path, dpi=200, bbox_inches="tight")  # more dots than the default has pixels
    plt.close(fig)


def main() -> None:
    """Count, draw, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", type=float, default=0.25, help="half the side of the square (default 0.25)")
    parser.add_argument("--pixels", type=int, default=1000, help="pixels along a side (default 1000)")
    parser.add_argument("--threads", type=int, default=None, help="default: all cores")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "vae_raster.png")
    options = parser.parse_args()
    if not options.half > 0 or options.pixels < 1:
        parser.error("--half and --pixels are positive")
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not here: the network and its encoded digits are read from there")
    import torch  # noqa: F401  before the memory is measured

    import splinegeo as sg

    sys.path.insert(0, str(DATA))
    import zoo

    net = sg.capture(zoo.vae2d_mnist(), (2,))
    points, labels = zoo.vae2d_mnist_latents()
    domain = sg.Box([-options.half] * 2, [options.half] * 2)
    before, start = peak_megabytes(), time.perf_counter()
    raster = sg.Raster(options.pixels, options.pixels, ("psi",))
    summary = sg.summarise(net, domain, raster=raster, threads=options.threads)
    seconds, memory = time.perf_counter() - start, peak_megabytes() - before
    psi = summary.moments["psi"]
    print(f"{summary.n_regions:,} regions in {seconds:.1f} s: {summary.n_regions / seconds:,.0f} a second", end="")
    print(f"; {memory:,.0f} MB above the imports and the network; {summary.status}")
    print(f"psi {psi.mean:.4f} +- {psi.std:.4f} by area, from {psi.min:.3f} to {psi.max:.3f}")
    draw(summary, options.half, points, labels, options.out)
    shown = (abs(points) <= options.half).all(1).sum()
    print(f"{options.out}: {options.pixels} x {options.pixels} pixels, {shown} digits")


if __name__ == "__main__":
    main()
