"""How many regions to expect, from a few thousand evaluations of the network.

Where lines meet in general position, an arrangement in a convex polygon has R = 1 + V + B / 2 regions: V vertices
inside, at which four edges meet, and B ends of lines on the boundary (Euler's formula; a vertex of degree d counts
d / 2 - 1). B is counted along the boundary. V is an integral over the domain, so it is the mean number of vertices in
small discs with random centres, times the domain's area over the disc's.

The vertices in a disc are counted from its rim alone, as in integral geometry lengths are counted from chords: a unit
whose sign changes twice along the rim cuts the disc along a chord, straight or not, and two chords cross inside if and
only if their ends alternate on the rim. That a pair of units meets at most once within a small disc is what the
estimate takes for granted, and that between two neighbouring points of the rim no unit changes twice. Lines through one
point count too often, vertices of max-pooling a little too. Within a factor of two, usually within a tenth.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._types import Array
from splinegeo.domains import Box, Polygon, Slice
from splinegeo.networks import Convolution, Knot, Linear, Maximum, Sparse, SplineNetwork, linear_maps
from splinegeo.networks.evaluation import value
from splinegeo.networks.tournament import canonical_bits
from splinegeo.partition.frame import Frame
from splinegeo.streaming.arguments import Setting

if TYPE_CHECKING:
    from torch import nn

CHORDS = 16  # as many chords as a disc should have: enough to meet, not too many for the points of its rim
LARGEST_DISC = 0.25  # radius, where the domain's bounding box is about [-1, 1]^2
R2 = (0.7548776662466927, 0.5698402909980532)  # steps of the evenly spread sequence of Roberts (2018)
PRODUCTS = 1e10  # multiplications that may be spent, more or less
_log = logging.getLogger("splinegeo")


@dataclass(frozen=True)
class RegionEstimate:
    """An estimate of the number of regions, and one standard error of the sampling behind it."""

    regions: float
    standard_error: float

    def __float__(self) -> float:
        return self.regions

    def __repr__(self) -> str:
        return f"<RegionEstimate {self.regions:,.3g} ± {self.standard_error:,.1g} regions>"


def estimate_regions(
    net: nn.Module | SplineNetwork, domain: Box | Polygon, slice: Slice | None = None, *, rng: Any = 0
) -> RegionEstimate:
    """About how many regions a network has over a domain, without enumerating them.

    Args:
        net: a module or a captured network, as for `partition`.
        domain: the polygon of slice coordinates.
        slice: the plane z = origin + basis @ u. May be left out for E = 2.
        rng: a seed or a `numpy.random.Generator`, which places the sample.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: an argument is not what it should be.
        NotPiecewiseLinear, UnsupportedOperation, CaptureMismatch: the module cannot be read; see `capture`.
    """
    return _estimate(Setting.of("estimate_regions", net, domain, slice), np.random.default_rng(rng))


def expected_regions(setting: Setting) -> float | None:
    """The estimate for a progress bar, also in the log; None where there is none."""
    found = _estimate(setting, np.random.default_rng(0))
    _log.info("about %s regions are expected, give or take %s", f"{found.regions:,.3g}", f"{found.standard_error:,.1g}")
    return round(found.regions) if math.isfinite(found.regions) else None


def _estimate(setting: Setting, rng: np.random.Generator) -> RegionEstimate:
    rims = _Rims(setting, rng)
    ends = len(_changes(rims.bits(rims.boundary()))[0])
    radius = LARGEST_DISC
    for _ in range(3):
        chords = float(np.mean([len(rims.chords(radius)) for _ in range(6)]))
        change = min(LARGEST_DISC / radius, CHORDS / max(chords, 0.5))
        radius *= change
        if 0.7 < change < 1.5:
            break
    crossings = np.array([_crossings(rims.chords(radius), rng) for _ in range(rims.n_discs)], np.float64)
    share = rims.area / (math.pi * radius**2)
    error = share * float(crossings.std(ddof=1)) / math.sqrt(len(crossings))
    return RegionEstimate(1 + share * float(crossings.mean()) + ends / 2, error + math.sqrt(ends) / 2)


class _Rims:
    """Closed loops of points in the domain, and the signs of all units on them."""

    def __init__(self, setting: Setting, rng: np.random.Generator) -> None:
        self.setting, self.frame, self._rng = setting, Frame.of(setting.domain.vertices), rng
        affine = [n for n in setting.network.nodes if isinstance(n, Linear | Sparse | Convolution)]
        products = 1 + sum(node.size * linear_maps.terms(node) for node in affine)
        self.n_points = int(np.clip(PRODUCTS / products / 32, 64, 128))
        self.n_discs = int(np.clip(PRODUCTS / products / self.n_points, 16, 96))
        corners = self.frame.to_frame(setting.domain.vertices)
        x, y = corners.T
        self.area = 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
        self._low, self._size = corners.min(0), np.ptp(corners, 0)
        self._corners, self._place = corners, rng.random(2)

    def boundary(self) -> Array:
        """Points (n, 2) in the frame, once around the domain."""
        after = np.roll(self._corners, -1, 0)
        t = np.arange(2 * self.n_points)[:, None] / (2 * self.n_points)
        return np.concatenate([a + t * (b - a) for a, b in zip(self._corners, after, strict=True)])

    def chords(self, radius: float) -> Array:
        """Chords (m, 2) of the units that cut the next disc, by the places of their ends on its rim."""
        angle = 2 * math.pi * (np.arange(self.n_points) + self._rng.random()) / self.n_points
        rim = self._centre() + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
        units, places = _changes(self.bits(rim))
        if not len(units):
            return np.zeros((0, 2), np.int64)
        first = np.r_[0, np.nonzero(np.diff(units))[0] + 1]
        rank = np.arange(len(units)) - np.repeat(first, np.diff(np.r_[first, len(units)]))
        # Every unit changes an even number of times on a loop: the ends come in pairs. Units that change in the same
        # places share a line.
        return np.unique(np.stack([places[rank % 2 == 0], places[rank % 2 == 1]], 1), axis=0)

    def _centre(self) -> Array:
        """The next point of an evenly spread sequence in the domain."""
        while True:
            self._place = np.add(self._place, R2) % 1.0
            t = self._low + self._place * self._size
            if self.setting.domain.contains(self.frame.to_slice(t)):
                return t

    def bits(self, points: Array) -> Array:
        """Activations (n, B) at points (n, 2) in the frame."""
        plane, parts = self.setting.slice, []
        for k in range(0, len(points), 64):
            z = plane.origin + self.frame.to_slice(points[k : k + 64]) @ plane.basis.T
            parts.append(np.concatenate([np.zeros((len(z), 0), bool), *_activations(self.setting.network, z)], 1))
        return np.concatenate(parts)


def _activations(network: SplineNetwork, z: Array) -> Iterator[Array]:
    """For each knot the activations (n, .) of its breakpoints at latents z (n, E)."""
    last_use = {j: i for i, node in enumerate(network.nodes) for j in node.inputs}
    values: dict[int, Array] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for i, node in enumerate(network.nodes):
            x = [values[j] for j in node.inputs] or [z]
            if isinstance(node, Knot):
                live = node.slopes[:, 1:] != node.slopes[:, :-1]
                yield ((x[0][:, :, None] > node.breakpoints) & live).reshape(len(z), -1)
            elif isinstance(node, Maximum):
                yield canonical_bits(node, x[0]).reshape(len(z), -1).astype(bool)
            values[i] = value(node, x)
            for j in node.inputs:
                if last_use[j] == i:
                    values.pop(j, None)


def _changes(bits: Array) -> tuple[Array, Array]:
    """Units and places (c,) of all sign changes along a closed loop of points with these bits (n, B), unit by unit."""
    units, places = np.nonzero((bits != np.roll(bits, -1, 0)).T)
    return units, places


def _crossings(chords: Array, rng: np.random.Generator) -> int:
    """Pairs of chords whose ends alternate; ends in the same place are put in random order."""
    a, b = (chords + rng.random(chords.shape)).T
    inside = (a[:, None] < a) & (a < b[:, None]) & (b[:, None] < b)
    return int(inside.sum())
