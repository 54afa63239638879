"""Checkpoints of a training: killed at any moment, it resumes from here.

A checkpoint changes no number: a resumed training ends in the same bits as one that was never
stopped. It is a safetensors file beside the folder that the training will have, written
atomically and removed once that folder exists. A damaged checkpoint, or one of another
training, is ignored with a message.
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
    """The checkpoint file of a training.

    ``identity`` says which training it is; a file with another identity is not read. ``every`` is
    the number of seconds between two writes; 0 writes whenever the training can be stopped.
    ``notify`` is called with a sentence when a file is ignored.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, str],
        every: float,
        notify: Callable[[str], None] = print,
    ) -> None:
        self._path, self._identity = path, json.dumps(dict(identity), sort_keys=True)
        self._every = require_seconds(every)
        self._notify = notify
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next write."""
        return time.monotonic() - self._written >= self._every

    def write(self, progress: Progress) -> None:
        """Write a training's progress to disk, replacing the previous checkpoint."""
        tensors = {"curve": np.array([dataclasses.astuple(p) for p in progress.curve], "float64")}
        for group in ("state", "best_state", "kept"):
            for name, value in (getattr(progress, group) or {}).items():
                tensors[f"{group}/{name}"] = value
        words = {
            **_FORMAT,
            "belongs": self._identity,
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
        """Return the saved progress if it is intact and its variables match ``like``."""
        if not self._path.is_file():
            return None
        try:
            return self._progress(*read_tensors(self._path), like)
        except _ForeignError:
            reason = "is of another training"
        except (ValueError, KeyError, TypeError, OSError):
            reason = "is damaged"
        self._notify(f"The checkpoint {self._path.name} {reason}; training starts over.")
        return None

    def _progress(
        self, tensors: State, words: dict[str, str], like: Mapping[str, np.ndarray]
    ) -> Progress:
        digest = words.pop("digest")
        if digest != _digest(words, tensors):
            raise ValueError("The content is not what was written.")
        found = {name: words.get(name) for name in (*_FORMAT, "belongs")}
        if found != {**_FORMAT, "belongs": self._identity}:
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
    """An intact file of another training."""


def require_seconds(every: Any) -> float:
    """Return the seconds between two checkpoints; raise ValueError unless valid."""
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 <= every < math.inf:
        raise ValueError(f"--checkpoint-every is a number of seconds, 0 or more; got {every!r}.")
    return float(every)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return a hash of arrays: their names, dtypes, shapes and every bit."""
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
