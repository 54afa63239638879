"""Initializers that draw nothing: zeros, ones, a constant, the identity."""

import math
import numbers
from typing import Any

import numpy as np

from kerasinit.initializers import memory
from kerasinit.initializers.base import Initializer, checked_number, registered
from kerasinit.initializers.taps import centre_tap, checked_kernel


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
        return memory.full(shape, dtype, 1)


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
        return memory.full(shape, dtype, held(self, self.value, dtype))


@registered
class Identity(Initializer):
    """A layer that starts by passing its input on, times a gain.

    For the recurrent kernel of a relu RNN, for the square layers of a deep network, and
    for convolutions: ``Conv1D``, ``Conv2D`` and ``Conv3D`` with as many filters as input
    channels, ``strides=1`` and ``padding="same"`` return their input, whatever the size
    of the window. Where the numbers of channels differ, and in grouped convolutions,
    use `Dirac`.

    Formula: ``w[i, j] = gain`` where ``i == j``, else 0; in a convolution at the centre
    tap of the window, else 0. The centre of ``k`` taps is ``(k - 1) // 2``, counted from
    0, where the padding puts it also if ``k`` is even.

    Args:
        gain: Factor; 1 by default.

    Raises:
        TypeError: If the gain is not a number.
        ValueError: If the gain is not finite or, at a call, the shape is not
            ``(*window, n, n)`` of rank 2 to 5 or the dtype cannot hold the gain.

    Example:
    >>> Identity(2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    >>> Identity()((3, 1, 1)).ravel()
    array([0., 1., 0.], dtype=float32)
    >>> import keras
    >>> layer = keras.layers.SimpleRNN(4, "relu", recurrent_initializer=Identity())

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
        checked_kernel(self, shape, range(2, 6))
        inputs, outputs = shape[-2:]
        if inputs != outputs:
            raise ValueError(
                f"Identity needs as many outputs as inputs; got the shape {shape}, with {inputs} "
                f"inputs and {outputs} outputs. Dirac passes on as many channels as both have, "
                f"and takes the groups of a grouped convolution."
            )
        values = np.zeros(shape, dtype)
        np.fill_diagonal(centre_tap(values), held(self, self.gain, dtype))
        return values


def held(owner: Initializer, value: float, dtype: np.dtype) -> np.ndarray:
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
