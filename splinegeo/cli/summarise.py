"""``splinegeo summarise``: statistics of all regions without storing them, as a table, a file and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from splinegeo.cli.inputs import UsageError
from splinegeo.cli.report import print_summary
from splinegeo.cli.run import PICTURE_DPI, budget_of, draw, say_written, stopped_by_hand
from splinegeo.streaming import Raster, summarise
from splinegeo.streaming.raster import COUNT, QUANTITIES

if TYPE_CHECKING:
    from splinegeo.domains import Box, Polygon, Slice

PIXELS = 800  # the longer side of a raster, if nothing else is asked for
LARGEST = 60_000  # pixels of a picture's side that Matplotlib can draw


def read_raster(
    domain: Box | Polygon, values: Sequence[str] | None, pixels: tuple[int, int] | None, drawn: bool
) -> Raster | None:
    """The raster of ``--value`` and ``--pixels``; None where neither it nor a picture is asked for."""
    if not (values or pixels or drawn):
        return None
    known = (*QUANTITIES, COUNT)
    for name in values or ():
        if name not in known:
            raise UsageError(f"--value {name!r} must be one of {', '.join(known)}")
    if pixels is None:
        size = np.ptp(domain.vertices, axis=0)
        share = np.maximum(size / size.max(), 1 / PIXELS) if size.max() < np.inf else np.ones(2)
        pixels = round(PIXELS * float(share[0])), round(PIXELS * float(share[1]))
    if drawn and max(pixels) * len(values or "1") > LARGEST:
        raise UsageError(
            f"--pixels {pixels[0]} {pixels[1]}: a picture has at most {LARGEST:,} pixels a side, all panels together; "
            "leave out --plot and save the raster with -o"
        )
    return Raster(*pixels, tuple(values or ("psi",)))


def run_summarise(
    net: Any,
    domain: Box | Polygon,
    plane: Slice | None,
    *,
    raster: Raster | None,
    linear_regions: bool,
    checkpoint: Path | None,
    checkpoint_seconds: float,
    limits: Mapping[str, Any],
    threads: int | None,
    progress: bool,
    output: Path | None,
    picture: Path | None,
) -> bool:
    """Summarise, save, draw and report; True when Ctrl-C cut it short."""
    summary = summarise(
        net,
        domain,
        plane,
        budget=budget_of(limits),
        threads=threads,
        progress=progress,
        raster=raster,
        linear_regions=linear_regions,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
    )
    if not summary.complete:
        kept = f"{summary.n_regions:,} regions are described"
        further = "" if checkpoint is None else f"; the same command goes on from {checkpoint}"
        typer.echo(f"splinegeo: stopped early, {summary.stop_reason}: {kept}{further}", err=True)
    if output is not None:
        summary.save(output)
    if picture is not None and summary.raster is not None:
        from splinegeo.plot.raster import plot_panels

        draw(plot_panels(summary.raster, PICTURE_DPI)[0], picture)
    print_summary(summary, "summary")
    say_written(output, picture)
    return stopped_by_hand(summary)
