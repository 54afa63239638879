"""The two Kerases that a test may use, and what an environment may be without.

tf_keras and tfmot are optional, and the oldest Keras does less than the newest. A test takes
``tf_keras`` from here. Where it is not installed, the first touch of it skips the test, so that a
case, a test or a twin for tf_keras is skipped, and all that concerns Keras 3 alone is run. At
the head of a module, where nothing can be skipped, such a touch is an error: what is made there is
made of each of `INSTALLED` or `KERASES`, or hangs on `HAS_TF_KERAS`.
"""

import importlib.util
from types import ModuleType
from typing import Any

import keras
import pytest
from packaging.version import Version


class Missing(ModuleType):
    """Stands for a library that is not installed: to touch it is to skip the test."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by pytest and inspect of whatever they meet
            raise AttributeError(name)
        pytest.skip(f"{self.__name__} is not installed")


HAS_TF_KERAS = importlib.util.find_spec("tf_keras") is not None
HAS_TFMOT = importlib.util.find_spec("tensorflow_model_optimization") is not None

if HAS_TF_KERAS:
    import tf_keras
else:
    tf_keras = Missing("tf_keras")

INSTALLED = (keras, tf_keras) if HAS_TF_KERAS else (keras,)
"""The Kerases that are here, for a test of each, or what is made of each for several tests."""


class _ByName(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        pytest.skip(f"{name} is not installed")


KERASES = _ByName({library.__name__: library for library in INSTALLED})
"""The Kerases that are here by their names; to ask for one that is not is to skip the test."""

needs_tf_keras = pytest.mark.skipif(not HAS_TF_KERAS, reason="tf_keras is not installed")
needs_tfmot = pytest.mark.skipif(
    not HAS_TFMOT, reason="tensorflow-model-optimization is not installed"
)


def registered(package: str) -> Any:
    """Return a decorator that registers a class with every Keras that is here."""

    def register(kind: type) -> type:
        for library in INSTALLED:
            library.saving.register_keras_serializable(package)(kind)
        return kind

    return register


def has_keras(version: str) -> bool:
    """Return whether Keras is of a version or later; its nightly builds count as that version."""
    return Version(Version(keras.__version__).base_version) >= Version(version)


def since_keras(version: str, what: str) -> pytest.MarkDecorator:
    """Mark what Keras has, or does right, from a version on."""
    return pytest.mark.skipif(not has_keras(version), reason=f"from Keras {version} on: {what}")


def until_keras(version: str, what: str) -> pytest.MarkDecorator:
    """Mark what Keras has no longer from a version on."""
    return pytest.mark.skipif(has_keras(version), reason=f"until Keras {version}: {what}")


hears_of_axes = since_keras("3.15", "initializers hear of the axes of a kernel")
finds_registered_names = until_keras("3.16", "a layer finds registered initializers by their names")
