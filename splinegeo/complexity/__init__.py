"""Local complexity δ: regions and crossing units in ℓ1 balls, exactly, and the published estimate beside them."""

from __future__ import annotations

from splinegeo.complexity.api import local_complexity
from splinegeo.complexity.bounds import buck, most_regions
from splinegeo.complexity.result import LocalComplexity
from splinegeo.complexity.witness import Witness, find_witness

__all__ = ["LocalComplexity", "Witness", "buck", "find_witness", "local_complexity", "most_regions"]
