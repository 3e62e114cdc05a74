"""From what is typed to what `splinegeo.partition` takes; whatever is wrong with it is one UsageError."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.io import load_network

if TYPE_CHECKING:
    from splinegeo.networks import SplineNetwork

_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps")


class UsageError(SplineGeoError, ValueError):
    """An argument of the command line that cannot be used; the message is one line."""


def read_model(text: str) -> SplineNetwork | Any:
    """The network that ``text`` names: a file written by `save_network`, or ``module:function``.

    The function is called without arguments and returns the network; a ``module:name`` that is one already will do.
    As with ``python -m``, modules are looked for in the current folder first.
    """
    if ":" not in text or Path(text).exists():
        if not text.endswith(".npz") and not Path(text).exists():
            raise UsageError(f"MODEL {text!r} is neither a file nor module:function, such as mymodels:make_net")
        return load_network(text)
    module_name, _, attribute = text.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"MODEL {text!r} must be module:function, such as mymodels:make_net")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == module_name.split(".")[0]:
            where = Path.cwd()
            raise UsageError(f"MODEL {text!r}: no module {module_name!r} in {where} nor installed") from error
        raise UsageError(f"MODEL {text!r}: importing {module_name} failed: {_named(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"MODEL {text!r}: module {module_name} has no {attribute!r}")
        found = getattr(found, part)
    if isinstance(found, type) or not (callable(found) and not hasattr(found, "forward")):
        if isinstance(found, type):
            raise UsageError(f"MODEL {text!r} is a class; name a function without arguments that returns the network")
        return found  # a module, or a captured network, as it stands
    try:
        return found()
    except Exception as error:
        raise UsageError(f"MODEL {text!r}: calling {attribute}() failed: {_named(error)}") from error


def read_domain(box: str | None, polygon: str | None) -> Box | Polygon:
    """The domain of ``--box`` or ``--polygon``, of which there must be exactly one."""
    if (box is None) == (polygon is None):
        raise UsageError("name the domain with one of --box X0 Y0 X1 Y1 and --polygon 'X,Y X,Y X,Y ...'")
    if box is not None:
        return _read_box(box)
    assert polygon is not None
    if Path(polygon).suffix in (".npy", ".txt", ".csv"):
        return Polygon(read_array(polygon, "--polygon"))
    try:
        vertices = [[float(number) for number in pair.split(",")] for pair in polygon.split()]
    except ValueError as error:
        raise UsageError(f"--polygon {polygon!r}: {error}; write it as 'X,Y X,Y X,Y' or name a file") from error
    if {len(vertex) for vertex in vertices} != {2}:
        raise UsageError(f"--polygon {polygon!r}: every vertex is X,Y without a space in it, as in '0,0 1,0 0,1'")
    return Polygon(vertices)


def _read_box(text: str) -> Box:
    """The lower corner and then the upper one, 2 d numbers apart by spaces or commas."""
    form = "write the lower corner and then the upper one, X0 Y0 X1 Y1 in the plane, X0 Y0 Z0 X1 Y1 Z1 in space"
    try:
        numbers = [float(number) for number in text.replace(",", " ").split()]
    except ValueError as error:
        raise UsageError(f"--box {text!r}: {error}; {form}") from error
    dim, odd = divmod(len(numbers), 2)
    if odd or not dim:
        raise UsageError(f"--box {text!r} has {len(numbers)} numbers, which are no two corners; {form}")
    return Box(numbers[:dim], numbers[dim:])


def read_slice(through: str | None, origin: str | None, basis: str | None) -> Slice | None:
    """The slice of ``--slice-through`` or of ``--slice-origin`` with ``--slice-basis``; None when none is given."""
    if through is not None:
        if origin is not None or basis is not None:
            raise UsageError("--slice-through says it all; leave out --slice-origin and --slice-basis")
        points = read_array(through, "--slice-through")
        if points.ndim != 2 or len(points) != 3:
            raise UsageError(f"--slice-through {through!r} must be three latents, shape (3, E); it has {points.shape}")
        return Slice.through(*points)
    if (origin is None) != (basis is None):
        raise UsageError("--slice-origin and --slice-basis go together")
    if origin is None or basis is None:
        return None
    return Slice(read_array(origin, "--slice-origin"), read_array(basis, "--slice-basis"))


def read_array(path: str, option: str) -> Array:
    """The array in a ``.npy`` file, or in a text file of numbers; nothing is unpickled."""
    try:
        if path.endswith(".npy"):
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        return np.loadtxt(path, delimiter="," if path.endswith(".csv") else None, ndmin=1)
    except OSError as error:
        raise UsageError(f"{option} {path!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise UsageError(f"{option} {path!r} holds no array of numbers: {error}") from error


def check_outputs(output: Path | None, picture: Path | None, checkpoint: Path | None = None) -> None:
    """Refuse a file that could not be written, before the long work and not after it."""
    paths = [path for path in (output, picture, checkpoint) if path is not None]
    if len({path.absolute() for path in paths}) < len(paths):
        raise UsageError("two of the files to write have one name; give each its own")
    if picture is not None and picture.suffix.lower() not in _PICTURES:
        raise UsageError(f"--plot {str(picture)!r} must end in one of {', '.join(_PICTURES)}")
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"{str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{str(path)!r}: you have no permission to write in {str(path.parent)!r}")


def _named(error: Exception) -> str:
    """The error with its class and the line of the user's code that it came from."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_file() and "site-packages" not in file.parts and Path(__file__).parent not in file.parents:
            where = f" ({file.name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{where}"
