"""Atomic writes: a file or folder exists under its final name completely or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

# Disk full, quota exceeded, file too large.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoSpaceError(OSError):
    """The disk is full. Files under their final names are intact.

    `kerasinit.lottery.run` raises it. Free some space and repeat the call, which resumes the run.
    """


@contextlib.contextmanager
def reporting_full_disk(folder: Path) -> Iterator[None]:
    """Convert errors caused by a full disk into a `NoSpaceError`.

    Some writers (HDF5, archives) wrap the system's error, so the chain of causes is searched.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, NoSpaceError) and _is_full(error):
            raise NoSpaceError(
                f"No space left in {folder}. Free some space and repeat the command; completed "
                f"work is kept."
            ) from error
        raise


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(os.strerror(number) in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_new(path: Path, content: bytes) -> None:
    """Write a new file atomically; an existing one raises a FileExistsError."""
    if path.exists():
        raise FileExistsError(f"{path} already exists and is not overwritten.")
    replace(path, content)


def replace(path: Path, content: bytes) -> None:
    """Write a file atomically: if the process is killed, the old or the new content is intact."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _flush(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, which is renamed to ``path`` at the end of the block.

    An incomplete folder left by a killed process is removed first.
    """
    if path.exists():
        raise FileExistsError(f"{path} already exists and is not overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            _flush(file)
        _flush(partial)
        partial.rename(path)
    except BaseException:
        # Frees the space on a full disk.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _flush(path.parent)


def create_folder(folder: Path, record: str, content: bytes) -> None:
    """Create a writable folder with a record of its purpose, unless they exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Fails before hours of training, not after.
        with tempfile.TemporaryFile(dir=folder):
            pass
        if not (folder / record).exists():
            write_new(folder / record, content)
    except OSError as error:
        raise not_writable(folder, error) from error


def not_writable(folder: Path, error: OSError) -> ValueError:
    """Return the error for a folder that cannot be written to."""
    return ValueError(
        f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out."
    )


def has_record(folder: Path, record: str, kind: str, *others: str) -> bool:
    """Return whether a folder contains its record; without one it must be empty or missing.

    Partial files and the names in ``others`` do not count. ``kind`` describes the expected
    content in error messages.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --out must name a folder.")
    if (folder / record).exists():
        return True
    entries = folder.iterdir() if folder.is_dir() else ()
    if any(path.name not in others and not is_partial(path) for path in entries):
        raise ValueError(
            f"{folder} is not empty and contains no {kind}. Choose another folder with --out."
        )
    return False


def remove_partial(folder: Path) -> None:
    """Remove partial files and folders of killed processes; requires the lock of the folder."""
    for path in [path for path in folder.rglob(".*") if is_partial(path)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Return whether a file or folder is incomplete, by its name."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def new_outputs(options: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the paths that are given for options, after checking that they can be created."""
    outputs = {name: path for name, path in options.items() if path is not None}
    for name, path in outputs.items():
        if path.exists():
            raise FileExistsError(
                f"--{name}: {path} already exists and is not overwritten. Choose another name, "
                f"or remove it first."
            )
        if not path.absolute().parent.is_dir():
            raise ValueError(f"--{name}: the folder {path.parent} of {path.name} does not exist.")
        if name in ("png", "svg") and path.suffix != f".{name}":
            raise ValueError(f"--{name} needs a name that ends in .{name}; got {path}.")
    if len({path.absolute() for path in outputs.values()}) < len(outputs):
        raise ValueError(
            f"Two outputs have the same name: {', '.join(map(str, outputs.values()))}."
        )
    return outputs
