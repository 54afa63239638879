"""Files and folders that are there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file beside its name, flush it to the disk, then give it its name.

    Raises:
        FileExistsError: If there is something of that name.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; nothing is overwritten.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    _flush(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill, that gets its name when it is full.

    A folder that a killed process left half-filled is thrown away first: it never
    had its name, so nobody counts on it.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; nothing is overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    yield beside
    for file in beside.iterdir():
        _flush(file)
    _flush(beside)
    beside.rename(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
