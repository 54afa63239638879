"""Arguments that several methods take, and whether an output can be scaled at all."""

import math
import numbers
from typing import Any

import keras
import ml_dtypes  # numpy's own finfo does not know bfloat16
import numpy as np
import tensorflow as tf

from kerasinit.data_dependent.targets import Target


def checked_positive(name: str, given: Any) -> float:
    """Return an argument as a positive number.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is not positive and finite.
    """
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"Expected as {name} a positive number; got {given!r}.")
    if given <= 0 or not given < math.inf:  # the second is for NaN, too
        raise ValueError(f"Expected as {name} a positive number; got {given!r}.")
    return float(given)


def checked_count(name: str, given: Any) -> int:
    """Return an argument as an integer of at least 1.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is below 1.
    """
    if isinstance(given, bool) or not isinstance(given, numbers.Integral):
        raise TypeError(f"Expected as {name} an integer of at least 1; got {given!r}.")
    if given < 1:
        raise ValueError(f"Expected as {name} an integer of at least 1; got {given!r}.")
    return int(given)


def varies(output: np.ndarray, target: Target, axis: int | None = None) -> np.ndarray:
    """Return whether outputs vary by more than the rounding of a constant.

    Args:
        output: What a target makes of a batch, in float64.
        target: The target, for the precision in which its layer computes.
        axis: Which axis counts the values of one unit; None for all together.

    Raises:
        ValueError: If an output is not finite.
    """
    if not np.isfinite(output).all():
        raise ValueError(
            f"{target.name!r} gives values that are not finite (NaN or infinity): look at the "
            f"weights in front of it."
        )
    dtype = getattr(target.layer, "compute_dtype", None) or keras.config.floatx()
    rounding = 8 * float(ml_dtypes.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    largest = np.abs(output).max(axis, keepdims=True)
    # Relative to the largest value first: squares of small numbers may be nothing.
    relative = output / np.where(largest > 0, largest, 1)
    return relative.std(axis) > rounding
