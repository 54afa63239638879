"""Initializers of specific networks, named after them."""

import math
from collections.abc import Iterable

import keras
import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    RandomInitializer,
    Seed,
    checked_axes,
    checked_fans,
    checked_flag,
    checked_number,
    registered,
)
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.theory.fans import shape_fans

ALEXNET_STDDEV = 0.01


# Keras 3 passes the axes of a kernel only to its VarianceScaling and subclasses of it.
@registered
class Siren(RandomInitializer, keras.initializers.VarianceScaling):
    """SIREN initializer for networks with sine activations.

    Such networks represent an image, a sound or a field. With layers ``sin(omega * (W x + b))``
    and these weights, the inputs of each sine are distributed over about one period at any
    depth, so that the network is neither nearly linear nor noise. The first layer spans more
    periods: it sets the frequencies.

    Formula: hidden layers ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / fan_in) / omega``,
    first layer ``limit = 1 / fan_in``. The paper treats the inputs of the sines as standard
    normal. More precisely, their variance follows ``q -> 1 - exp(-2 q)`` from layer to layer,
    which has a stable fixed point at 0.80.

    Args:
        omega: Factor inside the sine, above 0; it must be the one that the layers use.
            Defaults to 30. (The weights of the first layer do not depend on it.)
        first: Whether the kernel is that of the first layer, whose inputs are coordinates
            between -1 and 1. Defaults to False.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        input_axes: Axes of the kernel that the layer sums over; requires ``output_axes``. By
            default (None) the fans are computed from the shape alone.
        output_axes: Axes of the kernel that remain in the output of the layer; requires
            ``input_axes``. Defaults to None.
        fans: ``(fan_in, fan_out)``, if they follow neither from the shape nor from axes.
            Defaults to None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``omega`` is not above 0 and finite, the seed is negative, only one of
            the two lists of axes is given or, when called, an axis is out of range.

    Example:
    >>> import keras
    >>> def sine(x):
    ...     return keras.ops.sin(30.0 * x)
    >>> model = keras.Sequential([
    ...     keras.Input((2,)),
    ...     keras.layers.Dense(64, sine, kernel_initializer=Siren(first=True)),
    ...     keras.layers.Dense(64, sine, kernel_initializer=Siren()),
    ...     keras.layers.Dense(3, kernel_initializer=Siren()),
    ... ])
    >>> round(float(Siren(seed=1)((600, 600)).max()) * 30, 3)
    0.1

    Reference:
        Sitzmann, Martel, Bergman, Lindell and Wetzstein, 2020, "Implicit neural
        representations with periodic activation functions", section 3.2 and supplement 1.
    """

    _arguments = ("omega", "first", "seed", "input_axes", "output_axes", "fans")

    def __init__(
        self,
        omega: float = 30.0,
        first: bool = False,
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
        *,
        fans: Iterable[float] | None = None,
    ):
        # Skips the __init__ of Keras, as in VarianceScaling.
        RandomInitializer.__init__(self, seed)
        self.omega = checked_number(self, "omega", omega, above=0)
        self.first = checked_flag(self, "first", first)
        self.input_axes, self.output_axes = checked_axes(self, input_axes, output_axes)
        self.fans = checked_fans(self, fans)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        limit = siren_limit(self, shape)
        return sampling.uniform(stream, shape, dtype, -limit, limit)


def siren_limit(made: Siren, shape: tuple[int, ...]) -> float:
    """Return the bound of the values of a kernel with this shape."""
    fans = made.fans or shape_fans(shape, made.input_axes, made.output_axes)
    fan_in = max(1, fans[0])
    return 1 / fan_in if made.first else math.sqrt(6 / fan_in) / made.omega


@registered
class AlexNet(RandomInitializer):
    """Initializer of the kernels of AlexNet: normal, with a standard deviation of 0.01.

    For reproducing AlexNet. Since the standard deviation does not depend on the fans, the
    signal of a deep network vanishes; prefer `HeNormal` for other networks. The biases of the
    second, fourth and fifth convolution of AlexNet and of its hidden dense layers are `Ones`,
    so that the relus start with positive inputs; its other biases are `Zeros`.

    Formula: ``w ~ N(0, 0.01^2)``.

    Args:
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If the seed has the wrong type.
        ValueError: If the seed is negative.

    Example:
    >>> import keras
    >>> import kerasinit
    >>> layer = keras.layers.Conv2D(
    ...     256, 5, kernel_initializer=AlexNet(), bias_initializer=kerasinit.Ones()
    ... )
    >>> round(float(AlexNet(seed=1)((300, 300)).std()), 4)
    0.01

    Reference:
        Krizhevsky, Sutskever and Hinton, 2012, "ImageNet classification with deep
        convolutional neural networks", section 5.
    """

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.normal(stream, shape, dtype, stddev=ALEXNET_STDDEV)
