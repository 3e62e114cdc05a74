"""What is shipped with the package for its examples, tests and demonstration: small trained networks and their data.

`SOURCES.md` beside this file says where they come from.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from splinegeo._types import Array

if TYPE_CHECKING:
    from splinegeo.networks import SplineNetwork


def load_arrays(name: str) -> dict[str, Array]:
    """The arrays of ``digits`` or ``ddpm``, by name."""
    with (files(__name__) / f"{name}.npz").open("rb") as file, np.load(file) as archive:
        return dict(archive)


def load_shipped_network(name: str) -> SplineNetwork:
    """The network ``toy_generator``, R² → R³, or ``torus_sdf``, R³ → R."""
    from splinegeo.io import load_network

    with as_file(files(__name__) / f"{name}.npz") as path:
        return load_network(path)
