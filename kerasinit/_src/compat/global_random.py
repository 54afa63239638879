"""The global random state of Python, NumPy, TensorFlow and both Kerases."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np

from kerasinit._src import streams
from kerasinit._src.compat.models import LIBRARIES


@contextlib.contextmanager
def global_stream(seed: int, purpose: str, *place: int | str) -> Iterator[None]:
    """Let everything that draws from global random state draw from one stream.

    For custom code, such as a function that builds a model. Python's and NumPy's states are
    restored afterwards; TensorFlow and Keras offer no way to read theirs, so those stay where the
    stream left them.
    """
    python, numpy = random.getstate(), np.random.get_state()
    # NumPy's legacy state takes 32 bits.
    short = streams.derive(seed, purpose, *place) % 2**32
    try:
        for library in LIBRARIES.values():
            library.utils.set_random_seed(short)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
