"""The errors of the library: one root, and a child for each kind of thing that goes wrong.

A message names the call or the module as the user wrote it, the condition, the value found and the usual cure.
"""

from __future__ import annotations


class SplineGeoError(Exception):
    """Root of every error raised by splinegeo."""


class InvalidArgument(SplineGeoError, ValueError):
    """An argument has the right type and an impossible value."""


class WrongType(SplineGeoError, TypeError):
    """An argument is of a type that the call does not take."""


class ShapeMismatch(InvalidArgument):
    """An array has the wrong shape, or two things have different dimensions."""


class NotPiecewiseLinear(SplineGeoError, ValueError):
    """The network holds an operation that is smooth, or not continuous piecewise linear."""


class UnsupportedOperation(SplineGeoError, TypeError):
    """The network holds an operation that splinegeo cannot read (yet)."""


class CaptureMismatch(SplineGeoError, ValueError):
    """The captured network and the module disagree on a point."""


class FileFormatError(SplineGeoError, ValueError):
    """A file is not what it should be: wrong kind, wrong version, truncated, or of an absurd size."""
