"""The only door to tensorflow-model-optimization ("tfmot").

Importing tfmot sets ``TF_USE_LEGACY_KERAS=1`` for the whole process, and then
``tf.keras`` becomes tf_keras for everyone who has not looked at it before. Here
``tf.keras`` is looked at first and the variable is put back, so that a process is the
same after the import as before it. Nothing is imported until it is asked for.
"""

import importlib
import os
import threading
import warnings
from typing import Any

import tensorflow as tf

_VARIABLE = "TF_USE_LEGACY_KERAS"
_importing = threading.Lock()


def tfmot() -> Any:
    """Return tfmot's public ``sparsity.keras`` module, imported without a trace.

    Raises:
        ImportError: If tfmot is not installed, or on Python 3.12 and later if
            setuptools, whose ``distutils`` it needs, is not.
    """
    with _importing:
        # TensorFlow decides which Keras `tf.keras` is when it is first used.
        tf.keras.layers  # noqa: B018
        before = os.environ.get(_VARIABLE)
        try:
            with warnings.catch_warnings():
                # tfmot imports `distutils`, which warns; its user can do nothing about it.
                warnings.simplefilter("ignore", DeprecationWarning)
                package = importlib.import_module("tensorflow_model_optimization")
        finally:
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before
    return package.sparsity.keras


def wrappers(model: Any) -> list[Any]:
    """Return the layers of a tf_keras model that tfmot wrapped, nested models included."""
    found = []
    for layer in model.layers:
        if hasattr(layer, "pruning_vars"):
            found.append(layer)
        elif hasattr(layer, "layers"):
            found.extend(wrappers(layer))
    return found
