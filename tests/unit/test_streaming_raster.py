"""Rasters: every pixel centre gets the value of exactly the region that `Partition.locate` names."""

from __future__ import annotations

import numpy as np
import pytest

import splinegeo as sg
import splinegeo.partition.tasks as tasks_module
from benchmarks.nets import WIDTHS, make_network
from splinegeo.streaming import Raster, RasterImage, stream, summarise
from tests.oracles.families import Case, cases

BOX = sg.Box([-2, -2], [2, 2])
# Centres at multiples of 1/8 from -2 to 2: on the edges and corners of the domain, and on the lines of tidy weights.
EIGHTHS = sg.Box([-2.0625, -2.0625], [2.0625, 2.0625])


def centres(width: int, height: int, box: sg.Box) -> np.ndarray:
    low, size = box.lower, box.upper - box.lower
    x = low[0] + (np.arange(width) + 0.5) * (size[0] / width)
    y = low[1] + (np.arange(height) + 0.5) * (size[1] / height)
    return np.stack(np.meshgrid(x, y), -1)


def assert_is_located(
    net, domain, plane, request: Raster, box: sg.Box, part: sg.Partition | None = None
) -> RasterImage:
    part = part or sg.partition(net, domain, plane)
    image = summarise(net, domain, plane, raster=request, threads=2).raster
    own = part.locate(centres(request.width, request.height, box))
    volumes = np.concatenate([b.volumes for b in stream(net, domain, plane)])
    for name, values in (("psi", part.psi), ("nu", part.nu), ("sigma_2", part.singular_values[:, 1])):
        if name in request.values:
            assert np.array_equal(image[name], np.where(own >= 0, values[own], np.nan), equal_nan=True), name
    if "volume" in request.values and len(volumes) == part.n_regions:
        assert np.allclose(image["volume"], np.where(own >= 0, part.volumes[own], np.nan), atol=1e-12, equal_nan=True)
    return image


@pytest.mark.parametrize("name", ["toy", "mid"])
@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (3, 200)])
def test_benchmark_networks(name: str, shape: tuple[int, int]) -> None:
    """In general position."""
    image = assert_is_located(make_network(WIDTHS[name]), BOX, None, Raster(*shape, ("psi", "nu", "volume")), BOX)
    assert image["psi"].shape == (shape[1], shape[0])
    assert np.isfinite(image["psi"]).all()
    assert image.extent == (-2, 2, -2, 2)


@pytest.mark.parametrize("case", list(cases(3)), ids=lambda case: case.name)
def test_centres_on_edges_and_vertices(case: Case) -> None:
    """Each has one region, by the rule of `locate`, also on the boundary of the domain; none outside."""
    plane = None if case.slice is None else sg.Slice(*case.slice)
    domain = sg.Polygon(case.polygon)
    assert_is_located(case.network, domain, plane, Raster(33, 33, ("psi", "sigma_2"), EIGHTHS), EIGHTHS)


def test_centres_between_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On lines along which the domain is cut into tasks, with problems of their own."""
    tidy = [case for case in cases(2) if case.name in ("integer-0", "ternary-0", "bias_free-0", "concurrent-0")]
    parts = [sg.partition(case.network, sg.Polygon(case.polygon)) for case in tidy]
    monkeypatch.setattr(tasks_module, "LARGE", 0)
    monkeypatch.setattr(tasks_module, "LEAF", 3)
    for case, part in zip(tidy, parts, strict=True):
        domain, request = sg.Polygon(case.polygon), Raster(33, 33, ("psi",), EIGHTHS)
        image = summarise(case.network, domain, raster=request, threads=2).raster
        own = part.locate(centres(33, 33, EIGHTHS))
        assert np.allclose(image["psi"], np.where(own >= 0, part.psi[own], np.nan), rtol=1e-12, equal_nan=True)


def test_counts_of_regions() -> None:
    """Each region once, in the pixel of its interior point."""
    net = make_network(WIDTHS["toy"])
    part = sg.partition(net, BOX)
    image = summarise(net, BOX, raster=Raster(20, 10, "count")).raster
    expected, _, _ = np.histogram2d(*part.interior_points[:, ::-1].T, bins=(10, 20), range=((-2, 2), (-2, 2)))
    assert image["count"].dtype == np.int64
    assert np.array_equal(image["count"], expected)
    assert image["count"].sum() == part.n_regions
    small = summarise(net, BOX, raster=Raster(2, 2, ("count",), sg.Box([0, 0], [1, 1]))).raster
    assert small["count"].sum() == ((part.interior_points >= 0) & (part.interior_points <= 1)).all(1).sum()


def test_a_part_of_the_domain_and_beyond() -> None:
    """A box of one's own may lie anywhere."""
    net = make_network(WIDTHS["toy"])
    for box in (sg.Box([0.1, 0.2], [0.3, 0.5]), sg.Box([1, 1], [9, 9]), sg.Box([5, 5], [6, 6])):
        assert_is_located(net, BOX, None, Raster(9, 9, ("psi",), box), box)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_any_scale(scale: float) -> None:
    """Flat domains, tiny and huge ones: the frame makes them alike."""
    net, plane = make_network((2, 12, 12, 2)), sg.Slice([0, 0], np.diag([1 / scale, scale]))
    domain = sg.Box([-2 * scale, -2 / scale], [2 * scale, 2 / scale])
    near, far = (
        summarise(net, BOX, raster=Raster(16, 16, "nu")),
        summarise(net, domain, plane, raster=Raster(16, 16, "psi")),
    )
    assert near.n_regions == far.n_regions
    assert np.isfinite(far.raster["psi"]).all()
    assert repr(far.raster) == "<RasterImage 16 x 16 of psi>"


def test_a_partial_picture() -> None:
    """What was not enumerated is nan."""
    net = make_network(WIDTHS["toy"])
    s = summarise(net, BOX, raster=Raster(30, 30), budget=sg.Budget(regions=600))
    part = sg.partition(net, BOX, budget=sg.Budget(regions=600))
    own = part.locate(centres(30, 30, BOX))
    assert np.array_equal(s.raster["psi"], np.where(own >= 0, part.psi[own], np.nan), equal_nan=True)
    assert (own == -2).any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3), sg.InvalidArgument, r"Raster\(width=0\)"),
        ((3, 2.5), sg.WrongType, r"Raster\(height=2.5\)"),
        ((1 << 20, 1 << 20), sg.InvalidArgument, "at most"),
        ((3, 3, "colour"), sg.InvalidArgument, "values='colour'.*choose from psi"),
        ((3, 3, ()), sg.WrongType, "names of values"),
        ((3, 3, [1]), sg.WrongType, "names of values"),
        ((3, 3, ("psi",), 1), sg.WrongType, "box is a Box or None"),
        ((3, 3, ("psi",), sg.Box([0], [1])), sg.ShapeMismatch, "1-dimensional"),
    ],
)
def test_arguments(arguments: tuple, error: type[Exception], message: str) -> None:
    """Refused by name."""
    with pytest.raises(error, match=message):
        Raster(*arguments)
