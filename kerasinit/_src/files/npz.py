"""Arrays in an ``.npz`` file, read without unpickling anything, and no more than fits."""

import contextlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

Header = tuple[tuple[int, ...], np.dtype]
"""Shape and dtype, as they stand before an array."""

_MOST_BYTES = 16 * 2**30
# What claims this many bytes, and this many times what it takes on the disk, is a bomb: zip
# makes a thousandth of zeros, and data are no zeros.
_LARGE = 2**28
_MOST_EXPANSION = 500
# What the readers of zip and of NumPy's headers raise of a damaged file.
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
    """Return the names of the arrays in a file.

    Raises:
        ValueError: If there is no such file, or it is no ``.npz`` file.
    """
    with _opened(path, ("x_train", "y_train")) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read(
    path: Path,
    names: Sequence[str],
    check: Callable[[Mapping[str, Header]], None] = lambda headers: None,
) -> dict[str, np.ndarray]:
    """Return arrays of a file by name.

    Args:
        path: The file.
        names: The arrays that it must hold; what else it holds is not looked at.
        check: Called with shapes and dtypes before any array is read; what it raises is raised.

    Raises:
        ValueError: If there is no such file, it is no ``.npz`` file, has no such array, or
            an array holds Python objects, claims more than it takes, or less than it
            announces. Every message names the file.
    """
    with _opened(path, names) as archive:
        members = _members(archive, path, names)
        headers = {name: _header(archive, path, name, info) for name, info in members.items()}
        total = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
        if total > _MOST_BYTES:
            raise ValueError(f"{path} announces {total} bytes; at most {_MOST_BYTES} are read.")
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
            f"{path} is not an .npz file ({error}). Make one with numpy.savez(path, {arrays})."
        ) from error
    with archive:
        yield archive


def _members(
    archive: zipfile.ZipFile, path: Path, names: Sequence[str]
) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays' members of an archive, each there once."""
    there: dict[str, list[zipfile.ZipInfo]] = {}
    for info in archive.infolist():
        there.setdefault(info.filename.removesuffix(".npy"), []).append(info)
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{path} has no array {', '.join(missing)}; it has "
            f"{', '.join(sorted(there)) or 'none'}. Expected {', '.join(names)}."
        )
    for name in names:
        if len(there[name]) > 1:
            raise ValueError(f"{path}: {name} is there {len(there[name])} times.")
    return {name: there[name][0] for name in names}


def _header(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> Header:
    """Return an array's header, if the array is plain and of a size that was announced."""
    try:
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    except _DAMAGED as error:
        raise ValueError(f"{path}: {name} is not an array of NumPy ({error}).") from error
    if dtype.hasobject:
        raise ValueError(
            f"{path}: {name} holds Python objects, which would have to be unpickled; "
            f"save it as numbers."
        )
    if any(length < 0 for length in shape):
        raise ValueError(f"{path}: {name} announces the shape {shape}; lengths are not negative.")
    announced = math.prod(shape) * dtype.itemsize
    if announced > _MOST_BYTES or info.file_size < announced:
        raise ValueError(
            f"{path}: {name} announces {announced} bytes; at most {_MOST_BYTES} are read, and the "
            f"file must hold what it announces."
        )
    if announced >= _LARGE and announced > _MOST_EXPANSION * info.compress_size:
        raise ValueError(
            f"{path}: {name} claims to be {announced} bytes, but takes {info.compress_size} on the "
            f"disk. If it is as empty as that, save it with numpy.savez, which does not compress."
        )
    return shape, dtype


def _array(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> np.ndarray:
    try:
        with archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGED as error:
        raise ValueError(f"{path}: {name} cannot be read, it is damaged ({error}).") from error
