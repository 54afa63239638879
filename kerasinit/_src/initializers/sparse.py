"""Initializers with mostly zero weights."""

import math

import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    RandomInitializer,
    Seed,
    checked_number,
    checked_whole,
    registered,
)
from kerasinit._src.initializers.sampling import Stream

# Below it, the smallest of the normal numbers would underflow in float32.
_MIN_STDDEV = 1e-30


@registered
class Sparse(RandomInitializer):
    """Sparse initializer with a fixed number of nonzero incoming weights for each unit.

    The input of a unit does not grow with the width of the previous layer, so the weights can
    be large, and units differ from the start. For deep networks of saturating units and for
    recurrent networks (echo states). Not a form of pruning: the zeros are trained like any
    other weight.

    Formula: each unit has exactly ``num_nonzero`` incoming weights ``w ~ N(0, stddev^2)``, at
    uniformly random positions; the others are 0. The incoming weights of a unit are all that
    share an index along the last axis: a column of a matrix, a filter of a convolution. (Not
    for depthwise and transposed convolutions, whose units lie along another axis.)

    Args:
        num_nonzero: Number of nonzero weights of a unit, at least 1. Defaults to 15.
        stddev: Standard deviation of the nonzero weights, at least 1e-30. Defaults to 1. In
            float16 a weight below 3e-8 is rounded to 0.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is too small or not finite, the seed is negative or, when
            called, the shape has a rank below 2 or fewer than ``num_nonzero`` inputs.

    Example:
    >>> values = Sparse(num_nonzero=3, seed=1)((784, 100))
    >>> set((values != 0).sum(axis=0).tolist())
    {3}

    Reference:
        Martens, 2010, "Deep learning via Hessian-free optimization", section 5.
    """

    _arguments = ("num_nonzero", "stddev", "seed")

    def __init__(self, num_nonzero: int = 15, stddev: float = 1.0, seed: Seed = None):
        super().__init__(seed)
        self.num_nonzero = checked_whole(self, "num_nonzero", num_nonzero, minimum=1)
        self.stddev = checked_number(self, "stddev", stddev, minimum=_MIN_STDDEV)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        name = type(self).__qualname__
        if len(shape) < 2:
            raise ValueError(
                f"{name} needs a shape of rank 2 or more; got shape {shape}, of rank "
                f"{len(shape)}. For a bias use Zeros."
            )
        inputs, units = math.prod(shape[:-1]), shape[-1]
        if self.num_nonzero > inputs:
            raise ValueError(
                f"{name} got num_nonzero={self.num_nonzero}, but with shape {shape} a unit has "
                f"only {inputs} inputs; give num_nonzero={inputs} or less."
            )
        places = sampling.choices(stream.child(0), self.num_nonzero, inputs, units)
        # None of them is 0, since the sampler never returns 0.
        weights = sampling.normal(stream.child(1), places.shape, dtype, stddev=self.stddev)
        values = np.zeros((inputs, units), dtype)
        np.put_along_axis(values, places, weights, axis=0)
        return values.reshape(shape)
