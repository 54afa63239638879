"""The global random state of Python, NumPy, TensorFlow and the imported Kerases."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np

from kerasinit._src import streams
from kerasinit._src.compat.libraries import imported


@contextlib.contextmanager
def global_stream(seed: int, purpose: str, *place: int | str) -> Iterator[None]:
    """Seed all global random generators from one named stream within the block.

    For custom code, such as a function that builds a model. The states of Python and NumPy are
    restored afterwards; those of TensorFlow and Keras cannot be read, and so are not.
    """
    python, numpy = random.getstate(), np.random.get_state()
    # NumPy's legacy generator accepts 32 bits.
    short_seed = streams.derive(seed, purpose, *place) % 2**32
    try:
        for library in imported().values():
            library.utils.set_random_seed(short_seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
