"""The content of a ticket's ``model.keras``, read without building or running anything.

Arrays are read from the archive, and the configuration is only compared with that of another
model.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src.files import keras_archives

UNSAVED = "not in model.keras"
"""The metadata key of ``trained.safetensors`` for the variables that Keras did not save."""

# Keras' name for the generator state of random layers, which Keras 3 does not save.
_RANDOM_STATE = re.compile(r"(.*/)?seed_generator_state(_\d+)?")

_LIBRARIES = ("keras", "tf_keras")
_PLAIN = ("Functional", "Model", "Sequential")

_Key = tuple[str, int, tuple[int, ...], bytes]


@dataclass(frozen=True, eq=False)
class ModelArchive:
    """The content of a ``.keras`` file.

    ``weights`` and ``moments`` count the arrays of each dtype, shape and content: the optimizer's
    variables are the moments.
    """

    weights: Mapping[_Key, int]
    moments: Mapping[_Key, int]
    config: Any

    @classmethod
    def read(cls, path: Path) -> "ModelArchive":
        """Read a file; ValueError if it is damaged, besides the errors of HDF5 and zip."""
        weights: Counter[_Key] = Counter()
        moments: Counter[_Key] = Counter()
        arrays, config = keras_archives.read_archive(path)
        for name, value in arrays.items():
            (moments if name.startswith("optimizer/") else weights)[_key(value)] += 1
        return cls(weights, moments, config)

    @property
    def is_builtin_class(self) -> bool:
        """Whether the model's class is Keras' own, without a custom step."""
        config = self.config if isinstance(self.config, dict) else {}
        library = str(config.get("module")).partition(".")[0]
        return library in _LIBRARIES and config.get("class_name") in _PLAIN

    def missing(self, state: Mapping[str, np.ndarray]) -> list[str]:
        """Return the variables of the model and its optimizer that are not there bit for bit.

        Of several variables with the same bits, as many are found as the file has such arrays.
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
    """Return whether a variable is the generator state of a random layer of Keras 3."""
    return bool(_RANDOM_STATE.fullmatch(name)) and (value.shape, value.dtype.kind) == ((2,), "u")


def unsaved_metadata(missing: list[str], state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the metadata that list what Keras did not save, apart from random state."""
    names = [name for name in missing if not is_random_state(name, state[name])]
    return {UNSAVED: "\n".join(names)} if names else {}


def unsaved_names(metadata: Mapping[str, str]) -> set[str]:
    """Return the names listed in the metadata of ``trained.safetensors``."""
    return set(metadata.get(UNSAVED, "").split("\n")) - {""}


def normalized_config(config: Any, *, numbers: bool = True) -> str:
    """Return a configuration as JSON text without what differs between builds of the same code.

    Names of layers depend on what the process built before; they are replaced by their order. Left
    out are the code of a Lambda, the ids of shared objects, and without ``numbers`` the numbers,
    which a build function may draw for each trial (a seed, a rate).
    """
    names: dict[str, str] = {}
    for name in _names(config):
        names.setdefault(name, f"#{len(names)}")
    return json.dumps(_plain(config, names, numbers), sort_keys=True)


def first_difference(found: str, wanted: str) -> str:
    """Describe the first difference between two texts of `normalized_config`."""
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
        return {
            key: _plain(part, names, numbers)
            for key, part in config.items()
            if key != "shared_object_id"
        }
    if isinstance(config, list):
        return [_plain(part, names, numbers) for part in config]
    if isinstance(config, str):
        # The module of a script has another name in the processes that it starts.
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
    return f"{at} is {found!r:.60}, not {wanted!r:.60}"
