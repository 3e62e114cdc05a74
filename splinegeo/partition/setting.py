"""A network behind a slice and a frame, and exact arithmetic on it: what questions about single points need."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.graph import Knot, Maximum, SplineNetwork
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.frame import Frame
from splinegeo.partition.judge import Evaluator, Layout
from splinegeo.partition.lowering import NONE, lower
from splinegeo.partition.normal_form import Places


@dataclass(frozen=True, eq=False)
class Setting:
    """z = origin + basis @ u for u in the frame's polygon, or in any dimension in its box."""

    network: SplineNetwork
    exact: ExactNetwork  # of the network without maxima
    breakpoints: Array  # (B,) breakpoint of the network for each of the one without maxima
    active: Array = field(default_factory=lambda: NONE)  # breakpoints of the network that are above everywhere

    @classmethod
    def of(cls, network: SplineNetwork, origin: Array, basis: Array, corners: Array) -> Setting:
        """Corners (k, d) in slice coordinates, those of a polygon counter-clockwise."""
        lowered = lower(network)
        return cls(network, ExactNetwork(lowered.network, origin, basis, Frame.of(corners)), lowered.breakpoints)

    @property
    def frame(self) -> Frame:
        """Frame of the polygon."""
        return self.exact.frame

    @cached_property
    def has_maxima(self) -> bool:
        """Whether regions come in pieces, which `unite` joins."""
        return any(isinstance(node, Maximum) for node in self.network.nodes)

    @cached_property
    def _layout(self) -> Layout:
        """All breakpoints as hinges, numbered as the breakpoints of the network without maxima are."""
        places: Places = {0: []}
        for i in self.exact.network.knots:
            node = self.exact.network.nodes[i]
            assert isinstance(node, Knot)
            k = node.breakpoints.shape[1]
            places[0] += [(i, unit, which) for unit in range(node.size) for which in range(k)]
        offsets = np.array([0, len(places[0]), len(places[0])])
        return Layout(self.exact, places, offsets, None, np.zeros(0, np.int64))

    def maps(self, bits: Array) -> tuple[int, list[tuple[int, ...]]]:
        """Exponent e and integer coefficients of 2**e times the outputs under a pattern (B,) of the network."""
        value = Evaluator(self.exact, self._layout, bits[self.breakpoints].astype(np.int8)).maps(1)
        return value.e, value.rows
