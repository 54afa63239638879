"""Memory for large tensors, used again.

An initial value lives for a moment: it is copied into a variable and freed, and the next
kernel's takes its place. The C library keeps freed memory for the next request up to 32 MB
and gives what is larger back to the system at once, which has to fetch and clear it anew:
for a large kernel that takes longer than filling it with ones, and in a virtual machine
much longer. So one freed block of such a size is kept here, until a tensor wants more.
"""

import math
import threading
import weakref
from typing import Any

import numpy as np

_SMALLEST = 2**25  # bytes; what is smaller the C library keeps
_LARGEST = 2**27  # bytes; never more than this is held without use

_free: list[np.ndarray] = []
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array with no values yet, as `numpy.empty` does.

    It may stand in memory that a tensor from here had before. That tensor and every view
    of it are gone by then.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    with _lock:
        block = _free.pop() if _free else None
    if block is None or block.size < size:
        block = np.empty(size, np.uint8)
    # An array over a memoryview does not own its memory, and is what all views of it keep
    # alive: NumPy's chains of bases end there.
    whole = np.frombuffer(block.data, np.uint8)
    finalizer = weakref.finalize(whole, _keep, block)
    finalizer.atexit = False
    return whole[:size].view(dtype).reshape(shape)


def full(shape: tuple[int, ...], dtype: np.dtype, value: Any) -> np.ndarray:
    """Return an array with one value everywhere, as `numpy.full` does."""
    values = empty(shape, dtype)
    values[...] = value
    return values


def _keep(block: np.ndarray) -> None:
    # Run by the garbage collector, perhaps within a call of `empty`: it may not wait.
    if _lock.acquire(blocking=False):
        if not _free:
            _free.append(block)
        _lock.release()
