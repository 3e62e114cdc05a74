"""What a comparison returns: a table, and its worst row in a form that can be run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._types import Array


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A table of exact values beside estimates of them.

    ``table`` holds columns of equal length; ``pandas.DataFrame(comparison.table)`` is a frame. ``exact`` and
    ``estimate`` name the two columns that are compared, ``witness`` is what the worst row comes from: the arguments
    with which it can be made again, or a `Witness`.
    """

    what: str
    table: dict[str, Array]
    exact: str
    estimate: str
    witness: Any
    stop_reason: str = ""  # why rows are missing, if they are

    @property
    def errors(self) -> Array:
        """(n,) estimate minus exact value."""
        return np.asarray(self.table[self.estimate] - self.table[self.exact], float)

    @property
    def worst(self) -> int:
        """The row with the largest error that is a number; the first of several, -1 if there is none."""
        sizes = np.abs(self.errors)
        return int(np.nanargmax(sizes)) if len(sizes) and not np.isnan(sizes).all() else -1

    def row(self, i: int) -> dict[str, Any]:
        """Row i as plain numbers."""
        return {name: column[i].item() for name, column in self.table.items()}

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of the two columns, where both are finite; NaN if one is constant."""
        a, b = np.asarray(self.table[self.exact], float), np.asarray(self.table[self.estimate], float)
        both = np.isfinite(a) & np.isfinite(b)
        x, y = ranks(a[both]), ranks(b[both])
        if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
            return float("nan")
        return float(np.corrcoef(x, y)[0, 1])

    def __len__(self) -> int:
        return len(self.table[self.exact])

    def __repr__(self) -> str:
        try:
            n, worst = len(self), self.worst
            if worst < 0:
                return f"<Comparison of {self.what}: {n:,} rows>"
            exact, estimate = (float(self.table[name][worst]) for name in (self.exact, self.estimate))
            return (
                f"<Comparison of {self.what}: {n:,} rows; at worst {self.estimate} {estimate:.6g} "
                f"for {self.exact} {exact:.6g}>"
            )
        except (AttributeError, KeyError):  # half-made
            return "<Comparison>"


def ranks(values: Array) -> Array:
    """Ranks (n,), equal values sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def frozen(table: dict[str, Any]) -> dict[str, Array]:
    """The columns as read-only arrays."""
    arrays = {name: np.asarray(column) for name, column in table.items()}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays
