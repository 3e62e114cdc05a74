"""All that a summary has gathered after a number of tasks; a checkpoint holds it, a `Summary` shows it."""

from __future__ import annotations

import numpy as np

from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.partition.job import NO_LIMIT
from splinegeo.streaming.frontier import Frontier
from splinegeo.streaming.pending import Pending
from splinegeo.streaming.raster import COUNT
from splinegeo.streaming.tally import REGIONS, Part, Plan, Tally, completed_of


class State:
    """Statistics of all regions of the first tasks."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.next_task = 0
        self.finished = False
        self.tally = Tally(plan)
        linear = plan.marks is not None
        self.frontier = Frontier(linear, plan.n_bytes)
        self.pending = Pending(plan.n_bytes if linear else 0, linear) if plan.pieces else None
        self.images: dict[str, Array] = {}
        self.filled: Array = np.zeros(0, np.bool_)
        if plan.grid is not None:
            n = plan.grid.width * plan.grid.height
            self.filled = np.zeros(n, np.bool_)
            self.images = {
                name: np.zeros(n, np.int64) if name == COUNT else np.full(n, np.nan) for name in plan.pictures
            }

    @property
    def n_regions(self) -> int:
        """Regions so far."""
        return int(self.tally.counts[REGIONS])

    @property
    def held(self) -> int:
        """Bytes of regions that are not complete."""
        return 0 if self.pending is None else self.pending.nbytes

    def growth(self, part: Part) -> int:
        """How many regions there would be more of after the next task."""
        return len(part) + (0 if self.pending is None or part.open is None else self.pending.completes(part.open))

    def add(self, part: Part, most: int = NO_LIMIT) -> None:
        """Take in the next task; of the regions that it completes no more than make ``most`` with its own."""
        self._add(part)
        if self.pending is not None and part.open is not None:
            done = self.pending.add(part.open)
            if done is not None:
                self._add(completed_of(self.plan, done.first(most - len(part))))
        self.next_task += 1

    def _add(self, part: Part) -> None:
        self.tally.merge(part.tally)
        if part.outline is None:
            self.frontier.add(part.keys)
        else:
            self.frontier.add_linear(part.outline)
        free = ~self.filled[part.pixels]  # a centre on an edge between tasks is the first one's
        self.filled[part.pixels] = True
        for name, colours in part.colours.items():
            self.images[name][part.pixels[free]] = colours[free]
        if COUNT in self.images:
            np.add.at(self.images[COUNT], part.points, 1)

    def finish(self) -> None:
        """After the last task: check that nothing is missing.

        Raises:
            SplineGeoError: an edge has one side only, or a pixel's centre lies in no region; a defect of the library.
        """
        report = "please report the network"
        if self.pending:
            raise SplineGeoError(f"internal error: {len(self.pending):,} regions are not complete; {report}")
        if len(self.frontier):
            raise SplineGeoError(f"internal error: {len(self.frontier):,} edges have one side only; {report}")
        grid = self.plan.grid
        if grid is not None and set(self.images) - {COUNT} and not (self.filled >= grid.inside.ravel()).all():
            lost = int((grid.inside.ravel() & ~self.filled).sum())
            raise SplineGeoError(f"internal error: {lost:,} pixels of the raster lie in no region; {report}")
        self.finished = True

    # -- to and from a checkpoint --------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """All of it as named arrays."""
        out: dict[str, Array] = {"progress": np.array([self.next_task, self.finished], np.int64)}
        out |= {f"tally.{name}": array for name, array in self.tally.arrays().items()}
        out |= {f"frontier.{name}": array for name, array in self.frontier.arrays().items()}
        if self.pending is not None:
            out |= {f"pending.{name}": array for name, array in self.pending.arrays().items()}
        out |= {f"image.{name}": array for name, array in self.images.items()}
        if self.images:
            out["filled"] = self.filled
        return out

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take the place of the one that `arrays` came from.

        Raises:
            ValueError, KeyError: they are not what `arrays` gives.
        """
        expected = self.arrays()
        if set(arrays) != set(expected):
            raise ValueError(f"arrays {sorted(set(arrays) ^ set(expected))} are missing or too many")
        for name, mine in expected.items():
            wrong = arrays[name].dtype != mine.dtype or arrays[name].ndim != mine.ndim
            if wrong or (
                (name in ("progress", "filled") or name.startswith("image.")) and arrays[name].shape != mine.shape
            ):
                raise ValueError(f"{name} has shape {arrays[name].shape} and dtype {arrays[name].dtype}")
        self.next_task, self.finished = int(arrays["progress"][0]), bool(arrays["progress"][1])
        self.tally.restore(_under("tally.", arrays))
        self.frontier.restore(_under("frontier.", arrays))
        if self.pending is not None:
            pixels = arrays["pending.pixels"]
            if len(pixels) and not 0 <= pixels.min() <= pixels.max() < len(self.filled):
                raise ValueError("pixels of the regions on the outline are out of range")
            self.pending.restore(_under("pending.", arrays))
        self.images = {name: array.copy() for name, array in _under("image.", arrays).items()}
        if self.images:
            self.filled = arrays["filled"].copy()


def _under(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
