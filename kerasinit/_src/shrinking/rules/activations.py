"""Which activations treat each number alone."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.catalogue import exact_row
from kerasinit._src.shrinking.rules.context import as_array, identity

# Of Keras' activations, all but those that look at their neighbours.
_JOINT = {"glu", "log_softmax", "softmax", "sparsemax"}
_HELPERS = {"deserialize", "get", "serialize"}

_registered: list[Any] = []


def register_function(function: Callable[..., Any]) -> None:
    """Declare that a function treats each number alone."""
    _registered.append(function)


def elementwise(activation: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return an activation as a function of arrays; None if it may mix numbers."""
    if activation is None:
        return identity
    if compat.is_layer(activation):
        known = exact_row(type(activation)).signal == "activates" and not activation.weights
        if known and hasattr(activation, "activation"):
            return elementwise(activation.activation)
        return _called(activation) if known else None
    if getattr(activation, "__name__", "") == "linear" and is_of_keras(activation):
        return identity
    if is_of_keras(activation) or any(activation is one for one in _registered):
        return _called(activation)
    return None


def is_of_keras(activation: Any) -> bool:
    """Return whether a function is an activation of Keras that treats each number alone."""
    name = getattr(activation, "__name__", "")
    if name in _JOINT | _HELPERS:
        return False
    modules = [library.activations for library in compat.imported().values()]
    return any(
        activation is one
        for module in modules
        for key, one in vars(module).items()
        if key not in _JOINT | _HELPERS and callable(one) and not isinstance(one, type)
    )


def _called(function: Any) -> Callable[[np.ndarray], np.ndarray]:
    is_tf_keras = str(getattr(function, "__module__", "")).startswith("tf_keras") or (
        compat.is_layer(function) and compat.kerase_of(function) == "tf_keras"
    )

    def evaluate(values: np.ndarray) -> np.ndarray:
        # As a row of a batch: some take no vectors. In float64, which a layer may cast.
        row: Any = values[None]
        if is_tf_keras:
            import tensorflow as tf

            return as_array(function(tf.constant(row)))[0]
        return as_array(function(keras.ops.convert_to_tensor(row)))[0]

    return evaluate
