"""A training that is not finished, on disk: killed at any moment, it goes on from here.

A checkpoint changes no number: a training that went on from one ends in the same bits as
one that was never stopped. It is a safetensors file beside the folder that the training
will have, written whole or not at all, and removed when that folder is there. One that is
damaged, or of another training, is ignored with a word.
"""

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src.files import atomic, json_files
from kerasinit._src.files.tensors import read_tensors, serialized
from kerasinit._src.training.outcome import Point, Progress, State

_FORMAT = {"format": "kerasinit-checkpoint", "version": "1"}


class Checkpoint:
    """Where a training is kept while it runs.

    Args:
        path: The file; its folder is made when it is first written.
        belongs: What the training is, in words; a file that says otherwise is not read.
        every: Seconds between two writes; 0 writes whenever the training could be stopped.
        tell: Called with a sentence when a file is ignored.

    Raises:
        ValueError: If ``every`` is no such number.

    Example:
    >>> import tempfile
    >>> state = {"dense/kernel": np.ones((2, 3), "float32")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(Path(folder) / "c", {"place": "trial 0"}, every=0)
    ...     checkpoint.write(Progress(100, state, total=2.5))
    ...     print(checkpoint.read(state).at)
    ...     Checkpoint(Path(folder) / "c", {"place": "trial 1"}, every=0).read(state)
    100
    The checkpoint c is of another training, so this one begins again.
    """

    def __init__(
        self,
        path: Path,
        belongs: Mapping[str, str],
        every: float,
        tell: Callable[[str], None] = print,
    ) -> None:
        self._path, self._belongs = path, json.dumps(dict(belongs), sort_keys=True)
        self._every = require_seconds(every)
        self._tell = tell
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written >= self._every

    def write(self, progress: Progress) -> None:
        """Put a training's progress on disk, in the place of an earlier one."""
        tensors = {"curve": np.array([dataclasses.astuple(p) for p in progress.curve], "float64")}
        for group in ("state", "best_state", "kept"):
            for name, value in (getattr(progress, group) or {}).items():
                tensors[f"{group}/{name}"] = value
        words = {
            **_FORMAT,
            "belongs": self._belongs,
            "course": json.dumps(
                {name: getattr(progress, name) for name in ("at", "best", "total", "seconds")}
            ),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(
            self._path, serialized(tensors, {**words, "digest": _digest(words, tensors)})
        )
        self._written = time.monotonic()

    def read(self, like: Mapping[str, np.ndarray]) -> Progress | None:
        """Return the progress that is on disk, if it is whole and of this training.

        Args:
            like: The names, shapes and types of the variables that it must have.
        """
        if not self._path.is_file():
            return None
        try:
            return self._progress(*read_tensors(self._path), like)
        except _ForeignError:
            why = "is of another training"
        except (ValueError, KeyError, TypeError, OSError):
            why = "is damaged"
        self._tell(f"The checkpoint {self._path.name} {why}, so this one begins again.")
        return None

    def _progress(
        self, tensors: State, words: dict[str, str], like: Mapping[str, np.ndarray]
    ) -> Progress:
        digest = words.pop("digest")
        if digest != _digest(words, tensors):
            raise ValueError("The content is not what was written.")
        if {name: words.get(name) for name in _FORMAT} != _FORMAT:
            raise _ForeignError
        if words["belongs"] != self._belongs:
            raise _ForeignError
        course = json_files.parse(words["course"], self._path.name)
        groups: dict[str, State] = {"state": {}, "best_state": {}, "kept": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition("/")
            if group in groups:
                groups[group][rest] = value
        for group, state in groups.items():
            if (state or group == "state") and _signature(state) != _signature(like):
                raise _ForeignError
        return Progress(
            at=course["at"],
            state=groups["state"],
            curve=tuple(Point(int(row[0]), *map(float, row[1:])) for row in tensors["curve"]),
            best=course["best"],
            best_state=groups["best_state"] or None,
            kept=groups["kept"] or None,
            total=course["total"],
            seconds=course["seconds"],
        )


class _ForeignError(Exception):
    """A whole file, of something else."""


def require_seconds(every: Any) -> float:
    """Return the seconds between two checkpoints, if they are a number that can be waited for.

    Raises:
        ValueError: If they are not.
    """
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 <= every < math.inf:
        raise ValueError(f"--checkpoint-every is a number of seconds from 0 on; got {every!r}.")
    return float(every)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return a hash of arrays: of their names, types, shapes and every bit.

    Example:
    >>> digest_of({"w": np.zeros(2)}) == digest_of({"w": np.array([0.0, -0.0])})
    False
    """
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        sha.update(f"{name}\x1f{array.dtype.str}\x1f{array.shape}\x1e".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _digest(words: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    text = json.dumps(dict(words), sort_keys=True) + digest_of(tensors)
    return hashlib.sha256(text.encode()).hexdigest()


def _signature(state: Mapping[str, np.ndarray]) -> dict[str, tuple[Any, ...]]:
    return {name: (value.dtype, value.shape) for name, value in state.items()}
