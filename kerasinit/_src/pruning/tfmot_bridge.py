"""The only module that imports tensorflow-model-optimization ("tfmot").

Importing tfmot sets ``TF_USE_LEGACY_KERAS=1`` for the whole process, which turns ``tf.keras`` into
tf_keras unless it was used before. Here ``tf.keras`` is resolved first and the variable is
restored, so that the import has no side effects. tfmot is imported when a tf_keras model is pruned,
and never for Keras 3 models.
"""

import contextlib
import importlib.util
import os
import sys
import threading
import warnings
import weakref
from typing import Any

from kerasinit._src.network.prunable_layer import PrunableLayer
from kerasinit._src.troubleshooting import see

_VARIABLE = "TF_USE_LEGACY_KERAS"
# The distributions that provide what tfmot imports. Python has no `distutils` from 3.12 on.
_DISTRIBUTIONS = {
    "tensorflow_model_optimization": "tensorflow-model-optimization",
    "tf_keras": "tf_keras",
    "distutils": "setuptools",
}
_importing = threading.Lock()
_POLICIES: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def tfmot() -> Any:
    """Return tfmot's public module ``sparsity.keras``, imported without side effects.

    Raises:
        ImportError: If tfmot, or something that it needs, is not installed.
    """
    import tensorflow as tf

    with _importing:
        # TensorFlow resolves `tf.keras` on first use.
        tf.keras.layers  # noqa: B018
        before = os.environ.get(_VARIABLE)
        try:
            with warnings.catch_warnings():
                # tfmot imports the deprecated `distutils`, which users cannot change.
                warnings.simplefilter("ignore", DeprecationWarning)
                package = importlib.import_module("tensorflow_model_optimization")
        except ImportError as error:
            raise ImportError(_explain(error), name=error.name) from error
        finally:
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before
    public = package.sparsity.keras
    # Makes tfmot accept tf_keras layers derived from our class.
    public.PrunableLayer.register(PrunableLayer)
    return public


def loaded_class(name: str) -> Any:
    """Return a public class of tfmot; None if tfmot is not loaded, or has no such class.

    Does not import tfmot: before it is loaded, no object can be an instance of its classes.
    """
    found: Any = sys.modules.get("tensorflow_model_optimization")
    for attribute in ("sparsity", "keras", name):
        found = getattr(found, attribute, None)
    return found


def _explain(error: ImportError) -> str:
    module = (error.name or "").split(".")[0]
    what = _DISTRIBUTIONS.get(module, " ".join(_DISTRIBUTIONS.values()))
    state = "cannot be imported"
    if module in _DISTRIBUTIONS:
        is_tfmot = module == "tensorflow_model_optimization"
        state = "is not installed" if is_tfmot else f"needs {what}, which is not installed"
    return (
        f"tf_keras models are pruned by tensorflow-model-optimization itself, which {state} "
        f"({error}). Keras 3 models are pruned without it. Install it by: pip install {what}. "
        f"{see('missing-tf-keras')}"
    )


def prune_scope() -> Any:
    """Return a scope in which saved models with tfmot's wrapper layers can be loaded.

    It is tfmot's own scope, for tf_keras models that were saved between
    ``prune_low_magnitude`` and ``strip_pruning``. Keras 3 models have no wrapper layers, so
    they can be loaded inside or outside of the scope. Without tf_keras there is nothing else to
    load, and the scope does nothing.

    Returns:
        A context manager.

    Raises:
        ImportError: If tf_keras is installed, but tfmot is not.

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
    if importlib.util.find_spec("tf_keras") is None:
        return contextlib.nullcontext()
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
