"""Numbers of two and three floats keep the digits that they promise; rationals are the judge."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.networks import linear_maps
from splinegeo.networks.graph import Convolution, Linear
from splinegeo.partition.limbs import pieces
from splinegeo.partition.longs import Long, cut_error, exactly, mapped, nearest, rounding, total

RNG = np.random.default_rng(0)


def exact(x: Long) -> list[Fraction]:
    """The values of (k, n) parts."""
    return [sum((Fraction(float(v)) for v in column), Fraction(0)) for column in x.parts.reshape(len(x.parts), -1).T]


def random(parts: int, n: int, spread: int = 30) -> Long:
    """Numbers of random size and digits."""
    rows = [
        [Fraction(int(v), 1 << 200) * 2 ** int(e) for v, e in zip(_wide(n), RNG.integers(0, spread, n), strict=True)]
    ]
    return nearest(rows, parts)


def _wide(n: int) -> list[int]:
    return [int.from_bytes(RNG.bytes(25), "big", signed=True) for _ in range(n)]


@pytest.mark.parametrize("parts", [2, 3])
def test_sums_and_products(parts: int) -> None:
    x, y, f = random(parts, 400), random(parts, 400), RNG.normal(size=(1, 400))
    for p, q, s in zip(exact(x), exact(y), exact(x.plus(y)), strict=True):
        assert abs(p + q - s) <= Fraction(rounding(parts)) * (abs(p) + abs(q))
    for p, a, s in zip(exact(x), f[0], exact(x.times(f)), strict=True):
        assert abs(p * Fraction(float(a)) - s) <= Fraction(rounding(parts)) * abs(p * Fraction(float(a)))


@pytest.mark.parametrize("parts", [2, 3])
def test_sums_that_cancel(parts: int) -> None:
    """What is left of large terms is known to the digits of the large ones."""
    large = RNG.normal(size=(5, 100))
    terms = [*(1e-25 * large), *large, *(-large[::-1])]
    for k, found in enumerate(exact(total(terms, parts))):
        expected = sum(Fraction(float(1e-25 * v)) for v in large[:, k])
        size = sum(abs(Fraction(float(t[k]))) for t in terms)
        assert abs(found - expected) <= Fraction(rounding(parts)) * size


def _convolution() -> Convolution:
    torch.manual_seed(0)
    network = sg.capture(nn.ConvTranspose2d(3, 4, 4, 2, 1).double(), (3, 4, 4))
    return next(node for node in network.nodes if isinstance(node, Convolution))


@pytest.mark.parametrize(("parts", "limbs"), [(2, 3), (2, 4), (3, 7)])
@pytest.mark.parametrize("kind", ["convolution", "dense"])
def test_maps(parts: int, limbs: int, kind: str) -> None:
    node = _convolution() if kind == "convolution" else Linear("dense", 5, (0,), RNG.normal(size=(5, 48)), np.zeros(5))
    n_in = 48
    x = Long(np.stack([random(parts, n_in).parts[:, 0] for _ in range(3)], 1))
    out = mapped(pieces(node), node, x, limbs, linear_maps.apply)
    weights = linear_maps.matrix(node)
    values = np.array(exact(x), object).reshape(3, n_in)
    found = np.array(exact(out), object).reshape(3, -1)
    rows: Array = np.array([[Fraction(float(w)) for w in row] for row in weights], object)
    expected, size = values @ rows.T, abs(values) @ abs(rows).T
    cut = Fraction(cut_error(limbs, linear_maps.terms(node))) * abs(values).max(1)[:, None] * abs(rows).sum(1)
    assert (abs(found - expected) <= 4 * Fraction(rounding(parts)) * size + cut).all()
    # The bound means something: one part less would not do.
    assert (abs(np.array(exact(exactly(out.hi)), object).reshape(3, -1) - expected) > 2.0**-80 * size).any()
