"""Initializers that look at the fans: `VarianceScaling` and the names it goes by.

All of them are one computation. ``HeNormal()`` and ``VarianceScaling(scale=2.0,
mode="fan_in", distribution="truncated_normal")`` draw the same values from one seed.
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

# Standard deviation of the unit normal distribution cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


@registered
class VarianceScaling(RandomInitializer, keras.initializers.VarianceScaling):
    """Values whose variance is set by how many inputs or outputs a unit has.

    A unit that sums ``fan_in`` signals has an output of their variance if its weights
    have the variance ``1 / fan_in``; scale and gain make good for what the activation
    takes away.

    Formula: ``Var(w) = scale gain^2 g^2 / n``, where ``g`` is the gain of the
    ``nonlinearity`` (`kerasinit.gain`; 1 without one) and ``n`` is ``fan_in``, ``fan_out``,
    their arithmetic mean or their geometric mean (at least 1). ``truncated_normal``: the
    normal distribution cut off at two standard deviations, with ``stddev = sqrt(Var(w)) /
    0.8796``, so that the variance after the cut is the right one; ``untruncated_normal``:
    ``stddev = sqrt(Var(w))``; ``uniform``: between ``-limit`` and ``limit = sqrt(3 Var(w))``.

    A layer shows its initializer a shape, and the shape decides the fans (see
    `kerasinit.compute_fans`). That is right for dense layers and plain convolutions,
    and in Keras 3 for ``EinsumDense`` and ``MultiHeadAttention``, which tell their axes as
    well. For depthwise, transposed and grouped convolutions, for the gates of an LSTM or
    GRU, for embeddings and for attention in tf_keras it is not: there give the ``fans``, or
    let `kerasinit.reinitialize` ask the layer.

    Args:
        scale: Factor of the variance, above 0; 1 by default.
        mode: ``"fan_in"`` (default, keeps the variance of the signal), ``"fan_out"`` (that
            of the gradient), ``"fan_avg"`` or ``"fan_geo"``.
        distribution: ``"truncated_normal"`` (default; ``"normal"`` is the same, as in
            Keras), ``"untruncated_normal"`` or ``"uniform"``.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        input_axes: Axes of the kernel that the layer sums over; with ``output_axes``, or
            not at all. By default the shape decides.
        output_axes: Axes of the kernel that its result keeps.
        gain: Factor of the standard deviation, above 0; 1 by default.
        nonlinearity: The activation whose gain is to be made good for: what
            `kerasinit.gain` takes (a function must be registered with Keras, to be saved).
            Its gain is as exact as the backend's arithmetic: from one backend to another
            the values of a seed may then differ in the last digit of float32.
        negative_slope: Slope of the activation for negative inputs, where it is a leaky
            relu; given alone it stands for ``nonlinearity="leaky_relu"``.
        fans: ``(fan_in, fan_out)``, if neither the shape nor axes tell them. Counts before
            the axes.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``scale`` or ``gain`` is not above 0 and finite, ``mode``,
            ``distribution`` or ``nonlinearity`` unknown, the seed negative, only one of the
            two lists of axes given or, at a call, an axis not one of the shape's.

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
        self.gain = checked_number(self, "gain", gain, above=0)
        self.nonlinearity = checked_nonlinearity(nonlinearity)
        self.negative_slope = negative_slope
        if negative_slope is not None:
            self.negative_slope = checked_number(self, "negative_slope", negative_slope)
        self.fans = checked_fans(self, fans)
        # Now rather than at the first call, so that what has no gain is refused here.
        self._variance = self.scale * self.gain**2 * self._scale_of_nonlinearity()

    def _scale_of_nonlinearity(self) -> float:
        return gain_for(self.nonlinearity, self.negative_slope) ** 2

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
            "gain": self.gain,
            "nonlinearity": keras.saving.serialize_keras_object(self.nonlinearity),
            "negative_slope": self.negative_slope,
            "fans": self.fans,
        }

    def variance(self, shape: tuple[int, ...]) -> float:
        """Return the variance of the values of a tensor of this shape."""
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
        stddev = math.sqrt(variance) / _TRUNCATED_STDDEV
        return sampling.truncated_normal(stream, shape, dtype, stddev=stddev)


class _Named(VarianceScaling):
    """What the named subclasses share: scale, mode and distribution are settled."""

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
        gain: See `VarianceScaling`.
        nonlinearity: See `VarianceScaling`; the linear activation by default.
        negative_slope: See `VarianceScaling`.
        fans: See `VarianceScaling`.

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
        gain: See `VarianceScaling`.
        nonlinearity: See `VarianceScaling`; the linear activation by default.
        negative_slope: See `VarianceScaling`.
        fans: See `VarianceScaling`.

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
        gain: See `VarianceScaling`.
        nonlinearity: See `VarianceScaling`; the linear activation by default.
        negative_slope: See `VarianceScaling`.
        fans: See `VarianceScaling`.

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
        gain: See `VarianceScaling`.
        nonlinearity: See `VarianceScaling`; the linear activation by default.
        negative_slope: See `VarianceScaling`.
        fans: See `VarianceScaling`.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(LecunUniform(seed=1)((300, 50))).max() <= 0.1)
    True

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop".
    """

    _distribution = "uniform"


class _He(_Named):
    """What He's two share: without another nonlinearity, they are for (leaky) relu."""

    def _scale_of_nonlinearity(self) -> float:
        if self.nonlinearity is None:
            return 2.0 / (1.0 + float(self.negative_slope or 0.0) ** 2)
        return super()._scale_of_nonlinearity()


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
        gain: See `VarianceScaling`.
        nonlinearity: Another activation than relu; see `VarianceScaling`.
        negative_slope: Slope of the activation for negative inputs: None (default) or 0 for
            relu, 1 for a linear layer, otherwise the ``negative_slope`` of
            ``keras.layers.LeakyReLU``.
        fans: See `VarianceScaling`.

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
        gain: See `VarianceScaling`.
        nonlinearity: Another activation than relu; see `VarianceScaling`.
        negative_slope: Slope of the activation for negative inputs; see `HeNormal`.
        fans: See `VarianceScaling`.

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


def _chosen(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise errors.unknown(name, value, choices)
    return value
