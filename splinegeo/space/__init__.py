"""Partitions in any dimension: boxes, polytopes and ℓ1 balls in slices of d dimensions.

The engine for planes (`splinegeo.partition`) has edges in order and lines that meet in pairs to rely on; here cells
are known by their vertices and by what is tight there, see `splinegeo.space.cells`. From seven dimensions on boxes
and balls go to the engine of linear programmes (`splinegeo.lp`), which lists no vertices;
`splinegeo.space.programmes` is where the two meet.
"""

from splinegeo.polytopes import Polytope
from splinegeo.space.api import partition
from splinegeo.space.geometry import Geometry
from splinegeo.space.result import SpacePartition, SpaceRegion
from splinegeo.space.surface import Surface, zero_set

__all__ = ["Geometry", "Polytope", "SpacePartition", "SpaceRegion", "Surface", "partition", "zero_set"]
