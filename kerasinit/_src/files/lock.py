"""One process at a time works on a run.

The lock is the operating system's (``flock``): it belongs to a process, and vanishes
with it however it ends, so that a killed run can go on at once. It holds between
processes of one machine, and on network file systems that carry locks to their server
(NFS since version 4, SMB), where it may take the server some time to notice that a
machine is gone. A file system without locks is said so, and nothing is guarded there.
"""

import contextlib
import errno
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

NAME = ".lock"

_NOT_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class BusyError(ValueError):
    """Another process works on the run."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is not there.

    A folder that was made here, and has nothing in it at the end, is removed again.

    Args:
        folder: The folder of a run.

    Raises:
        BusyError: If another process holds it; the message says which.
        OSError: If the folder cannot be made or written to.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run, held(Path(run)), held(Path(run)):
    ...     pass  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    kerasinit._src.files.lock.BusyError: Another process is working on ...
    """
    made = not folder.exists()
    handle = _taken(folder)
    try:
        yield
    finally:
        if made and [path.name for path in folder.iterdir()] == [NAME]:
            with contextlib.suppress(OSError):
                (folder / NAME).unlink()
                folder.rmdir()
        os.close(handle)


def _taken(folder: Path) -> int:
    path = folder / NAME
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # Its holder has just removed the folder.
        try:
            _lock(handle, path)
            # The file may have been removed by its last holder since it was opened.
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                _sign(handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        warnings.warn(
            f"This system has no flock, so nothing keeps a second process off {path.parent}. See "
            f"that none works on it.",
            stacklevel=4,
        )
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
        raise BusyError(
            f"Another process is working on {path.parent}"
            + (f" ({holder})" if holder else "")
            + ". Wait until it ends, or name another folder with --out."
        ) from error
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        warnings.warn(
            f"The file system of {path.parent} has no locks, so nothing keeps a second process "
            f"off it. See that none works on it.",
            stacklevel=4,
        )


def _sign(handle: int) -> None:
    """Write down who holds the lock; only messages depend on it."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
