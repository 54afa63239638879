"""Initializers that look at the fans: `VarianceScaling` and the names it goes by.

All of them are one computation. ``HeNormal()`` and ``VarianceScaling(scale=2.0,
mode="fan_in", distribution="truncated_normal")`` draw the same values from one seed.
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kerasinit import suggest
from kerasinit.fans import compute_fans
from kerasinit.initializers import sampling
from kerasinit.initializers.base import (
    RandomInitializer,
    Seed,
    checked_axes,
    checked_number,
    registered,
)
from kerasinit.initializers.sampling import Stream

MODES = ("fan_avg", "fan_in", "fan_out")
DISTRIBUTIONS = ("truncated_normal", "uniform", "untruncated_normal")

# Standard deviation of the unit normal distribution cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


@registered
class VarianceScaling(RandomInitializer, keras.initializers.VarianceScaling):
    """Values whose variance is set by how many inputs or outputs a unit has.

    A unit that sums ``fan_in`` signals has an output of their variance if its weights
    have the variance ``1 / fan_in``; ``scale`` makes good for what the activation takes
    away.

    Formula: ``Var(w) = scale / n``, where ``n`` is ``fan_in``, ``fan_out`` or their mean
    (at least 1). ``truncated_normal``: the normal distribution cut off at two standard
    deviations, ``stddev = sqrt(scale / n) / 0.8796``, so that the variance after the cut
    is the right one; ``untruncated_normal``: ``stddev = sqrt(scale / n)``; ``uniform``:
    between ``-limit`` and ``limit = sqrt(3 scale / n)``.

    In Keras 3, ``EinsumDense`` and ``MultiHeadAttention`` tell the initializer which axes
    of their kernels are inputs and outputs, and the fans are right. In tf_keras an
    initializer sees a shape and nothing else, and takes any kernel of rank 3 for a
    convolution: there, give ``EinsumDense`` an initializer with ``input_axes`` and
    ``output_axes``. ``tf_keras.layers.MultiHeadAttention`` has one initializer for kernels
    of different layouts (query, key and value sum over axis 0, the output kernel over 0
    and 1), so no axes are right for all of them.

    Args:
        scale: Factor of the variance, above 0; 1 by default.
        mode: ``"fan_in"`` (default, keeps the variance of the signal), ``"fan_out"`` (that
            of the gradient) or ``"fan_avg"``.
        distribution: ``"truncated_normal"`` (default; ``"normal"`` is the same, as in
            Keras), ``"untruncated_normal"`` or ``"uniform"``.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        input_axes: Axes of the kernel that the layer sums over; with ``output_axes``, or
            not at all. By default the shape decides; see `kerasinit.fans.compute_fans`.
        output_axes: Axes of the kernel that its result keeps.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``scale`` is not above 0 and finite, ``mode`` or ``distribution``
            unknown, the seed negative, only one of the two lists of axes given or, at a
            call, an axis not one of the shape's.

    Example:
    >>> initializer = VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)
    >>> float(round(initializer((64, 1024)).var() * 1024, 1))
    2.0

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks"; He, Zhang, Ren and Sun, 2015, "Delving deep into
        rectifiers".
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
    ):
        # RandomInitializer's own __init__ only: that of Keras would put a number in the
        # place of seed=None, and the values would no longer be fresh at every call.
        RandomInitializer.__init__(self, seed)
        self.scale = checked_number(self, "scale", scale, above=0)
        self.mode = _chosen("mode", mode, MODES)
        distribution = distribution.lower() if isinstance(distribution, str) else distribution
        if distribution == "normal":
            distribution = "truncated_normal"
        self.distribution = _chosen("distribution", distribution, DISTRIBUTIONS)
        self.input_axes, self.output_axes = checked_axes(self, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **self._named_config(),
        }

    def _named_config(self) -> dict[str, Any]:
        """Return the arguments that the named subclasses take too."""
        return {
            **RandomInitializer.get_config(self),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return sampling.uniform(stream, shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return sampling.normal(stream, shape, dtype, stddev=math.sqrt(variance))
        stddev = math.sqrt(variance) / _TRUNCATED_STDDEV
        return sampling.truncated_normal(stream, shape, dtype, stddev=stddev)


class _Named(VarianceScaling):
    """What the named subclasses share: all but the seed and the axes is settled."""

    _scale = 1.0
    _mode = "fan_in"
    _distribution = "truncated_normal"

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
    ):
        super().__init__(self._scale, self._mode, self._distribution, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return self._named_config()


@registered
class GlorotNormal(_Named):
    """Truncated normal values that weigh signal and gradient alike.

    For layers whose activation is nearly linear at 0, such as tanh, and for output
    layers. Also known as Xavier's.

    Formula: ``Var(w) = 2 / (fan_in + fan_out)``; see `VarianceScaling`.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.

    Example:
    >>> float(round(GlorotNormal(seed=1)((300, 100)).var() * 200, 1))
    1.0

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks".
    """

    _mode = "fan_avg"


@registered
class GlorotUniform(_Named):
    """Uniform values that weigh signal and gradient alike; what Keras' layers start with.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / (fan_in + fan_out))``; see
    `VarianceScaling`. Also known as Xavier's.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(GlorotUniform(seed=1)((300, 300))).max() <= 0.1)
    True

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks".
    """

    _mode = "fan_avg"
    _distribution = "uniform"


@registered
class LecunNormal(_Named):
    """Truncated normal values that keep the variance of a linear layer's signal.

    For selu, whose fixed point is at this variance, and for linear layers.

    Formula: ``Var(w) = 1 / fan_in``; see `VarianceScaling`.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.

    Example:
    >>> float(round(LecunNormal(seed=1)((300, 300)).var() * 300, 1))
    1.0

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop"; Klambauer,
        Unterthiner, Mayr and Hochreiter, 2017, "Self-normalizing neural networks".
    """


@registered
class LecunUniform(_Named):
    """Uniform values that keep the variance of a linear layer's signal.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(3 / fan_in)``; see `VarianceScaling`.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(LecunUniform(seed=1)((300, 50))).max() <= 0.1)
    True

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop".
    """

    _distribution = "uniform"


class _He(_Named):
    """What He's two share: the slope of the activation sets the scale."""

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
        *,
        negative_slope: float = 0.0,
    ):
        # Before super().__init__, which asks for the scale.
        self.negative_slope = checked_number(self, "negative_slope", negative_slope)
        super().__init__(seed, input_axes, output_axes)

    @property
    def _scale(self) -> float:
        return 2.0 / (1.0 + float(self.negative_slope) ** 2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


@registered
class HeNormal(_He):
    """Truncated normal values that keep the variance of the signal through relu.

    For relu and leaky relu. With plain He weights a network of leaky units of slope 0.3
    gains a factor of 70 in variance over 50 layers; with the slope given, none.

    Formula: ``Var(w) = 2 / ((1 + negative_slope^2) fan_in)``; see `VarianceScaling`. Also
    known as Kaiming's.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.
        negative_slope: Slope of the activation for negative inputs: 0 (default) for relu,
            1 for a linear layer, otherwise the ``negative_slope`` of
            ``keras.layers.LeakyReLU``.

    Example:
    >>> import keras
    >>> layer = keras.layers.Dense(64, "relu", kernel_initializer=HeNormal(seed=1))
    >>> float(round(HeNormal(seed=1, negative_slope=1)((300, 300)).var() * 300, 1))
    1.0

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers", equations 10 and 15.
    """


@registered
class HeUniform(_He):
    """Uniform values that keep the variance of the signal through relu.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / ((1 + negative_slope^2)
    fan_in))``; see `VarianceScaling`. Also known as Kaiming's.

    Args:
        seed: See `VarianceScaling`, also for what is raised.
        input_axes: See `VarianceScaling`.
        output_axes: See `VarianceScaling`.
        negative_slope: Slope of the activation for negative inputs; see `HeNormal`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(HeUniform(seed=1)((600, 50))).max() <= 0.1)
    True

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers", equations 10 and 15.
    """

    _distribution = "uniform"


XavierNormal = GlorotNormal
XavierUniform = GlorotUniform
KaimingNormal = HeNormal
KaimingUniform = HeUniform


def _chosen(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise suggest.unknown(name, value, choices)
    return value
