"""The command: what it prints, what it writes, and the one line that a bad argument gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import splinegeo as sg
from splinegeo.__main__ import main
from splinegeo.testing import mlp
from tests.unit.test_io import quadrants

SRC = """
import numpy as np
import splinegeo as sg
from splinegeo.networks import SplineNetwork
from splinegeo.networks.graph import Input, Knot, Linear

def make():
    knot = dict(breakpoints=np.zeros((2, 1)), slopes=np.tile([0.0, 1.0], (2, 1)), value=np.zeros(2))
    nodes = (
        Input("z", 2, ()),
        Linear("hidden", 2, (0,), weight=np.eye(2), bias=np.zeros(2)),
        Knot("relu", 2, (1,), **knot),
        Linear("head", 3, (2,), weight=np.array([[1.0, 2], [3, 5], [0, 1]]), bias=np.ones(3)),
    )
    return SplineNetwork(nodes, 3, (2,), (3,))

ready = make()
number = 3

def wrong():
    return 3

def broken():
    return 1 / 0

class Net:
    pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder as the current one, with a module of models in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "models_of_test_cli", raising=False)
    (tmp_path / "models_of_test_cli.py").write_text(SRC)
    return tmp_path


MODEL = "models_of_test_cli:make"
BOX = ["--box", "-1", "-1", "1", "1"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "splinegeo", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def test_help_is_instant_and_loads_nothing_heavy():
    code = (
        "import sys; from splinegeo.__main__ import main; code = main(['partition', '--help']);"
        "heavy = {'numpy', 'torch', 'matplotlib', 'numba', 'flint'} & set(sys.modules); assert not heavy, heavy;"
        "sys.exit(code)"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        assert done.returncode == 0, done.stderr
    assert "--slice-through" in done.stdout
    assert min(seconds) < 3.0  # 0.2 s on an idle machine; the sharp test is that nothing heavy is loaded


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"splinegeo {sg.__version__}\n"


def test_no_arguments_show_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "partition" in captured.out + captured.err


@pytest.mark.parametrize("model", [MODEL, "models_of_test_cli:ready", "net.npz"])
def test_partition_prints_saves_and_draws(folder, capsys, model):
    sg.save_network(quadrants(), "net.npz")
    assert main(["partition", model, *BOX, "-o", "p.npz", "--plot", "p.png", "--color", "nu", "-q"]) == 0
    out = capsys.readouterr().out
    assert "regions (activation patterns)  4" in " ".join(out.split()).replace(") 4", ")  4")
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    part = sg.load("p.npz")
    assert part.n_regions == 4
    assert part.complete
    assert part.domain == sg.Box([-1, -1], [1, 1])


def test_info_shows_what_was_saved(capsys):
    part = sg.partition(quadrants(), sg.Box([-1, -1], [1, 1]))
    sg.save(part, "p.npz")
    assert main(["info", "p.npz"]) == 0
    out = capsys.readouterr().out
    assert "p.npz" in out
    assert "linear regions" in out
    assert f"{part.psi.max():.4f}" in out
    assert "yes" in out


def test_a_polygon_and_a_slice(folder):
    np.save("z.npy", np.array([[0.0, 0], [1, 1], [-1, 1]]))
    polygon = "0.1,-1 2,0.3 0,2 -1,0.7"
    assert main(["partition", MODEL, "--polygon", polygon, "--slice-through", "z.npy", "-o", "p.npz", "-q"]) == 0
    part = sg.load("p.npz")
    assert part.slice == sg.Slice.through([0, 0], [1, 1], [-1, 1])
    assert part.domain == sg.Polygon([[0.1, -1], [2, 0.3], [0, 2], [-1, 0.7]])
    Path("poly.csv").write_text(polygon.replace(" ", "\n"))
    np.save("o.npy", part.slice.origin)
    np.savetxt("b.txt", part.slice.basis)
    again = ["--polygon", "poly.csv", "--slice-origin", "o.npy", "--slice-basis", "b.txt", "-o", "again.npz", "-q"]
    assert main(["partition", MODEL, *again]) == 0
    assert Path("again.npz").read_bytes() == Path("p.npz").read_bytes()


@pytest.mark.parametrize(
    "box",
    [["-1", "-1", "-1", "1", "1", "2"], ["-1,-1,-1 1,1,2"], ["-1,-1,-1", "1,1,2"], ["-1 -1 -1 1 1 2"]],
    ids=["words", "corners", "two words", "text"],
)
def test_a_box_in_space(folder, capsys, box):
    """Counts of the octants, by any way to write the box; a picture; and what was saved reads the same."""
    sg.save_network(octants(3), "net.npz")
    assert main(["partition", "net.npz", "-o", "p.npz", "--plot", "p.png", "-q", "--box", *box]) == 0
    out = capsys.readouterr().out
    rows = " ".join(out.split())
    for text in (
        "Box([-1, -1, -1], [1, 1, 2]), volume 12",
        "regions (activation patterns) 8",
        "linear regions (affine maps) 8",
        "vertices 27",
        "facets 36 (12 between two regions)",
        "per region min median max mean by volume psi",
    ):
        assert text in rows
    assert "area" not in out
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    assert sg.load("p.npz") == sg.partition(octants(3), sg.Box([-1, -1, -1], [1, 1, 2]))
    assert main(["info", "p.npz"]) == 0
    assert capsys.readouterr().out.split("\n")[1:] == [*out.split("\n")[1:-3], ""]


@pytest.mark.parametrize("dim", [1, 2, 4, 6])
def test_a_box_of_any_dimension(capsys, dim):
    """2^d orthants; 3^d vertices."""
    sg.save_network(octants(dim), "net.npz")
    assert main(["partition", "net.npz", "--box", *["-1"] * dim, *["1"] * dim, "-o", "p.npz", "-q"]) == 0
    part = sg.load("p.npz")
    assert (part.n_regions, len(part.vertices)) == (2**dim, 3**dim)
    assert f"vertices {3**dim:,} " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("limit", "said"), [([], "yes"), (["--max-regions", "5"], "NO: budget of 5 regions")])
def test_what_linear_programmes_found_is_reported_without_vertices(capsys, limit, said):
    """From seven dimensions on; vertices are not worked out for a report, nor missed where regions are missing."""
    sg.save_network(octants(7), "net.npz")
    assert main(["partition", "net.npz", "--box", *["-1"] * 7, *["1"] * 7, "-o", "p.npz", "-q", *limit]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"regions \(activation patterns\) +{5 if limit else 128}\n", out)
    assert re.search(rf"complete +{said}\n", out)
    assert re.search(r"vertices, facets, volumes +not worked out\n", out)
    assert re.search(r"\nnu( +\d\.\d{4}){3}\s", out)
    assert main(["info", "p.npz"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == out.splitlines()[1:-1]


def test_a_slice_of_three_directions(folder):
    basis = np.eye(5)[:, [4, 0, 2]]
    np.save("o.npy", np.zeros(5))
    np.save("b.npy", basis)
    sg.save_network(octants(5), "net.npz")
    line = ["--slice-origin", "o.npy", "--slice-basis", "b.npy", "--box", *["-1"] * 3, *["1"] * 3, "-o", "p.npz", "-q"]
    assert main(["partition", "net.npz", *line]) == 0
    part = sg.load("p.npz")
    assert part.n_regions == 8
    assert part.slice == sg.Slice(np.zeros(5), basis)


def test_no_regions_and_so_no_picture(folder, capsys, monkeypatch):
    """Ctrl-C before the first region: the rest is as ever."""

    def press(*_, **__):
        raise KeyboardInterrupt

    sg.save_network(octants(3), "net.npz")
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", press)
    assert main(["partition", "net.npz", "--box", *"000111", "-o", "p.npz", "--plot", "p.png", "-q"]) == 130
    captured = capsys.readouterr()
    assert "no regions, and so no picture" in captured.err
    assert captured.out.endswith("wrote p.npz\n")
    assert sg.load("p.npz").n_regions == 0
    assert not (folder / "p.png").exists()


def test_a_budget_keeps_what_there_is(capsys):
    assert main(["partition", MODEL, *BOX, "--max-regions", "2", "-o", "p.npz", "-q"]) == 0
    assert not sg.load("p.npz").complete
    captured = capsys.readouterr()
    assert "stopped early" in captured.err
    assert "NO" in captured.out


def test_summarise_prints_saves_and_draws(folder, capsys):
    lines = ["--value", "psi", "--value", "count", "--pixels", "40", "30", "--linear-regions"]
    sg.save_network(quadrants(), "net.npz")
    assert main(["summarise", "net.npz", *BOX, "-o", "s.npz", "--plot", "s.png", *lines, "-q"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    found = sg.load_summary("s.npz")
    request = sg.Raster(40, 30, ("psi", "count"))
    assert found == sg.summarise(quadrants(), sg.Box([-1, -1], [1, 1]), raster=request, linear_regions=True)
    for text in ("regions (activation patterns) 4", f"linear regions (affine maps) {found.n_linear_regions}"):
        assert text in out
    assert f"{found.moments['psi'].mean:.4f}" in out
    assert "raster 40 x 30 of psi, count" in out
    assert out.endswith("wrote s.npz wrote s.png")
    assert (folder / "s.png").read_bytes().startswith(b"\x89PNG")
    assert main(["info", "s.npz"]) == 0
    assert "complete yes" in " ".join(capsys.readouterr().out.split())


def test_a_raster_only_where_it_is_asked_for():
    """The longer side has 800 pixels; a plane and a polygon are passed on."""
    np.save("z.npy", np.array([[0.0, 0], [1, 1], [-1, 1]]))
    flat = ["--polygon", "0,0 4,0 4,1", "--slice-through", "z.npy"]
    assert main(["summarise", MODEL, *flat, "-o", "a.npz", "-q"]) == 0
    assert main(["summarise", MODEL, *flat, "-o", "b.npz", "--value", "sigma_2", "-q"]) == 0
    a, b = sg.load_summary("a.npz"), sg.load_summary("b.npz")
    assert (a.raster, a.n_linear_regions) == (None, None)
    assert b.raster["sigma_2"].shape == (200, 800)
    assert (b.slice, b.domain) == (sg.Slice.through([0, 0], [1, 1], [-1, 1]), sg.Polygon([[0, 0], [4, 0], [4, 1]]))


def test_a_summary_goes_on_from_its_checkpoint(capsys):
    """Stopped by a budget, twice, and finished: the file of one go. Another network is refused."""
    sg.save_network(random_network(), "net.npz")
    line = ["summarise", "net.npz", *BOX, "--checkpoint", "c.npz", "--checkpoint-seconds", "0", "--pixels", "9", "9"]
    for limit in (["--max-regions", "40"], ["--max-seconds", "1e-9"]):
        assert main([*line, *limit, "-o", "s.npz"]) == 0
        assert not sg.load_summary("s.npz").complete
        captured = capsys.readouterr()
        assert "stopped early, budget of" in captured.err
        assert "goes on from c.npz" in captured.err
        assert "NO: budget" in captured.out
    assert main([*line, "-o", "s.npz"]) == 0
    assert "summarise" in capsys.readouterr().err  # the progress bar
    assert main(["summarise", "net.npz", *BOX, "--pixels", "9", "9", "-o", "t.npz", "-q"]) == 0
    assert Path("s.npz").read_bytes() == Path("t.npz").read_bytes()
    capsys.readouterr()
    assert main(["summarise", MODEL, *BOX, "--pixels", "9", "9", "--checkpoint", "c.npz"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("splinegeo: summarise: checkpoint 'c.npz' belongs to a call with")
    assert "Traceback" not in captured.err


def test_limits_of_a_summary_are_passed_on(monkeypatch):
    given = []
    monkeypatch.setattr("splinegeo.cli.summarise.summarise", lambda *_, **more: given.append(more) or 1 / 0)
    limits = ["--max-memory", "12345678", "--max-regions", "7", "--max-seconds", "2.5", "--threads", "3"]
    for more in ([], limits):
        with pytest.raises(ZeroDivisionError):
            main(["summarise", MODEL, *BOX, *more])
    assert [more["budget"] for more in given] == [None, sg.Budget(regions=7, seconds=2.5, memory=12345678)]
    assert [more["threads"] for more in given] == [None, 3]


def octants(dim):
    """One unit a coordinate: orthants are the regions."""
    return mlp([np.eye(dim), np.diag(np.arange(1.0, dim + 1))], [np.zeros(dim), np.zeros(dim)])


def random_network():
    rng = np.random.default_rng(0)
    return mlp([rng.normal(size=(12, 2)), rng.normal(size=(2, 12))], [rng.normal(size=12) / 2, np.zeros(2)])


BAD = {
    "no command": (["frobnicate"], "No such command 'frobnicate'"),
    "no model": (["partition"], "Missing argument 'MODEL'"),
    "unknown option": (["partition", MODEL, "--boxes"], "No such option"),
    "no domain": (["partition", MODEL], "name the domain with one of --box"),
    "two domains": (["partition", MODEL, *BOX, "--polygon", "0,0 1,0 0,1"], "one of --box"),
    "box of three": (["partition", MODEL, "--box", "0", "0", "1"], "--box '0 0 1' has 3 numbers, .* lower corner"),
    "box of nothing": (["partition", MODEL, "--box"], "'--box' requires an argument"),
    "box of spaces": (["partition", MODEL, "--box", " "], "--box ' ' has 0 numbers"),
    "box of words": (["partition", MODEL, "--box", "a", "0", "1", "1"], "--box 'a 0 1 1': could not convert .* 'a'"),
    "box in space": (["partition", MODEL, "--box", *"001112"], "network takes 2 inputs"),
    "picture of a line": (["partition", "absent:f", "--box", "0", "1", "--plot", "x.png"], "in 2 and 3 dim.*not in 1"),
    "picture in 4-D": (["partition", "absent:f", "--box", *"00001111", "--plot", "x.png"], "in 2 and 3 dim.*not in 4"),
    "summary in space": (["summarise", "absent:f", "--box", *"000111"], "summarise .* plane, .*3 dimensions"),
    "summary of a line": (["summarise", "absent:f", "--box", "0", "1"], "summarise .* plane, .*1 dimension;"),
    "flat box": (["partition", MODEL, "--box", "0", "0", "0", "1"], "must be below upper in every coordinate"),
    "box of nan": (["partition", MODEL, "--box", "0", "0", "nan", "1"], "must be finite"),
    "polygon of words": (["partition", MODEL, "--polygon", "a,b c,d"], "could not convert string to float"),
    "polygon of spaces": (["partition", MODEL, "--polygon", "0, 0 1, 0"], "--polygon"),
    "polygon of triples": (["partition", MODEL, "--polygon", "0,0,0 1,1,1 2,2,2"], "every vertex is X,Y"),
    "polygon empty": (["partition", MODEL, "--polygon", ""], "--polygon"),
    "polygon reflex": (["partition", MODEL, "--polygon", "0,0 2,0 2,2 1,0.5 0,2"], "not convex"),
    "polygon absent": (["partition", MODEL, "--polygon", "absent.csv"], "--polygon 'absent.csv' cannot be read"),
    "slice absent": (["partition", MODEL, *BOX, "--slice-through", "absent.npy"], "cannot be read: No such file"),
    "slice of text": (["partition", MODEL, *BOX, "--slice-through", "models_of_test_cli.py"], "holds no array"),
    "slice of two": (["partition", MODEL, *BOX, "--slice-through", "two.npy"], r"shape \(3, E\); it has \(2, 2\)"),
    "slice pickled": (["partition", MODEL, *BOX, "--slice-through", "pickled.npy"], "holds no array of numbers"),
    "half a slice": (["partition", MODEL, *BOX, "--slice-origin", "two.npy"], "go together"),
    "slices galore": (
        ["partition", MODEL, *BOX, "--slice-origin", "two.npy", "--slice-through", "two.npy"],
        "says it all",
    ),
    "no such colour": (["partition", MODEL, *BOX, "--color", "mauve"], "'mauve' must be one of psi, nu"),
    "picture format": (["partition", MODEL, *BOX, "--plot", "x.docx"], r"'x\.docx' must end in one of \.png"),
    "output folder": (["partition", MODEL, *BOX, "-o", "absent/p.npz"], "create it first"),
    "output is one": (["partition", MODEL, *BOX, "-o", "."], "is a folder"),
    "no threads": (["partition", MODEL, *BOX, "--threads", "0"], "Invalid value for '--threads'"),
    "no regions": (["partition", MODEL, *BOX, "--max-regions", "0"], "Invalid value for '--max-regions'"),
    "negative seconds": (["partition", MODEL, *BOX, "--max-seconds", "-1"], "Invalid value for '--max-seconds'"),
    "no such model": (["partition", "absent", *BOX], "neither a file nor module:function"),
    "no such module": (["partition", "absent:f", *BOX], "no module 'absent'"),
    "no such function": (["partition", "models_of_test_cli:f", *BOX], "has no 'f'"),
    "half a model": (["partition", "models_of_test_cli:", *BOX], "must be module:function"),
    "a class": (["partition", "models_of_test_cli:Net", *BOX], "is a class"),
    "a number": (["partition", "models_of_test_cli:number", *BOX], "int"),
    "returns a number": (["partition", "models_of_test_cli:wrong", *BOX], "int"),
    "raises": (["partition", "models_of_test_cli:broken", *BOX], r"ZeroDivisionError.*models_of_test_cli\.py:24"),
    "cannot be imported": (["partition", "broken_of_test_cli:f", *BOX], r"importing broken_of_test_cli failed: Name"),
    "no such network": (["partition", "absent.npz", *BOX], "no such file"),
    "a damaged network": (["partition", "damaged.npz", *BOX], "is damaged or is no splinegeo file"),
    "a partition as model": (["partition", "part.npz", *BOX], r"holds a partition, not a network"),
    "summary of nothing": (["summarise", MODEL], "name the domain with one of --box"),
    "summary by no model": (["summarise", "absent:f", *BOX], "no module 'absent'"),
    "no such value": (["summarise", MODEL, *BOX, "--value", "mauve"], "--value 'mauve' must be one of psi, nu, volume"),
    "no pixels": (["summarise", MODEL, *BOX, "--pixels", "0", "9"], r"Raster\(width=0\)"),
    "half a size": (["summarise", MODEL, *BOX, "--pixels", "9"], "--pixels"),
    "too many pixels": (["summarise", MODEL, *BOX, "--pixels", "99000", "9", "--plot", "x.png"], "at most 60,000"),
    "summary's format": (["summarise", MODEL, *BOX, "--plot", "x.txt"], r"'x\.txt' must end in one of \.png"),
    "checkpoint nowhere": (["summarise", MODEL, *BOX, "--checkpoint", "absent/c.npz"], "create it first"),
    "checkpoint is a folder": (["summarise", MODEL, *BOX, "--checkpoint", "."], "is a folder"),
    "checkpoint is damaged": (["summarise", MODEL, *BOX, "--checkpoint", "damaged.npz"], "is damaged or is no"),
    "one file for all": (["summarise", MODEL, *BOX, "-o", "c.npz", "--checkpoint", "c.npz"], "have one name"),
    "negative wait": (["summarise", MODEL, *BOX, "--checkpoint-seconds", "-1"], "Invalid value for '--checkpoint-s"),
    "no memory": (["summarise", MODEL, *BOX, "--max-memory", "0"], "Invalid value for '--max-memory'"),
    "summary, half a slice": (["summarise", MODEL, *BOX, "--slice-basis", "two.npy"], "go together"),
    "info of nothing": (["info"], "Missing argument 'FILE'"),
    "info of no file": (["info", "absent.npz"], "no such file"),
    "info of a folder": (["info", "."], "is a folder"),
    "info of a network": (["info", "net.npz"], r"open it with splinegeo\.load_network"),
    "info of damage": (["info", "damaged.npz"], "is damaged or is no splinegeo file"),
    "info of no header": (["info", "archive.npz"], "an archive of arrays, not a file written by splinegeo"),
    "demo into a file": (["demo", "--out", "damaged.npz"], "cannot be made a folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_argument_gets_one_line_and_exit_code_2(name, capsys):
    Path("damaged.npz").write_bytes(b"PK" * 99)
    Path("broken_of_test_cli.py").write_text("undefined_name")
    np.save("two.npy", np.eye(2))
    np.savez("archive.npz", np.eye(2))
    np.save("pickled.npy", np.array([{}], object), allow_pickle=True)
    if name == "info of a network":
        sg.save_network(quadrants(), "net.npz")
    if name == "a partition as model":
        sg.save(sg.partition(quadrants(), sg.Box([-1, -1], [1, 1])), "part.npz")
    arguments, message = BAD[name]
    capsys.readouterr()  # a first partition may have announced that it compiles
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("splinegeo: ")
    assert re.search(message, captured.err), captured.err


def test_a_bad_argument_shows_no_traceback():
    done = command("partition", "absent", *BOX)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "splinegeo: MODEL 'absent' is neither a file nor module:function, such as mymodels:make_net\n"


def test_a_closed_pipe_is_quiet():
    sg.save(sg.partition(quadrants(), sg.Box([-1, -1], [1, 1])), "p.npz")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "splinegeo", "info", "p.npz"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


SLOW_MODEL = """
import os, signal
import numpy as np
from splinegeo.partition.job import Job
from splinegeo.testing import mlp

found = Job._found

def press(job, regions, size):
    "Ctrl-C in the middle of the enumeration: after a few of its hundreds of thousands of regions."
    if job._regions == 0:
        os.kill(os.getpid(), signal.SIGINT)
    found(job, regions, size)

Job._found = press

def make(*widths):
    rng = np.random.default_rng(0)
    sizes = list(zip(widths, widths[1:]))
    weights = [rng.normal(size=(n, m)) * (2 / m) ** 0.5 for m, n in sizes]
    return mlp(weights, [rng.normal(size=n) / 2 for _, n in sizes])

def plane():
    return make(2, 256, 256, 256, 256, 2)

def space():
    return make(3, 64, 64, 64, 2)
"""


@pytest.mark.parametrize(("model", "dim"), [("plane", 2), ("space", 3)])
def test_ctrl_c_keeps_what_there_is(folder, model, dim):
    tiny = mlp([np.eye(3, dim), np.ones((1, 3))], [np.zeros(3), np.zeros(1)])
    sg.partition(tiny, sg.Box([-1] * dim, [1] * dim))  # compiles, and caches for the other process
    (folder / "slow_model.py").write_text(SLOW_MODEL)
    box = ["--box", *["-4"] * dim, *["4"] * dim]
    done = command("partition", f"slow_model:{model}", *box, "-o", "p.npz", "--threads", "1")
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "stopped early" in done.stderr
    part = sg.load("p.npz")
    assert not part.complete
    assert part.domain.dim == dim
    assert part.n_regions > 0
    assert f"{part.n_regions:,}" in done.stdout


def test_ctrl_c_in_a_summary_and_on(folder):
    """It says what it has and where the rest can go on; then the rest does."""
    sg.save_network(random_network(), "net.npz")
    (folder / "slow_model.py").write_text(PRESSED_MODEL)
    line = ["--box", "-1", "-1", "1", "1", "--checkpoint", "c.npz", "-o", "s.npz", "--threads", "1", "-q"]
    done = command("summarise", "slow_model:make", *line)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "stopped early, interrupted" in done.stderr
    assert 0 < sg.load_summary("s.npz").n_regions < sg.partition(random_network(), sg.Box([-1, -1], [1, 1])).n_regions
    assert main(["summarise", "net.npz", *line]) == 0
    assert sg.load_summary("s.npz") == sg.summarise(random_network(), sg.Box([-1, -1], [1, 1]))


PRESSED_MODEL = """
import signal
from splinegeo import load_network
from splinegeo.streaming.state import State

def make():
    return load_network("net.npz")

add = State.add

def press(state, part):
    add(state, part)
    if state.next_task == 5:
        signal.raise_signal(signal.SIGINT)

State.add = press
"""


def test_demo(folder, capsys):
    assert main(["demo", "-q", "--out", "new/demo"]) == 0
    out = capsys.readouterr().out
    assert sorted(path.name for path in Path("new/demo").iterdir()) == ["image.png", "partition.npz", "partition.png"]
    part = sg.load("new/demo/partition.npz")
    assert part.complete
    assert (part.network.n_inputs, part.network.n_outputs, part.network.n_units) == (2, 3, 60)
    assert f"{part.n_regions:,}" in out
    rho = float(out.split("Gaussian kernel:")[1].split()[0])
    assert -1 < rho < -0.3
