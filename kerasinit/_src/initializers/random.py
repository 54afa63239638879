"""Initializers that draw from a distribution with given parameters, whatever the fans."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    LARGEST,
    RandomInitializer,
    Seed,
    checked_flag,
    checked_number,
    registered,
)
from kerasinit._src.initializers.quantiles import require_mass
from kerasinit._src.initializers.sampling import Stream


class _Normal(RandomInitializer):
    """A mean and a standard deviation."""

    _arguments = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        super().__init__(seed)
        self.mean = checked_number(self, "mean", mean)
        self.stddev = checked_number(self, "stddev", stddev, minimum=0)


@registered
class RandomNormal(_Normal):
    """Random normal initializer.

    For a layer whose scale is known, such as an embedding (0.02 in many language models). For
    kernels prefer `HeNormal` and similar initializers, which adapt to the fans.

    Formula: ``w ~ N(mean, stddev^2)``.

    Args:
        mean: Mean of the values. Defaults to 0.
        stddev: Standard deviation of the values, at least 0. Defaults to 0.05.
        seed: The source of randomness:

            * A non-negative integer of any size: every call returns the same values, as in
              Keras. Two layers given the same seed and shape therefore start with the same
              weights, and ``keras.layers.MultiHeadAttention`` passes one seed to its query,
              key and value projections.
            * None (default): every call returns new values. They are reproducible if the
              program first calls ``keras.utils.set_random_seed`` (or that of tf_keras).
            * A ``keras.random.SeedGenerator``, which advances at every call. Its initial seed
              is saved, not its current state.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is not finite, or ``stddev`` or the seed is negative.

    Example:
    >>> import keras
    >>> layer = keras.layers.Embedding(1000, 64, RandomNormal(stddev=0.02))
    >>> round(float(RandomNormal(stddev=0.02, seed=1)((300, 300)).std()), 3)
    0.02

    Reference:
        Radford, Narasimhan, Salimans and Sutskever, 2018, "Improving language understanding by
        generative pre-training", section 4.1 (0.02).
    """

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.normal(stream, shape, dtype, self.mean, self.stddev)


@registered
class TruncatedNormal(_Normal):
    """Truncated normal initializer.

    The values lie within two bounds, so that no unit starts far from the others. Also known as
    ``trunc_normal_`` in PyTorch.

    Formula: ``w ~ N(mean, stddev^2)`` given ``mean + low stddev <= w <= mean + high
    stddev``, where ``bounds = (low, high)``; given ``low <= w <= high`` if they are
    absolute. With the default bounds the standard deviation of the values is ``0.8796
    stddev``.

    Args:
        mean: Mean before truncation. Defaults to 0.
        stddev: Standard deviation before truncation, at least 0. Defaults to 0.05.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        bounds: Lower and upper bound in standard deviations from the mean; None in place of
            one for no bound. Defaults to (-2, 2), as in Keras.
        absolute: Whether the bounds are values of the weights themselves, as in
            PyTorch. Defaults to False.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is not finite, ``stddev`` or the seed is negative, or the bounds
            are not ascending or have almost no probability between them.

    Example:
    >>> import numpy as np
    >>> bool(np.abs(TruncatedNormal(stddev=0.5, seed=1)((100, 100))).max() <= 1.0)
    True
    >>> positive = TruncatedNormal(stddev=0.02, seed=1, bounds=(0, None))
    >>> bool(positive((100, 100)).min() >= 0)
    True

    Reference:
        Devlin, Chang, Lee and Toutanova, 2019, "BERT: pre-training of deep bidirectional
        transformers for language understanding" (0.02 in the code published with it).
    """

    _arguments = ("mean", "stddev", "seed", "bounds", "absolute")

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
        self.absolute = checked_flag(self, "absolute", absolute)
        self.bounds = _checked_bounds(self, bounds)
        if self.stddev or not absolute:
            require_mass(*relative_bounds(self))

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.truncated_normal(
            stream, shape, dtype, self.mean, self.stddev, relative_bounds(self)
        )


@registered
class RandomUniform(RandomInitializer):
    """Random uniform initializer.

    For a layer whose range is known. For kernels prefer `HeUniform` and similar initializers,
    which adapt to the fans.

    Formula: ``w ~ U[minval, maxval)``. ``maxval`` is excluded in float32; in a shorter dtype
    values close to it may be rounded to it.

    Args:
        minval: Lower bound, included. Defaults to -0.05.
        maxval: Upper bound, excluded, at least ``minval``. Defaults to 0.05. If the bounds are
            equal, so are all values.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a bound is not finite, ``minval`` is above ``maxval``, their difference
            exceeds float32, the seed is negative or, when called, the dtype is not
            floating-point (as in Keras 3).

    Example:
    >>> values = RandomUniform(0.0, 1.0, seed=1)((100, 100))
    >>> bool(0 <= values.min() and values.max() < 1)
    True

    Reference:
        Sutskever, Vinyals and Le, 2014, "Sequence to sequence learning with neural networks",
        section 3.4 (an LSTM between -0.08 and 0.08).
    """

    _arguments = ("minval", "maxval", "seed")

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

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return sampling.uniform(stream, shape, dtype, self.minval, self.maxval)


def relative_bounds(made: TruncatedNormal) -> tuple[float, float]:
    """Return the bounds in standard deviations from the mean."""
    ends = (-math.inf, math.inf)
    low, high = (
        end if bound is None else bound for bound, end in zip(made.bounds, ends, strict=True)
    )
    if not made.absolute:
        return low, high
    if not made.stddev:  # all values equal the mean, whatever the bounds
        return ends
    return (low - made.mean) / made.stddev, (high - made.mean) / made.stddev


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
            f"TruncatedNormal got bounds={bounds!r}; expected a lower bound below the upper one."
        )
    return [low, high]
