"""The ``splinegeo`` command.

Heavy imports are inside the commands, so that ``--help`` and a mistyped option answer at once. A bad argument gets
one line on standard error and exit code 2; Ctrl-C keeps what there is and ends with 130.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand

from splinegeo import SplineGeoError, __version__

app = typer.Typer(
    name="splinegeo",
    help="Exact geometry of continuous piecewise-affine networks.",
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COLORS = ("psi", "nu", "exp_psi", "volume", "rank", "density")
_INTERRUPTED = 130
# ClickException, which typer does not export: whatever typer itself has against an argument.
_CommandLineError = cast("type[Exception]", typer.BadParameter.__mro__[2])

# What the commands that walk a network share.
_Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="module:function that returns a network, or a saved network.npz.")
]
_BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="X0 Y0 ... X1 Y1 ...", help="A box as the domain: lower corner, upper corner."),
]
_PolygonOption = Annotated[
    str | None,
    typer.Option("--polygon", metavar="'X,Y X,Y ...'", help="A convex polygon as the domain, or a file of vertices."),
]
_Through = Annotated[
    str | None, typer.Option(metavar="FILE", help="Plane through three latents: a (3, E) array, .npy or text.")
]
_Origin = Annotated[str | None, typer.Option(metavar="FILE", help="Latent at the origin of the slice: an (E,) array.")]
_Basis = Annotated[str | None, typer.Option(metavar="FILE", help="Directions of the slice: an (E, d) array.")]
_Threads = Annotated[int | None, typer.Option(min=1, help="Threads; all cores by default.")]
_MaxRegions = Annotated[int | None, typer.Option(min=1, help="Stop after this many regions.")]
_MaxSeconds = Annotated[float | None, typer.Option(min=0, help="Stop after this many seconds.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


class _BoxCommand(TyperCommand):
    """A command whose ``--box`` takes as many numbers as follow it, which typer has no option for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Have the numbers behind each ``--box`` read as one value."""
        joined: list[str] = []
        for word in args:
            if joined[-2:-1] == ["--box"] and _holds_numbers(word):
                joined[-1] += f" {word}"
            else:
                joined.append(word)
        return super().parse_args(ctx, joined)


def _holds_numbers(word: str) -> bool:
    try:
        return bool([float(number) for number in word.split(",")])
    except ValueError:
        return False


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"splinegeo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for pictures and files; it is created.")] = Path("demo"),
    threads: _Threads = None,
    quiet: _Quiet = False,
) -> None:
    """Partition a trained toy generator R^2 -> R^3: counts here, pictures in a folder."""
    from splinegeo.cli.demo import run_demo

    _log_to_stderr(quiet)
    _end(run_demo(out, threads=threads, progress=not quiet))


@app.command(cls=_BoxCommand)
def partition(
    model: _Model,
    box: _BoxOption = None,
    polygon: _PolygonOption = None,
    slice_through: _Through = None,
    slice_origin: _Origin = None,
    slice_basis: _Basis = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save the partition to this .npz file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the partition, in 2 or 3 dimensions, into this file: .png, .pdf, .svg.")
    ] = None,
    color: Annotated[str, typer.Option(help=f"What the picture shows: {', '.join(_COLORS)}.")] = "psi",
    threads: _Threads = None,
    max_regions: _MaxRegions = None,
    max_seconds: _MaxSeconds = None,
    quiet: _Quiet = False,
) -> None:
    """Find the exact partition of a network over a box in its latent space, or over a box or polygon in a slice of it.

    Ctrl-C stops the work and keeps the regions that are found; so do --max-regions and --max-seconds.
    """
    from splinegeo.cli import inputs
    from splinegeo.cli.run import run_partition

    if color not in _COLORS:
        raise inputs.UsageError(f"--color {color!r} must be one of {', '.join(_COLORS)}")
    _log_to_stderr(quiet)
    inputs.check_outputs(output, plot)
    domain = inputs.read_domain(box, polygon)
    if plot is not None and domain.dim not in (2, 3):
        raise inputs.UsageError(f"--plot draws partitions in 2 and 3 dimensions, not in {domain.dim}; leave it out")
    plane = inputs.read_slice(slice_through, slice_origin, slice_basis)
    interrupted = run_partition(
        inputs.read_model(model),
        domain,
        plane,
        limits={"regions": max_regions, "seconds": max_seconds},
        threads=threads,
        progress=not quiet,
        output=output,
        picture=plot,
        color=color,
    )
    _end(interrupted)


@app.command(cls=_BoxCommand)
def summarise(
    model: _Model,
    box: _BoxOption = None,
    polygon: _PolygonOption = None,
    slice_through: _Through = None,
    slice_origin: _Origin = None,
    slice_basis: _Basis = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save the summary to this .npz file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the raster into this file: .png, .pdf, .svg.")] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What the raster shows, psi by default; give it again for more panels."),
    ] = None,
    pixels: Annotated[
        tuple[int, int] | None, typer.Option(metavar="W H", help="Size of the raster; the longer side is 800.")
    ] = None,
    linear_regions: Annotated[bool, typer.Option("--linear-regions", help="Count linear regions, too.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the work in this file, and go on from it if it is there.")
    ] = None,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="How often the checkpoint is written.")] = 30.0,
    threads: _Threads = None,
    max_regions: _MaxRegions = None,
    max_seconds: _MaxSeconds = None,
    max_memory: Annotated[
        int | None, typer.Option(min=1, help="Stop when this many bytes of regions have to be held at one time.")
    ] = None,
    quiet: _Quiet = False,
) -> None:
    """Describe all regions of a network over a plane without storing them: counts, statistics of psi and nu, a raster.

    Ctrl-C stops the work and describes what was found; so do --max-regions, --max-seconds and --max-memory. The same
    command with the same --checkpoint goes on from there, also after a crash.
    """
    from splinegeo.cli import inputs
    from splinegeo.cli.summarise import read_raster, run_summarise

    _log_to_stderr(quiet)
    inputs.check_outputs(output, plot, checkpoint)
    domain = inputs.read_domain(box, polygon)
    if domain.dim != 2:
        raise inputs.UsageError(
            f"summarise describes regions in a plane, and --box has {domain.dim} dimension{'s' * (domain.dim > 1)}; "
            "give X0 Y0 X1 Y1, or use splinegeo partition"
        )
    plane = inputs.read_slice(slice_through, slice_origin, slice_basis)
    raster = read_raster(domain, value, pixels, plot is not None)
    interrupted = run_summarise(
        inputs.read_model(model),
        domain,
        plane,
        raster=raster,
        linear_regions=linear_regions,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        limits={"regions": max_regions, "seconds": max_seconds, "memory": max_memory},
        threads=threads,
        progress=not quiet,
        output=output,
        picture=plot,
    )
    _end(interrupted)


@app.command()
def complexity(
    model: _Model,
    latents: Annotated[
        str | None, typer.Option(metavar="FILE", help="Latents to look at: an (n, E) array, .npy or text.")
    ] = None,
    random: Annotated[int | None, typer.Option(min=1, metavar="N", help="Or so many from a normal law.")] = None,
    radius: Annotated[
        list[float] | None, typer.Option(help="Of the l1 balls, 0.1 by default; may be repeated.")
    ] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="P, the dimension of the balls; 20 or E by default.")] = None,
    kind: Annotated[
        str, typer.Option(help="regions and crossing are exact, vertices is the published estimate; or all.")
    ] = "regions",
    frame: Annotated[str | None, typer.Option(metavar="FILE", help="Directions of the balls: an (E, P) array.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the frame that is drawn otherwise.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the values to this .csv or .npz.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="With --kind all: draw the three forms over the radius.")] = None,
    threads: _Threads = None,
    max_regions: Annotated[int | None, typer.Option(min=1, help="Stop at so many regions in a ball.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0, help="Stop each count after this many seconds.")] = None,
    quiet: _Quiet = False,
) -> None:
    """Count the regions, or the units that cross, in l1 balls around latents: their local complexity.

    Ctrl-C stops the work and keeps what is counted; beyond --max-regions and --max-seconds values are lower bounds.
    """
    from splinegeo.cli import inputs
    from splinegeo.cli.complexity import KINDS, read_latents, run_complexity

    if kind not in KINDS:
        raise inputs.UsageError(f"--kind {kind!r} must be one of {', '.join(KINDS)}")
    _log_to_stderr(quiet)
    inputs.check_outputs(output, plot)
    net = inputs.read_model(model)
    interrupted = run_complexity(
        net,
        read_latents(latents, random, net, seed),
        kind=kind,
        radii=radius or [0.1],
        dim=dim,
        frame=frame,
        seed=seed,
        limits={"regions": max_regions, "seconds": max_seconds},
        threads=threads,
        progress=not quiet,
        output=output,
        picture=plot,
    )
    _end(interrupted)


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `splinegeo partition` or `summarise` saved.")],
) -> None:
    """Show what a saved partition or summary holds."""
    from splinegeo.cli.report import print_report, print_summary
    from splinegeo.io import container, load
    from splinegeo.streaming.summary_file import load_summary

    if container.kind_of(file) == "summary":
        print_summary(load_summary(file), str(file))
    else:
        print_report(load(file), str(file))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is returned."""
    os.environ.setdefault("MPLBACKEND", "Agg")  # pictures go to files; no screen is needed
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=None if arguments is None else list(arguments), prog_name="splinegeo", standalone_mode=False
        )
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", _INTERRUPTED)
    except SplineGeoError as error:
        return _complain(str(error), 2)
    except _CommandLineError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        return _complain(message, 2) if message else 2  # without arguments the help is shown, and that is all
    return code if isinstance(code, int) else 0


def _end(interrupted: bool) -> NoReturn:
    """Leave a command whose work is done, or was cut short by Ctrl-C."""
    raise typer.Exit(_INTERRUPTED if interrupted else 0)


def _log_to_stderr(quiet: bool) -> None:
    """Show what the library logs, such as that it is compiling; the library itself never prints."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("splinegeo: %(message)s"))
    logger = logging.getLogger("splinegeo")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def _complain(message: str, code: int) -> int:
    line = " ".join(message.split())
    typer.echo(f"splinegeo: {line}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
