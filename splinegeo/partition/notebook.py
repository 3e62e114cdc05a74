"""What a notebook shows of a partition: a table and a picture, both capped in size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splinegeo.partition.result import Partition


def html(part: Partition) -> str:
    """The picture beside a table of counts."""
    network = part.network
    rows = (
        ("regions", f"{part.n_regions:,}"), ("vertices", f"{part.n_vertices:,}"), ("edges", f"{part.n_edges:,}"),
        ("network", f"R^{network.n_inputs} → R^{network.n_outputs}, {network.n_units:,} units"),
        ("status", part.status),
    )  # fmt: skip
    cells = "".join(f"<tr><th>{k}</th><td>{_escaped(v)}</td></tr>" for k, v in rows)
    return f'<div style="display:flex;gap:1em"><div>{svg(part)}</div><table>{cells}</table></div>'


def svg(part: Partition) -> str:
    """The regions coloured by psi; the largest ones where there are too many."""
    from splinegeo.plot.svg import partition_svg

    return partition_svg(
        part.vertices,
        part.region_offsets,
        part.corner_vertices,
        part.domain.vertices,
        part.psi,
        volumes=part.volumes,
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
