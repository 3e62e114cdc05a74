"""Files: what is loaded is what was saved, and whatever else a file may be gets a named error."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import splinegeo as sg
from splinegeo.io import container, to_networkx, to_shapely
from splinegeo.networks import SplineNetwork
from splinegeo.networks.graph import Input, Knot, Linear


def quadrants(n_outputs: int = 3) -> SplineNetwork:
    """relu(x), relu(y), then a linear layer: the axes cut the plane into four regions."""
    rng = np.random.default_rng(7)
    knot = {"breakpoints": np.zeros((2, 1)), "slopes": np.tile([0.0, 1.0], (2, 1)), "value": np.zeros(2)}
    nodes = (
        Input("z", 2, ()),
        Linear("hidden", 2, (0,), weight=np.eye(2), bias=np.zeros(2)),
        Knot("relu", 2, (1,), **knot),
        Linear("head", n_outputs, (2,), weight=rng.normal(size=(n_outputs, 2)), bias=np.ones(n_outputs)),
    )
    return SplineNetwork(nodes, 3, (2,), (n_outputs,))


@pytest.fixture(scope="module")
def part() -> sg.Partition:
    return sg.partition(quadrants(), sg.Box([-1, -2], [3, 1]))


@pytest.fixture
def saved(part: sg.Partition, tmp_path: Path) -> Path:
    return sg.save(part, tmp_path / "part.npz")


def assert_same(a: object, b: object, where: str = "partition") -> None:
    """Equal to the last bit, in type, dtype, shape and bytes, through dataclasses and tuples."""
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), where
    elif isinstance(a, (tuple, list)):
        assert len(a) == len(b), where  # type: ignore[arg-type]
        for i, (x, y) in enumerate(zip(a, b, strict=True)):  # type: ignore[call-overload]
            assert_same(x, y, f"{where}[{i}]")
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    else:
        assert a == b, where


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, changed: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
    """The same archive with some entries changed, added or (None) left out."""
    members = {name: raw for name, raw in {**entries(path), **changed}.items() if raw is not None}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


def npy(array: np.ndarray, **kwargs: bool) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **kwargs)
    return buffer.getvalue()


def header_of(path: Path) -> dict:
    return json.loads(np.load(io.BytesIO(entries(path)["header.npy"])).tobytes())


def with_header(path: Path, **changes: object) -> Path:
    text = json.dumps({**header_of(path), **changes}).encode()
    return rewrite(path, {"header.npy": npy(np.frombuffer(text, np.uint8))})


def with_array(path: Path, name: str, array: np.ndarray) -> Path:
    """The file with one array replaced, its header telling the truth about it."""
    rewrite(path, {f"{name}.npy": npy(array)})
    arrays = {**header_of(path)["arrays"], name: [array.dtype.str, list(array.shape)]}
    return with_header(path, arrays=arrays)


def test_a_loaded_partition_equals_the_saved_one(part, saved):
    assert part.n_regions == 4
    assert_same(sg.load(saved), part)


@pytest.mark.parametrize(
    ("domain", "plane"),
    [
        (sg.Polygon([[0.1, -1], [2, 0.3], [0, 2], [-1, 0.7]]), None),
        (sg.Box([-1, -1], [1, 2]), sg.Slice([0.1, -0.2], [[1, 0.5], [0.25, -1]])),
    ],
    ids=["polygon", "slice"],
)
def test_domains_and_slices_come_back(domain, plane, tmp_path):
    part = sg.partition(quadrants(), domain, plane)
    loaded = sg.load(sg.save(part, tmp_path / "p.npz"))
    assert_same(loaded, part)
    assert loaded.domain == part.domain
    assert loaded.slice == part.slice


def test_descriptors_of_a_loaded_partition_are_the_same(part, saved):
    loaded = sg.load(saved)
    for name in ("psi", "nu", "volumes", "interior_points", "singular_values"):
        assert_same(getattr(loaded, name), getattr(part, name), name)


def test_a_partial_partition_comes_back(tmp_path):
    partial = sg.partition(quadrants(), sg.Box([-1, -2], [3, 1]), budget=sg.Budget(regions=2))
    assert not partial.complete
    assert_same(sg.load(sg.save(partial, tmp_path / "p.npz")), partial)


def test_networks_come_back(tmp_path):
    net = quadrants()
    assert_same(sg.load_network(sg.save_network(net, tmp_path / "net.npz")), net)


def test_equal_partitions_give_equal_bytes(part, saved, tmp_path):
    again = sg.save(part, tmp_path / "again.npz")
    assert again.read_bytes() == saved.read_bytes()


DTYPES = ["bool", "int8", "<u4", ">i8", "float16", ">f8", "<f4", "<U3", "U0"]


@given(
    arrays=st.dictionaries(
        st.text("abc/.", min_size=1).filter(lambda name: not name.endswith(".npy")),
        st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    ),
    turned=st.booleans(),
)
def test_every_array_comes_back(arrays, turned):
    arrays = {name: array.T if turned else array for name, array in arrays.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = container.write(Path(folder) / "x.npz", "things", {"note": "é"}, arrays)
        header, loaded = container.read(path, "things")
    assert header["note"] == "é"
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(loaded[name], array, strict=False)
        assert loaded[name].shape == array.shape


def test_numpy_reads_the_arrays(part, saved):
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["vertices"], part.vertices)


def test_a_save_replaces_and_keeps_permissions(part, saved):
    saved.write_bytes(b"old")
    saved.chmod(0o640)
    sg.save(part, saved)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640
    assert sg.load(saved).n_regions == 4


def test_a_new_file_is_not_only_for_its_owner(part, tmp_path):
    mask = os.umask(0o022)
    try:
        path = sg.save(part, tmp_path / "p.npz")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_link_stays_a_link(part, saved, tmp_path):
    link = tmp_path / "link.npz"
    link.symlink_to(saved)
    assert sg.save(part, link) == saved.resolve()
    assert link.is_symlink()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(part, saved, tmp_path, monkeypatch):
    before = saved.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(sg.FileAccessError, match="No space left on device"):
        sg.save(part, saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_an_interrupted_save_leaves_the_old_file(part, saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(np.lib.format, "write_array", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        sg.save(part, saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_what_cannot_be_saved_is_refused(part, tmp_path):
    with pytest.raises(sg.WrongType, match="must be a Partition, not int"):
        sg.save(3, tmp_path / "x.npz")
    with pytest.raises(sg.WrongType, match=r"splinegeo\.capture"):
        sg.save_network("net", tmp_path / "x.npz")
    with pytest.raises(sg.WrongType, match="dtype object"):
        container.write(tmp_path / "x.npz", "partition", {}, {"a": np.array([None])})
    with pytest.raises(sg.WrongType, match=r"a path is a string or a pathlib\.Path"):
        sg.save(part, 7)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["save", "load"])
def test_paths_that_are_no_files(part, saved, tmp_path, call):
    def attempt(path: Path) -> None:
        sg.save(part, path) if call == "save" else sg.load(path)

    with pytest.raises(sg.FileAccessError, match="it is a folder; name a file in it"):
        attempt(tmp_path)
    with pytest.raises(sg.FileAccessError, match="does not exist" if call == "save" else "no such file"):
        attempt(tmp_path / "absent" / "x.npz")
    with pytest.raises(sg.FileAccessError, match="Not a directory"):
        attempt(saved / "x.npz")
    with pytest.raises(sg.InvalidArgument, match="not the path of a file"):
        attempt("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(part, saved, tmp_path):
    saved.chmod(0)
    with pytest.raises(sg.FileAccessError, match="no permission"):
        sg.load(saved)
    tmp_path.chmod(0o500)
    with pytest.raises(sg.FileAccessError, match="no permission"):
        sg.save(part, tmp_path / "y.npz")


def test_every_truncation_is_noticed(saved):
    raw = saved.read_bytes()
    for length in [0, 1, 10, *range(30, len(raw), 211), len(raw) - 1]:
        saved.write_bytes(raw[:length])
        with pytest.raises(sg.FileFormatError):
            sg.load(saved)


def test_every_flipped_byte_is_noticed_or_harmless(part, saved):
    raw = saved.read_bytes()
    rng = np.random.default_rng(3)
    noticed = 0
    for position in rng.choice(len(raw), 300, replace=False):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        try:
            loaded = sg.load(saved)
        except sg.FileFormatError:
            noticed += 1
        else:  # a time stamp or an attribute in the zip directory
            assert_same(loaded, part)
    assert noticed > 200


BAD_ARRAYS = {
    "offsets fall": ("region_offsets", np.array([0, 8, 4, 12, 16]), "must rise from 0 to 16"),
    "offsets start late": ("region_offsets", np.array([1, 4, 8, 12, 16]), "must rise from 0"),
    "offsets end early": ("region_offsets", np.array([0, 3, 6, 9, 12]), "must rise from 0 to 16"),
    "a region of two corners": ("region_offsets", np.array([0, 2, 8, 12, 16]), "steps of 3 or more"),
    "offsets of another type": ("region_offsets", np.array([0, 4, 8, 12, 16], np.int32), "int64"),
    "corner beyond the vertices": ("corner_vertices", np.full(16, 9, np.int32), r"outside \[0, 9\)"),
    "negative corner": ("corner_vertices", np.full(16, -1, np.int32), "holds -1"),
    "corner edge": ("corner_edges", np.full(16, 12, np.int32), r"outside \[0, 12\)"),
    "unknown sentinel": ("corner_neighbors", np.full(16, -3, np.int32), "holds -3"),
    "neighbor beyond the regions": ("corner_neighbors", np.full(16, 4, np.int32), r"outside \[-2, 4\)"),
    "too few corners": ("corner_edges", np.zeros(15, np.int32), r"not int32 \(16,\)"),
    "edge vertices": ("edge_vertices", np.full((12, 2), 9, np.int32), r"outside \[0, 9\)"),
    "edge without a region": ("edge_regions", np.full((12, 2), -1, np.int32), r"outside \[0, 4\)"),
    "edges of another shape": ("edge_regions", np.zeros((2, 12), np.int32), r"not int32 \(12, 2\)"),
    "breakpoints": ("edge_breakpoints", np.full(4, 2, np.int32), r"outside \[0, 2\)"),
    "breakpoint offsets": ("edge_breakpoint_offsets", np.zeros(13, np.int64), "must rise from 0 to 4"),
    "vertices of another type": ("vertices", np.zeros((9, 2), np.float32), "not float64"),
    "vertices in space": ("vertices", np.zeros((9, 3)), r"not float64 \(9, 2\)"),
    "vertices are NaN": ("vertices", np.full((9, 2), np.nan), "NaN"),
    "pattern too wide": ("packed_patterns", np.zeros((4, 2), np.uint8), r"not uint8 \(4, 1\)"),
    "spare bits": ("packed_patterns", np.full((4, 1), 4, np.uint8), "beyond the 2"),
    "singular values": ("singular_values", np.zeros((4, 3)), r"not float64 \(4, 2\)"),
    "singular values are NaN": ("singular_values", np.full((4, 2), np.nan), "NaN"),
    "maps of some regions": ("compressed_maps", np.zeros((3, 2, 3)), r"not float64 \(4, 2, 3\)"),
    "maps of another shape": ("compressed_maps", np.zeros((4, 6)), "not float64"),
    "map errors": ("map_errors", np.zeros(3), r"not float64 \(4,\)"),
    "flat domain": ("domain/upper", np.array([-1.0, -2.0]), "below upper"),
    "slice elsewhere": ("slice/basis", np.ones((3, 2)), "one row per entry"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_inconsistent_arrays(saved, name):
    array, value, message = BAD_ARRAYS[name]
    with pytest.raises(sg.FileFormatError, match=message):
        sg.load(with_array(saved, array, value))


def test_missing_and_unknown_entries(saved):
    raw = saved.read_bytes()
    for name in entries(saved):
        saved.write_bytes(raw)
        with pytest.raises(sg.FileFormatError):
            sg.load(rewrite(saved, {name: None}))
    saved.write_bytes(raw)
    with pytest.raises(sg.FileFormatError, match="does not hold the arrays that its header lists"):
        sg.load(rewrite(saved, {"extra.npy": npy(np.zeros(3))}))
    saved.write_bytes(raw)
    with pytest.raises(sg.FileFormatError, match="splinegeo does not write"):
        sg.load(rewrite(saved, {"readme.txt": b"hello"}))
    saved.write_bytes(raw)
    with pytest.raises(sg.FileFormatError, match="nothing refers to"):
        sg.load(with_array(saved, "extra", np.zeros(3)))


def test_fields_that_this_version_does_not_know_or_misses(saved):
    tree = header_of(saved)["partition"]
    raw = saved.read_bytes()
    with pytest.raises(sg.FileFormatError, match="no field color; a newer splinegeo may know it"):
        sg.load(with_header(saved, partition={**tree, "fields": {**tree["fields"], "color": "red"}}))
    saved.write_bytes(raw)
    less = {key: value for key, value in tree["fields"].items() if key != "vertices"}
    with pytest.raises(sg.FileFormatError, match="lacks vertices"):
        sg.load(with_header(saved, partition={**tree, "fields": less}))


@pytest.mark.parametrize("name", ["Path", "os.system", "object", "SplineNetwork", "Box"])
def test_a_file_names_no_code(saved, name):
    tree = header_of(saved)["partition"]
    with pytest.raises(sg.FileFormatError, match="knows no such thing"):
        sg.load(with_header(saved, partition={**tree, "class": name}))


@pytest.mark.parametrize(
    "value", [None, [], {}, 7, {"array": "nowhere"}, {"float": "x"}, {"a": 1, "b": 2}, {"class": []}]
)
def test_a_header_of_another_form(saved, value):
    with pytest.raises(sg.FileFormatError):
        sg.load(with_header(saved, partition=value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "format version 2, and this splinegeo reads up to 1; upgrade splinegeo"),
        ({"version": 0}, "not a file written by splinegeo"),
        ({"version": "1"}, "not a file written by splinegeo"),
        ({"format": "other"}, "not a file written by splinegeo"),
        ({"format": "splinegeo.atlas"}, "holds a atlas, not a partition"),
        ({"arrays": None}, "does not hold the arrays"),
    ],
)
def test_versions_and_kinds(saved, changes, message):
    with pytest.raises(sg.FileFormatError, match=message):
        sg.load(with_header(saved, **changes))


def test_one_kind_is_not_the_other(saved, tmp_path):
    net = sg.save_network(quadrants(), tmp_path / "net.npz")
    with pytest.raises(sg.FileFormatError, match=r"open it with splinegeo\.load_network"):
        sg.load(net)
    with pytest.raises(sg.FileFormatError, match=r"open it with splinegeo\.load$"):
        sg.load_network(saved)


def test_foreign_files(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(sg.FileFormatError, match="archive of arrays"):
        sg.load(path)
    path.write_bytes(b"not a zip" * 1000)
    with pytest.raises(sg.FileFormatError, match="damaged or is no splinegeo file"):
        sg.load(path)


def test_nothing_is_unpickled(saved):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    with pytest.raises(sg.FileFormatError, match="dtype object"):
        sg.load(rewrite(saved, {"vertices.npy": npy(np.array([Bomb()], object), allow_pickle=True)}))


def test_the_cap_is_checked_before_memory_is_taken(saved, monkeypatch):
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(sg.FileFormatError, match="more than max_bytes=100"):
        sg.load(saved, max_bytes=100)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "big"])
def test_a_cap_that_is_none(saved, cap):
    with pytest.raises(sg.InvalidArgument, match="positive number of bytes"):
        sg.load(saved, max_bytes=cap)


def claim(array_bytes: bytes, shape: str) -> bytes:
    """An .npy whose header claims another shape than it has data for."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + array_bytes


