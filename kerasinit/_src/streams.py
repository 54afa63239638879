"""Named streams of random numbers.

Numbers drawn from a global state depend on everything that ran before. Here each draw has a named
purpose, and its seed depends only on that name and the seed of the run, so that a run that is
resumed, or skips results on disk, draws the same numbers.
"""

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *place: int | str) -> int:
    """Return the 128-bit seed of the stream ``(seed, purpose, *place)``.

    For example ``derive(seed, "order", trial, epoch)``.
    """
    name = "\x1f".join(repr(part) for part in (seed, purpose, *place))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")


def generator(seed: int, purpose: str, *place: int | str) -> np.random.Generator:
    """Return a NumPy generator at the start of the stream ``(seed, purpose, *place)``."""
    return np.random.Generator(np.random.SFC64(derive(seed, purpose, *place)))
