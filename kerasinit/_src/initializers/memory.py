"""Reuse of memory for large tensors.

Initial values are short-lived: they are copied into a variable and freed, and then those of the
next kernel are allocated. The C library reuses freed blocks of up to 32 MB and returns larger ones
to the system, which maps and clears new pages for the next request. For a large kernel that takes
longer than filling it with ones, in a virtual machine much longer. So one freed block of such a
size is kept here for the next tensor that fits.
"""

import math
import threading
import weakref
from typing import Any

import numpy as np

_SMALLEST = 2**25  # bytes; the C library reuses smaller blocks itself
_LARGEST = 2**27  # bytes; the most that is ever held unused

_free: list[np.ndarray] = []
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an uninitialized array, as `numpy.empty` does.

    It may reuse the memory of an earlier array, once that array and all its views are gone.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    with _lock:
        block = _free.pop() if _free else None
    if block is None or block.size < size:
        block = np.empty(size, np.uint8)
    # An array over a memoryview does not own its memory, so it is the base that every view
    # keeps alive, and its finalizer runs when the last view is gone.
    whole = np.frombuffer(block.data, np.uint8)
    finalizer = weakref.finalize(whole, _keep, block)
    finalizer.atexit = False
    return whole[:size].view(dtype).reshape(shape)


def full(shape: tuple[int, ...], dtype: np.dtype, value: Any) -> np.ndarray:
    """Return an array filled with a value, as `numpy.full` does."""
    values = empty(shape, dtype)
    values[...] = value
    return values


def _keep(block: np.ndarray) -> None:
    # The garbage collector may run this during a call of `empty`, so it must not block.
    if _lock.acquire(blocking=False):
        if not _free:
            _free.append(block)
        _lock.release()
