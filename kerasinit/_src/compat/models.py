"""Models and layers of the two Kerases, and how to tell them apart.

Layers, variables and optimizers of Keras 3 and of tf_keras are unrelated classes.
"""

from typing import Any

import keras
import numpy as np

from kerasinit._src.compat.libraries import Kerase, imported, imported_tensorflow
from kerasinit._src.compat.variables import is_variable


def kerase_of(thing: Any) -> Kerase:
    """Return which Keras a model or layer belongs to, or raise TypeError if to neither."""
    for name, library in imported().items():
        if isinstance(thing, library.layers.Layer):
            return name
    raise TypeError(
        f"Expected a model or layer of Keras 3 (`import keras`) or of tf_keras "
        f"(`import tf_keras`); got {thing!r} of type {type(thing).__module__}."
        f"{type(thing).__qualname__}."
    )


def library_of(thing: Any) -> Any:
    """Return the package of a model or layer: ``keras`` or ``tf_keras``."""
    return imported()[kerase_of(thing)]


def is_model(thing: Any) -> bool:
    """Return whether ``thing`` is a model (not merely a layer) of either Keras."""
    return isinstance(thing, tuple(one.Model for one in imported().values()))


def is_layer(thing: Any) -> bool:
    """Return whether ``thing`` is a layer (or model) of either Keras."""
    return isinstance(thing, layer_classes("Layer"))


def layer_classes(*names: str) -> tuple[type, ...]:
    """Return the layer classes of these names in the imported Kerases, where they exist."""
    return classes("layers", *names)


def classes(module: str, *names: str) -> tuple[type, ...]:
    """Return the classes of these names in a module of the imported Kerases, where they exist.

    tf_keras may be imported at any time, so the result is not to be kept.
    """
    modules = [getattr(library, module) for library in imported().values()]
    return tuple(getattr(one, name) for one in modules for name in names if hasattr(one, name))


def is_array(thing: Any) -> bool:
    """Return whether something is a NumPy array, a tensor or a variable."""
    if isinstance(thing, np.ndarray | np.generic) or is_variable(thing):
        return True
    tf = imported_tensorflow()
    return bool((tf is not None and tf.is_tensor(thing)) or keras.ops.is_tensor(thing))


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
    if hasattr(layer, "pruning_vars") and isinstance(layer, layer_classes("Wrapper")):
        return layer.layer
    return layer


def known_shape(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's static shape, or raise ValueError if a dimension is unknown."""
    shape = tuple(tensor.shape)
    if None in shape:
        raise ValueError(f"Expected a tensor of a fully known shape; got {shape}.")
    return shape
