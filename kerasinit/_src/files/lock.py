"""A lock that lets one process at a time work on a run.

It is a lock of the operating system, released when the process ends in any way, so that a killed
run can be resumed at once. It works between processes of one machine, and on network file systems
with locks (NFS since version 4, SMB), where the server may need some time to detect that a machine
is gone. On a file system without locks a warning is issued, and there is no protection.
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
    """Another process is working on the run.

    `kerasinit.lottery.run` and the questions raise it. Wait for the other process, or end it: the
    lock is released with it.
    """


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if missing and removed if empty at the end.

    Raises:
        BusyError: If another process holds the lock; the message names it.
    """
    created, path = not folder.exists(), folder / NAME
    # A soft lock, a marker file, would outlive a killed process.
    lock = filelock.FileLock(path, timeout=0, mode=0o644, fallback_to_soft=False)
    _acquire(lock, folder)
    try:
        with contextlib.suppress(OSError):
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        if created and [entry.name for entry in folder.iterdir()] == [NAME]:
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
            continue  # The holder has just removed the folder.
        except filelock.Timeout as error:
            if not (folder / NAME).exists():
                continue  # The holder has just removed it.
            with contextlib.suppress(OSError):
                holder = (folder / NAME).read_text(errors="replace")[:200].strip()
            raise BusyError(
                f"Another process is working on {folder}"
                + (f" ({holder})" if holder else "")
                + ". Wait until it ends, or choose another folder with --out."
            ) from error
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            warn(
                f"The file system of {folder} does not support locks. Make sure that no other "
                f"process works on this folder."
            )
        return
