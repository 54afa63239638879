"""Explicit values in place of an initializer."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class GivenValues:
    """An array, a tensor, a variable or a list of numbers, for variables of exactly its shape."""

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
        """Return the values, cast to a dtype."""
        shape = tuple(shape)
        if shape != self.values.shape:
            raise ValueError(
                f"Expected a variable of shape {self.values.shape}, the shape of the given values; "
                f"got {shape}. Name the variable: {{'dense/kernel': values}}."
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
