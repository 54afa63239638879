"""Initializers that draw nothing: zeros, ones, a constant, the identity."""

import math
import numbers
from typing import Any

import numpy as np

from kerasinit.initializers.base import Initializer, checked_number, registered


@registered
class Zeros(Initializer):
    """Zeros everywhere.

    For biases, and for the last layer of a residual branch, which then starts as the
    identity. Not for the kernels of two layers in a row: all units of a layer would
    stay alike.

    Example:
    >>> Zeros()((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.zeros(shape, dtype)


@registered
class Ones(Initializer):
    """Ones everywhere.

    For the scale of a normalization, which then changes nothing at the start.

    Example:
    >>> Ones()((2, 3), dtype="int32")
    array([[1, 1, 1],
           [1, 1, 1]], dtype=int32)
    """

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.ones(shape, dtype)


@registered
class Constant(Initializer):
    """One value everywhere.

    For instance a bias at the log-odds of a rare class, so that training does not
    begin by learning how rare it is.

    Args:
        value: A number or a boolean. It must suit the dtype of the tensor: no
            fraction in an integer tensor.

    Raises:
        TypeError: If the value is not a number.
        ValueError: If, at a call, the dtype cannot hold the value.

    Example:
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0):
        if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, numbers.Real):
            raise TypeError(
                f"Constant got value={value!r}; expected one number. To start a variable from "
                f"an array, pass the array itself as the initializer (Keras 3), or call "
                f"`set_weights` on the built layer."
            )
        self.value = value if isinstance(value, bool | int) else float(value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"value": self.value}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.full(shape, _held(self, self.value, dtype), dtype)


@registered
class Identity(Initializer):
    """The identity matrix, times a gain.

    A layer that starts by passing its input on. A matrix that is not square has ones
    on its main diagonal and zeros elsewhere.

    Formula: ``w[i, j] = gain`` where ``i == j``, else 0.

    Args:
        gain: Factor; 1 by default.

    Raises:
        TypeError: If the gain is not a number.
        ValueError: If the gain is not finite or, at a call, the shape is not of rank 2 or
            the dtype cannot hold the gain.

    Example:
    >>> Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)

    Reference:
        Le, Jaitly and Hinton, 2015, "A simple way to initialize recurrent networks of
        rectified linear units".
    """

    def __init__(self, gain: float = 1.0):
        self.gain = checked_number(self, "gain", gain)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"gain": self.gain}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(
                f"Identity makes matrices, of rank 2; got the shape {shape}, of rank {len(shape)}."
            )
        values = np.zeros(shape, dtype)
        np.fill_diagonal(values, _held(self, self.gain, dtype))
        return values


def _held(owner: Initializer, value: float, dtype: np.dtype) -> np.ndarray:
    """Return a value in a dtype, or raise that the dtype cannot hold it."""
    held = np.zeros((), dtype)
    exact = dtype.kind in "iub"
    try:
        with np.errstate(over="ignore"):
            held[...] = int(value) if exact else value
    except (OverflowError, ValueError):  # too large, infinite or not a number
        lost = True
    else:
        lost = held != value if exact else math.isfinite(value) and not np.isfinite(held)
    if lost:
        raise ValueError(
            f"{owner!r} makes a value that a tensor of dtype {dtype.name!r} cannot hold."
        )
    return held
