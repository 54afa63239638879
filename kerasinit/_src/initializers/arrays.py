"""Values that a user gives: a number, or an array of numbers, and how a file holds them."""

import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def checked(owner: object, given: Any) -> bool | int | float | np.ndarray:
    """Return a number as Python has it, or an array that nobody else can change.

    Args:
        owner: The object that is being made.
        given: A number or boolean, or what NumPy makes an array of them from.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is an array without values.
    """
    if isinstance(given, numbers.Real) and not isinstance(given, np.generic):
        return given if isinstance(given, bool | int) else float(given)
    what = f"{type(owner).__qualname__} got value="
    try:
        if isinstance(given, keras.Variable) or keras.ops.is_tensor(given):
            given = keras.ops.convert_to_numpy(given)
        array = np.array(given)
        name = keras.utils.standardize_dtype(array.dtype)
        known = tf.as_dtype(name)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what}{given!r:.80}; expected a number or an array of them.") from error
    if not (known.is_floating or known.is_integer or known.is_bool):
        raise TypeError(f"{what}{given!r:.80}; expected a number or an array of them.")
    if not array.ndim:
        return float(array) if known.is_floating else array.item()
    if not array.size:
        raise ValueError(f"{what}an array without values, of shape {array.shape}.")
    array.setflags(write=False)
    return array


def to_json(value: Any) -> Any:
    """Return a number as it is, and an array as both Kerases write one, in every digit."""
    if not isinstance(value, np.ndarray):
        return value
    # JSON has no numbers of the shorter dtypes; float32 holds all of them exactly.
    plain = value if value.dtype.kind in "biuf" else value.astype(np.float32)
    config = {"value": plain.tolist(), "dtype": value.dtype.name}
    return {"class_name": "__numpy__", "config": config}


def from_json(value: Any) -> Any:
    """Return what `to_json` was given.

    Raises:
        ValueError: If it is a dictionary of another kind.
    """
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    if value.get("class_name") != "__numpy__" or not isinstance(config, dict):
        raise ValueError(f"Expected a number or an array as Keras writes one; got {value!r:.80}.")
    dtype = keras.utils.standardize_dtype(config.get("dtype"))
    return np.array(config.get("value"), tf.as_dtype(dtype).as_numpy_dtype)


def cast(owner: object, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return an array in a dtype.

    Raises:
        ValueError: If the dtype cannot hold a value: a fraction in whole numbers, or one that is
            too large.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        held = values.astype(dtype)
    infinite = np.isfinite(values) & ~np.isfinite(held)
    lost = held != values if dtype.kind in "iub" else infinite
    if lost.any():
        raise ValueError(
            f"{owner!r} has values that a variable of dtype {dtype.name!r} cannot hold, such as "
            f"{values[lost][0]}."
        )
    return held
