"""Approximations from the literature beside what they approximate, exactly: when they are wrong, and by how much."""

from __future__ import annotations

from splinegeo.compare.complexity import complexity
from splinegeo.compare.density import density
from splinegeo.compare.maps import differences, projections
from splinegeo.compare.result import Comparison

__all__ = ["Comparison", "complexity", "density", "differences", "projections"]
