"""`splinegeo.partition` against the exact oracle on every degenerate family."""

from __future__ import annotations

import pytest

import splinegeo as sg
from splinegeo.testing import assert_valid
from tests.oracles.compare import assert_equals_oracle
from tests.oracles.families import FAMILIES, Case, make_case
from tests.oracles.rational import ExactPartition, exact_partition

PER_FAMILY = 10
ALL = [(family, seed) for family in FAMILIES for seed in range(PER_FAMILY)]


def enumerate_both(case: Case) -> tuple[sg.Partition, ExactPartition]:
    """The engine's partition and the oracle's."""
    domain = sg.Box([-2, -2], [2, 2]) if case.box else sg.Polygon(case.polygon)
    plane = None if case.slice is None else sg.Slice(*case.slice)
    part = sg.partition(case.network, domain, plane)
    return part, exact_partition(case.network, case.polygon, *(case.slice or ()))


def test_there_are_enough_cases() -> None:
    """The issue asks for 200 nets."""
    assert len(ALL) >= 200


@pytest.mark.parametrize(("family", "seed"), ALL)
def test_engine_equals_oracle(family: str, seed: int) -> None:
    """Counts, patterns, adjacency, edges, polygons and maps."""
    case = make_case(family, seed)
    part, exact = enumerate_both(case)
    assert_equals_oracle(part, exact)
    assert_valid(part)
