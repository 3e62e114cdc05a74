"""What goes wrong on the first-order path, beside the errors of the whole library."""

from __future__ import annotations

from splinegeo._errors import SplineGeoError


class NotDifferentiable(SplineGeoError, TypeError):
    """The output does not depend on the latent by differentiable operations, or an operation has no derivative."""


class NotDeterministic(SplineGeoError, ValueError):
    """The model gives two answers for one latent: it draws random numbers or remembers what was called before."""


class NumericalOverflow(SplineGeoError, ArithmeticError):
    """An output or a derivative left the range of the floating type."""


class OutOfMemory(SplineGeoError, MemoryError):
    """One row of one latent's Jacobian at a time still does not fit."""


class MissingWeights(SplineGeoError, OSError):
    """A folder does not hold the model that it should."""
