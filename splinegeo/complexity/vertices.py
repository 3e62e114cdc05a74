"""The published estimate of local complexity: units whose sign differs among the vertices of an ℓ1 ball.

Humayun, Balestriero, Baraniuk, "Deep networks always grok and here is why" (2024): a unit whose pre-activation takes
both signs at the 2P vertices z ± r b_p cuts the ball for certain; one that cuts off a part without a vertex is missed.

Here on captured networks, in float64; on modules, smooth ones included, in `splinegeo.complexity.modules`. A unit that
is zero at a vertex has no sign there. A knot with several breakpoints has one sign for each. Maxima have none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo._types import Array
from splinegeo.networks.evaluation import value
from splinegeo.networks.graph import Knot, SplineNetwork

ROWS = 512  # of a forward pass; more of them take longer each


def vertices_of(center: Array, radius: float, frame: Array) -> Array:
    """(n, 2P, E) vertices of balls around latents (n, E) in frames (n or 1, E, P)."""
    offsets = radius * np.swapaxes(frame, 1, 2)
    return np.concatenate([center[:, None] + offsets, center[:, None] - offsets], 1)


def groups(n: int, dim: int, rows: int = ROWS) -> list[tuple[slice, list[slice]]]:
    """Latents to take together, and the parts of their vertices to take together, so that a pass has few rows."""
    step = max(1, rows // (2 * dim))
    return [(slice(k, k + step), [slice(j, j + rows) for j in range(0, 2 * dim, rows)]) for k in range(0, n, step)]


def layer_names(network: SplineNetwork, outputs: bool) -> tuple[str, ...]:
    """Names of the knots that have breakpoints, and of the output if that counts."""
    names = [node.name for node in network.nodes if isinstance(node, Knot) and node.breakpoints.size]
    return (*names, "output") if outputs else tuple(names)


def sign_changes(
    network: SplineNetwork,
    center: Array,
    radius: float,
    frame: Array,
    outputs: bool,
    advance: Callable[[int], bool],
) -> tuple[Array, int]:
    """Counts (n, L) by layer for latents (n, E), frames (n or 1, E, P); how many latents ``advance`` let pass.

    ``advance(latents done)`` returns whether to stop.
    """
    names = layer_names(network, outputs)
    counts = np.zeros((len(center), len(names)), np.int64)
    last_use = {j: i for i, node in enumerate(network.nodes) for j in node.inputs}
    last_use[network.output] = len(network.nodes)
    last = network.output if outputs else max(network.knots, default=0)
    done = 0
    try:
        for chosen, parts in groups(len(center), frame.shape[2]):
            corners = vertices_of(center[chosen], radius, frame if len(frame) == 1 else frame[chosen])
            above: list[Array] = []
            below: list[Array] = []
            for part in parts:
                signs = _signs(network, corners[:, part], last, last_use, outputs)
                above = [up | more for up, (more, _) in zip(above, signs, strict=False)] or [up for up, _ in signs]
                below = [down | more for down, (_, more) in zip(below, signs, strict=False)] or [d for _, d in signs]
            for k, (up, down) in enumerate(zip(above, below, strict=True)):
                counts[chosen, k] = (up & down).sum(1)
            done += len(corners)
            if advance(len(corners)):
                break
    except KeyboardInterrupt:  # what is done is done
        pass
    return counts, done


def _signs(
    network: SplineNetwork, z: Array, last: int, last_use: dict[int, int], outputs: bool
) -> list[tuple[Array, Array]]:
    """For each layer whether each unit is positive, and negative, at some of the points z (n, m, E): (n, units)."""
    n, m, e = z.shape
    values: dict[int, Array] = {}
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for i, node in enumerate(network.nodes[: last + 1]):
            x = [values[j] for j in node.inputs] or [z.reshape(-1, e)]
            if isinstance(node, Knot) and node.breakpoints.size:
                pre = x[0].reshape(n, m, -1)
                high, low = pre.max(1)[:, :, None], pre.min(1)[:, :, None]
                bends = node.slopes[:, 1:] != node.slopes[:, :-1]
                found.append(
                    (
                        ((high > node.breakpoints) & bends).reshape(n, -1),
                        ((low < node.breakpoints) & bends).reshape(n, -1),
                    )
                )
                if i == last:
                    break
            values[i] = value(node, x)
            for j in set(node.inputs):
                if last_use[j] == i:
                    values.pop(j, None)
    if outputs:
        out = values[network.output].reshape(n, m, -1)
        found.append((out.max(1) > 0, out.min(1) < 0))
    return found


def vertex_bits(network: SplineNetwork, center: Array, radius: float, frame: Array) -> Array:
    """(B,) which breakpoints of the network are crossed among the vertices of one ball, as `sign_changes` counts."""
    last_use = {j: i for i, node in enumerate(network.nodes) for j in node.inputs}
    corners = vertices_of(center[None], radius, frame[None])
    signs = iter(_signs(network, corners, max(network.knots, default=0), last_use, False))
    parts = [np.zeros(0, bool)]
    for i in network.knots:
        node = network.nodes[i]
        if isinstance(node, Knot) and node.breakpoints.size:
            above, below = next(signs)
            parts.append((above & below)[0])
        else:
            parts.append(np.zeros(node.size * node.breakpoints_per_unit, bool))  # type: ignore[attr-defined]
    return np.concatenate(parts)
