"""Initializers that scale with the fans: `VarianceScaling` and its named special cases.

``HeNormal()`` and ``VarianceScaling(scale=2.0, mode="fan_in", distribution="truncated_normal")``
draw the same values from the same seed.
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kerasinit._src import errors
from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    RandomInitializer,
    Seed,
    alias,
    checked_axes,
    checked_fans,
    checked_number,
    registered,
)
from kerasinit._src.initializers.nonlinearity import checked_nonlinearity, gain_for
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.theory.fans import shape_fans

MODES = ("fan_avg", "fan_geo", "fan_in", "fan_out")
DISTRIBUTIONS = ("truncated_normal", "uniform", "untruncated_normal")

_SHARED_ARGUMENTS = (
    "seed",
    "input_axes",
    "output_axes",
    "gain",
    "nonlinearity",
    "negative_slope",
    "fans",
)

# Standard deviation of the standard normal distribution truncated at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978


@registered
class VarianceScaling(RandomInitializer, keras.initializers.VarianceScaling):
    """Initializer that adapts its variance to the number of inputs or outputs of a unit.

    A unit that sums ``fan_in`` signals preserves their variance if its weights have the
    variance ``1 / fan_in``; scale and gain compensate for the effect of the activation. Glorot's
    (Xavier), He's (Kaiming) and LeCun's initializers are special cases of this one.

    Formula: ``Var(w) = scale gain^2 g^2 / n``, where ``g`` is the gain of the
    ``nonlinearity`` (`kerasinit.gain`; 1 without one) and ``n`` is ``fan_in``, ``fan_out``,
    their arithmetic mean or their geometric mean (at least 1). ``truncated_normal``: a
    normal distribution truncated at two standard deviations, with ``stddev = sqrt(Var(w)) /
    0.8796``, so that ``Var(w)`` is the variance after truncation; ``untruncated_normal``:
    ``stddev = sqrt(Var(w))``; ``uniform``: between ``-limit`` and ``limit = sqrt(3 Var(w))``.

    A layer passes only the shape of its kernel, from which the fans are computed (see
    `kerasinit.compute_fans`). Those are correct for dense layers and plain convolutions, and for
    ``EinsumDense`` and ``MultiHeadAttention`` from Keras 3.15 on, which pass their axes as well.
    They are wrong for depthwise, transposed and grouped convolutions, the gates of an LSTM or GRU,
    embeddings, and, in tf_keras and in earlier versions of Keras 3, attention: pass the ``fans``
    there, or use `kerasinit.reinitialize`, which knows the layer.

    Args:
        scale: Factor applied to the variance, above 0. Defaults to 1.
        mode: ``"fan_in"`` (default, preserves the variance of the signal), ``"fan_out"`` (that
            of the gradient), ``"fan_avg"`` or ``"fan_geo"``.
        distribution: ``"truncated_normal"`` (default; ``"normal"`` is the same, as in
            Keras), ``"untruncated_normal"`` or ``"uniform"``.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        input_axes: Axes of the kernel that the layer sums over; requires ``output_axes``. By
            default (None), the fans are computed from the shape alone.
        output_axes: Axes of the kernel that remain in the output of the layer; requires
            ``input_axes``. Defaults to None.
        gain: Factor applied to the standard deviation, above 0. Defaults to 1.
        nonlinearity: The activation to compensate for, as accepted by `kerasinit.gain` (a
            function must be registered with Keras so that it can be saved). The gain is
            computed to the precision of the backend, so the values for a seed may differ between
            backends in the last digit of float32. Defaults to None, for a gain of 1.
        negative_slope: Slope of a leaky relu for negative inputs; given alone, it implies
            ``nonlinearity="leaky_relu"``. Defaults to None.
        fans: ``(fan_in, fan_out)``, for when they follow from neither the shape nor the axes;
            takes precedence over the axes. Defaults to None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``scale`` or ``gain`` is not above 0 and finite, ``mode``,
            ``distribution`` or ``nonlinearity`` is unknown, the seed is negative, only one of
            the two lists of axes is given or, when called, an axis is out of range.

    Example:
    >>> initializer = VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)
    >>> float(round(initializer((64, 1024)).var() * 1024, 1))
    2.0
    >>> initializer = VarianceScaling(nonlinearity="tanh", seed=1)
    >>> round(float(initializer((512, 512)).std()) * 512**0.5, 2)
    1.59

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks"; He, Zhang, Ren and Sun, 2015, "Delving deep into
        rectifiers"; Defazio and Bottou, 2022, "A scaling calculus for the design and
        initialization of ReLU networks" (geometric mean).
    """

    _arguments = ("scale", "mode", "distribution", *_SHARED_ARGUMENTS)

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
        *,
        gain: float = 1.0,
        nonlinearity: Any = None,
        negative_slope: float | None = None,
        fans: Iterable[float] | None = None,
    ):
        # Skips the __init__ of Keras, which would replace seed=None with a number, and every call
        # would then return the same values.
        RandomInitializer.__init__(self, seed)
        self.scale = checked_number(self, "scale", scale, above=0)
        self.mode = _checked_choice("mode", mode, MODES)
        distribution = distribution.lower() if isinstance(distribution, str) else distribution
        if distribution == "normal":
            distribution = "truncated_normal"
        self.distribution = _checked_choice("distribution", distribution, DISTRIBUTIONS)
        self.input_axes, self.output_axes = checked_axes(self, input_axes, output_axes)
        self.gain = checked_number(self, "gain", gain, above=0)
        self.nonlinearity = checked_nonlinearity(nonlinearity)
        self.negative_slope = negative_slope
        if negative_slope is not None:
            self.negative_slope = checked_number(self, "negative_slope", negative_slope)
        self.fans = checked_fans(self, fans)
        # Computed here so that an activation without a gain is rejected at once.
        self._variance = self.scale * self.gain**2 * self._scale_of_nonlinearity()

    def _scale_of_nonlinearity(self) -> float:
        return gain_for(self.nonlinearity, self.negative_slope) ** 2

    def variance(self, shape: tuple[int, ...]) -> float:
        """Return the variance of the values of a kernel.

        Args:
            shape: The shape of the kernel; not used if the initializer has ``fans``.

        Raises:
            ValueError: If an axis of the initializer is out of range for the shape.
        """
        if self.fans is None:
            fan_in, fan_out = shape_fans(shape, self.input_axes, self.output_axes)
        else:
            fan_in, fan_out = self.fans
        fans = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2,
            "fan_geo": math.sqrt(fan_in * fan_out),
        }
        return self._variance / max(1, fans[self.mode])

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        variance = self.variance(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return sampling.uniform(stream, shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return sampling.normal(stream, shape, dtype, stddev=math.sqrt(variance))
        stddev = math.sqrt(variance) / TRUNCATED_STDDEV
        return sampling.truncated_normal(stream, shape, dtype, stddev=stddev)


class _SpecialCase(VarianceScaling):
    """Base class of the special cases with a fixed scale, mode and distribution."""

    _arguments = _SHARED_ARGUMENTS
    _scale = 1.0
    _mode = "fan_in"
    _distribution = "truncated_normal"

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
        *,
        gain: float = 1.0,
        nonlinearity: Any = None,
        negative_slope: float | None = None,
        fans: Iterable[float] | None = None,
    ):
        super().__init__(
            self._scale,
            self._mode,
            self._distribution,
            seed,
            input_axes,
            output_axes,
            gain=gain,
            nonlinearity=nonlinearity,
            negative_slope=negative_slope,
            fans=fans,
        )


@registered
class GlorotNormal(_SpecialCase):
    """Glorot normal initializer, also known as Xavier normal initializer.

    Truncated normal values that balance the variances of signal and gradient. For layers whose
    activation is nearly linear at 0, such as tanh, and for output layers. Also known as
    ``xavier_normal_`` in PyTorch, whose values are not truncated.

    Formula: ``Var(w) = 2 / (fan_in + fan_out)``; see `VarianceScaling`.

    Args:
        seed, input_axes, output_axes, gain, nonlinearity, negative_slope, fans: See
            `VarianceScaling`; by default a plain kernel, without a gain.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

    Example:
    >>> float(round(GlorotNormal(seed=1)((300, 100)).var() * 200, 1))
    1.0

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks".
    """

    _mode = "fan_avg"


@registered
class GlorotUniform(_SpecialCase):
    """Glorot uniform initializer, also known as Xavier uniform initializer.

    Uniform values that balance the variances of signal and gradient. The default of Keras
    layers. Also known as ``xavier_uniform_`` in PyTorch.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / (fan_in + fan_out))``; see
    `VarianceScaling`.

    Args:
        seed, input_axes, output_axes, gain, nonlinearity, negative_slope, fans: See
            `VarianceScaling`; by default a plain kernel, without a gain.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

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
class LecunNormal(_SpecialCase):
    """LeCun normal initializer.

    Truncated normal values that preserve the variance of the signal through linear layers. Also
    for selu, whose fixed point requires this variance. Also known as fan-in scaling.

    Formula: ``Var(w) = 1 / fan_in``; see `VarianceScaling`.

    Args:
        seed, input_axes, output_axes, gain, nonlinearity, negative_slope, fans: See
            `VarianceScaling`; by default a plain kernel, without a gain.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

    Example:
    >>> float(round(LecunNormal(seed=1)((300, 300)).var() * 300, 1))
    1.0

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop"; Klambauer,
        Unterthiner, Mayr and Hochreiter, 2017, "Self-normalizing neural networks".
    """


