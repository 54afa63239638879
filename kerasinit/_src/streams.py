"""Named streams of random numbers: every draw has an owner.

A number that is drawn "from the global state" depends on everything that ran
before it. Here a draw names what it is for, and gets a seed that depends on that
name and on the run's seed alone, so that a run that was interrupted, or that
skips what is already on disk, draws the same numbers.
"""

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *place: int | str) -> int:
    """Return the 128-bit seed of the stream named ``(seed, purpose, *place)``.

    Args:
        seed: The run's seed, any integer.
        purpose: What the numbers are for, such as ``"order"``.
        *place: Where they are used, such as the trial and the epoch.

    Example:
    >>> derive(0, "order", 0) == derive(0, "order", 0)
    True
    >>> derive(0, "order", 0) == derive(0, "order", 1)
    False
    """
    name = "\x1f".join(repr(part) for part in (seed, purpose, *place))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")


def generator(seed: int, purpose: str, *place: int | str) -> np.random.Generator:
    """Return a NumPy generator at the start of the stream ``(seed, purpose, *place)``."""
    return np.random.Generator(np.random.SFC64(derive(seed, purpose, *place)))
