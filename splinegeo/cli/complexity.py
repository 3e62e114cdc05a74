"""``splinegeo complexity``: local complexity of latents, in one of its forms or in all three beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from splinegeo._types import Array
from splinegeo.cli.inputs import UsageError, read_array
from splinegeo.cli.run import budget_of, draw, say_written, stopped_by_hand
from splinegeo.compare import complexity as compare
from splinegeo.complexity import LocalComplexity, local_complexity

KINDS = ("regions", "crossing", "vertices", "all")


def read_latents(path: str | None, random: int | None, net: Any, seed: int) -> Array:
    """The latents (n, E) of ``--latents`` or ``--random``, of which there must be exactly one."""
    if (path is None) == (random is None):
        raise UsageError("name the latents with one of --latents FILE and --random N")
    if path is not None:
        latents = np.atleast_2d(read_array(path, "--latents"))
        if latents.ndim != 2:
            raise UsageError(f"--latents {path!r} must be an (n, E) array; it has shape {latents.shape}")
        return latents
    size = getattr(net, "n_inputs", None) or next(
        (layer.in_features for layer in net.modules() if hasattr(layer, "in_features")), None
    )
    if size is None:
        raise UsageError("--random cannot tell how many inputs the network has; give latents with --latents FILE")
    return np.random.default_rng(seed).standard_normal((random or 0, size))


def run_complexity(
    net: Any,
    latents: Array,
    *,
    kind: str,
    radii: Sequence[float],
    dim: int | None,
    frame: str | None,
    seed: int,
    limits: Mapping[str, Any],
    threads: int | None,
    progress: bool,
    output: Path | None,
    picture: Path | None,
) -> bool:
    """Count, report, save and draw; True when Ctrl-C cut it short."""
    common: dict[str, Any] = {"budget": budget_of(limits), "threads": threads, "progress": progress}
    if kind == "all":
        if frame is not None:
            raise UsageError("--frame goes with a single kind; --kind all draws its frames from --seed")
        found = compare(net, latents, radii, None if dim is None else (dim,), rng=seed, **common)
        _print_comparison(found.table)
        if found.witness is not None:
            typer.echo(f"at worst: {found.witness!r}")
        _write(output, found.table)
        if picture is not None:
            from splinegeo.plot import plot_complexity

            draw(plot_complexity(found), picture)
            say_written(picture)
        return stopped_by_hand(found)
    if picture is not None:
        raise UsageError("--plot goes with --kind all")
    axes = None if frame is None else read_array(frame, "--frame")
    results = [local_complexity(net, latents, r, dim, kind, axes, rng=seed, **common) for r in radii]
    _print_results(results)
    _write(output, _columns(results))
    return any(map(stopped_by_hand, results))


def _columns(results: Sequence[LocalComplexity]) -> dict[str, Array]:
    n = [len(r) for r in results]
    return {
        "latent": np.concatenate([np.arange(k) for k in n]),
        "radius": np.concatenate([np.full(k, r.radius) for k, r in zip(n, results, strict=True)]),
        results[0].kind: np.concatenate([r.values for r in results]),
        "complete": np.concatenate([r.complete for r in results]),
        "upper": np.concatenate([r.upper for r in results]),
        "estimate": np.concatenate([r.estimate for r in results]),
        "low": np.concatenate([r.interval[:, 0] for r in results]),
        "high": np.concatenate([r.interval[:, 1] for r in results]),
    }


def _print_results(results: Sequence[LocalComplexity]) -> None:
    kind = {"regions": "regions", "crossing": "crossing units", "vertices": "vertex sign changes"}[results[0].kind]
    table = Table(box=None, pad_edge=False, title=f"{kind}, P = {results[0].dim}", title_justify="left")
    for head in ("radius", "latents", "min", "median", "mean", "max", "incomplete"):
        table.add_column(head, justify="right")
    for r in results:
        v, missing = r.values, int((~r.complete).sum())
        if not len(v):
            continue
        row = (f"{r.radius:g}", f"{len(v):,}", f"{v.min():,}", f"{np.median(v):,g}", f"{v.mean():,.4g}", f"{v.max():,}")
        table.add_row(*row, f"{missing:,}" if missing else "-")
    console = Console(highlight=False)
    console.print(table)
    for r in results:
        if r.stop_reason:
            console.print(f"radius {r.radius:g}: {r.stop_reason}; incomplete values are lower bounds", soft_wrap=True)


def _print_comparison(columns: Mapping[str, Array]) -> None:
    table = Table(box=None, pad_edge=False, title="means over latents", title_justify="left")
    for head in ("radius", "P", "vertices", "crossing", "regions", "incomplete"):
        table.add_column(head, justify="right")
    for radius in np.unique(columns["radius"]):
        here = columns["radius"] == radius
        means = (f"{columns[name][here].mean():,.4g}" for name in ("vertices", "crossing", "regions"))
        missing = int((~columns["complete"][here]).sum())
        table.add_row(f"{radius:g}", str(columns["dim"][here][0]), *means, f"{missing:,}" if missing else "-")
    Console(highlight=False).print(table)


def _write(path: Path | None, columns: Mapping[str, Array]) -> None:
    """The columns as .npz or as .csv, whole or not at all."""
    if path is None:
        return
    partial = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".npz":
            with partial.open("wb") as file:
                np.savez(file, **columns)  # type: ignore[arg-type]
        else:
            rows = zip(*(column.tolist() for column in columns.values()), strict=True)
            lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
            partial.write_text("\n".join(lines) + "\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"--output {str(path)!r} cannot be written: {error.strerror or error}") from error
    say_written(path)