def test_an_array_that_claims_more_than_the_file_has(saved):
    with pytest.raises(sg.FileFormatError, match="the header says"):
        sg.load(rewrite(saved, {"vertices.npy": claim(b"\0" * 64, "(1000000000000, 2)")}))
    arrays = {**header_of(saved)["arrays"], "vertices": ["<f8", [10**12, 2]]}
    with pytest.raises(sg.FileFormatError, match=r"claims 16,000,000,000,000 bytes; its entry in the file has \d+"):
        sg.load(with_header(saved, arrays=arrays))


def test_bytes_after_the_end_of_an_array(saved):
    with pytest.raises(sg.FileFormatError, match="bytes after its end"):
        sg.load(rewrite(saved, {"vertices.npy": entries(saved)["vertices.npy"] + b"more"}))


@pytest.mark.parametrize(
    "fields", [{"complete": False}, {"stop_reason": "budget"}, {"complete": 1}, {"stop_reason": None}], ids=str
)
def test_completeness_that_contradicts_itself(saved, fields):
    tree = header_of(saved)["partition"]
    with pytest.raises(sg.FileFormatError, match=r"complete.*stop_reason"):
        sg.load(with_header(saved, partition={**tree, "fields": {**tree["fields"], **fields}}))


def test_a_deflate_bomb_is_refused(saved):
    bomb = npy(np.zeros(10**7))
    rewrite(saved, {"vertices.npy": bomb}, zipfile.ZIP_DEFLATED)
    assert saved.stat().st_size < 10**6
    with pytest.raises(sg.FileFormatError, match="more than max_bytes"):
        sg.load(saved, max_bytes=10**7)


