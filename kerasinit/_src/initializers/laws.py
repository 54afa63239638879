"""The distribution that the values of an initializer are drawn from, where it has a formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src.initializers.centred import CentredNormal
from kerasinit._src.initializers.identifiers import CLASSES
from kerasinit._src.initializers.networks import ALEXNET_STDDEV, AlexNet, Siren, siren_limit
from kerasinit._src.initializers.random import (
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    relative_bounds,
)
from kerasinit._src.initializers.variance_scaling import TRUNCATED_STDDEV, VarianceScaling

KERASES = ("keras", "tf_keras")


@dataclass(frozen=True)
class Normal:
    """A normal distribution between two bounds, which may be infinite.

    Formula: ``p(w) = phi(z) / (stddev (Phi(high) - Phi(low)))`` with ``z = (w - mean) / stddev``
    for ``low <= z <= high``, otherwise 0.

    Attributes:
        mean: The mean before truncation.
        stddev: The standard deviation before truncation, above 0.
        low: The lower bound in standard deviations from the mean.
        high: The upper bound.
    """

    mean: float
    stddev: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def name(self) -> str:
        """The name of the distribution."""
        return "normal" if (self.low, self.high) == (-math.inf, math.inf) else "truncated normal"

    @property
    def support(self) -> tuple[float, float]:
        """The smallest and the largest value, which may be infinite."""
        return self.mean + self.low * self.stddev, self.mean + self.high * self.stddev

    @property
    def variance(self) -> float:
        """The variance after truncation."""
        low, high = (_phi(bound) / self._mass for bound in (self.low, self.high))
        weighted = sum(
            sign * bound * value
            for sign, bound, value in ((1, self.low, low), (-1, self.high, high))
            if value
        )
        return self.stddev**2 * (1 + weighted - (low - high) ** 2)

    @property
    def _mass(self) -> float:
        from scipy.special import ndtr  # slow to import

        # From the nearer end, so that a tail is not a difference of numbers close to 1.
        low, high = (self.low, self.high) if self.low <= 0 else (-self.high, -self.low)
        return float(ndtr(high) - ndtr(low))

    def density(self, values: Any) -> np.ndarray:
        """Return the probability density at some values."""
        z = (np.asarray(values, float) - self.mean) / self.stddev
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / (self.stddev * self._mass)
        return np.where((self.low <= z) & (z <= self.high), density, 0.0)


@dataclass(frozen=True)
class Uniform:
    """A uniform distribution.

    Formula: ``p(w) = 1 / (high - low)`` for ``low <= w <= high``, otherwise 0.

    Attributes:
        low: The smallest value.
        high: The largest value, above ``low``.
    """

    low: float
    high: float
    name = "uniform"

    @property
    def support(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return self.low, self.high

    @property
    def variance(self) -> float:
        """The variance."""
        return (self.high - self.low) ** 2 / 12

    def density(self, values: Any) -> np.ndarray:
        """Return the probability density at some values."""
        values = np.asarray(values, float)
        inside = (self.low <= values) & (values <= self.high)
        return np.where(inside, 1 / (self.high - self.low), 0.0)


Law = Normal | Uniform


def law_of(initializer: Any, shape: tuple[int, ...]) -> Law | None:
    """Return the distribution of each value of a tensor with this shape.

    Args:
        initializer: An initializer of this package, or one of the same name of either Keras.
        shape: The shape of the tensor.

    Returns:
        The law; None if the values are not identically distributed, are constant, or have a
        distribution that is not normal, truncated normal or uniform, and for custom classes.

    Example:
    >>> import kerasinit
    >>> law = law_of(kerasinit.HeNormal(), (200, 100))
    >>> law.name, round(law.variance, 12)
    ('truncated normal', 0.01)
    >>> law_of(kerasinit.Orthogonal(), (200, 100)) is None
    True
    """
    kind = type(initializer)
    if kind.__module__.partition(".")[0] in KERASES:
        # Keras' own have the arguments of ours and, by default, the same fans.
        ours = CLASSES.get(kind.__qualname__)
        if ours is None or ours not in _LAWS:
            return None
        kind, initializer = ours, ours.from_config({**initializer.get_config(), "seed": None})
    # A subclass may transform what its base class draws.
    law = _LAWS.get(kind)
    return law(initializer, shape) if law else None


def _normal(made: Any, shape: tuple[int, ...]) -> Law | None:
    return Normal(made.mean, made.stddev) if made.stddev else None


def _truncated(made: TruncatedNormal, shape: tuple[int, ...]) -> Law | None:
    return Normal(made.mean, made.stddev, *relative_bounds(made)) if made.stddev else None


def _uniform(made: RandomUniform, shape: tuple[int, ...]) -> Law | None:
    return Uniform(made.minval, made.maxval) if made.minval < made.maxval else None


def _scaled(made: VarianceScaling, shape: tuple[int, ...]) -> Law:
    stddev = math.sqrt(made.variance(shape))
    if made.distribution == "uniform":
        return Uniform(-math.sqrt(3) * stddev, math.sqrt(3) * stddev)
    if made.distribution == "untruncated_normal":
        return Normal(0.0, stddev)
    return Normal(0.0, stddev / TRUNCATED_STDDEV, -2.0, 2.0)


def _siren(made: Siren, shape: tuple[int, ...]) -> Law:
    limit = siren_limit(made, shape)
    return Uniform(-limit, limit)


def _alexnet(made: AlexNet, shape: tuple[int, ...]) -> Law:
    return Normal(0.0, ALEXNET_STDDEV)


def _phi(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


_LAWS: dict[type, Callable[[Any, tuple[int, ...]], Law | None]] = {
    AlexNet: _alexnet,
    RandomNormal: _normal,
    RandomUniform: _uniform,
    Siren: _siren,
    TruncatedNormal: _truncated,
    # Sums of normal values are normal, and the factor restores the variance.
    CentredNormal: _scaled,
    **{
        kind: _scaled
        for kind in CLASSES.values()
        if issubclass(kind, VarianceScaling) and kind is not CentredNormal
    },
}
