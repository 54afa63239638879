"""Values given by a user, a number or an array: validation, JSON and exact casts."""

import numbers
from typing import Any

import keras
import numpy as np

from kerasinit._src.compat import dtypes


def checked(owner: object, given: Any) -> bool | int | float | np.ndarray:
    """Return a Python number, or a read-only copy of an array; ``owner`` is for messages."""
    if isinstance(given, numbers.Real) and not isinstance(given, np.generic):
        return given if isinstance(given, bool | int) else float(given)
    what = f"{type(owner).__qualname__} got value="
    try:
        if isinstance(given, keras.Variable) or keras.ops.is_tensor(given):
            given = keras.ops.convert_to_numpy(given)
        array = np.array(given)
        kind = dtypes.kind_of(array.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what}{given!r:.80}; expected a number or an array of them.") from error
    if kind is None:
        raise TypeError(f"{what}{given!r:.80}; expected a number or an array of them.")
    if not array.ndim:
        return float(array) if kind == "floating" else array.item()
    if not array.size:
        raise ValueError(f"{what}an empty array, of shape {array.shape}.")
    array.setflags(write=False)
    return array


def to_json(value: Any) -> Any:
    """Return a number unchanged, and an array in the format of both Keras versions, exactly."""
    if not isinstance(value, np.ndarray):
        return value
    # float32 represents the shorter dtypes exactly.
    plain = value if value.dtype.kind in "biuf" else value.astype(np.float32)
    config = {"value": plain.tolist(), "dtype": value.dtype.name}
    return {"class_name": "__numpy__", "config": config}


def from_json(value: Any) -> Any:
    """Invert `to_json`."""
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    if value.get("class_name") != "__numpy__" or not isinstance(config, dict):
        raise ValueError(f"Expected a number or a serialized array; got {value!r:.80}.")
    return np.array(config.get("value"), dtypes.numpy_dtype(config.get("dtype")))


def cast(owner: object, values: np.ndarray | float, dtype: np.dtype) -> np.ndarray:
    """Return a number or an array in another dtype, which may round but not overflow or truncate.

    Raises:
        ValueError: If the dtype cannot hold a value: a fraction as an integer, or one that
            is out of range.
    """
    given = np.asarray(values)
    if given.dtype == object:  # an integer of more than 64 bits
        given = given.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        result = given.astype(dtype)
    overflown = np.isfinite(given) & ~np.isfinite(result)
    lost = result != given if dtype.kind in "iub" else overflown
    if lost.any():
        raise ValueError(
            f"{owner!r} has values that a tensor of dtype {dtype.name!r} cannot hold, such "
            f"as {given[lost][0]}."
        )
    return result
