"""``splinegeo complexity``: what it prints and writes, and the one line that a bad argument gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import splinegeo as sg
from splinegeo.__main__ import main
from splinegeo.testing import mlp
from tests.oracles.families import gaussian

NET = mlp(*zip(*gaussian(np.random.default_rng(2), (4, 12, 12, 3)), strict=True))
Z = np.random.default_rng(0).normal(size=(6, 4))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sg.save_network(NET, tmp_path / "net.npz")
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "frame.npy", np.eye(4)[:, :2])


def test_values_go_to_a_table_and_to_a_file(capsys):
    arguments = ["complexity", "net.npz", "--latents", "z.npy", "--radius", "0.2", "--radius", "0.5", "-q"]
    assert main([*arguments, "-o", "out.csv"]) == 0
    out = capsys.readouterr().out
    assert "regions, P = 4" in out
    assert "wrote out.csv" in out
    head, *rows = (line.split(",") for line in Path("out.csv").read_text().split())
    assert head[:4] == ["latent", "radius", "regions", "complete"]
    expected = [sg.local_complexity(NET, Z, r).values.tolist() for r in (0.2, 0.5)]
    assert [int(row[2]) for row in rows] == [n for values in expected for n in values]
    assert main([*arguments, "--frame", "frame.npy", "--kind", "crossing", "-o", "out.npz"]) == 0
    with np.load("out.npz") as file:
        both = [sg.local_complexity(NET, Z, r, kind="crossing", frame=np.eye(4)[:, :2]).values for r in (0.2, 0.5)]
        assert file["crossing"].tolist() == np.concatenate(both).tolist()


def test_all_three_forms_and_a_picture(capsys):
    arguments = ["complexity", "net.npz", "--random", "5", "--radius", "0.8", "--kind", "all", "-q"]
    assert main([*arguments, "--plot", "p.png", "-o", "t.csv"]) == 0
    out = capsys.readouterr().out
    assert "vertices" in out
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert Path("t.csv").read_text().startswith("latent,radius,dim,frame,vertices,crossing,regions")


def test_a_budget_is_said(capsys):
    arguments = ["complexity", "net.npz", "--latents", "z.npy", "--radius", "2", "--max-regions", "5", "-q"]
    assert main(arguments) == 0
    assert "budget of 5 regions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kind", "delta", "--random", "2"], "--kind 'delta' must be one of regions, crossing, vertices, all"),
        ([], "one of --latents FILE and --random N"),
        (["--latents", "z.npy", "--random", "2"], "one of --latents FILE and --random N"),
        (["--latents", "none.npy"], "--latents 'none.npy' cannot be read"),
        (["--random", "2", "--dim", "9"], "dimension 1 to 4; got 9"),
        (["--random", "2", "--plot", "p.png"], "--plot goes with --kind all"),
        (["--random", "2", "--kind", "all", "--frame", "frame.npy"], "--frame goes with a single kind"),
        (["--random", "2", "--radius", "-1"], "radius must be positive"),
        (["--random", "2", "-o", "no/where.csv"], "does not exist"),
    ],
)
def test_bad_arguments_get_one_line(capsys, more, message):
    assert main(["complexity", "net.npz", "-q", *more]) == 2
    assert message in capsys.readouterr().err