def test_an_entry_that_claims_an_impossible_expansion(saved):
    """The directory says 4 GB for an entry of a few bytes."""
    raw = bytearray(saved.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    saved.write_bytes(raw)
    with pytest.raises(sg.FileFormatError, match="splinegeo does not write"):
        sg.load(saved)


def test_to_shapely(part):
    polygons = to_shapely(part)
    assert [polygon.area for polygon in polygons] == pytest.approx(part.volumes)
    assert all(polygon.exterior.is_ccw and polygon.is_valid for polygon in polygons)
    assert sum(polygon.area for polygon in polygons) == pytest.approx(12)


def test_to_networkx(part):
    graph = to_networkx(part)
    assert sorted(graph.nodes) == [0, 1, 2, 3]
    assert graph.number_of_edges() == 4  # the quadrants in a ring; opposite ones touch in a point only
    assert [graph.nodes[k]["psi"] for k in range(4)] == part.psi.tolist()
    for first, second, facet in graph.edges(data=True):
        changed = np.unpackbits(part.packed_patterns[first] ^ part.packed_patterns[second], bitorder="little")
        assert tuple(np.flatnonzero(changed)) == facet["breakpoints"]
        assert facet["units"] == tuple(f"relu[{unit}]" for unit in facet["breakpoints"])
        assert facet["length"] == pytest.approx(np.ptp(facet["endpoints"], axis=0).max())
    assert sorted(facet["length"] for *_, facet in graph.edges(data=True)) == pytest.approx([1, 1, 2, 3])


@pytest.mark.parametrize(("export", "module"), [(to_shapely, "shapely"), (to_networkx, "networkx")])
def test_a_missing_library_is_named(part, export, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'splinegeo\[{module}\]'"):
        export(part)
