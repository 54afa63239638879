"""Initializers that draw nothing: zeros, ones, a constant, the identity."""

import math
from typing import Any

import numpy as np

from kerasinit._src.initializers import arrays, memory
from kerasinit._src.initializers.base import Initializer, checked_number, registered
from kerasinit._src.initializers.taps import centre_tap, checked_kernel


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
    """One value everywhere, or the values of an array.

    One value, for instance a bias at the log-odds of a rare class, so that training does
    not begin by learning how rare it is. An array, for instance a table of word vectors; it is
    written into the files of a model as text, exactly, of up to 20 bytes for each value. For
    large ones see `FromModel`, which keeps only where they come from.

    Args:
        value: A number or a boolean; or an array, tensor, variable or nested list of them, which
            is copied. It must suit the dtype of the variable: no fraction in an integer one.
        broadcast: Whether an array may have another shape than the variable, if it becomes that
            shape by NumPy's rules, as in Keras (default): one value for each unit fills a matrix
            row by row. With False its shape must be the variable's. A single number fills any.

    Raises:
        TypeError: If the value is no number and no array of numbers.
        ValueError: If the array is empty or, at a call, does not fit the shape, or the dtype
            cannot hold a value.

    Example:
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    >>> Constant([[1, 2], [3, 4]])((2, 2))
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """

    def __init__(self, value: Any = 0.0, broadcast: bool = True):
        if not isinstance(broadcast, bool):
            raise TypeError(f"Constant got broadcast={broadcast!r}; expected True or False.")
        self.value = arrays.checked(self, value)
        self.broadcast = broadcast

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        config = {"value": arrays.to_json(self.value)}
        # Only where it is given: earlier releases, which read the rest, do not know it.
        return config if self.broadcast else {**config, "broadcast": False}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Constant":
        """Return an initializer from its constructor's arguments as plain JSON."""
        return cls(**{**config, "value": arrays.from_json(config.get("value", 0.0))})

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if not isinstance(self.value, np.ndarray):
            return memory.full(shape, dtype, held(self, self.value, dtype))
        given = self.value.shape
        if not self.broadcast and given != shape:
            raise ValueError(
                f"Expected `shape` to be {given}, that of the array of {self!r}; got {shape}."
            )
        values = arrays.cast(self, self.value, dtype)
        try:
            return np.array(np.broadcast_to(values, shape))
        except ValueError:
            raise ValueError(
                f"{self!r} has an array of shape {given}, which does not fit a variable of shape "
                f"{shape}: expected that shape, or one that NumPy broadcasts to it."
            ) from None

    def __repr__(self) -> str:
        if not isinstance(self.value, np.ndarray):
            return super().__repr__()
        shown = f"value=<{self.value.dtype.name} array of shape {self.value.shape}>"
        return f"{type(self).__qualname__}({shown}{'' if self.broadcast else ', broadcast=False'})"


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
