"""Initializers that draw from a distribution given by its numbers, not by the fans."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    LARGEST,
    RandomInitializer,
    Seed,
    checked_number,
    registered,
)
from kerasinit._src.initializers.quantiles import require_mass
from kerasinit._src.initializers.sampling import Stream


class _Normal(RandomInitializer):
    """What the two normal distributions share: a mean and a standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        super().__init__(seed)
        self.mean = checked_number(self, "mean", mean)
        self.stddev = checked_number(self, "stddev", stddev, minimum=0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


@registered
class RandomNormal(_Normal):
    """Values from the normal distribution.

    For a layer whose scale is known, such as an embedding (0.02 in many language
    models). For kernels prefer `HeNormal` and its kin, which look at the fans.

    Formula: ``w ~ N(mean, stddev^2)``.

    Args:
        mean: Mean of the values; 0 by default.
        stddev: Their standard deviation, at least 0; 0.05 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If a number is not finite, or ``stddev`` or the seed negative.

    Example:
    >>> RandomNormal(stddev=0.02, seed=1)((2, 2)).shape
    (2, 2)
    """

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.normal(stream, shape, dtype, self.mean, self.stddev)


@registered
class TruncatedNormal(_Normal):
    """Values from the normal distribution without its tails.

    Values beyond the bounds do not come, so that no unit starts far from the others.

    Formula: ``w ~ N(mean, stddev^2)`` given ``mean + low stddev <= w <= mean + high
    stddev``, where ``bounds = (low, high)``; given ``low <= w <= high`` if they are
    absolute. With the default bounds the standard deviation of the result is ``0.8796
    stddev``.

    Args:
        mean: Mean before the tails are cut; 0 by default.
        stddev: Standard deviation before the tails are cut, at least 0; 0.05 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        bounds: Where the tails are cut: two numbers, the first below the second; in
            standard deviations from the mean, by default (-2, 2), as in Keras. None for a
            bound that is not there.
        absolute: Whether the bounds are values of the weights themselves, as in PyTorch's
            ``trunc_normal_``.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If a number is not finite, ``stddev`` or the seed negative, or the
            bounds are the wrong way round or have next to nothing between them.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(TruncatedNormal(stddev=0.5, seed=1)((100, 100))).max() <= 1.0)
    True
    >>> positive = TruncatedNormal(stddev=0.02, seed=1, bounds=(0, None))
    >>> bool(positive((100, 100)).min() >= 0)
    True
    """

    def __init__(
        self,
        mean: float = 0.0,
        stddev: float = 0.05,
        seed: Seed = None,
        *,
        bounds: Iterable[float | None] = (-2.0, 2.0),
        absolute: bool = False,
    ):
        super().__init__(mean, stddev, seed)
        if not isinstance(absolute, bool):
            raise TypeError(f"TruncatedNormal got absolute={absolute!r}; expected True or False.")
        self.bounds = _checked_bounds(self, bounds)
        self.absolute = absolute
        if self.stddev or not absolute:
            require_mass(*self._relative())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {**super().get_config(), "bounds": self.bounds, "absolute": self.absolute}

    def _relative(self) -> tuple[float, float]:
        """Return the bounds in standard deviations from the mean."""
        ends = (-math.inf, math.inf)
        low, high = (
            end if bound is None else bound for bound, end in zip(self.bounds, ends, strict=True)
        )
        if not self.absolute:
            return low, high
        if not self.stddev:  # all values are the mean, wherever the bounds are
            return ends
        return (low - self.mean) / self.stddev, (high - self.mean) / self.stddev

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.truncated_normal(
            stream, shape, dtype, self.mean, self.stddev, self._relative()
        )


@registered
class RandomUniform(RandomInitializer):
    """Values spread evenly over an interval.

    Formula: ``w ~ U[minval, maxval)``. In float32 ``maxval`` itself never comes; in a
    shorter dtype the values nearest to it may be rounded to it.

    Args:
        minval: Lower end, included; -0.05 by default.
        maxval: Upper end, excluded, not below ``minval``; 0.05 by default. If it equals
            ``minval``, that is the value.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If an end is not finite, the ends are the wrong way round or further
            apart than float32 reaches, the seed is negative or, at a call, the dtype is
            not a floating one (as in Keras 3).

    Example:
    >>> values = RandomUniform(0.0, 1.0, seed=1)((100, 100))
    >>> bool(0 <= values.min() and values.max() < 1)
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None):
        super().__init__(seed)
        self.minval = checked_number(self, "minval", minval)
        self.maxval = checked_number(self, "maxval", maxval)
        if self.minval > self.maxval:
            raise ValueError(
                f"RandomUniform got minval={minval!r} above maxval={maxval!r}; swap them?"
            )
        if self.maxval - self.minval > LARGEST:
            raise ValueError(
                f"RandomUniform draws in float32, whose largest number is {LARGEST:.4g}; got "
                f"minval={minval!r}, maxval={maxval!r}, which are further apart."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.uniform(stream, shape, dtype, self.minval, self.maxval)


def _checked_bounds(owner: object, bounds: Any) -> list[float | None]:
    if isinstance(bounds, str) or not isinstance(bounds, Iterable):
        raise TypeError(
            f"TruncatedNormal got bounds={bounds!r}; expected two numbers, such as (-2, 2)."
        )
    bounds = list(bounds)
    if len(bounds) != 2:
        raise ValueError(f"TruncatedNormal got bounds={bounds!r}; expected two, low and high.")
    low, high = (
        None if bound is None else checked_number(owner, "bounds", bound) for bound in bounds
    )
    if low is not None and high is not None and low >= high:
        raise ValueError(
            f"TruncatedNormal got bounds={bounds!r}; expected the lower one first, and two that "
            f"differ."
        )
    return [low, high]
