"""Tangents pushed through the whole network under a given pattern, with rigorous bounds on their errors.

A pass costs about four forward passes. It is for what the cheaper bounds of a reduction leave open: exact arithmetic on
a large network takes thousands of times as long.
"""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Combine, Convolution, Input, Knot, Linear, Maximum, Select, Sparse, SplineNetwork
from splinegeo.partition.maps import knot_pieces, patterns_at_a_time, unpack
from splinegeo.partition.normal_form import EPS
from splinegeo.partition.stopping import checkpoint


def pushed(
    network: SplineNetwork, pieces: dict[int, Array], start: Array, more: dict[int, Array]
) -> tuple[Array, Array]:
    """Tangents (n, D) of the outputs, and bounds on their errors, for tangents ``start`` (n, E) of the latents.

    ``pieces`` are those of `knot_pieces`; ``more`` is added to the values of knots, (n, size) each.
    """
    values: list[tuple[Array, Array]] = []
    for i, node in enumerate(network.nodes):
        checkpoint()
        x = [values[k] for k in node.inputs]
        match node:
            case Input():
                out, error = start, np.zeros_like(start)
            case Linear() | Sparse() | Convolution():
                terms = linear_maps.terms(node) + 8
                out = linear_maps.apply(node, x[0][0])
                error = linear_maps.apply_abs(node, x[0][1] + 1.01 * terms * EPS * np.abs(x[0][0]))
                error = error * (1 + 2 * terms * EPS)
            case Combine():
                out, size, error = (np.zeros((len(start), node.size)) for _ in range(3))
                for s, (v, e) in zip(node.scales, x, strict=True):
                    out, size, error = out + s * v, size + np.abs(s * v), error + np.abs(s) * e
                error = 1.01 * error + (len(x) + 4) * EPS * size
            case Select():
                out, error = (np.concatenate([v[k] for v in x], 1)[:, node.index] for k in (0, 1))
            case Maximum():
                out, error = (np.take_along_axis(v, pieces[i], 1) for v in x[0])
            case Knot():
                slope = node.slopes[np.arange(node.size), pieces[i]]
                through = slope * x[0][0]
                out = through + more.get(i, 0.0)
                error = 1.01 * np.abs(slope) * x[0][1] + 2 * EPS * (np.abs(through) + np.abs(out))
            case _:
                raise AssertionError(f"no tangents through {type(node).__name__}")
        values.append((out, error + np.where(out == 0, 0.0, 1e-300)))
    return values[network.output]


def surely_differ(network: SplineNetwork, a: Array, b: Array) -> Array:
    """Whether (n,) a single breakpoint tells patterns a and b (n, B) of neighbours apart, and the outputs notice.

    What the outputs take of the unit that changes sides is further from zero than its error.
    """
    pieces, others = knot_pieces(network, a), knot_pieces(network, b)
    single = (a != b).sum(1) == 1
    changed = {i: (pieces[i] != others[i]).astype(float) for i in pieces}
    for i in pieces:
        if isinstance(network.nodes[i], Maximum):
            single &= ~changed[i].any(1)
    out, error = pushed(network, pieces, np.zeros((len(a), network.n_inputs)), changed)
    return np.asarray(single & (np.abs(out) > 1.01 * error + 1e-290).any(1))


def surely_independent(network: SplineNetwork, packed: Array, basis: Array) -> Array:
    """Whether (n,) the outputs' tangents along the two columns of ``basis`` (E, 2) are proved to be independent.

    packed (n, .) patterns. A perturbation moves a singular value by no more than its norm.
    """
    sure = np.zeros(len(packed), bool)
    if network.n_outputs < 2:
        return sure
    step = patterns_at_a_time(network)
    for k in range(0, len(packed), step):
        pieces = knot_pieces(network, unpack(packed[k : k + step], network.n_breakpoints))
        n = len(packed[k : k + step])
        both = [pushed(network, pieces, np.tile(column, (n, 1)), {}) for column in basis.T]
        tangents, errors = (np.stack([pair[j] for pair in both], 2) for j in (0, 1))
        if np.isfinite(tangents).all():
            sigma = np.linalg.svd(tangents, compute_uv=False)
            doubt = 1.01 * np.sqrt((errors**2).sum((1, 2))) + 100 * EPS * sigma[:, 0] * np.sqrt(tangents.shape[1])
            sure[k : k + step] = sigma[:, 1] > doubt
    return sure
