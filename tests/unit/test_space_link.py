"""Putting together what tasks found: facets in pairs or not at all, the same result however tasks are cut."""

from __future__ import annotations

import numpy as np
import pytest

import splinegeo as sg
from splinegeo._errors import SplineGeoError
from splinegeo._types import Array
from splinegeo.networks import SplineNetwork
from splinegeo.partition.budget import Budget
from splinegeo.space import link
from splinegeo.space.enumerate import Job
from splinegeo.space.outline import Hull
from splinegeo.space.problem import Problem
from splinegeo.testing import mlp

NO_CAP = 1 << 62


@pytest.fixture
def found() -> tuple[list[dict[str, Array]], Problem]:
    """What the tasks of a small partition in three dimensions found; each test has its own, as `join` uses it up."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((8, 3)), rng.standard_normal((6, 8)), rng.standard_normal((1, 6))]
    net: SplineNetwork = mlp(weights, [0.3 * rng.standard_normal(len(w)) for w in weights])
    problem = Problem.of(net, np.zeros(3), np.eye(3), Hull.of_domain(sg.Box([-2] * 3, [2] * 3)))
    job = Job(problem, Budget(), 1)
    assert job.run(lambda _: None) == ""
    return job.parts(), problem


def _brute_pairs(keys: Array, regions: Array) -> list[tuple[int, ...]]:
    """The regions of each key, in order of appearance, by dictionary."""
    both: dict[int, list[int]] = {}
    for key, region in zip(keys.tolist(), regions.tolist(), strict=True):
        both.setdefault(key, []).append(region)
    return [tuple(pair) for pair in both.values()]


def test_facets_are_numbered_by_appearance(found: tuple[list[dict[str, Array]], Problem]) -> None:
    """Facets and vertices are those that a dictionary of all keys gives, whatever the tasks."""
    parts, problem = found
    keys = np.concatenate([p["key"] for p in parts])
    counts = np.concatenate([p["counts"] for p in parts])
    corner_keys = np.concatenate([p["key_of_vertex"][p["corner"]] for p in parts])
    vertex_keys = list(dict.fromkeys(np.concatenate([p["key_of_vertex"] for p in parts]).tolist()))
    assert sum(len(p["counts"]) > 0 for p in parts) > 2
    arrays = link.join(parts, problem, NO_CAP, True)
    assert not any(parts)  # used up
    expected = _brute_pairs(keys, np.repeat(np.arange(len(counts)), counts[:, 1]))
    assert [tuple(pair[pair >= 0].tolist()) for pair in arrays["facet_regions"]] == expected
    names = list(dict.fromkeys(keys.tolist()))
    assert [names[k] for k in arrays["region_facets"]] == keys.tolist()
    assert [vertex_keys[k] for k in arrays["corner_vertices"]] == corner_keys.tolist()
    assert len(arrays["vertices"]) == len(vertex_keys)


def test_no_more_regions_than_asked_for(found: tuple[list[dict[str, Array]], Problem]) -> None:
    """A partition that is cut off holds the first regions, the vertices of these only, and facets with one side."""
    parts, problem = found
    total = sum(len(p["counts"]) for p in parts)
    cap = 2 * total // 3
    arrays = link.join(parts, problem, cap, False)
    assert len(arrays["packed_patterns"]) == len(arrays["region_offsets"]) - 1 == cap
    assert set(arrays["corner_vertices"].tolist()) == set(range(len(arrays["vertices"])))
    assert (arrays["facet_regions"][:, 1] == link.MISSING).any()
    assert arrays["facet_regions"].max() == cap - 1


@pytest.mark.parametrize("fault", ["three", "three in one task", "one", "twice on the boundary"])
def test_facets_that_do_not_pair_up_are_refused(found: tuple[list[dict[str, Array]], Problem], fault: str) -> None:
    parts, problem = found
    full = [p for p in parts if len(p["counts"]) > 0]
    first, last = full[0], full[-1]
    inner, outer = first["side"] < 0, first["side"] >= 0
    names, times = np.unique(first["key"][inner], return_counts=True)
    if fault == "three":  # a facet between two tasks that a third knows
        here = np.intersect1d(names[times == 1], np.concatenate([p["key"] for p in full[1:]]))[0]
        last["key"][np.flatnonzero((last["side"] < 0) & (last["key"] != here))[0]] = here
    elif fault == "three in one task":
        first["key"][np.flatnonzero(inner & (first["key"] != names[times == 2][0]))[0]] = names[times == 2][0]
    elif fault == "one":
        first["key"][np.flatnonzero(inner)[0]] ^= np.uint64(1)
    else:
        first["key"][np.flatnonzero(outer)[1]] = first["key"][np.flatnonzero(outer)[0]]
    with pytest.raises(SplineGeoError, match="do not come in pairs"):
        link.join(parts, problem, NO_CAP, fault == "one")  # facets with one side are not what the others are about
