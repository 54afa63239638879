"""Names, values and dtypes of variables, in both Kerases."""

from typing import Any

import keras
import numpy as np

from kerasinit._src.compat.libraries import imported_tensorflow


def is_variable(thing: Any) -> bool:
    """Return whether something is a variable of Keras 3 or of TensorFlow."""
    tf = imported_tensorflow()
    return isinstance(thing, keras.Variable) or (tf is not None and isinstance(thing, tf.Variable))


def variable_name(variable: Any) -> str:
    """Return the last part of a variable's name, ``kernel`` in both Kerases."""
    return variable.name.rsplit("/", 1)[-1].split(":")[0]


def variable_path(variable: Any) -> str:
    """Return a variable's full path, ``multi_head_attention/query/kernel`` in both Kerases."""
    return str(getattr(variable, "path", variable.name)).split(":")[0]


def tensor(variable: Any) -> Any:
    """Return the TensorFlow variable under a Keras 3 variable, or the variable itself."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def read(variable: Any) -> np.ndarray:
    """Return a copy of a variable's value as a NumPy array."""
    return np.array(variable.numpy())


def dtype_of(variable: Any) -> str:
    """Return the name of a variable's dtype, ``float32`` in both Kerases."""
    return str(getattr(variable.dtype, "name", variable.dtype))


def assign(variable: Any, value: Any) -> None:
    """Assign a value of the same shape to a variable of either Keras."""
    # A tensor of JAX or PyTorch is not assigned to; Keras' variable replaces it.
    under = tensor(variable)
    (under if hasattr(under, "assign") else variable).assign(value)
