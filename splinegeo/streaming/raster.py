"""Pictures without storing regions: each pixel centre is given the value of the one region that it lies in.

A polygon is scanned row by row. Where a pixel centre is farther from every edge than the corners are in doubt, floating
point decides; the few centres on an edge, or next to it, are decided by their exact activation pattern, with the rule
of `Partition.locate`: the region that a step towards the centre of the domain enters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._jit import kernel
from splinegeo._types import Array
from splinegeo.domains import Box, Polygon
from splinegeo.partition.locate import patterns_at
from splinegeo.streaming.arguments import checked_count
from splinegeo.streaming.mapping import setting_of
from splinegeo.streaming.regions import TaskRegions

QUANTITIES = ("psi", "nu", "volume", "log_volume", "sigma_1", "sigma_2")
COUNT = "count"
MAX_PIXELS = 1 << 28
POINTS = 256  # doubtful centres decided at a time
UNIT = 2.0**-50


@dataclass(frozen=True)
class Raster:
    """A request for pictures of ``height`` x ``width`` pixels.

    Args:
        width: number of columns.
        height: number of rows.
        values: what to draw, of "psi", "nu", "volume", "log_volume", "sigma_1", "sigma_2": the value of the region that
            the pixel's centre lies in; or "count": the number of regions whose interior point lies in the pixel.
        box: what the picture shows, in slice coordinates; the domain's bounding box by default.

    Raises:
        WrongType, InvalidArgument: an argument is not what it should be.
    """

    width: int
    height: int
    values: tuple[str, ...] = ("psi",)
    box: Box | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            object.__setattr__(self, name, checked_count("Raster", name, getattr(self, name), MAX_PIXELS))
        if self.width * self.height > MAX_PIXELS:
            raise InvalidArgument(
                f"Raster: {self.width:,} x {self.height:,} pixels; at most {MAX_PIXELS:,} are possible"
            )
        given: Any = self.values
        names = (given,) if isinstance(given, str) else given
        if not isinstance(names, Sequence) or not names or not all(isinstance(n, str) for n in names):
            raise WrongType(f"Raster(values={given!r}): names of values are expected, such as ('psi', 'nu')")
        for name in names:
            if name not in (*QUANTITIES, COUNT):
                raise InvalidArgument(f"Raster(values={name!r}): choose from {', '.join((*QUANTITIES, COUNT))}")
        object.__setattr__(self, "values", tuple(dict.fromkeys(names)))
        if self.box is not None and not isinstance(self.box, Box):
            raise WrongType(f"Raster: box is a Box or None, not {type(self.box).__name__}")
        if self.box is not None and self.box.dim != 2:
            raise ShapeMismatch(f"Raster: box is {self.box.dim}-dimensional; a picture shows a 2-dimensional one")


@dataclass(frozen=True, eq=False)
class RasterImage:
    """Pictures on one grid of pixels; row 0 is the lowest (``imshow(..., origin="lower", extent=image.extent)``)."""

    box: Box
    images: dict[str, Array]  # (height, width) each: float64 with nan outside the domain, int64 for "count"

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in slice coordinates."""
        (a, b), (c, d) = self.box.lower.tolist(), self.box.upper.tolist()
        return a, c, b, d

    def __getitem__(self, name: str) -> Array:
        return self.images[name]

    def __repr__(self) -> str:
        shape = next(iter(self.images.values())).shape
        return f"<RasterImage {shape[1]:,} x {shape[0]:,} of {', '.join(self.images)}>"


