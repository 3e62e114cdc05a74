"""Regions that reach beyond the tasks that are done: they wait for the rest of them.

Networks with maxima only; see `splinegeo.streaming.uniting`. Of each region wait the outlines of its parts in the tasks
so far. A half-edge on a task's outline meets its other side when that task comes; then each knows which region is
across. A region none of whose half-edges waits any more is complete: its parts are joined like the pieces of a task.

What is held is bounded by the outline of what is done. A region that spans many tasks is held in as many parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from splinegeo._types import Array
from splinegeo.partition.link import BOUNDARY, UNMATCHED, match
from splinegeo.streaming.mapping import Marks
from splinegeo.streaming.regions import TaskRegions, placed
from splinegeo.streaming.uniting import FAR, KNOWN, OPEN, SIDE, OpenRegions, Sides

OVERHEAD, KEY = 1000, 300  # bytes that a part and a waiting half-edge take beside their numbers
EDGES = ("keys", "xy", "spread", "kind", "across", "sure")  # one entry for each half-edge of a part
REGIONS = ("sigma", "marks", "errors", "patterns")  # one for each region


@dataclass(eq=False)
class _Region:
    name: int
    number: int  # in the order of arrival
    about: dict[str, Array]  # REGIONS, of its first piece
    parts: list[_Part] = field(default_factory=list)
    n_open: int = 0  # half-edges that wait


@dataclass(eq=False)
class _Part:
    region: _Region
    edges: dict[str, Array]  # EDGES
    pixels: Array

    @property
    def nbytes(self) -> int:
        return OVERHEAD + self.pixels.nbytes + sum(a.nbytes for a in self.edges.values())


@dataclass(frozen=True, eq=False)
class Completed:
    """Regions that a task completed, in the order in which their first parts came."""

    regions: TaskRegions  # without hinges' bits, labels and maps, and with all edges as those to other tasks
    sure: Array  # (C,) bool: the maps on both sides of the edge are known to be different
    marks: Array  # (N, .) as in `OpenRegions`
    errors: Array
    pixels: Array
    owners: Array  # the regions that the pixels' centres lie in

    def first(self, n: int) -> Completed:
        """The first n of them."""
        if n >= len(self.regions):
            return self
        corners, mine = self.regions.offsets[n], self.owners < n
        regions = self.regions.only(np.arange(n))
        return Completed(
            regions, self.sure[:corners], self.marks[:n], self.errors[:n], self.pixels[mine], self.owners[mine]
        )


class Pending:
    """All regions that are not complete. ``n_bytes`` is the length of a packed pattern, 0 where none are kept."""

    def __init__(self, n_bytes: int, linear: bool) -> None:
        self._n_bytes, self._linear = n_bytes, linear
        self._regions: dict[int, _Region] = {}
        self._where: dict[int, tuple[_Part, int]] = {}  # half-edges that wait
        self._arrived = 0
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._regions)

    def completes(self, new: OpenRegions) -> int:
        """How many regions `add` would complete."""
        left: dict[int, int] = {}
        names = np.repeat(new.names, np.diff(new.offsets)).tolist()
        for key, kind, name in zip(new.keys.tolist(), new.kind.tolist(), names, strict=True):
            mine = left.setdefault(name, self._regions[name].n_open if name in self._regions else 0)
            if kind == OPEN and key in self._where:
                other = self._where[key][0].region
                left[other.name] = left.get(other.name, other.n_open) - 1
            elif kind == OPEN:
                left[name] = mine + 1
        return sum(n == 0 for n in left.values())

    def add(self, new: OpenRegions) -> Completed | None:
        """Take in the regions on a task's outline; those that are now complete, if any are."""
        touched: dict[int, _Region] = {}
        for k, name in enumerate(new.names.tolist()):
            edges = slice(new.offsets[k], new.offsets[k + 1])
            pixels = new.pixels[new.pixel_offsets[k] : new.pixel_offsets[k + 1]]
            region = self._regions.get(name)
            if region is None:
                about = {n: getattr(new, n)[k : k + 1].copy() for n in REGIONS}
                region = self._regions[name] = _Region(name, self._arrived, about)
                self._arrived += 1
                self.nbytes += sum(a.nbytes for a in about.values())
            part = _Part(region, {n: getattr(new, n)[edges].copy() for n in EDGES}, pixels.copy())
            touched[region.number] = region
            for other in self._enter(part):
                touched[other.number] = other
        done = [region for _, region in sorted(touched.items()) if region.n_open == 0]
        for region in done:
            del self._regions[region.name]
            self.nbytes -= sum(p.nbytes for p in region.parts) + sum(a.nbytes for a in region.about.values())
        return _completed(done, new) if done else None

    def _enter(self, part: _Part) -> list[_Region]:
        """Add a part; the regions across it that half-edges have met."""
        region, met = part.region, []
        region.parts.append(part)
        self.nbytes += part.nbytes
        keys, kind, across, sure = (part.edges[n] for n in ("keys", "kind", "across", "sure"))
        for k in np.nonzero(kind == OPEN)[0].tolist():
            found = self._where.pop(int(keys[k]), None)
            if found is None:
                self._where[int(keys[k])] = part, k
                region.n_open += 1
                self.nbytes += KEY
                continue
            other, i = found
            theirs = other.edges
            across[k], theirs["across"][i] = other.region.name, region.name
            kind[k] = theirs["kind"][i] = KNOWN
            sure[k] = theirs["sure"][i] = sure[k] or theirs["sure"][i]
            other.region.n_open -= 1
            self.nbytes -= KEY
            met.append(other.region)
        return met

    # -- to and from a checkpoint --------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """What it takes to go on later, in the order of arrival."""
        regions = sorted(self._regions.values(), key=lambda r: r.number)
        parts = [p for r in regions for p in r.parts]
        out = {n: _joined([r.about[n] for r in regions], empty) for n, empty in self._empty_regions().items()}
        out |= {n: _joined([p.edges[n] for p in parts], empty) for n, empty in EMPTY_EDGES.items()}
        out["names"] = np.array([r.name for r in regions], np.uint64)
        out["parts"] = np.array([len(r.parts) for r in regions], np.int64)
        out["edges"] = np.array([len(p.edges["keys"]) for p in parts], np.int64)
        out["shown"] = np.array([len(p.pixels) for p in parts], np.int64)
        out["pixels"] = _joined([p.pixels for p in parts], np.zeros(0, np.int64))
        return out

    def _empty_regions(self) -> dict[str, Array]:
        none = np.zeros((0, 0))
        return {
            "sigma": np.zeros((0, 2)),
            "marks": none,
            "errors": np.zeros(0),
            "patterns": np.zeros((0, self._n_bytes), np.uint8),
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take the place of the one that `arrays` came from.

        Raises:
            ValueError, KeyError: they are not what `arrays` gives.
        """
        a = arrays
        n, m, half_edges = len(a["names"]), len(a["edges"]), len(a["keys"])
        widths = Marks.WIDTHS if self._linear else (0,)
        fits = (
            len(a["parts"]) == len(a["sigma"]) == len(a["marks"]) == len(a["patterns"]) == n
            and len(a["errors"]) == (n if self._linear else 0)
            and a["sigma"].shape[1] == a["xy"].shape[1] == 2
            and a["patterns"].shape[1] == self._n_bytes
            and (n == 0 or a["marks"].shape[1] in widths)
            and all(len(a[name]) == half_edges for name in EDGES)
            and len(a["shown"]) == m
            and all(len(a[k]) == 0 or a[k].min() >= low for k, low in (("parts", 1), ("edges", 1), ("shown", 0)))
            and (a["parts"].sum(), a["edges"].sum(), a["shown"].sum()) == (m, half_edges, len(a["pixels"]))
            and (half_edges == 0 or a["kind"].max() <= OPEN)
        )
        if not fits:
            raise ValueError("arrays of the regions on the outline do not belong together")
        self.__init__(self._n_bytes, self._linear)  # type: ignore[misc]
        part_of = np.repeat(np.arange(n), a["parts"]).tolist()
        edge, pixel = (np.concatenate([[0], np.cumsum(a[k])]) for k in ("edges", "shown"))
        for k, name in enumerate(a["names"].tolist()):
            about = {x: a[x][k : k + 1].copy() for x in REGIONS}
            self._regions[name] = _Region(name, k, about)
            self.nbytes += sum(x.nbytes for x in about.values())
        self._arrived = n
        regions = list(self._regions.values())
        for k, owner in enumerate(part_of):
            rows = slice(edge[k], edge[k + 1])
            shown = a["pixels"][pixel[k] : pixel[k + 1]].copy()
            self._enter(_Part(regions[owner], {x: a[x][rows].copy() for x in EDGES}, shown))


EMPTY_EDGES: dict[str, Array] = {
    "keys": np.zeros(0, np.uint64),
    "xy": np.zeros((0, 2)),
    "spread": np.zeros(0, np.float32),
    "kind": np.zeros(0, np.uint8),
    "across": np.zeros(0, np.uint64),
    "sure": np.zeros(0, np.bool_),
}


def _joined(arrays: list[Array], empty: Array) -> Array:
    return np.concatenate(arrays) if arrays else empty


def _completed(done: list[_Region], last: OpenRegions) -> Completed:
    """Join the parts of complete regions."""
    parts = [p for r in done for p in r.parts]
    keys, xy, spread, kind, across, sure = (np.concatenate([p.edges[n] for p in parts]) for n in EDGES)
    offsets = np.concatenate([[0], np.cumsum([len(p.edges["keys"]) for p in parts])])
    part = np.repeat(np.arange(len(parts), dtype=np.int32), np.diff(offsets))
    region_of = np.repeat(np.arange(len(done)), [len(r.parts) for r in done])
    own = region_of[part]
    names = np.array([r.name for r in done], np.uint64)
    inner = (kind == KNOWN) & (across == names[own])
    twin = np.full(len(keys), UNMATCHED)
    match(keys, np.nonzero(inner)[0], twin)
    others = np.unique(across, return_inverse=True)[1].reshape(-1)
    tags = np.select([inner, kind == SIDE], [own, -FAR - others], len(done) + others)
    sides = Sides.of(offsets, part, own, twin, tags)
    problem, corners = last.task.problem, sides.corners
    points, volumes = placed(problem.frame, xy[corners], sides.offsets)
    about = {n: np.concatenate([r.about[n] for r in done]) for n in REGIONS}
    regions = TaskRegions(
        task=last.task,
        offsets=sides.offsets,
        xy=xy[corners],
        spread=spread[corners],
        corners=points,
        labels=np.zeros(0, np.int64),
        keys=sides.combined(keys),
        twin=np.where(kind[corners] == SIDE, BOUNDARY, UNMATCHED),
        sigma=about["sigma"],
        noise=np.zeros(len(done)),
        maps=np.zeros((0, 0, 3)),
        bits=np.zeros((len(done), 0), np.uint8),
        volumes=volumes,
        packed=about["patterns"],
    )
    pixels = np.concatenate([p.pixels for p in parts])
    owners = np.repeat(region_of, [len(p.pixels) for p in parts])
    return Completed(regions, sides.any(sure), about["marks"], about["errors"], pixels, owners)
