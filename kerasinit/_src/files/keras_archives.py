"""Reading of ``.keras`` and HDF5 files without Keras.

Links out of the file and implausibly large datasets are rejected.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from kerasinit._src.files import json_files
from kerasinit._src.files.stored import Path, numbers

LARGE = 2**28
"""The size in bytes from which data with a large compression ratio are rejected as a bomb."""

# Keras does not compress.
_MAX_EXPANSION = 100
# HDF5 has no bfloat16: Keras stores it as two opaque bytes.
_BFLOAT16 = np.dtype("V2")


def read_archive(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """Return the arrays in a ``.keras`` file, those of the optimizer included, and its config.

    Errors of h5py and zipfile are not converted.
    """
    with zipfile.ZipFile(path) as archive:
        config, content = read_config(path, archive), read_weights(path, archive)
    with h5py.File(content, "r") as file:
        arrays = {
            name: read_dataset(path, name, dataset)
            for name, dataset in datasets(path, file)
            if dataset.dtype.kind in "biuf" or dataset.dtype == _BFLOAT16
        }
    return arrays, config


def read_weights(path: Path, archive: zipfile.ZipFile) -> io.BytesIO:
    """Return the HDF5 file in a ``.keras`` file."""
    return io.BytesIO(_member(path, archive, "model.weights.h5"))


def read_config(path: Path, archive: zipfile.ZipFile) -> Any:
    """Return the configuration in a ``.keras`` file."""
    return parse_config(_member(path, archive, "config.json"), f"{path}: config.json")


def parse_config(content: str | bytes, what: str) -> Any:
    """Return the configuration of a model from its JSON."""
    return json_files.parse(content, what, LARGE, json_files.MAX_MODEL_DEPTH)


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    if name not in archive.namelist():
        raise ValueError(f"{path} is a zip file, but not a Keras model: it has no {name}.")
    info = archive.getinfo(name)
    _reject_bomb(f"{name} in {path}", info.file_size, info.compress_size)
    return archive.read(name)


def datasets(
    path: Path, group: h5py.Group, prefix: str = "", seen: tuple[h5py.Group, ...] = ()
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every dataset with its name; raise if one is not stored in this file."""
    for key in group:
        name = f"{prefix}{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{path} has an external or soft link at {name!r} ({type(link).__name__}). Keras "
                f"does not write such links; it is not followed."
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            if item in seen:
                raise ValueError(f"{path} is damaged: the group {name!r} contains itself.")
            yield from datasets(path, item, f"{name}/", (*seen, item))
        elif isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(
                    f"{path} stores the values of {name!r} in another file. Keras does not write "
                    f"such files; it is not read."
                )
            if item.shape is not None:
                yield name, item


def read_dataset(path: Path, name: str, dataset: h5py.Dataset) -> np.ndarray:
    """Return the values of a dataset as real numbers."""
    declared = dataset.size * dataset.dtype.itemsize
    _reject_bomb(f"{name} in {path}", declared, dataset.id.get_storage_size())
    if dataset.dtype.kind == "O":
        return numbers(name, np.empty(0, object))
    values = dataset[()]
    if values.dtype == _BFLOAT16:
        values = np.asarray(values).view(ml_dtypes.bfloat16)
    return numbers(name, np.asarray(values))


def _reject_bomb(what: str, declared: int, stored: int) -> None:
    if declared >= LARGE and declared > _MAX_EXPANSION * stored:
        raise ValueError(
            f"{what} declares {declared} bytes, but has {stored} on disk. Data of {LARGE} bytes "
            f"or more, compressed more than {_MAX_EXPANSION} times, are not read."
        )
