"""The outputs of a network, compressed: A = Q C with orthonormal Q, so that wide outputs cost no more than narrow ones.

All affine maps of the outputs read the same few inputs (the last knots). A QR factorisation of their joint weights
replaces D outputs by as many rows as there are such inputs; singular values do not notice an orthonormal factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.partition.frame import Frame
from splinegeo.partition.normal_form import EPS, Level

KEPT_ROWS = 64  # more rows than this a region are recomputed from the pattern when asked for


@dataclass(frozen=True, eq=False)
class Outputs:
    """How to get from the engine's output rows to A and b."""

    q: Array | None  # (D, rows), None for the identity
    exponent: int
    keep: bool  # the engine stores the rows of every region

    @classmethod
    def compress(cls, levels: list[Level]) -> Outputs:
        """Replace the last level by an orthonormal compression of it where that has fewer rows."""
        q, levels[-1] = _rotated(levels[-1], "reduced")
        return cls(q, 0, levels[-1].n <= KEPT_ROWS)

    @classmethod
    def rotate(cls, levels: list[Level]) -> Outputs:
        """The same without Q: all that singular values need. Rows of different problems have nothing in common."""
        levels[-1] = _rotated(levels[-1], "r")[1]
        return cls(None, 0, False)

    @property
    def basis(self) -> Array:
        """Q, with no rows for the identity."""
        return np.zeros((0, 0)) if self.q is None else self.q

    def scaled(self, exponent: int) -> Outputs:
        """The same for rows that hold true values times 2**-exponent."""
        return replace(self, exponent=exponent)


def _rotated(last: Level, mode: Literal["reduced", "r"]) -> tuple[Array | None, Level]:
    """Q (if "reduced") and a level of R, Q R being all coefficients of the outputs; the level if R is no smaller."""
    sources = sorted(last.blocks)
    probes = last.probes if last.probes.shape[1] else np.zeros((last.n, 0))
    joint = np.concatenate([last.constant, *(last.blocks[k] for k in sources), probes], 1)
    used = joint.any(0)
    n, d = int(used.sum()), len(joint)
    if d <= max(n, 4):
        return None, last
    # Powers of two keep the factorisation from over- and underflow; the error is relative to the largest entry.
    _, shift = np.frexp(np.abs(joint).max(initial=0.0))
    scaled = np.ldexp(joint[:, used], -shift)
    q, r = np.linalg.qr(scaled) if mode == "reduced" else (None, np.linalg.qr(scaled, "r"))
    small = np.zeros((n, joint.shape[1]))
    small[:, used] = np.ldexp(r, shift)
    edges = np.cumsum([3, *(last.blocks[k].shape[1] for k in sources)])
    given = np.array([np.linalg.norm(last.constant_slack), np.linalg.norm(last.slack)])
    rounding = 32 * d * EPS
    own, shared = np.zeros(2), np.zeros(2)
    if mode == "reduced":
        linear, fixed = np.abs(small[:, 3:]).sum(1), np.abs(small[:, :3]).sum(1)
        own = given + rounding * np.array([fixed.max(initial=0.0), linear.max(initial=0.0)])
    else:
        # The errors that the rows had keep their norm; the factorisation moves columns by so much of theirs.
        columns = rounding * np.linalg.norm(small, axis=0)
        shared = last.shared + given + np.array([columns[:3].sum(), columns[3:].sum()])
    return q, Level(
        constant=small[:, :3].copy(),
        blocks={k: small[:, lo:hi].copy() for k, lo, hi in zip(sources, edges, edges[1:], strict=False)},
        probes=small[:, edges[-1] :].copy(),
        slack=np.full(n, own[1]),
        constant_slack=np.full(n, own[0]),
        shared=shared,
        weight=np.zeros(n),
        slopes=np.ones((n, 2)),
        breakpoints=np.full(n, -1),
        exponents=np.zeros(n, np.int64),
    )


def output_maps(rows: Array, basis: Array, exponent: int, frame: Frame) -> tuple[Array, Array]:
    """A (n, D, 2) and b (n, D) in slice coordinates from engine rows (n, rows, 3); an empty basis is the identity."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = basis @ rows if len(basis) else rows
        whole = np.ldexp(whole, exponent) if exponent else whole
        a = whole[:, :, :2] / np.asarray(frame.scale)
        (x, y), b = frame.centre, whole[:, :, 2].copy()
        if x or y:
            b -= a[:, :, 0] * x + a[:, :, 1] * y
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InvalidArgument("affine_maps: a map leaves the range of float64; scale the network's last layer down")
    return a, b
