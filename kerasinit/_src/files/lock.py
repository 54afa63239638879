"""One process at a time works on a run.

The lock is the operating system's: it belongs to a process, and vanishes with it however
it ends, so that a killed run can go on at once. It holds between processes of one machine,
and on network file systems that carry locks to their server (NFS since version 4, SMB),
where it may take the server some time to notice that a machine is gone. On a file system
without locks there is a warning, and nothing is guarded.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from kerasinit._src.errors import warn

NAME = ".lock"

_NOT_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class BusyError(ValueError):
    """Another process works on the run."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is not there.

    A folder that was made here, and has nothing in it at the end, is removed again.

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
    made, path = not folder.exists(), folder / NAME
    # A marker that stands for a lock would outlive a process that is killed.
    lock = filelock.FileLock(path, timeout=0, mode=0o644, fallback_to_soft=False)
    _acquire(lock, folder)
    try:
        with contextlib.suppress(OSError):
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        if made and [entry.name for entry in folder.iterdir()] == [NAME]:
            with contextlib.suppress(OSError):
                path.unlink()
                folder.rmdir()
        lock.release()


def _acquire(lock: filelock.BaseFileLock, folder: Path) -> None:
    holder = ""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except FileNotFoundError:
            continue  # Its holder has just removed the folder.
        except filelock.Timeout as error:
            if not (folder / NAME).exists():
                continue  # Its holder has just removed it.
            with contextlib.suppress(OSError):
                holder = (folder / NAME).read_text(errors="replace")[:200].strip()
            raise BusyError(
                f"Another process is working on {folder}"
                + (f" ({holder})" if holder else "")
                + ". Wait until it ends, or name another folder with --out."
            ) from error
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            warn(
                f"The file system of {folder} has no locks, so nothing keeps a second process "
                f"off it. See that none works on it."
            )
        return
