"""Reading of ``.npz`` files, without unpickling and with limits on their size."""

import contextlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

Header = tuple[tuple[int, ...], np.dtype]
"""Shape and dtype of an array."""

_MAX_BYTES = 16 * 2**30
# A large member with a larger compression ratio is rejected as a zip bomb. Only constant arrays
# are compressed a thousandfold.
_LARGE = 2**28
_MAX_EXPANSION = 500
# The errors of zipfile and NumPy for damaged files.
_DAMAGED = (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def names_in(path: Path) -> list[str]:
    """Return the names of the arrays in a file."""
    with _opened(path, ("x_train", "y_train")) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read(
    path: Path,
    names: Sequence[str],
    check: Callable[[Mapping[str, Header]], None] = lambda headers: None,
) -> dict[str, np.ndarray]:
    """Return arrays of a file by name; others are ignored.

    ``check`` is called with the headers before any array is read, and may raise. Every invalid
    file raises a ValueError that names it.
    """
    with _opened(path, names) as archive:
        members = _members(archive, path, names)
        headers = {name: _header(archive, path, name, info) for name, info in members.items()}
        total = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
        if total > _MAX_BYTES:
            raise ValueError(f"{path} declares {total} bytes; the limit is {_MAX_BYTES}.")
        check(headers)
        return {name: _array(archive, path, name, info) for name, info in members.items()}


@contextlib.contextmanager
def _opened(path: Path, names: Sequence[str]) -> Iterator[zipfile.ZipFile]:
    if not path.exists():
        raise ValueError(f"No such file: {path}.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        arrays = ", ".join(f"{name}=..." for name in names)
        raise ValueError(
            f"{path} is not an .npz file ({error}). Create one with numpy.savez(path, {arrays})."
        ) from error
    with archive:
        yield archive


def _members(
    archive: zipfile.ZipFile, path: Path, names: Sequence[str]
) -> dict[str, zipfile.ZipInfo]:
    """Return the archive member of each array."""
    members: dict[str, list[zipfile.ZipInfo]] = {}
    for info in archive.infolist():
        members.setdefault(info.filename.removesuffix(".npy"), []).append(info)
    missing = [name for name in names if name not in members]
    if missing:
        raise ValueError(
            f"{path} has no array {', '.join(missing)}; it has "
            f"{', '.join(sorted(members)) or 'none'}. Expected {', '.join(names)}."
        )
    for name in names:
        if len(members[name]) > 1:
            raise ValueError(f"{path} contains {name} {len(members[name])} times.")
    return {name: members[name][0] for name in names}


def _header(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> Header:
    """Return the header of an array after checking that it has numbers and a plausible size."""
    try:
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    except _DAMAGED as error:
        raise ValueError(f"{path}: {name} is not a NumPy array ({error}).") from error
    if dtype.hasobject:
        raise ValueError(
            f"{path}: {name} contains Python objects, which are not unpickled; save it as numbers."
        )
    if any(length < 0 for length in shape):
        raise ValueError(f"{path}: {name} declares the negative shape {shape}.")
    declared = math.prod(shape) * dtype.itemsize
    if declared > _MAX_BYTES or info.file_size < declared:
        raise ValueError(
            f"{path}: {name} declares {declared} bytes; the file has {info.file_size}, and the "
            f"limit is {_MAX_BYTES}."
        )
    if declared >= _LARGE and declared > _MAX_EXPANSION * info.compress_size:
        raise ValueError(
            f"{path}: {name} declares {declared} bytes, but has {info.compress_size} compressed. "
            f"If this is intended, save it uncompressed, with numpy.savez."
        )
    return shape, dtype


def _array(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> np.ndarray:
    try:
        with archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGED as error:
        raise ValueError(f"{path}: {name} is damaged ({error}).") from error
