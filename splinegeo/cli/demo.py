"""``splinegeo demo``: the exact partition of a trained toy generator, in numbers and in pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import typer

from splinegeo._types import Array
from splinegeo.cli.inputs import UsageError
from splinegeo.cli.report import print_report
from splinegeo.cli.run import draw, stopped_by_hand
from splinegeo.data import load_shipped_network
from splinegeo.domains import Box
from splinegeo.io import save
from splinegeo.partition import Partition, partition
from splinegeo.plot import plot_image, plot_partition

N_SAMPLES = 4000  # of the uniform latent, for the kernel density estimate


def run_demo(folder: Path, *, threads: int | None, progress: bool) -> bool:
    """Partition the toy generator over [-1, 1]², print, draw, save; True when Ctrl-C cut it short."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {str(folder)!r} cannot be made a folder: {error.strerror}") from error
    network = load_shipped_network("toy_generator")
    square = Box([-1, -1], [1, 1])
    part = partition(network, square, threads=threads, progress=progress)
    title = "toy generator"
    if part.complete:
        started = time.perf_counter()
        partition(network, square, threads=threads)  # again, now that the kernels are compiled and loaded
        title += f", partitioned in {time.perf_counter() - started:.3f} s"
    print_report(part, title)
    if part.complete:
        rho = density_correlation(part, np.random.default_rng(0))
        typer.echo(
            f"rank correlation of psi with the log-density of {N_SAMPLES:,} samples, estimated by a Gaussian kernel: "
            f"{rho:.3f}"
        )
    save(part, folder / "partition.npz")
    draw(plot_partition(part, color="psi"), folder / "partition.png")
    draw(plot_image(part, color="exp_psi"), folder / "image.png")
    typer.echo(f"wrote {folder / 'partition.png'}, {folder / 'image.png'}, {folder / 'partition.npz'}")
    return stopped_by_hand(part)


def density_correlation(part: Partition, rng: np.random.Generator) -> float:
    """Spearman's correlation of ψ at uniform latents with the log of a kernel estimate of the density they give.

    Exactly, the density is that of the latent times e^(-ψ), so the correlation is negative; how far it is from -1
    says what the estimate makes of edges, folds and its own bandwidth.
    """
    box = part.domain.vertices
    z = rng.uniform(box.min(0), box.max(0), (N_SAMPLES, 2))
    psi = part.psi[part.locate(z)]
    log_density = kernel_log_density(part.network(part.slice.embed(z)))
    return float(np.corrcoef(_ranks(psi), _ranks(log_density))[0, 1])


def kernel_log_density(x: Array) -> Array:
    """(n,) log of the Gaussian kernel density of points x (n, D) at themselves, up to a constant; Scott's bandwidth."""
    n, dim = x.shape
    scale = np.linalg.cholesky(np.cov(x.T))
    white = np.linalg.solve(scale, x.T).T / n ** (-1 / (dim + 4))
    norms = (white**2).sum(1)
    sums = [
        np.exp(np.minimum(rows @ white.T - norms / 2 - (rows**2).sum(1)[:, None] / 2, 0)).sum(1)
        for rows in np.array_split(white, max(1, n // 500))
    ]
    return np.log(np.concatenate(sums))


def _ranks(values: Array) -> Array:
    """Ranks, equal values sharing the mean of theirs: all samples of one region have one ψ."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]
