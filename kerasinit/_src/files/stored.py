"""A variable in an open file, whatever the format, before its values are read."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Path = str | os.PathLike[str]

# Groups of a file that contain no variables of the model.
OTHER_GROUPS = ("keras_api", "metrics", "optimizer", "optimizer_weights", "save_counter")


@dataclass(frozen=True)
class Stored:
    """A variable in an open file."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    other_names: frozenset[str] = frozenset()


def name_ends(name: str) -> Iterator[str]:
    """Yield a name and its suffixes from each ``/`` on, with and without ``:0``."""
    for whole in (name, name.removesuffix(":0")):
        parts = whole.split("/")
        for start in range(len(parts)):
            yield "/".join(parts[start:])


def numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Return real numbers in the native byte order."""
    known = values.dtype.kind in "fiub" or values.dtype.name == "bfloat16"
    if not known:
        raise ValueError(f"{name!r} has dtype {values.dtype}; expected real numbers.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)
