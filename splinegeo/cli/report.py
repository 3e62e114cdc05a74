"""What a partition is, as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from splinegeo._types import Array
from splinegeo.partition import Partition

if TYPE_CHECKING:
    from splinegeo.space import SpacePartition


def print_report(part: Partition | SpacePartition, title: str) -> None:
    """Print counts and the statistics of ψ and ν to standard output."""
    console = Console(highlight=False)
    console.print(title, style="bold", markup=False, soft_wrap=True)
    counts = Table(show_header=False, box=None, pad_edge=False)
    counts.add_column()
    counts.add_column(justify="right")
    if isinstance(part, Partition):
        sides, name, measure = part.edge_regions, "edges", "area"
    else:
        sides, name, measure = part.facet_regions, "facets", "volume"
    inner = int((sides[:, 1] >= 0).sum())
    rows = {
        "network": f"R^{part.network.n_inputs} -> R^{part.network.n_outputs}, {part.network.n_units:,} units",
        "domain": f"{part.domain!r}, {measure} {part.domain.volume:.6g}",
        "regions (activation patterns)": f"{part.n_regions:,}",
        "linear regions (affine maps)": f"{part.n_linear_regions:,}",
        "vertices": f"{len(part.vertices):,}",
        name: f"{len(sides):,} ({inner:,} between two regions)",
        "complete": "yes" if part.complete else f"NO: {part.stop_reason}; {part.coverage:.1%} of the {measure}",
    }
    for row in rows.items():
        counts.add_row(*row)
    console.print(counts)
    if part.n_regions:
        console.print()
        console.print(_statistics(part, measure))


def _statistics(part: Partition | SpacePartition, measure: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("per region")
    for head in ("min", "median", "max", f"mean by {measure}"):
        table.add_column(head, justify="right")
    volumes = part.volumes
    share = volumes / volumes.sum()
    for name, values in (("psi", part.psi), ("nu", part.nu)):
        table.add_row(name, *_summary(values), f"{float(values @ share):.4f}")
    table.add_row(measure, *(f"{x:.4g}" for x in (volumes.min(), np.median(volumes), volumes.max())), "")
    return table


def _summary(values: Array) -> tuple[str, str, str]:
    return f"{values.min():.4f}", f"{np.median(values):.4f}", f"{values.max():.4f}"
