"""Names of dtypes as NumPy dtypes, including those that NumPy does not have, such as bfloat16."""

from typing import Any, Literal

import keras
import ml_dtypes  # noqa: F401 (teaches NumPy the names of these dtypes)
import numpy as np


def name_of(dtype: Any) -> str:
    """Return the name of a dtype of any backend; see `numpy_dtype`."""
    return keras.utils.standardize_dtype(dtype)


def numpy_dtype(dtype: Any) -> np.dtype:
    """Return the NumPy dtype of a dtype of any backend, or of its name.

    None stands for ``keras.config.floatx()``. A ValueError reports a dtype that Keras does not
    have, a TypeError one that is no dtype of numbers.

    Example:
    >>> numpy_dtype("bfloat16").itemsize, numpy_dtype(None).name
    (2, 'float32')
    """
    return np.dtype(name_of(dtype))


def kind_of(dtype: Any) -> Literal["bool", "floating", "integer"] | None:
    """Return the kind of a dtype, given as in `numpy_dtype`; None if it is another one.

    Example:
    >>> kind_of("bfloat16"), kind_of(np.uint8), kind_of("string")
    ('floating', 'integer', None)
    """
    name = name_of(dtype)
    if name == "bool":
        return "bool"
    if keras.backend.is_float_dtype(name):
        return "floating"
    return "integer" if keras.backend.is_int_dtype(name) else None
