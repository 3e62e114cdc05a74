"""Matrices of windows do what the matrices do, whatever windows they are cut to."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution
from splinegeo.partition import windows
from splinegeo.partition.limbs import pieces
from splinegeo.partition.selections import separated
from splinegeo.partition.windows import Windows, padded, total, windows_of


def local_rows(shape: tuple[int, ...], n: int, seed: int = 0) -> Array:
    """Rows that are zero outside boxes of random place and size; one is zero, one has no zeros."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, *shape))
    for i in range(n - 2):
        first = [rng.integers(0, s) for s in shape[1:]]
        box = (i, slice(None), *(slice(a, a + rng.integers(1, 6)) for a in first))
        x[box] = rng.normal(size=x[box].shape)
    x[-1] = rng.normal(size=shape)
    return x.reshape(n, -1)


def convolution(module: nn.Module, shape: tuple[int, ...]) -> Convolution:
    network = sg.capture(module.double(), shape)
    return next(node for node in network.nodes if isinstance(node, Convolution))


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "transposed": (lambda: nn.ConvTranspose2d(4, 5, 4, 2, 1), (4, 12, 15)),
    "transposed, dilated": (
        lambda: nn.ConvTranspose2d(4, 6, 3, 3, 2, output_padding=1, groups=2, dilation=2),
        (4, 11, 9),
    ),
    "strided": (lambda: nn.Conv2d(4, 6, (3, 5), (2, 3), (1, 2), dilation=(1, 2)), (4, 17, 23)),
    "line": (lambda: nn.Conv1d(3, 4, 5, 2, 3), (3, 40)),
    "space": (lambda: nn.Conv3d(2, 3, 3, 2, 1), (2, 9, 8, 12)),
    "pointwise": (lambda: nn.Conv2d(3, 3, 1), (3, 9, 9)),
    "larger than the space": (lambda: nn.ConvTranspose2d(3, 4, 4, 1, 0), (3, 1, 1)),
    "transposed line": (lambda: nn.ConvTranspose1d(3, 4, 5, 4, 0), (3, 30)),
    "no padding": (lambda: nn.Conv2d(3, 2, 4, 1, 0), (3, 12, 12)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("whole", [0.0, 0.5, 2.0])
def test_convolutions(name: str, whole: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of windows, of whole rows, and of both."""
    monkeypatch.setattr(windows, "WHOLE", whole)
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    node, rows = convolution(make(), shape), local_rows(shape, 30)
    asked: list[int] = []
    found = Windows.whole(rows).through(node, asked.append)
    assert found.shape == padded(node.out_shape)
    assert sum(asked) == found.nbytes
    expected = linear_maps.apply(node, rows)
    np.testing.assert_allclose(found.dense(), expected, rtol=1e-13, atol=1e-14)
    assert (found.dense()[-2] == 0).all()


@pytest.mark.parametrize("shape", [(3, 9, 7), (2, 30), (2, 5, 6, 7), (12,)])
def test_products_and_choices(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    rows, n = local_rows(shape, 25), math.prod(shape)
    local = windows_of(rows, padded(shape))
    np.testing.assert_array_equal(local.dense(), rows)
    factors, weights = rng.normal(size=n), rng.normal(size=(25, 3))
    np.testing.assert_array_equal(local.times(factors).dense(), rows * factors)
    np.testing.assert_allclose(local.combined(weights), weights.T @ rows, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(local.combined(weights, absolute=True), weights.T @ np.abs(rows), rtol=1e-12, atol=1e-13)
    chosen = rng.choice(n, 9, replace=False)
    np.testing.assert_array_equal(local.only(chosen), rows[:, chosen])
    more = local.with_units(np.array([26, 25]), chosen[:2], 28).dense()
    expected = np.zeros((28, n))
    expected[:25], expected[26, chosen[0]], expected[25, chosen[1]] = rows, 1.0, 1.0
    np.testing.assert_array_equal(more, expected)
    np.testing.assert_array_equal(local.shaped((n,)).dense(), rows)


def rationals(x: Windows) -> Array:
    """The matrix (live, n) of fractions."""
    parts = [x.dense(), *([x.low.dense()] if x.long else [])]
    return np.array(
        [[sum(map(Fraction, v)) for v in zip(*row, strict=True)] for row in zip(*parts, strict=True)], object
    )


def long_rows(shape: tuple[int, ...], n: int) -> Windows:
    """Local rows of numbers with twice the digits."""
    rows = local_rows(shape, n)
    return windows_of(rows, padded(shape), rows * np.random.default_rng(5).uniform(-0.5, 0.5, rows.shape) * 2.0**-53)


@pytest.mark.parametrize("name", ["transposed", "strided", "no padding"])
@pytest.mark.parametrize("whole", [0.0, 2.0])
def test_convolutions_of_long_rows(name: str, whole: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 85 digits of 2 where float64 has 53."""
    monkeypatch.setattr(windows, "WHOLE", whole)
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    node, x = convolution(make(), shape), long_rows(shape, 4)
    asked: list[int] = []
    found = x.through(node, asked.append, pieces(node))
    assert sum(asked) == found.nbytes
    some = np.random.default_rng(0).choice(node.size, 40, replace=False)
    weights = linear_maps.rows(node, some).toarray()
    exact = np.array([[Fraction(float(w)) for w in row] for row in weights], object)
    expected = rationals(x) @ exact.T
    error = abs(rationals(found)[:, some] - expected)
    assert (error <= 2.0**-85 * abs(exact).sum(1)).all()
    assert (abs(rationals(Windows.whole(found.dense()))[:, some] - expected) > 2.0**-70).any()  # rounded


def test_products_and_sums_of_long_rows() -> None:
    rng = np.random.default_rng(2)
    shape = (2, 9, 14)
    x, y, n = long_rows(shape, 6), long_rows(shape, 8), 2 * 9 * 14
    f, g = rng.normal(size=n), rng.normal(size=n)
    exact = [np.array([Fraction(float(v)) for v in w], object) for w in (f, g)]
    assert (abs(rationals(x.times(f)) - rationals(x) * exact[0]) <= 2.0**-100 * abs(rationals(x) * exact[0])).all()
    expected = rationals(y) * exact[1]
    expected[:6] += rationals(x) * exact[0]
    assert (abs(rationals(total([(f, x), (g, y)], lambda _: None)) - expected) <= 2.0**-98).all()
    mixed = total([(f, x), (g, Windows.whole(y.dense(), shape, np.zeros((8, n))))], lambda _: None)
    assert mixed.long
    np.testing.assert_array_equal(mixed.dense().shape, (8, n))
    units = rng.choice(n, 7, replace=False)
    assert (rationals(x.taken(units)) == rationals(x)[:, units]).all()


@pytest.mark.parametrize("whole", [0.0, 0.5, 2.0])
def test_sums_of_windows(whole: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of matrices with windows of their own, one with fewer rows."""
    monkeypatch.setattr(windows, "WHOLE", whole)
    shape, rng = (3, 11, 13), np.random.default_rng(0)
    few, many = local_rows(shape, 12, 1), local_rows(shape, 20, 2)
    f, g = rng.normal(size=3 * 11 * 13), rng.normal(size=3 * 11 * 13)
    asked: list[int] = []
    found = total([(f, windows_of(few, padded(shape))), (g, windows_of(many, padded(shape)))], asked.append)
    expected = many * g
    expected[:12] += few * f
    np.testing.assert_allclose(found.dense(), expected, rtol=1e-14, atol=1e-15)
    assert sum(asked) == found.nbytes


SELECTIONS: dict[str, nn.Module] = {
    "copies": nn.Upsample(scale_factor=2),
    "reflected": nn.ReflectionPad2d((3, 2, 1, 4)),
    "replicated": nn.ReplicationPad2d((2, 0, 3, 1)),
    "cropped": nn.ZeroPad2d((-2, -3, -1, -2)),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("long", [False, True])
def test_selections(name: str, long: bool) -> None:
    """Along the axes of a layer, windows stay windows."""
    shape, module = (3, 9, 12), SELECTIONS[name]
    units = torch.arange(3 * 9 * 12, dtype=torch.float64).reshape(1, *shape)
    chosen = module(units)[0]
    index, out = chosen.numpy().astype(int).ravel(), tuple(chosen.shape)
    x = long_rows(shape, 15) if long else windows_of(local_rows(shape, 15), padded(shape))
    axes = separated(index, x.shape, padded(out))
    assert axes is not None
    asked: list[int] = []
    found = x.selected(axes, asked.append)
    assert found.shape == padded(out)
    assert sum(asked) == found.nbytes < (2 if long else 1) * 8 * 15 * index.size
    np.testing.assert_array_equal(found.dense(), x.dense()[:, index])
    assert found.long == long
    if long:
        np.testing.assert_array_equal(found.low.dense(), x.low.dense()[:, index])


def test_selections_that_mix_axes() -> None:
    shape = (4, 6, 6)
    index = nn.PixelShuffle(2)(torch.arange(144.0).reshape(1, *shape)).numpy().astype(int).ravel()
    assert separated(index, padded(shape), padded((1, 12, 12))) is None
    assert separated(np.arange(144), padded((144,)), padded(shape)) is None


def test_whole_numbers() -> None:
    rows = np.array([[1.0, 0.5, 3.0, 2.0**21], [0.0, 2.0, -7.0, 1.0]])
    assert Windows.whole(rows).whole_numbers().tolist() == [True, False, True, False]
    low = np.array([[0.0, 0.0, 2.0**-60, 0.0], np.zeros(4)])
    assert Windows.whole(rows, low=low).whole_numbers().tolist() == [True, False, False, False]


def test_what_is_local_takes_little() -> None:
    """A unit of a layer, four layers on."""
    torch.manual_seed(0)
    shape: tuple[int, ...] = (4, 16, 16)
    nothing = Windows.whole(np.zeros((0, 4 * 16 * 16)), shape)
    columns = nothing.with_units(np.arange(3), np.array([0, 500, 777]), 3)
    for _ in range(2):
        node = convolution(nn.ConvTranspose2d(4, 4, 4, 2, 1), shape)
        columns, shape = columns.through(node, lambda _: None), node.out_shape
    assert shape == (4, 64, 64)
    assert columns.nbytes == 3 * 8 * 4 * 10 * 10
