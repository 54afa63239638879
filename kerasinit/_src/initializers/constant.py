"""Deterministic initializers: zeros, ones, a constant, the identity."""

from typing import Any

import numpy as np

from kerasinit._src.initializers import arrays, memory
from kerasinit._src.initializers.base import Initializer, checked_flag, checked_number, registered
from kerasinit._src.initializers.taps import centre_tap, checked_kernel


@registered
class Zeros(Initializer):
    """Initializer that generates tensors of zeros.

    For biases, and for the last layer of a residual branch, so that the block starts as the
    identity. Not for the kernels of consecutive layers, whose units would remain identical.

    Example:
    >>> Zeros()((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)

    Reference:
        Goyal et al., 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour", section
        5.1 (the last layer of a branch).
    """

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.zeros(shape, dtype)


@registered
class Ones(Initializer):
    """Initializer that generates tensors of ones.

    For the scale of a normalization layer, which then starts with no effect, and for biases before
    relus, which then start with positive inputs.

    Example:
    >>> Ones()((2, 3), dtype="int32")
    array([[1, 1, 1],
           [1, 1, 1]], dtype=int32)

    Reference:
        Krizhevsky, Sutskever and Hinton, 2012, "ImageNet classification with deep convolutional
        neural networks", section 5 (biases).
    """

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return memory.full(shape, dtype, 1)


@registered
class Constant(Initializer):
    """Initializer that generates tensors of a constant value, or the values of an array.

    A constant is, for instance, the log-odds of a rare class as the bias of the last layer, so
    that training does not start by learning the class frequency. An array is, for instance, a
    table of word vectors. Arrays are saved with the model as text, without loss, in up to 20
    bytes per value; for large ones see `FromModel`, which saves only a reference to a file.

    Args:
        value: A number or a boolean, or an array, tensor, variable or nested list of them, of a
            shape that fits that of the tensor; it is copied. The dtype of the tensor must be able
            to hold the values: an integer dtype holds no fractions. Defaults to 0.
        broadcast: Whether an array is broadcast to the shape of the tensor, as in Keras
            (default): one value for each unit fills every row of a matrix. If False, the shapes
            must be equal. A single number fits any shape.

    Raises:
        TypeError: If the value is neither a number nor an array of numbers.
        ValueError: If the array is empty or, when called, does not fit the shape, or the dtype
            cannot hold a value.

    Example:
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    >>> Constant([[1, 2], [3, 4]])((2, 2))
    array([[1., 2.],
           [3., 4.]], dtype=float32)

    Reference:
        Lin, Goyal, Girshick, He and Dollár, 2017, "Focal loss for dense object detection", section
        4.1 (log-odds).
    """

    def __init__(self, value: Any = 0.0, broadcast: bool = True):
        self.value = arrays.checked(self, value)
        self.broadcast = checked_flag(self, "broadcast", broadcast)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        config = {"value": arrays.to_json(self.value)}
        # Omitted if True, since earlier releases do not know this argument.
        return config if self.broadcast else {**config, "broadcast": False}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Constant":
        """Create an initializer from its configuration."""
        return cls(**{**config, "value": arrays.from_json(config.get("value", 0.0))})

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if not isinstance(self.value, np.ndarray):
            return memory.full(shape, dtype, arrays.cast(self, self.value, dtype))
        given = self.value.shape
        if not self.broadcast and given != shape:
            raise ValueError(f"Expected shape {given}, that of the array of {self!r}; got {shape}.")
        values = arrays.cast(self, self.value, dtype)
        try:
            return np.array(np.broadcast_to(values, shape))
        except ValueError:
            raise ValueError(
                f"{self!r} has an array of shape {given}, which does not fit a tensor of shape "
                f"{shape}: expected that shape, or one that NumPy broadcasts to it."
            ) from None

    def __repr__(self) -> str:
        if not isinstance(self.value, np.ndarray):
            return super().__repr__()
        shown = f"value=<{self.value.dtype.name} array of shape {self.value.shape}>"
        return f"{type(self).__qualname__}({shown}{'' if self.broadcast else ', broadcast=False'})"


@registered
class Identity(Initializer):
    """Initializer with which a layer returns its input, times a gain.

    For the recurrent kernel of a relu RNN, for the square layers of a deep network, and
    for convolutions: ``Conv1D``, ``Conv2D`` and ``Conv3D`` with as many filters as input
    channels, ``strides=1`` and ``padding="same"`` return their input, whatever the kernel
    size. For unequal numbers of channels and for grouped convolutions use `Dirac`.

    Formula: ``w[i, j] = gain`` where ``i == j``, else 0; in a convolution at the centre tap
    of the kernel, and 0 at all others. The centre of ``k`` taps is ``(k - 1) // 2``, counted
    from 0, which is where ``padding="same"`` aligns the kernel, also if ``k`` is even.

    Args:
        gain: Multiplicative factor. Defaults to 1.

    Raises:
        TypeError: If the gain is not a number.
        ValueError: If the gain is not finite or, when called, the shape is not
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

    _arguments = ("gain",)

    def __init__(self, gain: float = 1.0):
        self.gain = checked_number(self, "gain", gain)

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(2, 6))
        inputs, outputs = shape[-2:]
        if inputs != outputs:
            raise ValueError(
                f"Identity needs as many outputs as inputs; got shape {shape}, with {inputs} "
                f"inputs and {outputs} outputs. Use Dirac for unequal numbers of channels and "
                f"for grouped convolutions."
            )
        values = np.zeros(shape, dtype)
        np.fill_diagonal(centre_tap(values), arrays.cast(self, self.gain, dtype))
        return values
