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
import weakref
from typing import Any

import tensorflow as tf

from kerasinit._src.network.prunable_layer import PrunableLayer

_VARIABLE = "TF_USE_LEGACY_KERAS"
_importing = threading.Lock()
_POLICIES: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


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
    public = package.sparsity.keras
    # A tf_keras layer that derives from ours is one of tfmot's, too.
    public.PrunableLayer.register(PrunableLayer)
    return public


def prune_scope() -> Any:
    """Return a scope in which files of models that tfmot wrapped can be loaded.

    It is tfmot's, for tf_keras models that were saved between ``prune_low_magnitude`` and
    ``strip_pruning``. Keras 3 models have no wrapper layers, so that their files load
    anywhere; inside the scope they load as well.

    Example:
    >>> import os, tempfile
    >>> import tf_keras
    >>> from kerasinit import pruning
    >>> model = tf_keras.Sequential([tf_keras.Input((8,)), tf_keras.layers.Dense(4)])
    >>> pruned = pruning.prune_low_magnitude(model)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pruned.keras")
    ...     pruned.save(path)
    ...     with pruning.prune_scope():
    ...         loaded = tf_keras.models.load_model(path, compile=False)
    >>> type(loaded.layers[0]).__name__
    'PruneLowMagnitude'
    """
    return tfmot().prune_scope()


def remember_policy(model: Any, policy: Any) -> None:
    """Remember the policy by which tfmot wrapped a tf_keras model; tfmot itself does not."""
    _POLICIES[model] = policy


def policy_of(model: Any) -> Any:
    """Return the policy by which a tf_keras model was wrapped, None if there was none."""
    return _POLICIES.get(model)


def wrappers(model: Any) -> list[Any]:
    """Return the layers of a tf_keras model that tfmot wrapped, nested models included."""
    found = []
    for layer in model.layers:
        if hasattr(layer, "pruning_vars"):
            found.append(layer)
        elif hasattr(layer, "layers"):
            found.extend(wrappers(layer))
    return found
