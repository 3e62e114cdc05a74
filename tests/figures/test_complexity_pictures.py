"""Pictures of comparisons: the right numbers in the right places."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt

import splinegeo as sg
from splinegeo.compare.result import Comparison
from splinegeo.plot import plot_comparison, plot_complexity
from splinegeo.testing import mlp
from tests.oracles.families import gaussian

NET = mlp(*zip(*gaussian(np.random.default_rng(2), (4, 12, 12, 3)), strict=True))
Z = np.random.default_rng(0).normal(size=(6, 4))


def test_the_three_forms_are_drawn_over_the_radius():
    found = sg.compare.complexity(NET, Z, radii=(0.1, 0.4, 1.0), budget=sg.Budget(regions=60))
    ax = plot_complexity(found)
    lines = {line.get_label(): line for line in ax.lines}
    table = found.table
    for label, values in (("regions less one", table["regions"] - 1), ("crossing units", table["crossing"])):
        means = [values[table["radius"] == r].mean() for r in (0.1, 0.4, 1.0)]
        np.testing.assert_allclose(lines[label].get_ydata(), means)
    hollow = [line for line in ax.lines if line.get_color() == "white"]
    missing = [r for r in (0.1, 0.4, 1.0) if not table["complete"][table["radius"] == r].all()]
    assert missing
    assert hollow[0].get_xdata().tolist() == missing
    assert ax.get_xscale() == "log"
    assert "P = 4" in ax.get_ylabel()


def test_what_cannot_be_drawn():
    several = sg.compare.complexity(NET, Z, dims=(2, 3), regions=False)
    with pytest.raises(sg.InvalidArgument, match=r"\[2, 3\]"):
        plot_complexity(several)
    with pytest.raises(sg.WrongType, match=r"compare\.complexity"):
        plot_complexity(sg.compare.differences(NET, Z))
    with pytest.raises(sg.WrongType, match="Comparison"):
        plot_comparison(NET)
    nothing = Comparison("nothing", {"a": np.array([np.nan]), "b": np.array([1.0])}, "a", "b", None)
    with pytest.raises(sg.InvalidArgument, match="finite"):
        plot_comparison(nothing)


def test_estimates_over_exact_values_with_the_worst_marked():
    found = sg.compare.differences(NET, Z)
    ax = plt.figure().add_subplot()
    assert plot_comparison(found, ax) is ax
    points, worst = ax.collections
    np.testing.assert_array_equal(
        points.get_offsets(), np.stack([found.table["psi"], found.table["psi_difference"]], 1)
    )
    assert worst.get_offsets()[0].tolist() == [found.table[c][found.worst] for c in ("psi", "psi_difference")]
    assert ax.get_xlim() == ax.get_ylim()
