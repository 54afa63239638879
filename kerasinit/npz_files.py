"""Arrays in an ``.npz`` file, read without unpickling anything."""

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_MOST_BYTES = 16 * 2**30


def names_in(path: Path) -> list[str]:
    """Return the names of the arrays in a file.

    Raises:
        ValueError: If there is no such file, or it is no ``.npz`` file.
    """
    with _opened(path, ("x_train", "y_train")) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return arrays of a file by name.

    Args:
        path: The file.
        names: The arrays that it must hold; what else it holds is not looked at.

    Raises:
        ValueError: If there is no such file, it is no ``.npz`` file, has no such array, or
            an array holds Python objects or less than it announces.
    """
    with _opened(path, names) as archive:
        _check_headers(archive, path, names)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}


@contextlib.contextmanager
def _opened(path: Path, names: Sequence[str]) -> Iterator[zipfile.ZipFile]:
    if not path.exists():
        raise ValueError(f"No such file: {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, IsADirectoryError) as error:
        arrays = ", ".join(f"{name}=..." for name in names)
        raise ValueError(
            f"{path} is not an .npz file ({error}). Make one with numpy.savez(path, {arrays})."
        ) from error


def _check_headers(archive: zipfile.ZipFile, path: Path, names: Sequence[str]) -> None:
    """Raise unless the arrays are there, plain, and of a size that was announced."""
    there = [name.removesuffix(".npy") for name in archive.namelist()]
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{path} has no array {', '.join(missing)}; it has "
            f"{', '.join(sorted(there)) or 'none'}. Expected {', '.join(names)}."
        )
    total = 0
    for name in names:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as stream:
            try:
                version = np.lib.format.read_magic(stream)
                if version == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                else:
                    shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
            except ValueError as error:
                raise ValueError(f"{path}: {name} is not an array of NumPy ({error}).") from error
        if dtype.hasobject:
            raise ValueError(
                f"{path}: {name} holds Python objects, which would have to be unpickled; "
                f"save it as numbers."
            )
        announced = math.prod(shape) * dtype.itemsize
        total += announced
        if total > _MOST_BYTES or info.file_size < announced:
            raise ValueError(
                f"{path}: {name} announces {announced} bytes; at most {_MOST_BYTES} are read "
                f"in all, and the file must hold what it announces."
            )
