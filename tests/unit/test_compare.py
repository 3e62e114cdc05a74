"""Comparisons of approximations with exact values: tables that add up, witnesses that can be run again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo.compare.density import log_kernel_density
from splinegeo.compare.maps import jacobians
from splinegeo.complexity.witness import find_witness
from splinegeo.testing import mlp
from tests.oracles.families import gaussian


def network(seed: int, *widths: int) -> sg.SplineNetwork:
    return mlp(*zip(*gaussian(np.random.default_rng(seed), widths), strict=True))


NET = network(2, 6, 24, 24, 3)
Z = np.random.default_rng(0).normal(size=(12, 6))


def test_the_table_of_complexity_is_that_of_single_calls() -> None:
    found = sg.compare.complexity(NET, Z, radii=(0.1, 0.8), dims=(2, 5), frames=2, threads=1)
    assert len(found) == 12 * 2 * 2 * 2
    again = sg.compare.complexity(NET, Z, radii=(0.1, 0.8), dims=(2, 5), frames=2)
    assert all(np.array_equal(found.table[k], again.table[k], equal_nan=True) for k in found.table)
    table = found.table
    assert (table["vertices"] <= table["crossing"]).all()
    assert (table["crossing"] < table["regions"]).all()
    assert table["complete"].all()
    assert (table["estimate"] == table["regions"]).all()
    first = sg.compare.complexity(NET, Z[3], radii=(0.8,), dims=(5,), regions=False)
    assert (first.table["regions"] == -1).all()
    assert first.correlation != first.correlation  # one row has no ranks to speak of
    assert found.correlation > 0.9


def test_the_witness_shows_a_unit_that_the_estimate_misses() -> None:
    found = sg.compare.complexity(NET, Z, radii=(0.8,), dims=(5,), regions=False)
    worst = found.row(found.worst)
    assert worst["vertices"] < worst["crossing"]
    witness = found.witness
    assert witness.vertices < witness.crossing
    assert witness.rerun(NET) == (witness.vertices, witness.crossing)
    assert witness.ball.dim <= 5
    names = [NET.unit_name(int(u)) for u in NET.breakpoint_units]
    assert names[witness.breakpoint] == witness.unit
    assert witness.unit in repr(witness)
    heights = []
    for point in (witness.above, witness.below, *witness.ball.vertices):
        values = NET.forward(point[None])
        heights.append(np.concatenate([values[NET.nodes[i].inputs[0]][0] for i in NET.knots])[witness.breakpoint])
    assert heights[0] > 0 > heights[1]
    assert len(set(np.sign(heights[2:]))) == 1
    inside = witness.ball.slice.coordinates(np.stack([witness.above, witness.below]))
    assert (np.abs(inside).sum(1) < witness.ball.radius).all()
    # No direction of it can be left out.
    for p in range(witness.ball.dim if witness.ball.dim > 1 else 0):
        smaller = sg.L1Ball(witness.ball.center, witness.ball.radius, np.delete(witness.ball.frame, p, 1))
        assert find_witness(NET, smaller) is None


def test_nothing_missed_has_no_witness() -> None:
    found = sg.compare.complexity(NET, Z[:2], radii=(1e-6,))
    assert found.witness is None
    assert "2 rows" in repr(found)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"radii": 0.1}, sg.WrongType, r"radii=0.1\): a sequence is expected; write \(0.1,\)"),
        ({"radii": ()}, sg.InvalidArgument, r"radii=\(\)\): at least one"),
        ({"dims": 2}, sg.WrongType, r"dims=2\): a sequence"),
        ({"dims": []}, sg.InvalidArgument, r"dims=\(\)\): at least one"),
        ({"frames": 0}, sg.InvalidArgument, r"frames=0\): at least one"),
        ({"frames": 1.0}, sg.WrongType, r"frames=1.0\): a whole number"),
    ],
)
def test_arguments_of_a_comparison_that_cannot_be(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sg.compare.complexity(NET, Z[:2], **arguments)


def test_maps_at_latents_are_the_derivatives() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 7), nn.Hardtanh(), nn.Linear(7, 5)).double()
    z = np.random.default_rng(1).normal(size=(3, 4))
    expected = torch.stack([torch.func.jacrev(module)(row) for row in torch.from_numpy(z)]).detach()
    np.testing.assert_allclose(jacobians(sg.capture(module), z), expected, atol=1e-14)


def test_a_projection_to_as_many_rows_as_outputs_sees_everything() -> None:
    net = network(1, 4, 16, 40)
    found = sg.compare.projections(net, Z[:3, :4], rows=(2, 10, 40), repeats=2)
    table = found.table
    assert len(found) == 3 * 3 * 2
    whole = table["rows"] == 40
    np.testing.assert_allclose(table["nu_share"][whole], 1, atol=1e-12)
    np.testing.assert_allclose(table["psi_projected"][whole], table["psi"][whole], atol=1e-12)
    shares = [table["nu_share"][table["rows"] == r].mean() for r in (2, 10, 40)]
    assert shares == sorted(shares)
    assert (table["nu_projected"][table["rows"] == 2] <= 2).all()
    witness = found.witness
    exact = jacobians(net, witness["z"][None])[0]
    sigma = np.linalg.svd(witness["projection"] @ exact, compute_uv=False)
    assert float(sg.descriptors.nu(sigma)) == pytest.approx(found.row(found.worst)["nu_projected"])
    with pytest.raises(sg.ShapeMismatch, match="D = 40"):
        sg.compare.projections(net, Z[:, :4], rows=(41,))


def test_differences_are_right_until_their_ends_leave_the_region() -> None:
    found = sg.compare.differences(NET, Z, steps=(1e-6, 0.5))
    table = found.table
    near = table["crossed"] == 0
    assert near.any()
    assert not near.all()
    assert np.abs(found.errors[near]).max() < 1e-6
    assert table["step"][found.worst] == 0.5
    assert found.witness["step"] == 0.5
    assert table["crossed"][found.worst] > 0
    with pytest.raises(sg.InvalidArgument, match="positive"):
        sg.compare.differences(NET, Z, steps=(0.0,))


def test_a_kernel_density_is_close_where_the_image_is_flat() -> None:
    net = sg.SplineNetwork.from_layers([np.array([[3.0, 0], [0, 2], [0, 0]])], [np.zeros(3)])
    part = sg.partition(net, sg.Box([-1, -1], [1, 1]), threads=1)
    found = sg.compare.density(part, 3000, 0.15)
    np.testing.assert_allclose(found.table["log_density"], -np.log(6 * 4))
    middle = (np.abs(found.table["u1"]) < 0.7) & (np.abs(found.table["u2"]) < 0.7)
    assert np.abs(found.errors[middle]).mean() < 0.2
    assert np.abs(found.errors[middle].mean()) < 0.05
    assert set(found.witness) == {"u", "bandwidth"}


def test_the_kernel_density_is_the_sum_it_says() -> None:
    x = np.random.default_rng(0).normal(size=(7, 3))
    squared = ((x[:, None] - x) ** 2).sum(2)
    kernels = np.exp(-squared / (2 * 0.4**2)) / (2 * np.pi * 0.4**2)
    expected = np.log((kernels.sum(1) - kernels[0, 0]) / 6)
    np.testing.assert_allclose(log_kernel_density(x, 0.4), expected, rtol=1e-12)


def test_collapsed_regions_have_no_density_to_compare() -> None:
    net = network(4, 2, 6, 3)
    part = sg.partition(net, sg.Box([-3, -3], [3, 3]), threads=1)
    found = sg.compare.density(part, 500)
    assert len(found) <= 500
    assert np.isfinite(found.table["log_density"]).all()
    for bad in (0, 1):
        with pytest.raises(sg.InvalidArgument, match="two are needed"):
            sg.compare.density(part, bad)
    with pytest.raises(sg.WrongType, match="Partition"):
        sg.compare.density(net)
    short = sg.partition(net, sg.Box([-3, -3], [3, 3]), budget=sg.Budget(regions=2))
    with pytest.raises(sg.InvalidArgument, match="complete"):
        sg.compare.density(short)
    with pytest.raises(sg.InvalidArgument, match="bandwidth"):
        sg.compare.density(part, 10, -1.0)