@registered
class LecunUniform(_SpecialCase):
    """LeCun uniform initializer.

    Uniform values that preserve the variance of the signal through linear layers. Also known as
    fan-in scaling.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(3 / fan_in)``; see `VarianceScaling`.

    Args:
        seed, input_axes, output_axes, gain, nonlinearity, negative_slope, fans: See
            `VarianceScaling`; by default a plain kernel, without a gain.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(LecunUniform(seed=1)((300, 50))).max() <= 0.1)
    True

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop".
    """

    _distribution = "uniform"


class _He(_SpecialCase):
    """Base class of the special cases for relu and leaky relu, unless another is given."""

    def _scale_of_nonlinearity(self) -> float:
        if self.nonlinearity is None:
            return 2.0 / (1.0 + float(self.negative_slope or 0.0) ** 2)
        return super()._scale_of_nonlinearity()


@registered
class HeNormal(_He):
    """He normal initializer, also known as Kaiming normal initializer.

    Truncated normal values that preserve the variance of the signal through relu and leaky
    relu. Without ``negative_slope``, the variance of a network of leaky relus with slope 0.3
    grows by a factor of 70 over 50 layers.

    Also known as MSRA initialization, and as ``kaiming_normal_`` in PyTorch, whose values are not
    truncated.

    Formula: ``Var(w) = 2 / ((1 + negative_slope^2) fan_in)``; see `VarianceScaling`.

    Args:
        nonlinearity: An activation other than relu, as in `VarianceScaling`. Defaults to None,
            for relu, or for leaky relu if there is a ``negative_slope``.
        negative_slope: Slope of the activation for negative inputs: None (default) or 0 for
            relu, 1 for a linear layer, otherwise the ``negative_slope`` of
            ``keras.layers.LeakyReLU``.
        seed, input_axes, output_axes, gain, fans: See `VarianceScaling`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

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
    """He uniform initializer, also known as Kaiming uniform initializer.

    Uniform values that preserve the variance of the signal through relu and leaky relu. Also known
    as MSRA initialization, and as ``kaiming_uniform_`` in PyTorch.

    Formula: ``w ~ U[-limit, limit)``, ``limit = sqrt(6 / ((1 + negative_slope^2)
    fan_in))``; see `VarianceScaling`.

    Args:
        nonlinearity: An activation other than relu, as in `VarianceScaling`. Defaults to None,
            for relu, or for leaky relu if there is a ``negative_slope``.
        negative_slope: See `HeNormal`.
        seed, input_axes, output_axes, gain, fans: See `VarianceScaling`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(HeUniform(seed=1)((600, 50))).max() <= 0.1)
    True

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers", equations 10 and 15.
    """

    _distribution = "uniform"


XavierNormal = alias(GlorotNormal, "XavierNormal")
XavierUniform = alias(GlorotUniform, "XavierUniform")
KaimingNormal = alias(HeNormal, "KaimingNormal")
KaimingUniform = alias(HeUniform, "KaimingUniform")


def _checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise errors.unknown(name, value, choices)
    return value
