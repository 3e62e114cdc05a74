"""Published networks in their full dimension: a shape of three, a controller of five."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import splinegeo as sg


def assert_closed_zero_set(module: torch.nn.Module, surface: sg.Surface) -> None:
    """Zero at each vertex, closed, turned outwards; what torch says on both sides of each face has two signs."""
    assert surface.complete
    assert surface.is_watertight
    values = module(torch.from_numpy(surface.vertices.copy())).detach().numpy()
    assert np.abs(values).max() <= 1e-12
    corners = surface.vertices[surface.triangles]
    sizes = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    large = sizes > 1e-7
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[large] / sizes[large, None]
    middle = corners[large].mean(1)
    for side in (-1, 1):
        there = module(torch.from_numpy(middle + side * 1e-6 * normals)).detach().numpy()[:, 0]
        assert (side * there > 0).mean() > 0.999  # a step across a nearby edge may meet another sheet


def test_fox_in_part(zoo: Any) -> None:
    """An eighth of the domain: the surface is open on its border only."""
    module = zoo.sdf("fox").double()
    box = sg.Box([0, 0, 0], [0.5, 0.5, 0.5])
    surface = sg.zero_set(module, box, threads=1)
    assert surface.complete
    ends, counts = surface.edges
    open_ends = surface.vertices[ends[counts == 1]]
    on_border = ((open_ends == box.lower) | (open_ends == box.upper)).all(1).any(1)
    assert on_border.all()
    assert (counts <= 2).all()
    assert len(surface) > 100


@pytest.mark.slow
def test_fox(zoo: Any) -> None:
    module = zoo.sdf("fox").double()
    surface = sg.zero_set(module, sg.Box([-1] * 3, [1] * 3), threads=1)
    assert_closed_zero_set(module, surface)
    assert surface.n_faces == 28_316
    assert surface.euler_characteristic == 2
    # The same volume by counting signs on a grid.
    ticks = (np.arange(100) + 0.5) / 50 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(ticks, ticks, ticks), -1).reshape(-1, 3))
    with torch.no_grad():
        inside = float((module(grid) < 0).double().mean()) * 8
    assert surface.volume == pytest.approx(inside, rel=0.01)


def test_acasxu_in_five_dimensions(zoo: Any) -> None:
    network = sg.load_onnx(zoo.ONNX["acasxu"][0])
    half = 0.02
    part = sg.partition(network, sg.Box([-half] * 5, [half] * 5), threads=1)
    assert part.complete
    assert part.n_regions == part.n_linear_regions == 971
    assert part.volumes.sum() == pytest.approx((2 * half) ** 5, rel=1e-12)
    assert part.euler_characteristic == 1
    points = np.random.default_rng(0).uniform(-half, half, (3_000, 5))
    regions = part.locate(points)
    maps, offsets = part.affine_maps(regions)
    assert np.abs(np.einsum("nij,nj->ni", maps, points) + offsets - network(points)).max() <= 1e-12
    share = part.volumes / part.volumes.sum()
    counts = np.bincount(regions, minlength=part.n_regions) / len(points)
    assert (np.abs(counts - share) <= 6 * np.sqrt(share / len(points)) + 2e-3).all()
