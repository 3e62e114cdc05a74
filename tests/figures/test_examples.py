"""The committed generator is what the script trains for, and the first figure says what the paper's does."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import splinegeo as sg
from splinegeo.data import load_arrays, load_shipped_network
from splinegeo.data.modules import with_weights
from splinegeo.jacobian import unrolled
from splinegeo.networks.graph import Linear

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_committed_generator_draws_the_sheet():
    generator = load_shipped_network("toy_generator")
    assert [node.size for node in generator.nodes if isinstance(node, Linear)] == [20, 20, 20, 3]
    z = np.random.default_rng(0).uniform(-1, 1, (5_000, 2))
    wanted = runpy.run_path(str(EXAMPLES / "train_toy.py"))["surface"](torch.tensor(z)).numpy()
    assert np.sqrt(((generator(z) - wanted) ** 2).sum(1).mean()) < 0.02


def test_first_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plot_figure1.py", str(tmp_path)])
    found = runpy.run_path(str(EXAMPLES / "plot_figure1.py"))
    assert found["part"].n_regions == 1_156
    assert found["fitted_correlation"] < -0.9
    assert found["exact_correlation"] == pytest.approx(-1)
    # the fitted density is that of the surface, not only its ranks
    assert abs(np.median(found["log_density"] - found["exact"])) < 0.15
    assert {p.name for p in tmp_path.iterdir()} == {"figure1_partition.png", "figure1_density.png"}
    assert "Spearman correlation of psi with the log-density: fitted -0.9" in capsys.readouterr().out


def test_the_committed_files_are_small():
    assert max(path.stat().st_size for path in Path(sg.data.__file__).parent.glob("*.npz")) < 300_000


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_the_committed_denoisers_draw_the_dinosaur(name):
    """The noise is predicted as well as when it was trained, and samples lie where the points do."""
    made = runpy.run_path(str(EXAMPLES / "train_ddpm.py"))
    net = made["Denoiser"]({"relu": torch.nn.ReLU, "gelu": torch.nn.GELU}[name])
    net = with_weights(net, load_arrays("ddpm"), name).eval()
    generator = torch.Generator().manual_seed(1)
    schedule = made["SCHEDULE"]
    a = torch.tensor(schedule.alphas_cumprod, dtype=torch.float32)
    x = torch.tensor(made["dinosaur"](20_000, np.random.default_rng(1)), dtype=torch.float32)
    t = torch.randint(50, (20_000,), generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    with torch.no_grad():
        error = ((net(a[t, None].sqrt() * x + (1 - a[t, None]).sqrt() * noise, t) - noise) ** 2).mean()
        samples = unrolled(net, schedule, range(49, -1, -1))(noise[:500])
    assert error < 0.33
    distance = (samples[:, None] - x[:2000]).norm(dim=2).min(1).values
    assert distance.median() < 0.05
