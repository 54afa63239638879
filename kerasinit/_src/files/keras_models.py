"""Loading of saved models with the Keras that saved them, without executing code in the file."""

import zipfile
from pathlib import Path
from typing import Any

import h5py

from kerasinit._src import compat
from kerasinit._src.files import json_files

_MAX_JSON = 2**28


def load_model(path: str | Path, *, compiled: bool = True) -> Any:
    """Return the model in a ``.keras`` or ``.h5`` file of Keras 3 or tf_keras.

    Custom layers and functions must be registered, by an import of their module. A layer that
    contains Python code (a ``Lambda`` of a ``lambda``) is rejected. ``compiled`` is whether the
    loss, the optimizer and its state are loaded, too.
    """
    path = Path(path)
    if path.is_dir():
        kind = "a folder"
        if (path / "saved_model.pb").is_file():
            kind = "a SavedModel, whose compiled functions have no layers to inspect"
        raise ValueError(
            f"{path} is {kind}. Give a .keras or .h5 file, saved with model.save('model.keras')."
        )
    if not path.is_file():
        raise ValueError(f"No such file: {path}. Give a file saved with model.save('model.keras').")
    version = _keras_version(path)
    library = compat.library("tf_keras" if version.startswith("2.") else "keras")
    try:
        return library.models.load_model(path, compile=compiled)
    except Exception as error:  # a loader may raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{path} contains a model of Keras {version or 'of an unknown version'} that cannot "
            f"be loaded: {reason[0]}"
        ) from error


def _keras_version(path: Path) -> str:
    """Return the version of Keras that saved a file; reject files that contain code."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo("metadata.json").file_size > json_files.MAX_BYTES:
                    raise ValueError(f"{path} is damaged: its metadata.json is too large.")
                metadata = json_files.parse(archive.read("metadata.json"), f"{path}: metadata.json")
                return str(metadata["keras_version"])
        with h5py.File(path, "r") as file:
            described = file.attrs.get("model_config")
            if described is None:
                raise ValueError(
                    f"{path} contains weights only. Save the whole model, with model.save(path)."
                )
            # tf_keras has no safe mode for .h5 files.
            config = json_files.parse(described, str(path), _MAX_JSON, json_files.MAX_MODEL_DEPTH)
            if _has_code(config):
                raise ValueError(
                    f"{path} contains a Lambda layer with Python code, which is not executed. Use "
                    f"a named and registered function, or a custom layer."
                )
            version = file.attrs.get("keras_version", "2.")
            return version.decode() if isinstance(version, bytes) else str(version)
    except (KeyError, TypeError, OSError, zipfile.BadZipFile) as e:
        raise ValueError(
            f"{path} is not a .keras or .h5 file of a model ({e}). Give a file saved with "
            f"model.save('model.keras')."
        ) from e


def _has_code(config: Any) -> bool:
    """Return whether the configuration of a model contains a function as code."""
    if isinstance(config, dict):
        return (
            any(key.endswith("_type") and value == "lambda" for key, value in config.items())
            or config.get("class_name") == "__lambda__"
            or any(_has_code(value) for value in config.values())
        )
    return isinstance(config, list) and any(_has_code(value) for value in config)
