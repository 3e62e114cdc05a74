"""The file format: named arrays and one JSON header in a zip of ``.npy`` files, written at once or not at all.

``numpy.load`` opens such a file too. Nothing in it is ever unpickled, and what it declares is checked against its
real size and a cap before any memory is taken.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from splinegeo._errors import FileFormatError, InvalidArgument, SplineGeoError, WrongType
from splinegeo._types import Array

VERSION = 1
DEFAULT_MAX_BYTES = 8 << 30
_HEADER = "header"
_MAX_HEADER_BYTES = 1 << 20
_MAX_NPY_HEADER = 10_000
_MAX_MEMBERS = 100_000
_DEFLATE_LIMIT = 1032  # no deflate stream expands further, so a member that claims more is a lie
_KINDS = "biufU"  # booleans, integers, floats, text: everything that needs no pickle
_LEVEL = 1  # a fifth of the default's time for nearly its size
_CHUNK = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time stamp: the same content gives the same bytes


class FileAccessError(SplineGeoError, OSError):
    """A file cannot be opened, read or written: missing, a folder, no permission, disk full."""

    def __str__(self) -> str:
        return str(self.strerror)


def write(path: str | os.PathLike[str], kind: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Path:
    """Write header and arrays to ``path``, atomically: a reader sees the old file or the whole new one."""
    target = _checked_path(path)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise WrongType(f"save: array {name!r} has dtype {array.dtype}; only numbers, booleans and text are saved")
    shapes = {name: [_little_endian(array).dtype.str, list(array.shape)] for name, array in arrays.items()}
    top = {"format": f"splinegeo.{kind}", "version": VERSION, **header, "arrays": shapes}
    text = np.frombuffer(json.dumps(top, sort_keys=True, allow_nan=False).encode(), np.uint8)
    with _replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in {_HEADER: text, **arrays}.items():
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.external_attr = 0o644 << 16  # else what is unzipped cannot be read
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, _little_endian(array), allow_pickle=False)
            archive.writestr(info, buffer.getbuffer(), zipfile.ZIP_DEFLATED, _LEVEL)
    return target


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write bytes to ``path``, atomically."""
    target = _checked_path(path)
    with _replacing(target) as file:
        file.write(content)
    return target


