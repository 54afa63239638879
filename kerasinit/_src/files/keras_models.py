"""A saved model, made again by the Keras that saved it, without running code from the file."""

import zipfile
from pathlib import Path
from typing import Any

import h5py

from kerasinit._src import compat
from kerasinit._src.files import json_files

_MOST_JSON = 2**28


def load_model(path: str | Path) -> Any:
    """Return the model in a file.

    A layer in it that carries a Python function of its own (a ``Lambda`` of a ``lambda``) is
    refused, as it would have to be run. Layers and functions of your own are found if they
    are registered: import their module first.

    Args:
        path: A ``.keras`` or ``.h5`` file of Keras 3 or tf_keras.

    Raises:
        ValueError: If there is no such file, it is none of these, or the model cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        holds = "a folder"
        if (path / "saved_model.pb").is_file():
            holds = "a SavedModel, whose compiled functions have no layers to look at"
        raise ValueError(
            f"{path} is {holds}. Give a .keras or .h5 file: where the model was made, "
            f"model.save('model.keras')."
        )
    if not path.is_file():
        raise ValueError(f"No such file: {path}. Give what model.save('model.keras') wrote.")
    version = _keras_version(path)
    library = compat.LIBRARIES["tf_keras" if version.startswith("2.") else "keras"]
    try:
        return library.models.load_model(path)
    # What a loader raises depends on what it stumbles over: whatever it is, there is no model.
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{path} holds a model of Keras {version or 'of an unknown version'} that cannot be "
            f"loaded: {said[0]}"
        ) from error


def _keras_version(path: Path) -> str:
    """Return which Keras saved a file, and refuse what only running code could load."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo("metadata.json").file_size > json_files.MOST_BYTES:
                    raise ValueError(f"{path} is damaged: its metadata.json is too large.")
                metadata = json_files.parse(archive.read("metadata.json"), f"{path}: metadata.json")
                return str(metadata["keras_version"])
        with h5py.File(path, "r") as file:
            described = file.attrs.get("model_config")
            if described is None:
                raise ValueError(
                    f"{path} holds weights and no model. Save it whole, with model.save(path)."
                )
            # The loader of such files in tf_keras knows no safe mode.
            config = json_files.parse(described, str(path), _MOST_JSON, json_files.OF_A_MODEL)
            if _has_code(config):
                raise ValueError(
                    f"{path} holds a Lambda layer with a Python function, which would have to be "
                    f"run. Use a named and registered function, or a layer of your own."
                )
            version = file.attrs.get("keras_version", "2.")
            return version.decode() if isinstance(version, bytes) else str(version)
    except (KeyError, TypeError, OSError, zipfile.BadZipFile) as e:
        raise ValueError(
            f"{path} is no .keras and no .h5 file of a model ({e}). Give what "
            f"model.save('model.keras') wrote."
        ) from e


def _has_code(config: Any) -> bool:
    """Return whether a model's description has a function in the form of code."""
    if isinstance(config, dict):
        return (
            any(key.endswith("_type") and value == "lambda" for key, value in config.items())
            or config.get("class_name") == "__lambda__"
            or any(_has_code(value) for value in config.values())
        )
    return isinstance(config, list) and any(_has_code(value) for value in config)
