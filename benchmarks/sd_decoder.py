"""ψ of Stable Diffusion's decoder: ``python -m benchmarks.sd_decoder`` (needs diffusers; random weights will do).

The configuration of v1.4 (49.5 M parameters in the decoder). On a GPU: 64 x 64 latents, 512 x 512 images, P = 120 rows;
elsewhere a small size, so that the same script runs. Measured: seconds a latent in each precision, TFLOP/s achieved as
a share of a measured matrix product, peak memory, and the error of ψ against float32.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROWS = 120


def decoder(width: float, device: Any) -> Any:
    """The adapter around an AutoencoderKL of the v1.4 configuration, its channels times ``width``."""
    import torch
    from diffusers import AutoencoderKL

    from splinegeo.jacobian import Decoder

    torch.manual_seed(0)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=tuple(int(c * width) for c in (128, 256, 512, 512)),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32 if width == 1 else 8,
        sample_size=512,
        scaling_factor=0.18215,
    )
    del vae.encoder, vae.quant_conv  # not part of the map
    return Decoder(vae.to(device).eval(), latents="scaled")


def ceiling(device: Any, precision: str) -> float:
    """TFLOP/s of a large square matrix product, best of five."""
    import torch

    from splinegeo.jacobian.precision import arithmetic, resolve

    kind = resolve("ceiling", precision, torch.float32, device)
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=kind.dtype) for _ in range(2))
    with arithmetic(kind, device), torch.no_grad():
        best = min(timed(lambda: a @ b, device) for _ in range(6))
    return 2 * n**3 / best / 1e12


def timed(function: Any, device: Any) -> float:
    """Seconds of one call, the device's work included."""
    from splinegeo.jacobian.plan import synchronise

    synchronise(device)
    begin = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - begin


def main() -> None:
    """Measure, print, and write results/sd_decoder_<device>.json."""
    import torch

    from benchmarks.plane import machine, peak_megabytes
    from splinegeo.jacobian import descriptors, estimate_cost

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latent", type=int, help="side of the latents; 64 on a GPU, 4 elsewhere")
    parser.add_argument("--width", type=float, help="part of the channels; 1 on a GPU, 0.25 elsewhere")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--count", type=int, default=2, help="latents")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    side, width = options.latent or (64 if gpu else 4), options.width or (1.0 if gpu else 0.25)
    model = decoder(width, device)
    z = torch.randn(options.count, 4, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    name = torch.cuda.get_device_name() if gpu else "cpu"
    out: dict[str, Any] = {
        "device": name,
        "machine": machine(),
        "image": 8 * side,
        "width": width,
        "rows": options.rows,
        "parameters": sum(p.numel() for p in model.parameters()),
        "precisions": {},
    }
    reference = None
    for precision in ("float32", "tf32", "bfloat16") if gpu else ("float32", "bfloat16"):
        cost = estimate_cost(model, z[:1], projection=options.rows, precision=precision)
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        once: dict[str, Any] = {}

        def run(precision: str = precision, once: dict[str, Any] = once) -> None:
            once["found"] = descriptors(model, z, projection=options.rows, precision=precision)

        seconds = timed(run, device) / len(z)
        psi = once["found"].psi
        reference = psi if reference is None else reference
        achieved = cost.flops / seconds / 1e12
        top = ceiling(device, precision)
        out["precisions"][precision] = row = {
            "seconds_per_latent": round(seconds, 3),
            "tflop_per_latent": round(cost.flops / 1e12, 3),
            "tflop_per_second": round(achieved, 3),
            "matmul_tflop_per_second": round(top, 3),
            "share_of_ceiling": round(achieved / top, 3),
            "chunk_size": cost.chunk_size,
            "estimated_bytes": cost.memory,
            "peak_megabytes": round(torch.cuda.max_memory_allocated() / 1e6 if gpu else peak_megabytes(), 1),
            "psi_error_to_float32": round(float(abs(psi - reference).max()), 6),
        }
        print(f"{precision:10} {row}", flush=True)
    path = options.out or RESULTS / f"sd_decoder_{name.lower().replace(' ', '_')}.json"
    path.write_text(json.dumps(out, indent=2) + "\n")


if __name__ == "__main__":
    main()
