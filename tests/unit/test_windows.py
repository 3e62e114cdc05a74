"""Matrices of windows do what the matrices do, whatever windows they are cut to."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution
from splinegeo.partition import windows
from splinegeo.partition.windows import Windows, padded, windows_of


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
