"""The long work of the commands: partition, save, draw, report; a partial result is treated like a whole one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from splinegeo._errors import InvalidArgument
from splinegeo.cli.report import print_report
from splinegeo.io import save
from splinegeo.partition import Budget, Partition, partition

if TYPE_CHECKING:
    from splinegeo.compare.result import Comparison
    from splinegeo.complexity import LocalComplexity
    from splinegeo.domains import Box, Polygon, Slice
    from splinegeo.space import SpacePartition
    from splinegeo.streaming import Summary

PICTURE_DPI = 200


def run_partition(
    net: Any,
    domain: Box | Polygon,
    plane: Slice | None,
    *,
    limits: Mapping[str, Any],
    threads: int | None,
    progress: bool,
    output: Path | None,
    picture: Path | None,
    color: str,
) -> bool:
    """Partition, save, draw and report; True when Ctrl-C cut it short."""
    part = partition(net, domain, plane, budget=budget_of(limits), threads=threads, progress=progress)
    if not part.complete:
        typer.echo(f"splinegeo: stopped early, {part.stop_reason}: {part.n_regions:,} regions are kept", err=True)
    if output is not None:
        save(part, output)
    if picture is not None and not part.n_regions:
        typer.echo(f"splinegeo: no regions, and so no picture in {picture}", err=True)
        picture = None
    if picture is not None:
        draw(part.plot(color=color), picture)
    print_report(part, "partition")
    say_written(output, picture)
    return stopped_by_hand(part)


def budget_of(limits: Mapping[str, Any]) -> Budget | None:
    """The limits that were given, by name; None when none was."""
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Budget(**given) if given else None


def say_written(*paths: Path | None) -> None:
    """Name the files that were written."""
    for path in paths:
        if path is not None:
            typer.echo(f"wrote {path}")


def draw(axes: Any, path: Path) -> None:
    """Write the figure of these axes to a file."""
    try:
        axes.figure.savefig(path, dpi=PICTURE_DPI, bbox_inches="tight")
    except (ValueError, OSError) as error:  # an extension that Matplotlib does not know, a full disk
        raise InvalidArgument(f"{str(path)!r}: the picture cannot be written: {error}") from error


def stopped_by_hand(found: Partition | SpacePartition | Summary | LocalComplexity | Comparison) -> bool:
    """Whether it was Ctrl-C that stopped the enumeration."""
    return "interrupt" in found.stop_reason.lower()
