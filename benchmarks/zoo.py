"""Published networks and a generator of DCGAN's size: ``python -m benchmarks.zoo [NAME ...]``.

The networks are read by the loaders of a folder ``shared/data`` beside the repository; without it only the generator of
DCGAN's size runs, whose weights are random. Every case runs in a process of its own: regions, linear regions, seconds
of the whole call, T_fwd (one float64 forward pass of the module for each vertex, measured on 256 points and scaled),
and peak memory above what the imports and the network take. A budget of seconds stops what would take too long; the
table says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.plane import machine, peak_megabytes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results" / "zoo.json"
SECONDS = 240.0
FORWARD = 256  # points of the yardstick


def dcgan() -> Any:
    """100-D latent, 64 x 64 x 3, leaky ReLU 0.2, 122,880 units; batch norm as after training on its own samples."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = []
    for n_in, n_out, stride, pad in ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)):
        conv = nn.ConvTranspose2d(n_in, n_out, 4, stride, pad, bias=False)
        layers += [conv, nn.BatchNorm2d(n_out), nn.LeakyReLU(0.2)]
    net = nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1)).eval()
    with torch.no_grad():
        x = torch.randn(64, 100, 1, 1)
        for layer in net:
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0, 0.02)
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1, 0.02)
                layer.running_mean, layer.running_var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            x = layer(x)
    return net


def _through(points: Any, half: float) -> tuple[Any, Any]:
    """A plane through three points, and a square around the first of them."""
    import numpy as np

    import splinegeo as sg

    return sg.Slice.through(*np.asarray(points, float).reshape(3, -1)), sg.Box([-half] * 2, [half] * 2)


def _triangle(points: Any, size: float) -> tuple[Any, Any]:
    """A plane through three points, and the triangle between them, shrunk towards the first."""
    import numpy as np

    import splinegeo as sg

    z = np.asarray(points, float).reshape(3, -1)
    return sg.Slice(z[0], np.stack([z[1] - z[0], z[2] - z[0]], 1)), sg.Polygon([[0, 0], [size, 0], [0, size]])


def case(name: str) -> dict[str, Any]:
    """Module, input shape, plane and domain of a case; ``stream`` where regions are not to be stored."""
    import numpy as np
    import torch

    import splinegeo as sg

    if name == "dcgan":
        plane, domain = _through(np.random.default_rng(0).normal(size=(3, 100)), 0.0075)
        return {"module": dcgan(), "shape": (100, 1, 1), "plane": plane, "domain": domain, "stream": True}
    sys.path.insert(0, str(DATA))
    import zoo

    rng = np.random.default_rng(0)
    if name == "vae2d_mnist":
        return {"module": zoo.vae2d_mnist(), "shape": (2,), "domain": sg.Box([-0.25] * 2, [0.25] * 2), "stream": True}
    if name.startswith("disvae"):
        plane, domain = _through(rng.normal(size=(3, 10)), 0.1 if name.endswith("mnist") else 0.02)
        return {"module": zoo.disvae(name[7:]), "shape": (10,), "plane": plane, "domain": domain, "stream": True}
    if name.startswith("ganlab"):
        generator = zoo.ganlab(name[7:])[0]
        return {"module": generator, "shape": (2,), "domain": sg.Box([0, 0], [1, 1]), "drop": True}
    if name == "pendulum":
        return {"module": zoo.pendulum(), "shape": (2,), "domain": sg.Box([-1, -1], [1, 1])}
    if name == "taesd":
        images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            latents = zoo.taesd_encoder()(images).reshape(3, -1)
        plane, domain = _triangle(latents, 2e-5)
        module = zoo.taesd_decoder(clamp=False)
        return {"module": module, "shape": (4, 8, 8), "plane": plane, "domain": domain, "stream": True}
    if name == "resnet2b":
        plane, domain = _triangle(rng.random((3, 3 * 32 * 32)), 1.0)
        return {"module": zoo.resnet2b(), "shape": (3, 32, 32), "plane": plane, "domain": domain, "stream": True}
    if name == "mnist_maxpool":
        plane, domain = _triangle(zoo.mnist_test()[0][:3] / 255, 0.05)
        network = sg.load_onnx(DATA / "verif_nets/cnn_max_mninst2.onnx")
        return {"network": network, "plane": plane, "domain": domain, "stream": True}
    if name.startswith("acasxu"):
        basis = np.zeros((5, 2))
        basis[int(name[7]), 0] = basis[int(name[8]), 1] = 1
        network = sg.load_onnx(DATA / "acasxu/ACASXU_run2a_1_1_batch_2000.onnx")
        return {"network": network, "plane": sg.Slice(np.zeros(5), basis), "domain": sg.Box([-0.5] * 2, [0.5] * 2)}
    raise SystemExit(f"no case {name!r}")


CASES = (
    "vae2d_mnist", "disvae_mnist", "disvae_celeba", "ganlab_line", "ganlab_gaussians", "ganlab_ring",
    "ganlab_disjoint", "pendulum", "taesd", "resnet2b", "mnist_maxpool", "acasxu_01", "acasxu_34", "dcgan",
)  # fmt: skip


