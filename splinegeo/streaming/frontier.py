"""Half-edges that wait for their other side: a watertightness check, and linear regions, across tasks.

Within a task both sides of an edge meet at once. Only the half-edges on a task's own outline are kept, until a later
task brings the other side; at the end none may be left. For linear regions each keeps what a comparison of affine maps
needs: numbers that tell different maps apart, and the activation pattern, from which equal ones are recognised exactly.
What is equal is joined in a forest whose trees are the parts of linear regions that touched the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.enumerate import Problem
from splinegeo.partition.setting import Setting
from splinegeo.streaming.mapping import Marks, may_agree, same_maps, setting_of

PAIRS = 1024  # compared exactly at a time


@dataclass(frozen=True, eq=False)
class Outline:
    """The half-edges of one task whose other side lies in another task, and the maps of the regions behind them."""

    sure: Array  # uint64 keys of the half-edges whose maps on both sides are known to be different
    keys: Array  # (F,) uint64 of the others
    pieces: Array  # (F,) part of a linear region of the task that the half-edge belongs to
    n_pieces: int
    n_linear: int  # parts of linear regions in the task, those that do not touch its outline included
    marks: Array  # (F, .) of the maps, see `Marks`
    errors: Array  # (F,) bound on the error of a mark
    patterns: Array  # (F, ceil(B / 8)) packed
    problem: Problem


@dataclass(frozen=True, eq=False)
class _Waiting:
    """Half-edges that came together; entry k of each array belongs to half-edge k."""

    nodes: Array  # in the forest
    marks: Array
    errors: Array
    patterns: Array


class Frontier:
    """All half-edges without their other side; with ``linear`` it also joins linear regions.

    ``n_bytes`` is the length of a packed pattern.
    """

    def __init__(self, linear: bool, n_bytes: int) -> None:
        self.linear, self._n_bytes = linear, n_bytes
        self.n_matched = 0  # edges between tasks
        self.n_linear = 0  # linear regions so far
        self._open: set[int] = set()
        self._where: dict[int, tuple[_Waiting, int]] = {}
        self._parents: list[int] = []
        self._setting: Setting | None = None

    def __len__(self) -> int:
        return len(self._where) + len(self._open)

    def add(self, keys: Array) -> None:
        """Take in the keys (F,) of a task's outline; one that is there twice has met its other side already."""
        keys, times = np.unique(keys, return_counts=True)
        new = set(keys[times == 1].tolist())
        self.n_matched += len(new & self._open) + int((times == 2).sum())
        self._open ^= new

    def add_linear(self, outline: Outline) -> None:
        """Take in a task's outline with its maps, and join linear regions across it."""
        self.n_linear += outline.n_linear
        start = len(self._parents)
        self._parents += range(start, start + outline.n_pieces)
        new = _Waiting(start + outline.pieces, outline.marks, outline.errors, outline.patterns)
        pairs: list[tuple[_Waiting, int, int]] = []
        # One side that knows is enough.
        for key in outline.sure.tolist():
            if key in self._open:
                self._open.remove(key)
            elif self._where.pop(key, None) is None:
                self._open.add(key)
                continue
            self.n_matched += 1
        for k, key in enumerate(outline.keys.tolist()):
            if key in self._open:
                self._open.remove(key)
                self.n_matched += 1
            elif (other := self._where.pop(key, None)) is None:
                self._where[key] = new, k
            else:
                pairs.append((*other, k))
        self.n_matched += len(pairs)
        if pairs:
            if self._setting is None:
                self._setting = setting_of(outline.problem)
            self._join(self._setting, pairs, new)

    def _join(self, setting: Setting, pairs: list[tuple[_Waiting, int, int]], new: _Waiting) -> None:
        mine = np.array([k for _, _, k in pairs])
        marks, errors = np.stack([w.marks[i] for w, i, _ in pairs]), np.array([w.errors[i] for w, i, _ in pairs])
        close = may_agree(marks, errors, new.marks[mine], new.errors[mine])
        left = [pairs[n] for n in np.nonzero(close)[0]]
        left = [(w, i, k) for w, i, k in left if self._root(int(w.nodes[i])) != self._root(int(new.nodes[k]))]
        for first in range(0, len(left), PAIRS):
            group = left[first : first + PAIRS]
            theirs = np.stack([w.patterns[i] for w, i, _ in group])
            same = same_maps(setting, theirs, new.patterns[[k for _, _, k in group]])
            for (w, i, k), equal in zip(group, same, strict=True):
                a, b = self._root(int(w.nodes[i])), self._root(int(new.nodes[k]))
                if equal and a != b:
                    self._parents[max(a, b)] = min(a, b)
                    self.n_linear -= 1

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    # -- to and from a checkpoint --------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """What it takes to go on later, in the order of the keys."""
        counts = np.array([self.n_matched, self.n_linear], np.int64)
        apart = np.array(sorted(self._open), np.uint64)
        if not self.linear:
            return {"counts": counts, "keys": apart}
        keys = sorted(self._where)
        entries = [self._where[key] for key in keys]
        roots = np.array([self._root(int(w.nodes[i])) for w, i in entries], np.int64)
        return {
            "counts": counts,
            "sure": apart,
            "keys": np.array(keys, np.uint64),
            "pieces": np.unique(roots, return_inverse=True)[1].astype(np.int64),
            "marks": np.stack([w.marks[i] for w, i in entries]) if entries else np.zeros((0, 0)),
            "errors": np.array([w.errors[i] for w, i in entries], np.float64),
            "patterns": np.stack([w.patterns[i] for w, i in entries])
            if entries
            else np.zeros((0, self._n_bytes), np.uint8),
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take the place of the one that `arrays` came from.

        Raises:
            ValueError, KeyError: they are not what `arrays` gives.
        """
        self.n_matched, self.n_linear = (int(n) for n in arrays["counts"])
        keys = arrays["keys"].tolist()
        if not self.linear:
            self._open = set(keys)
            return
        self._open = set(arrays["sure"].tolist())
        n = len(keys)
        if any(len(arrays[name]) != n for name in ("pieces", "marks", "errors", "patterns")):
            raise ValueError("arrays of the outline do not belong together")
        if arrays["patterns"].shape[1] != self._n_bytes or (n and arrays["marks"].shape[1] not in Marks.WIDTHS):
            raise ValueError("patterns or marks of the outline have another width")
        if n and not (arrays["pieces"].min() >= 0 and arrays["pieces"].max() < n):
            raise ValueError("numbers of the outline are out of range")
        waiting = _Waiting(arrays["pieces"], arrays["marks"], arrays["errors"], arrays["patterns"])
        self._parents = list(range(n))
        self._where = {key: (waiting, k) for k, key in enumerate(keys)}
