"""Initializers that belong to one network, named by the paper that has it."""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    RandomInitializer,
    Seed,
    checked_axes,
    checked_fans,
    checked_number,
    registered,
)
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.theory.fans import shape_fans


# Keras 3 tells the axes of its kernels only to its own VarianceScaling and what extends it.
@registered
class Siren(RandomInitializer, keras.initializers.VarianceScaling):
    """Kernels of a network of sines, which represents an image, sound or field.

    With layers ``sin(omega * (W x + b))`` and these weights, what goes into each sine is
    spread over about one period in every layer, however many there are, so that the
    network is neither nearly linear nor noise. The first layer spans more periods: it
    sets the frequencies.

    Formula: hidden layers ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / fan_in) / omega``,
    first layer ``limit = 1 / fan_in``. The paper takes what goes into the sines for
    standard normal. More exactly, its variance follows ``q -> 1 - exp(-2 q)`` from layer to
    layer, whose fixed point is 0.80, and returns there after any disturbance.

    Args:
        omega: Factor inside the sine, above 0; 30 by default. It must be the one that the
            layers use. (The first layer's weights do not depend on it.)
        first: Whether the kernel is that of the first layer, whose inputs are coordinates
            between -1 and 1; False by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        input_axes: Axes of the kernel that the layer sums over; with ``output_axes``, or
            not at all. By default the shape decides.
        output_axes: Axes of the kernel that its result keeps.
        fans: ``(fan_in, fan_out)``, if neither the shape nor axes tell them.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``omega`` is not above 0 and finite, the seed negative, only one of
            the two lists of axes given or, at a call, an axis not one of the shape's.

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
        # RandomInitializer's own __init__ only, as in our VarianceScaling.
        RandomInitializer.__init__(self, seed)
        self.omega = checked_number(self, "omega", omega, above=0)
        if not isinstance(first, bool):
            raise TypeError(
                f"{type(self).__qualname__} got first={first!r}; expected True or False."
            )
        self.first = first
        self.input_axes, self.output_axes = checked_axes(self, input_axes, output_axes)
        self.fans = checked_fans(self, fans)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {
            "omega": self.omega,
            "first": self.first,
            **RandomInitializer.get_config(self),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
            "fans": self.fans,
        }

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        fans = self.fans or shape_fans(shape, self.input_axes, self.output_axes)
        fan_in = max(1, fans[0])
        limit = 1 / fan_in if self.first else math.sqrt(6 / fan_in) / self.omega
        return sampling.uniform(stream, shape, dtype, -limit, limit)


@registered
class AlexNet(RandomInitializer):
    """Kernels as AlexNet had them: normal, with a standard deviation of 0.01 everywhere.

    To repeat the network. Since the deviation does not look
    at the fans, the signal of a deep network dies out; for one of your own prefer
    `HeNormal`. The biases of AlexNet's second, fourth and fifth convolution and of its
    hidden dense layers are `Ones`, which gives the relus positive inputs to start with;
    its other biases are `Zeros`.

    Formula: ``w ~ N(0, 0.01^2)``.

    Args:
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If the seed is of a wrong type.
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
        return sampling.normal(stream, shape, dtype, stddev=0.01)