class Grid:
    """The pixels of a request over a domain."""

    def __init__(self, request: Raster, domain: Box | Polygon) -> None:
        corners = domain.vertices
        self.box = request.box or Box(corners.min(0), corners.max(0))
        self.width, self.height = request.width, request.height
        low, size = self.box.lower, self.box.upper - self.box.lower
        self.x = low[0] + (np.arange(self.width) + 0.5) * (size[0] / self.width)
        self.y = low[1] + (np.arange(self.height) + 0.5) * (size[1] / self.height)
        self.inside = np.empty((self.height, self.width), np.bool_)  # centres in the domain, its boundary included
        for k, y in enumerate(self.y):
            self.inside[k] = domain.contains(np.stack([self.x, np.full(self.width, y)], 1))

    def centres(self, pixels: Array) -> Array:
        """(n, 2) centres of pixels numbered row by row."""
        return np.stack([self.x[pixels % self.width], self.y[pixels // self.width]], 1)

    def owners(self, regions: TaskRegions) -> tuple[Array, Array]:
        """Pixels (n,) whose centres lie in regions of a task, ascending, and those regions (n,)."""
        frame = regions.problem.frame
        x = (self.x - frame.centre[0]) / frame.scale[0]
        y = (self.y - frame.centre[1]) / frame.scale[1]
        room = len(regions) + 4096
        while True:
            out = np.empty((room, 3), np.int64)
            need = _scan(regions.xy, regions.spread, regions.offsets, x, y, self.inside, out)
            if need <= room:
                break
            room = need
        out = out[:need]
        doubtful = out[out[:, 2] == 0]
        kept = [out[out[:, 2] == 1], *(self._decide(regions, part) for part in _parts(doubtful))]
        found = np.concatenate(kept)
        pixels, first = np.unique(found[:, 0], return_index=True)
        return pixels, found[first, 1]

    def _decide(self, regions: TaskRegions, pairs: Array) -> Array:
        """Those of the pairs (pixel, region, .) whose pixel belongs to the region."""
        problem = regions.problem
        pixels, which = np.unique(pairs[:, 0], return_inverse=True)
        true = patterns_at(setting_of(problem), problem.origin, problem.basis, self.centres(pixels))
        return pairs[(true[which] == problem.patterns(regions.bits[pairs[:, 1]])).all(1)]

    def cells(self, points: Array) -> Array:
        """Pixels (n,) that hold these points (n, 2) of the domain; points outside the box are left out."""
        low, size = self.box.lower, self.box.upper - self.box.lower
        j = np.floor((points[:, 0] - low[0]) / size[0] * self.width)
        i = np.floor((points[:, 1] - low[1]) / size[1] * self.height)
        shown = ((points >= low) & (points <= self.box.upper)).all(1)
        column, row = np.minimum(j[shown], self.width - 1), np.minimum(i[shown], self.height - 1)
        return (row * self.width + column).astype(np.int64)


def _parts(pairs: Array) -> list[Array]:
    return [pairs[k : k + POINTS] for k in range(0, len(pairs), POINTS)]


@kernel()
def _scan(xy, spread, offsets, x, y, inside, out):
    """Write (pixel, region, sure) for every pixel centre that may lie in a region; how many there are.

    x (W,) and y (H,) are the centres' coordinates in the frame. A corner is off by less than `doubt`; an edge of length
    L, at distance r from one of its ends, by less than doubt (1 + 2 r / L).
    """
    count = 0
    for region in range(offsets.shape[0] - 1):
        lo, hi = offsets[region], offsets[region + 1]
        bottom = top = xy[lo, 1]
        doubt = 0.0
        for k in range(lo, hi):
            bottom, top = min(bottom, xy[k, 1]), max(top, xy[k, 1])
            size = abs(xy[k, 0]) + abs(xy[k, 1])
            doubt = max(doubt, 1.5 * spread[k] * (1.0 + size) + UNIT * (1.0 + size))
        first = np.searchsorted(y, bottom - 2.0 * doubt)
        last = np.searchsorted(y, top + 2.0 * doubt, side="right")
        for i in range(first, last):
            below, above = y[i] - 2.0 * doubt, y[i] + 2.0 * doubt
            left, right = np.inf, -np.inf
            for k in range(lo, hi):
                a, b = k, k + 1 if k + 1 < hi else lo
                if xy[a, 1] > xy[b, 1]:
                    a, b = b, a
                if xy[b, 1] < below or xy[a, 1] > above:
                    continue
                rise = xy[b, 1] - xy[a, 1]
                s, t = 0.0, 1.0
                if rise > 0.0:
                    s, t = max(0.0, (below - xy[a, 1]) / rise), min(1.0, (above - xy[a, 1]) / rise)
                p, q = xy[a, 0] + s * (xy[b, 0] - xy[a, 0]), xy[a, 0] + t * (xy[b, 0] - xy[a, 0])
                left, right = min(left, min(p, q)), max(right, max(p, q))
            for j in range(
                np.searchsorted(x, left - 2.0 * doubt), np.searchsorted(x, right + 2.0 * doubt, side="right")
            ):
                if not inside[i, j]:
                    continue
                sure, out_of = 1, False
                for k in range(lo, hi):
                    b = k + 1 if k + 1 < hi else lo
                    dx, dy = xy[b, 0] - xy[k, 0], xy[b, 1] - xy[k, 1]
                    px, py = x[j] - xy[k, 0], y[i] - xy[k, 1]
                    length = math.sqrt(dx * dx + dy * dy)
                    if not length > 4.0 * doubt:
                        sure = 0
                        continue
                    distance = (dx * py - dy * px) / length
                    bound = doubt * (1.0 + 2.0 * (abs(px) + abs(py)) / length)
                    if distance < -bound:
                        out_of = True
                        break
                    if distance <= bound:
                        sure = 0
                if out_of:
                    continue
                if count < out.shape[0]:
                    out[count, 0], out[count, 1], out[count, 2] = i * x.shape[0] + j, region, sure
                count += 1
    return count
