"""Explicit values in place of an initializer."""

from typing import Any

import keras
import numpy as np

from kerasinit._src.compat import dtypes


class GivenValues:
    """An array, a tensor, a variable or a list of numbers, for variables of exactly its shape."""

    def __init__(self, values: Any) -> None:
        try:
            self.values = np.array(
                values if isinstance(values, list | tuple) else keras.ops.convert_to_numpy(values)
            )
            numbers = dtypes.kind_of(self.values.dtype) is not None
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
        cast = self.values.astype(dtypes.numpy_dtype(dtype))
        if dtypes.kind_of(dtype) != "floating" and not np.array_equal(cast, self.values):
            name = dtypes.name_of(dtype)
            raise ValueError(f"Values of a variable of dtype {name!r} must be whole numbers.")
        return cast

    def get_config(self) -> dict[str, Any]:
        """Return the values as plain JSON."""
        return {"values": self.values.tolist()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.values.shape})"
