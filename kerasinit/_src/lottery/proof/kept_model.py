"""What a ticket's ``model.keras`` holds, as far as files can be compared with it.

Nothing in it is made or run: arrays are read as they lie in the archive, and the configuration
is only held against that of another model.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src.files import keras_variables

LEFT_OUT = "not in model.keras"
"""The words of ``trained.safetensors`` that name what Keras did not save, a line for each."""

# What Keras calls the state of the generators in random layers, which Keras 3 does not save.
_RANDOM_STATE = re.compile(r"(.*/)?seed_generator_state(_\d+)?")

_LIBRARIES = ("keras", "tf_keras")
_PLAIN = ("Functional", "Model", "Sequential")

_Key = tuple[str, int, tuple[int, ...], bytes]


@dataclass(frozen=True, eq=False)
class KeptModel:
    """The content of a ``.keras`` file.

    Attributes:
        weights: How often the file has an array of a kind, a shape and some bytes, but for the
            optimizer's.
        moments: The same of the optimizer's variables.
        config: The model's configuration.
    """

    weights: Mapping[_Key, int]
    moments: Mapping[_Key, int]
    config: Any

    @classmethod
    def read(cls, path: Path) -> "KeptModel":
        """Return what a file holds.

        Raises:
            ValueError: If it is too large, or damaged; HDF5 and zip have errors of their own.
        """
        weights: Counter[_Key] = Counter()
        moments: Counter[_Key] = Counter()
        arrays, config = keras_variables.read_archive(path)
        for name, value in arrays.items():
            (moments if name.startswith("optimizer/") else weights)[_key(value)] += 1
        return cls(weights, moments, config)

    @property
    def is_of_kerass_own_class(self) -> bool:
        """Whether the model is a plain one, whose steps are Keras' own."""
        config = self.config if isinstance(self.config, dict) else {}
        library = str(config.get("module")).partition(".")[0]
        return library in _LIBRARIES and config.get("class_name") in _PLAIN

    def lacks(self, state: Mapping[str, np.ndarray]) -> list[str]:
        """Return the variables of the model and its optimizer that are not there bit for bit.

        Of several with the same bits, as many as the file has arrays of them count as there.

        Args:
            state: Variables by name; the optimizer's begin with ``optimizer/``.
        """
        left = Counter(self.weights), Counter(self.moments)
        missing = []
        for name, value in state.items():
            arrays, key = left[name.startswith("optimizer/")], _key(value)
            if not arrays[key]:
                missing.append(name)
            arrays[key] -= 1
        return missing


def is_random_state(name: str, value: np.ndarray) -> bool:
    """Return whether a variable is where a random layer of Keras 3 stands in its numbers.

    Example:
    >>> is_random_state("dropout/seed_generator_state", np.zeros(2, "uint32"))
    True
    """
    return bool(_RANDOM_STATE.fullmatch(name)) and (value.shape, value.dtype.kind) == ((2,), "u")


def words_of(missing: list[str], state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the words that say what Keras did not save; none if it is random state alone."""
    names = [name for name in missing if not is_random_state(name, state[name])]
    return {LEFT_OUT: "\n".join(names)} if names else {}


def left_out(words: Mapping[str, str]) -> set[str]:
    """Return the names in the words of ``trained.safetensors``."""
    return set(words.get(LEFT_OUT, "").split("\n")) - {""}


def comparable(config: Any, *, numbers: bool = True) -> str:
    """Return a configuration without what another build of the same code changes.

    Names of layers are numbered by what a process made before; they become the number of their
    place. Left out are the code of a Lambda, the ids of shared objects, and on demand numbers:
    what a build function draws for each trial (a seed, a rate) differs between trials.

    Args:
        config: The configuration of a model, as Keras saved it.
        numbers: Whether to keep numbers.

    Returns:
        JSON, to be compared as text.
    """
    names: dict[str, str] = {}
    for name in _names(config):
        names.setdefault(name, f"#{len(names)}")
    return json.dumps(_plain(config, names, numbers), sort_keys=True)


def difference(found: str, wanted: str) -> str:
    """Say where two texts of `comparable` differ first."""
    return _difference(json.loads(found), json.loads(wanted), "config")


def _key(value: np.ndarray) -> _Key:
    return value.dtype.kind, value.dtype.itemsize, value.shape, value.tobytes()


def _names(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        inside = config.get("config")
        if "class_name" in config and isinstance(inside, dict):
            name = inside.get("name")
            if isinstance(name, str):
                yield name
        for part in config.values():
            yield from _names(part)
    elif isinstance(config, list):
        for part in config:
            yield from _names(part)


def _plain(config: Any, names: Mapping[str, str], numbers: bool) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            return "a Lambda's code"
        found = {}
        for key, part in config.items():
            if key != "shared_object_id":
                found[key] = _plain(part, names, numbers)
        return found
    if isinstance(config, list):
        parts = []
        for part in config:
            parts.append(_plain(part, names, numbers))
        return parts
    if isinstance(config, str):
        # The module of a script is called otherwise in the processes that it starts.
        return names.get(config, "__main__" if config == "__mp_main__" else config)
    if isinstance(config, int | float) and not isinstance(config, bool) and not numbers:
        return "a number"
    return config


def _difference(found: Any, wanted: Any, at: str) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            if found.get(key) != wanted.get(key):
                return _difference(found.get(key), wanted.get(key), f"{at}.{key}")
    if isinstance(found, list) and isinstance(wanted, list):
        for number, (mine, theirs) in enumerate(zip(found, wanted, strict=False)):
            if mine != theirs:
                return _difference(mine, theirs, f"{at}[{number}]")
        if len(found) != len(wanted):
            return f"{at} has {len(found)} parts, not {len(wanted)}"
    return f"{at} is {_short(found)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
