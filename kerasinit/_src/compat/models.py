"""Models and layers of the two Kerases, and how to tell them apart.

"Keras 3" is the package ``keras``; ``tf_keras`` is Keras 2, which TensorFlow used to ship. Their
layers, variables and optimizers are unrelated classes.
"""

import re
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
import tf_keras

Kerase = Literal["keras", "tf_keras"]

# Neither Keras is typed.
LIBRARIES: dict[Kerase, Any] = {"keras": keras, "tf_keras": tf_keras}
_LAYERS = (keras.layers.Layer, tf_keras.layers.Layer)
_MODELS = (keras.Model, tf_keras.Model)


def kerase_of(thing: Any) -> Kerase:
    """Return which Keras a model or layer belongs to, or raise TypeError if to neither."""
    for name, library in LIBRARIES.items():
        if isinstance(thing, library.layers.Layer):
            return name
    raise TypeError(
        f"Expected a model or layer of Keras 3 (`import keras`) or of tf_keras "
        f"(`import tf_keras`); got {thing!r} of type {type(thing).__module__}."
        f"{type(thing).__qualname__}."
    )


def library_of(thing: Any) -> Any:
    """Return the package of a model or layer: ``keras`` or ``tf_keras``."""
    return LIBRARIES[kerase_of(thing)]


def is_model(thing: Any) -> bool:
    """Return whether ``thing`` is a model (not merely a layer) of either Keras."""
    return isinstance(thing, _MODELS)


def is_layer(thing: Any) -> bool:
    """Return whether ``thing`` is a layer (or model) of either Keras."""
    return isinstance(thing, _LAYERS)


def layer_classes(*names: str) -> tuple[type, ...]:
    """Return the layer classes of these names in both Kerases; missing ones are skipped."""
    return classes("layers", *names)


def classes(module: str, *names: str) -> tuple[type, ...]:
    """Return the classes of these names in a module of both Kerases; missing ones are skipped."""
    modules = [getattr(library, module) for library in LIBRARIES.values()]
    return tuple(getattr(one, name) for one in modules for name in names if hasattr(one, name))


def is_array(thing: Any) -> bool:
    """Return whether something is a NumPy array, a tensor or a variable."""
    if isinstance(thing, np.ndarray | np.generic | keras.Variable | tf.Variable):
        return True
    return bool(tf.is_tensor(thing) or keras.ops.is_tensor(thing))


def is_built(model: Any) -> bool:
    """Return whether every variable of a model has been created.

    A Keras 3 model without a ``call``, such as a GAN, is never built itself; its layers are.
    """
    if kerase_of(model) == "tf_keras":
        return bool(model.built and model.weights)
    return bool(model.built) or (type(model).call is keras.Model.call and bool(model.weights))


def unwrapped(layer: Any) -> Any:
    """Return the layer inside tfmot's pruning wrapper, or the layer itself.

    This keeps variable paths of a tf_keras model the same after ``prune_low_magnitude``. The
    public attribute ``pruning_vars`` identifies the wrapper without importing tfmot.
    """
    if isinstance(layer, tf_keras.layers.Wrapper) and hasattr(layer, "pruning_vars"):
        return layer.layer
    return layer


def snake_case(name: str) -> str:
    """Return the layer name that Keras derives from a class name.

    Example:
    >>> snake_case("EinsumDense"), snake_case("Conv2D"), snake_case("LSTM")
    ('einsum_dense', 'conv2d', 'lstm')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def known_shape(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's static shape, or raise ValueError if a dimension is unknown."""
    shape = tuple(tensor.shape)
    if None in shape:
        raise ValueError(f"Expected a tensor of a fully known shape; got {shape}.")
    return shape