def measure(name: str, seconds: float, threads: int | None) -> dict[str, Any]:
    """One case, in this process."""
    import torch

    import splinegeo as sg

    this = case(name)
    net = this.get("network")
    if net is None:
        net = sg.capture(this["module"], this["shape"], drop_output_activation=this.get("drop", False))
    plane, domain, budget = this.get("plane"), this["domain"], sg.Budget(seconds=seconds)
    before, start = peak_megabytes(), time.perf_counter()
    found: Any
    if this.get("stream"):
        found = sg.summarise(net, domain, plane, budget=budget, threads=threads, linear_regions=True)
    else:
        found = sg.partition(net, domain, plane, budget=budget, threads=threads)
    linear = found.n_linear_regions
    took = time.perf_counter() - start
    result = {
        "net": name,
        "units": net.n_units,
        "regions": found.n_regions,
        "linear_regions": linear,
        "vertices": found.n_vertices,
        "seconds": took,
        "memory": peak_megabytes() - before,
        "complete": found.complete,
        "coverage": found.coverage,
    }
    if "module" in this:
        result["t_fwd"] = forward(this["module"].double(), this["shape"], torch) * (found.n_vertices or found.n_regions)
        result["ratio"] = took / result["t_fwd"]
    if name == "dcgan":
        result["full_walk"] = full_walk(net, plane, domain) * found.n_regions
    return result


def forward(module: Any, shape: tuple[int, ...], torch: Any) -> float:
    """Seconds of a forward pass a point."""
    points = torch.rand(FORWARD, *shape, dtype=torch.float64)
    with torch.no_grad():
        module(points[:32])
        start = time.perf_counter()
        for part in points.split(32):
            module(part)
    return (time.perf_counter() - start) / FORWARD


def full_walk(net: Any, plane: Any, domain: Any, samples: int = 32) -> float:
    """Seconds a region of a depth-first walk through the whole network.

    The least that such a walk does between one region and the next in depth-first order: bring the affine functions
    (three columns) of all units up to date that lie behind one that changed sides. No search for kinks, no linking.
    """
    import numpy as np

    import splinegeo as sg
    from splinegeo.networks import linear_maps
    from splinegeo.networks.graph import Combine, Input, Knot, Select
    from splinegeo.partition.maps import knot_pieces, piece_offsets, unpack

    with sg.stream(net, domain, plane, batch=samples) as regions:
        pieces = knot_pieces(net, unpack(next(regions).packed_patterns, net.n_breakpoints))
    columns = np.concatenate([plane.basis, plane.origin[:, None]], 1).T.copy()
    values: dict[int, Any] = {}
    offsets = {i: piece_offsets(net.nodes[i]) for i in pieces}
    seconds = 0.0
    for k in range(len(next(iter(pieces.values())))):
        changed = {i for i, p in pieces.items() if k and (p[k] != p[k - 1]).any()}
        start = time.perf_counter()
        for i, node in enumerate(net.nodes):
            if k and i not in changed and not changed & set(node.inputs):
                continue
            changed.add(i)
            x = [values[j] for j in node.inputs]
            if isinstance(node, Input):
                values[i] = columns
            elif isinstance(node, Knot):
                unit = np.arange(node.size)
                values[i] = x[0] * node.slopes[unit, pieces[i][k]]
                values[i][2] += offsets[i][unit, pieces[i][k]]
            elif isinstance(node, Combine):
                values[i] = sum(s * v for s, v in zip(node.scales, x, strict=True))
                values[i][2] += node.bias
            elif isinstance(node, Select):
                values[i] = np.concatenate(x, 1)[:, node.index]
            else:
                values[i] = linear_maps.apply(node, x[0])
                values[i][2] += linear_maps.bias(node)
        seconds += time.perf_counter() - start if k else 0.0
    return seconds / (samples - 1)


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    state = "" if result["complete"] else f"  stopped at {result['coverage']:.0%} of the area"
    ratio = f"{result['ratio']:10.2g}" if "ratio" in result else " " * 10
    walk = f"  (a walk through the full network: {result['full_walk']:,.0f} s)" if "full_walk" in result else ""
    linear = "-" if result["linear_regions"] is None else f"{result['linear_regions']:,}"
    return (
        f"{result['net']:17s}{result['units']:>10,}{result['regions']:>12,}{linear:>12s}{result['seconds']:>9.1f}"
        f"{ratio}{result['memory']:>8.0f}{state}{walk}"
    )


def main(run: Callable[..., Any] = subprocess.run) -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"cases: {', '.join(CASES)}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="budget of each case")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--write", action="store_true", help=f"put the results into {RESULTS.name}, by case")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.names[0], options.seconds, options.threads)))
        return
    names = options.names or [n for n in CASES if DATA.exists() or n == "dcgan"]
    print(f"{'net':17s}{'units':>10s}{'regions':>12s}{'linear':>12s}{'seconds':>9s}{'T_fwd':>10s}{'MB':>8s}")
    results = []
    for name in names:
        command = [sys.executable, "-m", "benchmarks.zoo", "--here", name, "--seconds", str(options.seconds)]
        command += ["--threads", str(options.threads)] if options.threads else []
        done = run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:17s} failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        results.append(json.loads(done.stdout.splitlines()[-1]))
        print(row(results[-1]), flush=True)
    if options.write:
        kept = json.loads(RESULTS.read_text())["cases"] if RESULTS.exists() else []
        new = {result["net"]: result for result in [*kept, *results]}
        cases = [new[name] for name in CASES if name in new]
        RESULTS.write_text(json.dumps({"machine": machine(), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
