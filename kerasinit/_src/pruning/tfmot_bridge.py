"""The only module that imports tensorflow-model-optimization ("tfmot").

Importing tfmot sets ``TF_USE_LEGACY_KERAS=1`` for the whole process, which turns ``tf.keras`` into
tf_keras unless it was used before. Here ``tf.keras`` is resolved first and the variable is
restored, so that the import has no side effects. Nothing is imported until it is used.
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
    """Return tfmot's public module ``sparsity.keras``, imported without side effects.

    On Python 3.12 and later tfmot needs setuptools, for ``distutils``.
    """
    with _importing:
        # TensorFlow resolves `tf.keras` on first use.
        tf.keras.layers  # noqa: B018
        before = os.environ.get(_VARIABLE)
        try:
            with warnings.catch_warnings():
                # tfmot imports the deprecated `distutils`, which users cannot change.
                warnings.simplefilter("ignore", DeprecationWarning)
                package = importlib.import_module("tensorflow_model_optimization")
        finally:
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before
    public = package.sparsity.keras
    # Makes tfmot accept tf_keras layers derived from our class.
    public.PrunableLayer.register(PrunableLayer)
    return public


def prune_scope() -> Any:
    """Return a scope in which saved models with tfmot's wrapper layers can be loaded.

    It is tfmot's own scope, for tf_keras models that were saved between
    ``prune_low_magnitude`` and ``strip_pruning``. Keras 3 models have no wrapper layers, so
    they can be loaded inside or outside of the scope.

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
    """Record the policy by which a tf_keras model was wrapped, since tfmot does not."""
    _POLICIES[model] = policy


def policy_of(model: Any) -> Any:
    """Return the policy by which a tf_keras model was wrapped, or None."""
    return _POLICIES.get(model)


def wrappers(model: Any) -> list[Any]:
    """Return tfmot's wrapper layers of a tf_keras model, including those in nested models."""
    found = []
    for layer in model.layers:
        if hasattr(layer, "pruning_vars"):
            found.append(layer)
        elif hasattr(layer, "layers"):
            found.extend(wrappers(layer))
    return found