def read(
    path: str | os.PathLike[str], kind: str, max_bytes: int = DEFAULT_MAX_BYTES
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of the file of this kind at ``path``; FileFormatError when it is anything else."""
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes <= 0:
        raise InvalidArgument(f"load: max_bytes={max_bytes!r} must be a positive number of bytes")
    with _opened(path) as (file, name):
        return _read(file, name, kind, max_bytes)


def kind_of(path: str | os.PathLike[str]) -> str:
    """What the file at ``path`` holds, such as "partition"; FileFormatError when splinegeo did not write it."""
    with _opened(path) as (file, name), zipfile.ZipFile(file) as archive:
        header = _parsed_header(archive, archive.NameToInfo.get(f"{_HEADER}.npy"), name)
        return str(header["format"]).removeprefix("splinegeo.")


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], str]]:
    """The file and its name; what goes wrong while it is read says which file it was."""
    source = _checked_path(path)
    try:
        with source.open("rb") as file:
            yield file, str(source)
    except OSError as error:
        raise _access_error("load", source, error) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FileFormatError(
            f"load: {str(source)!r} is damaged or is no splinegeo file ({error}); save it again"
        ) from error


def _read(file: IO[bytes], name: str, kind: str, max_bytes: int) -> tuple[dict[str, Any], dict[str, Array]]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = _checked_members(archive, name, size, max_bytes)
        header = _read_header(archive, members, name, kind)
        declared = header.pop("arrays", None)
        if not isinstance(declared, dict) or set(declared) != set(members):
            raise FileFormatError(f"load: {name!r} does not hold the arrays that its header lists; save it again")
        arrays = {}
        for key, info in members.items():
            with archive.open(info) as member:
                arrays[key] = _read_array(member, info.file_size, declared[key], f"{key!r} of {name!r}")
    return header, arrays


def _checked_members(archive: zipfile.ZipFile, name: str, size: int, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise FileFormatError(f"load: {name!r} lists {len(infos):,} arrays; no file of splinegeo's does")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        key = info.filename.removesuffix(".npy")
        stored = info.compress_size if info.compress_type == zipfile.ZIP_STORED else info.compress_size * _DEFLATE_LIMIT
        sane = (
            info.filename.endswith(".npy")
            and key not in members
            and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            and info.compress_size <= size
            and info.file_size <= stored + _DEFLATE_LIMIT
        )
        if not sane:
            raise FileFormatError(f"load: {name!r} holds an entry {info.filename!r} that splinegeo does not write")
        members[key] = info
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise FileFormatError(
            f"load: {name!r} declares {total:,} bytes of arrays, more than max_bytes={max_bytes:,}; "
            "pass a larger max_bytes if you trust it"
        )
    return members


def _read_header(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, kind: str) -> dict[str, Any]:
    header = _parsed_header(archive, members.pop(_HEADER, None), name)
    found = header["format"]
    if found != f"splinegeo.{kind}":
        other = found.removeprefix("splinegeo.")
        cure = {
            "network": "; open it with splinegeo.load_network",
            "partition": "; open it with splinegeo.load",
            "summary": "; open it with splinegeo.load_summary",
        }
        raise FileFormatError(f"load: {name!r} holds a {other}, not a {kind}{cure.get(other, '')}")
    return header


def _parsed_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, name: str) -> dict[str, Any]:
    """The header, of whatever kind, with a format and a version that this library reads."""
    if info is None or info.file_size > _MAX_HEADER_BYTES:
        raise FileFormatError(f"load: {name!r} is an archive of arrays, not a file written by splinegeo")
    with archive.open(info) as member:
        raw = _read_array(member, info.file_size, None, f"the header of {name!r}")
    try:
        header = json.loads(raw.tobytes())
        found, version = header["format"], header["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"load: the header of {name!r} cannot be read ({error})") from error
    if not isinstance(found, str) or not found.startswith("splinegeo.") or type(version) is not int or version < 1:
        raise FileFormatError(f"load: {name!r} is not a file written by splinegeo")
    if version > VERSION:
        raise FileFormatError(
            f"load: {name!r} has format version {version}, and this splinegeo reads up to {VERSION}; "
            "upgrade splinegeo (pip install --upgrade splinegeo)"
        )
    return dict(header)


def _read_array(member: IO[bytes], file_size: int, declared: object, what: str) -> Array:
    try:
        version = np.lib.format.read_magic(member)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](member, max_header_size=_MAX_NPY_HEADER)
    except (ValueError, KeyError) as error:
        raise FileFormatError(f"load: array {what} is damaged ({error})") from error
    if dtype.kind not in _KINDS or dtype.byteorder == ">" or min(shape, default=0) < 0:
        raise FileFormatError(f"load: array {what} has dtype {dtype} and shape {shape}, which splinegeo never writes")
    if declared is not None and declared != [dtype.str, list(shape)]:
        raise FileFormatError(f"load: array {what} is {dtype.str} {list(shape)}; the header says {declared}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > file_size:
        raise FileFormatError(f"load: array {what} claims {n_bytes:,} bytes; its entry in the file has {file_size:,}")
    flat = np.empty(math.prod(shape), dtype)
    raw, filled = flat.view(np.uint8) if n_bytes else np.empty(0, np.uint8), 0
    while filled < n_bytes:
        piece = member.read(min(_CHUNK, n_bytes - filled))
        if not piece:
            raise FileFormatError(f"load: array {what} ends after {filled:,} of {n_bytes:,} bytes")
        raw[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if member.read(1):  # reading to the end is also what checks the entry's CRC
        raise FileFormatError(f"load: array {what} has bytes after its end")
    array = flat.reshape(shape, order="F" if fortran else "C")
    array.flags.writeable = False  # what is loaded is a value, like what was saved
    return array


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    try:
        text = os.fspath(path)
    except TypeError as error:
        raise WrongType(f"a path is a string or a pathlib.Path, not {type(path).__name__}") from error
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgument(f"{text!r} is not the path of a file")
    return Path(os.path.realpath(text))  # a link stays a link; what it points to is read or replaced


def _access_error(call: str, path: Path, error: OSError) -> FileAccessError:
    cure = "check the path, its permissions and the space on the disk"
    if path.is_dir():
        cure = "it is a folder; name a file in it"
    elif isinstance(error, FileNotFoundError):
        cure = "there is no such file" if call == "load" else "its folder does not exist; create it first"
    elif isinstance(error, PermissionError):
        cure = "you have no permission; choose another path"
    return FileAccessError(error.errno, f"{call}: {str(path)!r}: {error.strerror or error}; {cure}", str(path))


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the target's place when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(target))
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise _access_error("save", target, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of any new file: mkstemp's are for its owner only."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the renaming durable, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
