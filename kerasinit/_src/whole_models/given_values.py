"""Values that were given, instead of an initializer that makes them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class GivenValues:
    """Values for variables of exactly their shape.

    Args:
        values: An array, a tensor, a variable of either Keras, or a list of numbers.

    Raises:
        TypeError: If these are no numbers.

    Example:
    >>> given = GivenValues([[1.0, 2.0]])
    >>> given
    GivenValues(shape=(1, 2))
    >>> given((2, 2))
    Traceback (most recent call last):
    ValueError: Expected a variable of shape (1, 2), which is the shape of the values that were \
given; got (2, 2). Name the variable that is meant: {'dense/kernel': values}.
    """

    def __init__(self, values: Any) -> None:
        try:
            self.values = np.array(
                values if isinstance(values, list | tuple) else keras.ops.convert_to_numpy(values)
            )
            known = tf.as_dtype(self.values.dtype)
            numbers = known.is_floating or known.is_integer or known.is_bool
        except (TypeError, ValueError) as error:
            raise TypeError(f"A rule's values are an array of numbers; got {values!r}.") from error
        if not numbers:
            raise TypeError(f"A rule's values are an array of numbers; got {values!r}.")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """Return the values in a dtype."""
        shape = tuple(shape)
        if shape != self.values.shape:
            raise ValueError(
                f"Expected a variable of shape {self.values.shape}, which is the shape of the "
                f"values that were given; got {shape}. Name the variable that is meant: "
                f"{{'dense/kernel': values}}."
            )
        kind = tf.as_dtype(keras.utils.standardize_dtype(dtype))
        cast = self.values.astype(kind.as_numpy_dtype)
        if not kind.is_floating and not np.array_equal(cast, self.values):
            raise ValueError(f"Values of a variable of dtype {kind.name!r} must be whole numbers.")
        return cast

    def get_config(self) -> dict[str, Any]:
        """Return the values as plain JSON."""
        return {"values": self.values.tolist()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.values.shape})"
