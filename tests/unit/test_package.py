"""The package as a whole: its names, and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import splinegeo as sg

ROOT = Path(__file__).parents[2]
SLOW_IMPORTS = ("torch", "matplotlib", "numba", "flint", "scipy", "networkx", "shapely", "onnx")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(code: str) -> set[str]:
    return set(run(f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})").split())


def test_every_public_name_is_there():
    for name in sg.__all__:
        assert getattr(sg, name) is not None, name
    assert set(dir(sg)) == set(sg.__all__)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'partitions'"):
        _ = sg.partitions


def test_errors_have_one_root():
    for name in sg.__all__:
        value = getattr(sg, name)
        if isinstance(value, type) and issubclass(value, Exception) and value is not sg.SplineGeoError:
            assert issubclass(value, sg.SplineGeoError)
            assert issubclass(value, (ValueError, TypeError, OSError)), name


def test_importing_the_package_is_cheap():
    assert not loaded_after("import splinegeo") & {"numpy", *SLOW_IMPORTS}
    assert not loaded_after("from splinegeo import Box") & set(SLOW_IMPORTS)


def test_neither_geometry_nor_files_load_torch_or_matplotlib():
    code = "import splinegeo as sg; sg.partition; sg.Partition; sg.load; sg.capture; sg.SplineNetwork; sg.data"
    assert not loaded_after(code) & {"torch", "matplotlib", "networkx", "shapely", "onnx"}


@pytest.mark.parametrize(
    "first",
    [
        "",
        "import splinegeo.partition",
        "import splinegeo.partition.result",
        "from splinegeo.partition import Partition",
        "from splinegeo import Partition",
        "from splinegeo import partition",
        "from splinegeo import load",
        "import splinegeo.io",
        "sg.partition",
    ],
)
def test_partition_can_be_called_after_every_order_of_imports(first):
    """``splinegeo.partition`` is a subpackage and a function: one name, which must always be callable."""
    code = f"""
import splinegeo as sg
{first}
import splinegeo.partition.result as result
from splinegeo import Box, partition
assert callable(sg.partition) and callable(partition) and result.Partition is sg.Partition
try:
    sg.partition(None, Box([0, 0], [1, 1]))
except sg.SplineGeoError as error:
    print(type(error).__name__)
"""
    assert run(code) in ("WrongType", "UnsupportedOperation")


def test_the_version_is_said_once():
    assert re.fullmatch(r"\d+\.\d+\.\d+", sg.__version__)
    assert importlib.metadata.version("splinegeo") == sg.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {sg.__version__}\n" in citation
    assert f"\n## {sg.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_package_says_that_it_is_typed():
    assert (Path(sg.__file__).parent / "py.typed").is_file()


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packaged = {name for name in names if name.startswith("splinegeo/")}
    assert {"splinegeo/py.typed", "splinegeo/data/toy_generator.npz", "splinegeo/partition/result.py"} <= packaged
    assert all(name.split("/")[0].startswith("splinegeo-") for name in names - packaged)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_five_lines_of_the_readme_are_true():
    """The names that README.md uses exist on the objects it uses them on."""
    (readme,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for attribute in set(re.findall(r"\bpart\.(\w+)", readme)):
        assert hasattr(sg.Partition, attribute) or attribute in sg.Partition.__dataclass_fields__, attribute
    for name in set(re.findall(r"\bsg\.(\w+)", readme)):
        assert hasattr(sg, name), name


def test_links_of_the_readme_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link


TYPED = """
import splinegeo as sg

def user(net: sg.SplineNetwork, box: sg.Box, polygon: sg.Polygon, polytope: sg.Polytope, any_: sg.Box | sg.Polygon):
    reveal_type(sg.partition(net, polygon))
    reveal_type(sg.partition(net, polytope))
    reveal_type(sg.partition(net, box))
    reveal_type(sg.partition(*(net, any_)))
    reveal_type(sg.space.partition(net, box))
    reveal_type(sg.load("p.npz"))
"""


@pytest.mark.slow
def test_types_that_users_see(tmp_path):
    """As much as is known: the dimension of a box is not."""
    (tmp_path / "user.py").write_text(TYPED)
    line = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "user.py")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    plane, space = "splinegeo.partition.result.Partition", "splinegeo.space.result.SpacePartition"
    shown = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert shown == [plane, space, f"{plane} | Any", f"{plane} | Any", space, f"{plane} | {space}"], done.stdout
