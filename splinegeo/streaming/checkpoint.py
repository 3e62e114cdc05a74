"""Checkpoints: the state of a summary in a file, with fingerprints of everything that it depends on."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splinegeo._errors import FileFormatError, InvalidArgument
from splinegeo._types import Array
from splinegeo.io import container
from splinegeo.networks import to_arrays
from splinegeo.streaming.arguments import Setting
from splinegeo.streaming.state import State

KIND = "checkpoint"
# To be raised whenever tasks are cut differently or other things are added up: an old file then does not fit.
GENERATION = 2


class CheckpointMismatch(InvalidArgument):
    """A checkpoint belongs to another network, domain, slice, or to other options."""


def fingerprints(setting: Setting, options: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each thing that the result depends on."""
    plane, domain = setting.slice, setting.domain
    return {
        "network": _digest(to_arrays(setting.network)),
        "domain": _digest({type(domain).__name__: domain.vertices}),
        "slice": _digest({"origin": plane.origin, "basis": plane.basis}),
        **{name: _digest({name: value}) for name, value in options.items()},
    }


def _digest(things: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in things.items():
        if isinstance(value, np.ndarray):
            digest.update(f"{name} {value.dtype.str} {value.shape};".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, Mapping):
            digest.update(f"{name}({_digest(value)});".encode())
        else:
            digest.update(f"{name}={value!r};".encode())
    return digest.hexdigest()


class Checkpoint:
    """One file; ``every`` seconds it is due to be written again."""

    def __init__(self, path: str | os.PathLike[str], prints: Mapping[str, str], every: float) -> None:
        self.path, self._prints, self._every = path, dict(prints), every
        self._written = time.monotonic()

    def load(self, state: State) -> bool:
        """Restore the state from the file; False when there is none.

        Raises:
            CheckpointMismatch: it belongs to other arguments.
            FileFormatError: it is damaged or something else.
            FileAccessError: it cannot be read.
        """
        if not Path(self.path).exists():
            return False
        header, arrays = container.read(self.path, KIND)
        name = os.fspath(self.path)
        if header.get("generation") != GENERATION or not isinstance(header.get("fingerprints"), dict):
            raise CheckpointMismatch(
                f"summarise: checkpoint {name!r} was written by another version of splinegeo; "
                "delete it, or finish with the version that began"
            )
        found = header["fingerprints"]
        other = [key for key in sorted({*found, *self._prints}) if found.get(key) != self._prints.get(key)]
        if other:
            raise CheckpointMismatch(
                f"summarise: checkpoint {name!r} belongs to a call with another {', another '.join(other)}; "
                "name another file, or delete this one to start afresh"
            )
        try:
            state.restore(arrays)
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise FileFormatError(f"summarise: checkpoint {name!r} is inconsistent ({error}); delete it") from error
        return True

    def save(self, state: State) -> None:
        """Write the state, atomically.

        Raises:
            FileAccessError: the file cannot be written.
        """
        arrays: dict[str, Array] = state.arrays()
        container.write(self.path, KIND, {"generation": GENERATION, "fingerprints": self._prints}, arrays)
        self._written = time.monotonic()

    def save_if_due(self, state: State) -> None:
        """Write the state if the last time is long enough ago."""
        if time.monotonic() - self._written >= self._every:
            self.save(state)
