"""What a partition or a summary is, as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from splinegeo._types import Array
from splinegeo.partition import Partition

if TYPE_CHECKING:
    from splinegeo.space import SpacePartition
    from splinegeo.streaming import Summary


def print_report(part: Partition | SpacePartition, title: str) -> None:
    """Print counts and the statistics of ψ and ν to standard output.

    Where linear programmes found the regions, what vertices and facets are needed for is left out: working them out
    may take far longer than the regions took, and cannot be done for some of them only.
    """
    sides: Array | None
    if isinstance(part, Partition):
        sides, name, measure = part.edge_regions, "edges", "area"
    else:
        sides, name, measure = None if part.stored_geometry is None else part.facet_regions, "facets", "volume"
    rows = {
        "network": f"R^{part.network.n_inputs} -> R^{part.network.n_outputs}, {part.network.n_units:,} units",
        "domain": f"{part.domain!r}, {measure} {part.domain.volume:.6g}",
        "regions (activation patterns)": f"{part.n_regions:,}",
    }
    if sides is None:
        rows["vertices, facets, volumes"] = "not worked out"
        rows["complete"] = "yes" if part.complete else f"NO: {part.stop_reason}"
    else:
        inner = int((sides[:, 1] >= 0).sum())
        rows["linear regions (affine maps)"] = f"{part.n_linear_regions:,}"
        rows["vertices"] = f"{len(part.vertices):,}"
        rows[name] = f"{len(sides):,} ({inner:,} between two regions)"
        rows["complete"] = _complete(part, measure)
    _print(title, rows, _statistics(part, None if sides is None else measure) if part.n_regions else None)


def print_summary(summary: Summary, title: str) -> None:
    """Print counts and the statistics of ψ, ν and the area to standard output."""
    linear, vertices = summary.n_linear_regions, summary.n_vertices
    inner = summary.n_edges - summary.n_boundary_edges - summary.n_open_edges
    rows = {
        "domain": f"{summary.domain!r}, area {summary.domain.volume:.6g}",
        "regions (activation patterns)": f"{summary.n_regions:,}",
        "linear regions (affine maps)": "not counted" if linear is None else f"{linear:,}",
        "vertices": "not known" if vertices is None else f"{vertices:,}",
        "edges": f"{summary.n_edges:,} ({inner:,} between two regions)",
        "regions of rank 0, 1, 2": ", ".join(f"{n:,}" for n in summary.rank_counts),
        "complete": _complete(summary),
    }
    if summary.raster is not None:
        rows["raster"] = repr(summary.raster).strip("<>").removeprefix("RasterImage ")
    table = Table(box=None, pad_edge=False)
    table.add_column("per region")
    for head in ("min", "mean by area", "std by area", "max"):
        table.add_column(head, justify="right")
    for name, label, form in (("psi", "psi", ".4f"), ("nu", "nu", ".4f"), ("volume", "area", ".4g")):
        m = summary.moments[name]
        table.add_row(label, *(format(x, form) for x in (m.min, m.mean, m.std, m.max)))
    _print(title, rows, table if summary.n_regions else None)


def _complete(found: Partition | SpacePartition | Summary, measure: str = "area") -> str:
    return "yes" if found.complete else f"NO: {found.stop_reason}; {found.coverage:.1%} of the {measure}"


def _print(title: str, rows: dict[str, str], statistics: Table | None) -> None:
    console = Console(highlight=False)
    console.print(title, style="bold", markup=False, soft_wrap=True)
    counts = Table(show_header=False, box=None, pad_edge=False)
    counts.add_column()
    counts.add_column(justify="right")
    for row in rows.items():
        counts.add_row(*row)
    console.print(counts)
    if statistics is not None:
        console.print()
        console.print(statistics)


def _statistics(part: Partition | SpacePartition, measure: str | None) -> Table:
    """Statistics over the regions; of volumes and by volume only where there is a ``measure``, the volume's name."""
    table = Table(box=None, pad_edge=False)
    table.add_column("per region")
    for head in ("min", "median", "max", *([f"mean by {measure}"] if measure else [])):
        table.add_column(head, justify="right")
    described = (("psi", part.psi), ("nu", part.nu))
    if measure is None:
        for name, values in described:
            table.add_row(name, *_summary(values))
        return table
    volumes = part.volumes
    share = volumes / volumes.sum()
    for name, values in described:
        table.add_row(name, *_summary(values), f"{float(values @ share):.4f}")
    table.add_row(measure, *(f"{x:.4g}" for x in (volumes.min(), np.median(volumes), volumes.max())), "")
    return table


def _summary(values: Array) -> tuple[str, str, str]:
    return f"{values.min():.4f}", f"{np.median(values):.4f}", f"{values.max():.4f}"
