"""ψ and ν of the exact map around a latent, beside what random projections and finite differences make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.balls import random_frame
from splinegeo.compare.result import Comparison, frozen
from splinegeo.descriptors import nu, psi, rank, singular_values
from splinegeo.networks import SplineNetwork, capture
from splinegeo.networks.graph import Knot, Maximum
from splinegeo.networks.tournament import canonical_bits
from splinegeo.partition.maps import maps_of_patterns

if TYPE_CHECKING:
    from torch import nn


def projections(
    net: nn.Module | SplineNetwork, z: Any, rows: Sequence[int] = (30, 60, 120), repeats: int = 1, *, rng: Any = 0
) -> Comparison:
    """ψ and ν of W A beside those of A, for random W of few orthonormal rows: how much does a projection see?

    Outputs are projected where the full map would not fit into memory (120 rows for Stable Diffusion). A random
    projection from D to R rows shrinks lengths by sqrt(R / D) on average, which ``psi_rescaled`` makes up for.

    Columns of the table: ``latent``, ``rows``, ``repeat``, ``psi``, ``nu``, ``rank``, ``psi_projected``,
    ``psi_rescaled``, ``nu_projected``, ``nu_share`` (of ν that is left). The witness holds ``z`` and ``projection``,
    (R, D), of the row where ν is furthest off.

    Args:
        net: a module that `capture` reads, or a captured network.
        z: latents (E,) or (n, E).
        rows: R of the projections, at most D.
        repeats: projections of each size to draw.
        rng: a seed or a `numpy.random.Generator`.

    Raises:
        ShapeMismatch: a projection with more rows than there are outputs.
        WrongType, InvalidArgument, NotPiecewiseLinear, UnsupportedOperation: see `capture`.
    """
    network, latents = _arguments("compare.projections", net, z)
    d = network.n_outputs
    if not all(1 <= r <= d for r in rows):
        raise ShapeMismatch(f"compare.projections: rows={tuple(rows)!r} must lie between 1 and D = {d}")
    generator = np.random.default_rng(rng)
    drawn = {(r, k): random_frame(d, r, generator).T for r in rows for k in range(repeats)}
    table: list[dict[str, float]] = []
    for i, jacobian in enumerate(jacobians(network, latents)):
        p, v, n = _descriptors(jacobian)
        for (r, k), w in drawn.items():
            projected, seen, _ = _descriptors(w @ jacobian)
            table.append(
                {
                    "latent": i,
                    "rows": r,
                    "repeat": k,
                    "psi": p,
                    "nu": v,
                    "rank": n,
                    "psi_projected": projected,
                    "psi_rescaled": projected + min(n, r) * np.log(d / r) / 2,
                    "nu_projected": seen,
                    "nu_share": seen / v if v else np.nan,
                }
            )
    result = Comparison("nu with that of projections", _columns(table), "nu", "nu_projected", None)
    if result.worst < 0:
        return result
    row = result.row(result.worst)
    witness = {"z": latents[int(row["latent"])], "projection": drawn[row["rows"], row["repeat"]]}
    return Comparison(result.what, result.table, "nu", "nu_projected", witness)


def differences(
    net: nn.Module | SplineNetwork, z: Any, steps: Sequence[float] = (1e-6, 1e-4, 1e-2, 1e-1)
) -> Comparison:
    """ψ and ν of central finite differences beside those of the region around each latent.

    A difference is exact, but for rounding, as long as both its ends lie in the latent's region; a larger step averages
    over several. Columns of the table: ``latent``, ``step``, ``psi``, ``nu``, ``psi_difference``, ``nu_difference``,
    ``crossed`` (units with different sides at the ends of some difference). The witness holds ``z`` and ``step`` of the
    row where ψ is furthest off.

    Args:
        net: a module that `capture` reads, or a captured network.
        z: latents (E,) or (n, E).
        steps: half distances between the two ends.

    Raises:
        InvalidArgument: a step that is not positive.
        WrongType, ShapeMismatch, NotPiecewiseLinear, UnsupportedOperation: see `capture`.
    """
    network, latents = _arguments("compare.differences", net, z)
    if not all(np.isfinite(h) and h > 0 for h in steps):
        raise InvalidArgument(f"compare.differences: steps={tuple(steps)!r} must be positive and finite")
    table: list[dict[str, float]] = []
    for i, jacobian in enumerate(jacobians(network, latents)):
        p, v, _ = _descriptors(jacobian)
        for h in steps:
            ends = np.concatenate(
                [latents[i] + h * np.eye(network.n_inputs), latents[i] - h * np.eye(network.n_inputs)]
            )
            values = network(ends)
            slopes = (values[: network.n_inputs] - values[network.n_inputs :]).T / (2 * h)
            far, wide, _ = _descriptors(slopes)
            bits = _patterns(network, ends)
            table.append(
                {
                    "latent": i,
                    "step": h,
                    "psi": p,
                    "nu": v,
                    "psi_difference": far,
                    "nu_difference": wide,
                    "crossed": int((bits != bits[0]).any(0).sum()),
                }
            )
    result = Comparison("psi with that of finite differences", _columns(table), "psi", "psi_difference", None)
    if result.worst < 0:
        return result
    row = result.row(result.worst)
    witness = {"z": latents[int(row["latent"])], "step": row["step"]}
    return Comparison(result.what, result.table, "psi", "psi_difference", witness)


def jacobians(network: SplineNetwork, latents: Array) -> Array:
    """A (n, D, E) of the regions that hold latents (n, E), from a masked pass; on a kink, of the inactive side."""
    e = network.n_inputs
    columns = np.concatenate([np.eye(e), np.zeros((e, 1))], 1)
    parts = [maps_of_patterns(network, bits[None], columns)[:, :, :e] for bits in _patterns(network, latents)]
    return np.concatenate(parts) if parts else np.zeros((0, network.n_outputs, e))


def _patterns(network: SplineNetwork, z: Array) -> Array:
    """Activation patterns (n, B) at latents, in float64."""
    values = network.forward(z)
    parts = [np.zeros((len(z), 0), np.uint8)]
    for i in network.knots:
        node = network.nodes[i]
        x = values[node.inputs[0]]
        if isinstance(node, Maximum):
            parts.append(canonical_bits(node, x).reshape(len(z), -1))
        else:
            assert isinstance(node, Knot)
            bends = node.slopes[:, 1:] != node.slopes[:, :-1]
            parts.append(((x[:, :, None] > node.breakpoints) & bends).reshape(len(z), -1).astype(np.uint8))
    return np.concatenate(parts, 1)


def _arguments(call: str, net: Any, z: Any) -> tuple[SplineNetwork, Array]:
    latents = np.atleast_2d(float_array(z, f"{call} z"))
    network = net if isinstance(net, SplineNetwork) else capture(net, latents.shape[-1:])
    if latents.ndim != 2 or latents.shape[1] != network.n_inputs:
        raise ShapeMismatch(f"{call}: z must have shape (n, {network.n_inputs}); got {latents.shape}")
    return network, latents


def _descriptors(matrix: Array) -> tuple[float, float, int]:
    """ψ, ν and the rank of a matrix."""
    sigma = singular_values(matrix[None])[0]
    shape = matrix.shape[0], matrix.shape[1]
    return float(psi(sigma, shape=shape)), float(nu(sigma)), int(rank(sigma, shape=shape))


def _columns(table: list[dict[str, float]]) -> dict[str, Array]:
    return frozen({name: np.array([row[name] for row in table]) for name in table[0]} if table else {})
