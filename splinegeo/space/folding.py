"""A large network over a polytope, reduced to the hinges that may change sides there, as levels for the walk."""

from __future__ import annotations

import numpy as np

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.lp.fold import Folder, Live, TooLarge
from splinegeo.lp.places import Place, Scaling
from splinegeo.networks.graph import Knot, SplineNetwork
from splinegeo.partition.normal_form import Level, Places
from splinegeo.space.outline import Hull


def folded_levels(network: SplineNetwork, origin: Array, basis: Array, hull: Hull) -> tuple[list[Level], Places, Array]:
    """Levels as `partition.normal_form.hinge_levels` gives them, without outputs; the breakpoints above all over.

    The network has no maxima. What lies on one side all over the polytope's bounding box is folded away.

    Raises:
        UnsupportedOperation: so many units may change sides that memory does not suffice.
    """
    bounds = tuple((min(column), max(column)) for column in zip(*hull.vertices, strict=True))
    place = Place(origin, basis, Scaling(hull.frame.centre, hull.frame.scale), bounds)
    try:
        live = Folder(network).fold(place)
    except TooLarge as error:
        raise UnsupportedOperation(
            "partition: so many units may change sides over the domain that their columns do not fit into 2 GB; "
            "partition smaller domains, or 2-dimensional slices"
        ) from error
    return *_levels(network, live), live.active


def _levels(network: SplineNetwork, live: Live) -> tuple[list[Level], Places]:
    depth: list[int] = []
    for node in network.nodes:
        depth.append(max((depth[k] for k in node.inputs), default=-1) + isinstance(node, Knot))
    # Knots side by side make one level.
    of_hinge = np.array([depth[node] for node in live.places[:, 0]], np.int64)
    order = np.argsort(of_hinge, kind="stable")
    members = [order[of_hinge[order] == k] for k in np.unique(of_hinge)]
    levels: list[Level] = []
    places: Places = {}
    for index, here in enumerate(members):
        n = len(here)
        blocks = {k: live.hinges[np.ix_(here, members[k])] for k in range(index)}
        levels.append(
            Level(
                live.constant[here],
                {k: g for k, g in blocks.items() if g.any()},
                np.zeros(n),
                # The box reaches at least half as far as its frame: where an affine function is within e on it, its
                # coefficients are within 2 e.
                2.0 * live.error[here],
                np.zeros(n),
                live.slopes[here],
                live.breakpoints[here],
                np.zeros(n, np.int64),
            )
        )
        places[index] = [(int(node), int(unit), int(which)) for node, unit, which in live.places[here]]
    empty = np.zeros(0)
    outputs = Level(np.zeros((0, live.dim + 1)), {}, empty, empty, empty, np.zeros((0, 2)), empty, empty)
    return [*levels, outputs], places
