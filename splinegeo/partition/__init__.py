"""The engine: a network and a domain go in, a partition comes out.

The module is callable: ``splinegeo.partition(net, domain)`` is `partition` below, whether or not this subpackage,
which has the same name, was imported before.
"""

from __future__ import annotations

import sys
from types import ModuleType

from splinegeo.partition.api import partition
from splinegeo.partition.arguments import Reduction
from splinegeo.partition.boundary import Boundary
from splinegeo.partition.budget import Budget
from splinegeo.partition.result import Partition
from splinegeo.partition.views import Region

__all__ = ["Boundary", "Budget", "Partition", "Reduction", "Region", "partition"]


class _CallableModule(ModuleType):
    __call__ = staticmethod(partition)


sys.modules[__name__].__class__ = _CallableModule
