"""Balls of the ℓ1 norm in a plane of latent space: the domains of local complexity.

A ball in P dimensions has 2^P facets and only 2P vertices. Nothing here or elsewhere lists the facets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo._validate import float_array
from splinegeo.domains import Polygon, Slice, _dependent_column, _points, _read_only, _Value


@dataclass(frozen=True, eq=False, repr=False)
class L1Ball(_Value):
    """The ball ``|u_1| + ... + |u_P| <= radius`` around a latent, z = center + frame @ u, inside a P-dimensional plane.

    Its 2P vertices are center ± radius * frame[:, p]. With P < E it is the ball in the plane; the set of all latents
    whose projection is in a ball would be an unbounded cylinder.

    Args:
        center: (E,) latent.
        radius: positive.
        frame: (E, P) directions as columns, linearly independent (decided exactly), orthonormal if lengths are to mean
            what they do in latent space; see `random_frame`, which is drawn from ``rng`` where none is given.
        dim: P of the frame that is drawn, E by default; 1 <= P <= E.
        rng: a seed or a `numpy.random.Generator`.

    Raises:
        InvalidArgument: a number is not finite, the radius is not positive, the columns are linearly dependent.
        ShapeMismatch: the shapes do not fit together, or P > E.
        WrongType: the entries are not real numbers.

    Example:
        >>> L1Ball([0.0, 0.0, 1.0], 0.5, dim=2)
        <L1Ball of radius 0.5 and dimension 2 in R^3>
    """

    center: Array
    radius: float
    frame: Array

    def __init__(self, center: Any, radius: Any, frame: Any = None, *, dim: int | None = None, rng: Any = 0) -> None:
        z, r = float_array(center, "L1Ball center", ndim=1), positive_radius(radius, "L1Ball radius")
        if frame is None:
            directions = random_frame(len(z), len(z) if dim is None else dim, rng)
        else:
            directions = checked_frame(frame, len(z), "L1Ball frame")
            if dim is not None and dim != directions.shape[1]:
                raise ShapeMismatch(
                    f"L1Ball dim={dim!r} is not the {directions.shape[1]} columns of frame; leave it out"
                )
        object.__setattr__(self, "center", z)
        object.__setattr__(self, "radius", r)
        object.__setattr__(self, "frame", directions)

    def _arrays(self) -> tuple[Array, ...]:
        return self.center, np.asarray(self.radius), self.frame

    @property
    def dim(self) -> int:
        """P."""
        return self.frame.shape[1]

    @property
    def ambient_dim(self) -> int:
        """E."""
        return len(self.center)

    @property
    def volume(self) -> float:
        """Volume in frame coordinates, (2 radius)^P / P!."""
        return math.exp(self.dim * math.log(2 * self.radius) - math.lgamma(self.dim + 1))

    @property
    def vertices(self) -> Array:
        """(2P, E) latents, rounded: center + radius * frame[:, p] for p = 0, 1, ..., then center - radius * frame."""
        offsets = self.radius * self.frame.T
        return _read_only(np.concatenate([self.center + offsets, self.center - offsets]))

    @property
    def slice(self) -> Slice:
        """The plane z = center + frame @ u."""
        return Slice(self.center, self.frame)

    @property
    def polygon(self) -> Polygon:
        """A ball of dimension 2 as a polygon in frame coordinates, for `splinegeo.partition` with ``slice``."""
        if self.dim != 2:
            raise InvalidArgument(f"L1Ball.polygon is for balls of dimension 2; this one has dimension {self.dim}.")
        r = self.radius
        return Polygon([[r, 0], [0, r], [-r, 0], [0, -r]])

    def embed(self, u: Any) -> Array:
        """Latents (..., E) at frame coordinates u (..., P)."""
        return self.center + _points(u, self.dim, "L1Ball") @ self.frame.T

    def contains(self, points: Any) -> Array:
        """(...) booleans: whether points (..., P) in frame coordinates lie in the ball, boundary included; exactly."""
        points = _points(points, self.dim, "L1Ball")
        flat = np.abs(points.reshape(-1, self.dim))
        with np.errstate(over="ignore"):
            norm = flat.sum(1)
        inside = norm <= self.radius
        for i in np.nonzero(np.abs(norm - self.radius) <= 4 * self.dim * np.finfo(float).eps * self.radius)[0]:
            inside[i] = sum(map(Fraction, flat[i].tolist())) <= Fraction(self.radius)
        return inside.reshape(points.shape[:-1])

    def __repr__(self) -> str:
        try:
            return f"<L1Ball of radius {self.radius:g} and dimension {self.dim} in R^{self.ambient_dim}>"
        except AttributeError:  # half-made
            return "<L1Ball>"


def random_frame(ambient_dim: int, dim: int, rng: Any = 0) -> Array:
    """(E, P) orthonormal columns, uniformly distributed: QR of a Gaussian matrix, signs fixed.

    The signs that make the diagonal of R positive are what the uniform (Haar) distribution needs: what QR returns by
    itself is biased, for P = E towards the identity up to signs (Mezzadri, "How to generate random matrices from the
    classical compact groups", Notices of the AMS 54, 2007).

    Raises:
        InvalidArgument: P is not from 1 to E.
        WrongType: P is not a whole number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
        raise WrongType(f"the dimension of a ball must be a whole number; got {dim!r}.")
    if not 1 <= dim <= ambient_dim:
        raise ShapeMismatch(
            f"a ball in a latent space of dimension E = {ambient_dim} has dimension 1 to {ambient_dim}; got {dim}."
        )
    gaussian = np.random.default_rng(rng).standard_normal((ambient_dim, dim))
    q, r = np.linalg.qr(gaussian)
    return _read_only(q * np.where(np.diag(r) < 0, -1.0, 1.0))


def positive_radius(radius: Any, name: str) -> float:
    """A positive float.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: it is not.
    """
    r = float(float_array(radius, name, ndim=0))
    if not r > 0:
        raise InvalidArgument(f"{name} must be positive; got {r}.")
    return r


def checked_frame(frame: Any, ambient_dim: int, name: str) -> Array:
    """The frame (E, P) as an array of linearly independent columns.

    Raises:
        WrongType, InvalidArgument, ShapeMismatch: it is none for latents of length E.
    """
    directions = float_array(frame, name, ndim=2)
    e, p = directions.shape
    if e != ambient_dim or not 1 <= p <= e:
        hint = ": transpose it." if p == ambient_dim and e <= p else "."
        raise ShapeMismatch(
            f"{name} must have shape ({ambient_dim}, P) with 1 <= P <= {ambient_dim}; got {(e, p)}{hint}"
        )
    dependent = _dependent_column(directions)
    if dependent is not None:
        raise InvalidArgument(
            f"{name} must have linearly independent columns; column {dependent} is zero or a combination of the "
            f"columns before it. splinegeo.balls.random_frame draws one."
        )
    return directions
