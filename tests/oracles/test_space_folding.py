"""Networks that are folded before the walk in d dimensions, against the same ones that are not, and large ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import splinegeo as sg
from splinegeo import space
from splinegeo.networks.graph import SplineNetwork
from splinegeo.space import problem
from tests.oracles.space_families import FAMILIES, MAXIMA, maxima_network, space_network
from tests.oracles.test_space_oracle import check


def partition(net: SplineNetwork, domain: sg.Box | sg.L1Ball) -> space.SpacePartition:
    return space.partition(net, domain, threads=1)


def assert_same(folded: space.SpacePartition, plain: space.SpacePartition) -> None:
    """Regions, whose order folding may change, with vertices, facets and neighbours."""
    order = [plain._pattern_index[row.tobytes()] for row in folded.packed_patterns]
    assert sorted(order) == list(range(len(plain)))
    assert folded.f_vector() == plain.f_vector()
    for k, r in enumerate(order):
        mine, theirs = folded.corners[k], plain.corners[r]
        assert len(mine) == len(theirs)
        gaps = np.abs(mine[:, None] - theirs[None]).max(2)
        assert max(gaps.min(0).max(), gaps.min(1).max()) <= 1e-9
        across = {order[n] if n >= 0 else n for n in folded.neighbors[k]}
        assert across == set(plain.neighbors[r].tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = space_network(family, 3, 1)
    for domain in (
        sg.Box([-2] * 3, [2] * 3),
        sg.Box([0.1, 0.2, -0.4], [0.7, 0.3, 0.1]),
        sg.L1Ball([0, 0, 0], 0.7, np.eye(3)),
    ):
        plain = partition(net, domain)
        with monkeypatch.context() as patch:
            patch.setattr(problem, "LARGE", -1)
            assert_same(partition(net, domain), plain)


@pytest.mark.parametrize("family", ["ternary", "concurrent", "hardtanh", "residual"])
def test_against_rationals(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "LARGE", -1)
    check(space_network(family, 3, 0), 3)


@pytest.mark.parametrize("family", MAXIMA)
def test_maxima(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, box = maxima_network(family, 3, 1), sg.Box([-1] * 3, [2] * 3)
    plain = partition(net, box)
    monkeypatch.setattr(problem, "LARGE", -1)
    assert_same(partition(net, box), plain)


def test_a_generator() -> None:
    """A convolutional one of 7,168 units on 3 of its 16 latent directions: theorems, autograd, and the plane."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(16, 64 * 16), torch.nn.LeakyReLU(0.2), torch.nn.Unflatten(1, (64, 4, 4)),
        torch.nn.ConvTranspose2d(64, 32, 4, 2, 1), torch.nn.LeakyReLU(0.2),
        torch.nn.ConvTranspose2d(32, 16, 4, 2, 1), torch.nn.LeakyReLU(0.2),
        torch.nn.ConvTranspose2d(16, 3, 4, 2, 1),
    ).double()  # fmt: skip
    net = sg.capture(module, (16,))
    assert net.n_breakpoints > problem.LARGE
    plane = sg.Slice(np.zeros(16), np.linalg.qr(np.random.default_rng(0).normal(size=(16, 3)))[0])
    box = sg.Box([0.294] * 3, [0.306] * 3)
    part = sg.partition(net, box, plane)
    assert isinstance(part, space.SpacePartition)
    assert part.complete
    assert len(part) > 500
    assert part.euler_characteristic == 1
    assert part.volumes.sum() == pytest.approx(0.012**3)
    assert (part.locate(part.interior_points) == np.arange(len(part))).all()
    mixed = torch.tensor(np.random.default_rng(1).normal(size=(4, net.n_outputs)))
    some = np.linspace(0, len(part) - 1, 5).astype(int)
    for k, a in zip(some, part.affine_maps(some)[0], strict=True):
        u = torch.tensor(part.interior_points[k])
        z = torch.tensor(plane.origin) + torch.tensor(plane.basis) @ u
        # Four random combinations of the outputs will do.
        jacobian = torch.autograd.functional.jacobian(lambda z: mixed @ module(z[None]).ravel(), z).numpy()
        assert np.abs(mixed.numpy() @ a - jacobian @ plane.basis).max() < 1e-11
    # The regions that a plane through it meets are those that the engine for planes finds.
    level = 0.30001
    cut = sg.Slice([level, 0, 0], [[0, 0], [1, 0], [0, 1]])
    flat = part.section(cut, sg.Box([0.294] * 2, [0.306] * 2))
    met = [r for r in range(len(part)) if part.corners[r][:, 0].min() < level < part.corners[r][:, 0].max()]
    assert {part.packed_patterns[r].tobytes() for r in met} == {row.tobytes() for row in flat.packed_patterns}
