"""Jacobians of a decoder R^16 -> R^12,288: ``python -m benchmarks.jacobian``; and what a projection hides.

Every way runs in a process of its own: seconds of the second of two calls, and peak memory above what the imports and
the model take. ``--study`` writes instead what random projections of 1 to 1,000 rows make of ψ and ν of known spectra.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.plane import machine, peak_megabytes

RESULTS = Path(__file__).parent / "results" / "jacobian.json"
WAYS = {
    "splinegeo, one latent": "jacobians, default options",
    "splinegeo, eight latents": "the same, eight at once in one call; seconds a latent",
    "splinegeo descriptors, P = 120": "psi and nu of 120 projected rows, eight latents; seconds a latent",
    "torch.func.jacfwd": "forward mode, all columns at once",
    "autograd loop": "reverse mode, one of 12,288 rows after another, the first 200 timed and scaled",
}


def decoder() -> Any:
    """16 -> 3 x 64 x 64: three doublings of 64 channels, group norms and SiLU, random weights."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = [nn.Linear(16, 64 * 8 * 8), nn.Unflatten(1, (64, 8, 8))]
    for _ in range(3):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(64, 3, 3, padding=1)).eval()


def run(way: str) -> dict[str, float]:
    """Seconds a latent and peak megabytes of one way."""
    import torch

    from splinegeo import jacobian

    torch.set_num_threads(1)
    net = decoder()
    z = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net(z[:1])
    before = peak_megabytes()

    def once() -> float:
        begin = time.perf_counter()
        if way == "splinegeo, one latent":
            jacobian.jacobians(net, z[:1])
        elif way == "splinegeo, eight latents":
            jacobian.jacobians(net, z)
        elif way.startswith("splinegeo descriptors"):
            jacobian.descriptors(net, z)
        elif way == "torch.func.jacfwd":
            torch.func.jacfwd(net)(z[:1])
        else:
            x = z[:1].clone().requires_grad_()
            y = net(x).reshape(-1)
            for k in range(200):
                torch.autograd.grad(y[k], x, retain_graph=True)
        return time.perf_counter() - begin

    once()
    seconds = once() / (8 if "eight" in way or "descriptors" in way else 1) * (12_288 / 200 if "loop" in way else 1)
    return {"seconds_per_latent": round(seconds, 3), "peak_megabytes": round(peak_megabytes() - before, 1)}


def study() -> dict[str, Any]:
    """ν, and ψ a term, of W J for J with D = 4,096 rows, against the full matrix; means over five projections."""
    import numpy as np

    from splinegeo.descriptors import nu, psi
    from splinegeo.jacobian import orthonormal_rows

    rng = np.random.default_rng(0)
    d, e = 4096, 1024
    spectra = {
        "all equal": np.ones(e),
        "1 / k": 1 / np.arange(1, e + 1),
        "0.99^k": 0.99 ** np.arange(e),
        "50 large, the rest 0.01": np.where(np.arange(e) < 50, 1.0, 0.01),
        "50 non-zero": np.where(np.arange(e) < 50, 1.0, 0.0),
    }
    gaussian = np.linalg.svd(rng.standard_normal((120, d)), compute_uv=False)
    out: dict[str, Any] = {"iid Gaussian 120 x 4096": {"nu": round(float(nu(gaussian)), 2)}, "spectra": {}}
    u = np.linalg.qr(rng.standard_normal((d, e)))[0]
    for name, s in spectra.items():
        j = u * s  # the right singular vectors do not matter
        rows: dict[str, Any] = {"full": {"nu": float(nu(s)), "psi": float(psi(s, shape=(d, e)))}}
        for p in (10, 30, 120, 400, 1000):
            sigma = [np.linalg.svd(orthonormal_rows(p, d, seed) @ j, compute_uv=False) for seed in range(5)]
            nus = [float(nu(x)) for x in sigma]
            psis = [float(psi(x, shape=(p, e))) for x in sigma]
            rows[str(p)] = {
                "nu": float(np.mean(nus)), "nu_spread": float(np.std(nus)),
                "psi": float(np.mean(psis)), "psi_spread": float(np.std(psis)),
            }  # fmt: skip
        out["spectra"][name] = {k: {q: round(v, 2) for q, v in r.items()} for k, r in rows.items()}
    return out


def main() -> None:
    """Run all ways, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--study", action="store_true")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run(options.way)))
        return
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.study:
        stored["projection study"] = study()
    else:
        stored["machine"] = machine()
        stored["ways"] = {}
        for way, what in WAYS.items():
            command = [sys.executable, "-m", "benchmarks.jacobian", "--way", way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            stored["ways"][way] = {"what": what, **json.loads(done.stdout)}
            print(f"{way:32} {stored['ways'][way]}", flush=True)
    RESULTS.write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    main()
