"""Local complexity: ``python -m benchmarks.complexity``; the table goes to ``results/complexity.json`` with --json.

``--digits FILE.png`` instead draws the three forms over latents of encoded digits of a published VAE, which is read by
the loaders of a folder ``shared/data`` beside the repository, and prints how often the estimate is wrong.

The network is the MLP d-128-128-128-784 with the weights of `benchmarks.nets`; latents are standard normal. Everything
runs on one thread. Seconds of a shared machine are worth little by themselves: the estimate is given as a multiple of
the forward passes of the module alone over the same vertices, in the same batches.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import splinegeo as sg
from benchmarks.nets import make_module
from splinegeo.balls import random_frame
from splinegeo.complexity.vertices import vertices_of

RESULTS = Path(__file__).parent / "results" / "complexity.json"
SETTINGS = ((20, 1e-4), (20, 1e-2), (20, 1e-1), (20, 2e-1), (100, 1e-4), (100, 1e-2), (100, 1e-1), (100, 2e-1))
LATENTS = 20
MOST = 50_000  # regions in a ball
ROWS = 512


def balls(dim: int, radius: float) -> dict[str, Any]:
    """Exact counts in balls of the whole latent space, P = E = dim."""
    net = sg.capture(make_module((dim, 128, 128, 128, 784)))
    z = np.random.default_rng(0).normal(size=(LATENTS, dim))
    frame, budget = random_frame(dim, dim, 0), sg.Budget(regions=MOST)
    sg.local_complexity(net, z[:1], radius, frame=frame, budget=budget, threads=1)  # kernels compiled and loaded
    seconds, found = [], None
    for _ in range(3):
        started = time.perf_counter()
        found = sg.local_complexity(net, z, radius, frame=frame, budget=budget, threads=1)
        seconds.append(time.perf_counter() - started)
        if seconds[0] > 10:
            break
    assert found is not None
    started = time.perf_counter()
    crossing = sg.local_complexity(net, z, radius, frame=frame, kind="crossing", threads=1)
    crossing_seconds = time.perf_counter() - started
    vertices = sg.local_complexity(net, z, radius, frame=frame, kind="vertices")
    return {
        "dim": dim,
        "radius": radius,
        "regions": float(found.values.mean()),
        "complete": int(found.complete.sum()),
        "crossing": float(crossing.values.mean()),
        "vertices": float(vertices.values.mean()),
        "seconds_a_ball": median(seconds) / LATENTS,
        "microseconds_a_region": median(seconds) / float(found.values.sum()) * 1e6,
        "crossing_seconds_a_ball": crossing_seconds / LATENTS,
    }


def estimate(latents: int = 1000, dim: int = 20, radius: float = 0.1) -> dict[str, Any]:
    """The published estimate on the module, beside its forward passes alone."""
    module = make_module((dim, 128, 128, 128, 784))
    z = np.random.default_rng(0).normal(size=(latents, dim))
    frame = random_frame(dim, dim, 0)
    batch = torch.from_numpy(vertices_of(z, radius, frame[None]).reshape(-1, dim))
    ratios, forwards = [], []
    for _ in range(5):
        started = time.perf_counter()
        with torch.no_grad():
            for k in range(0, len(batch), ROWS):
                module(batch[k : k + ROWS])
        forwards.append(time.perf_counter() - started)
        started = time.perf_counter()
        sg.local_complexity(module, z, radius, frame=frame, kind="vertices", rows=ROWS)
        ratios.append((time.perf_counter() - started) / forwards[-1])
    return {"latents": latents, "forward_seconds": median(forwards), "times_forward": median(ratios)}


def digits(picture: Path, latents: int = 100, radii: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)) -> None:
    """A convolutional decoder R^10 -> R^1024 of 11,264 units, at the latents of test images of MNIST."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    import zoo

    images = np.pad(zoo.mnist_test()[0][:latents] / 255.0, ((0, 0), (2, 2), (2, 2)))
    with torch.no_grad():
        codes = zoo.disvae_encoder("mnist")(torch.from_numpy(images[:, None]).float()).view(latents, 10, 2)[:, :, 0]
    z = codes.double().numpy()
    started = time.perf_counter()
    found = sg.compare.complexity(zoo.disvae("mnist"), z, radii, (10,), budget=sg.Budget(regions=2_000), threads=1)
    print(f"{time.perf_counter() - started:.0f} s; {found}; worst: {found.witness}")
    table = found.table
    print("radius  vertices  crossing  missed in  regions  complete")
    for r in radii:
        here = table["radius"] == r
        v, c, n = (table[name][here] for name in ("vertices", "crossing", "regions"))
        print(
            f"{r:6g}  {v.mean():8.2f}  {c.mean():8.2f}  {(v < c).mean():9.1%}  {n.mean():7.1f}  "
            f"{table['complete'][here].mean():8.0%}"
        )
    ax = sg.plot.plot_complexity(found)
    ax.set_title(f"Decoder of a VAE at {latents} encoded digits")
    ax.figure.savefig(picture, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=Path, metavar="FILE.png", help="draw the forms over a published VAE instead")
    parser.add_argument("--json", action="store_true", help=f"write {RESULTS}")
    torch.set_num_threads(1)
    arguments = parser.parse_args()
    if arguments.digits is not None:
        digits(arguments.digits)
        return
    print("  d  radius    regions  complete  crossing  vertices  s/ball    us/region  crossing s/ball")
    rows = []
    for dim, radius in SETTINGS:
        r = balls(dim, radius)
        rows.append(r)
        print(
            f"{dim:3d}  {radius:6g}  {r['regions']:9.1f}  {r['complete']:3d} of {LATENTS}  {r['crossing']:8.2f}  "
            f"{r['vertices']:8.2f}  {r['seconds_a_ball']:.5f}  {r['microseconds_a_region']:9.1f}  "
            f"{r['crossing_seconds_a_ball']:.5f}",
            flush=True,
        )
    published = estimate()
    print(f"estimate of {published['latents']} latents: {published['times_forward']:.2f} times its forward passes")
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
        RESULTS.write_text(json.dumps({"machine": machine, "balls": rows, "estimate": published}, indent=1) + "\n")


if __name__ == "__main__":
    main()
