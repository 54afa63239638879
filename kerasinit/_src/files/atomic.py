"""Files and folders that are there whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

# No space, no space left of one's share, a file larger than is allowed.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoSpaceError(OSError):
    """The disk is full. Nothing under a final name is damaged."""


@contextlib.contextmanager
def saying_if_full(folder: Path) -> Iterator[None]:
    """Turn what a full disk raises within the block into a `NoSpaceError` that says what to do.

    Some writers (of HDF5, of archives) wrap the system's error in one of their own; it is
    looked for among the causes.

    Example:
    >>> with saying_if_full(Path("RUN")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    kerasinit._src.files.atomic.NoSpaceError: No space left in RUN. Free some and repeat the \
command: what was finished is kept.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, NoSpaceError) and _is_full(error):
            raise NoSpaceError(
                f"No space left in {folder}. Free some and repeat the command: what was finished "
                f"is kept."
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
    """Write a file beside its name, flush it to the disk, then give it its name.

    Raises:
        FileExistsError: If there is something of that name.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; nothing is overwritten.")
    put(path, content)


def put(path: Path, content: bytes) -> None:
    """Write a file as `write_new` does, in the place of an older one if there is one.

    Whenever the process is killed, the name belongs to the whole older file or to the whole
    newer one.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
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
    try:
        yield beside
        for file in beside.iterdir():
            _flush(file)
        _flush(beside)
        beside.rename(path)
    except BaseException:
        # On a full disk the half of a folder would stand in the way of everything else.
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _flush(path.parent)


def begin_folder(folder: Path, record: str, content: bytes) -> None:
    """Make a folder whose record says what it is for, unless it is there.

    Raises:
        ValueError: If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Fail before hours of training, not after.
        with tempfile.TemporaryFile(dir=folder):
            pass
        if not (folder / record).exists():
            write_new(folder / record, content)
    except OSError as error:
        raise not_writable(folder, error) from error


def not_writable(folder: Path, error: OSError) -> ValueError:
    """Return the error for a folder that cannot be written to."""
    return ValueError(
        f"Cannot write to {folder}: {error.strerror}. Name another folder with --out."
    )


def has_record(folder: Path, record: str, kind: str, *others: str) -> bool:
    """Return whether a folder has the record of its kind.

    Args:
        folder: It need not be there.
        record: The name of the file.
        kind: What errors call such a folder's content.
        others: Names that may be there without it, beside what a killed process leaves.

    Raises:
        ValueError: If it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --out must name a folder.")
    if (folder / record).exists():
        return True
    left = folder.iterdir() if folder.is_dir() else ()
    if any(path.name not in others and not is_left_over(path) for path in left):
        raise ValueError(
            f"{folder} is not empty and holds no {kind}. Name another folder with --out."
        )
    return False


def sweep(folder: Path) -> None:
    """Remove what killed processes left under the names of unfinished files and folders.

    Only for who holds the folder's lock: another process may be writing them.
    """
    for left in [path for path in folder.rglob(".*") if is_left_over(path)]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def is_left_over(path: Path) -> bool:
    """Return whether a file or folder has the name of an unfinished one."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def new_outputs(wanted: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the outputs that are wanted, if each can be written to a new file.

    Args:
        wanted: Where to write each, by the name of its option; ``None`` is left out.

    Raises:
        FileExistsError: If one of the files is there.
        ValueError: If a file cannot have its name.
    """
    chosen = {name: path for name, path in wanted.items() if path is not None}
    for name, path in chosen.items():
        if path.exists():
            raise FileExistsError(
                f"--{name}: {path} is there already; nothing is overwritten. Name another, or "
                f"remove it first."
            )
        if not path.absolute().parent.is_dir():
            raise ValueError(f"--{name}: there is no folder {path.parent} to write {path.name} to.")
        if name in ("png", "svg") and path.suffix != f".{name}":
            raise ValueError(f"--{name} needs a name that ends in .{name}; got {path}.")
    if len({path.absolute() for path in chosen.values()}) < len(chosen):
        raise ValueError(f"Two outputs have one name: {', '.join(map(str, chosen.values()))}.")
    return chosen
