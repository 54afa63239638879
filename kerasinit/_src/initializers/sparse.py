"""Initializers that leave most weights at zero."""

import math
from typing import Any

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

# Below it, the smallest of the normal numbers would be zero in float32.
_LEAST_STDDEV = 1e-30


@registered
class Sparse(RandomInitializer):
    """A few incoming weights for each unit, and zeros.

    The input of a unit does not grow with the number of units before it, so the weights
    may be large, and units differ from the start. For deep networks of saturating units,
    and for recurrent ones (echo states); not to be taken for pruning, since the zeros
    are trained like any other weight.

    Formula: each unit has exactly ``num_nonzero`` incoming weights ``w ~ N(0, stddev^2)``,
    at places drawn uniformly; the others are 0. A unit's incoming weights are all that
    share an index on the last axis: a column of a matrix, a filter of a convolution.
    (For the kernels of depthwise and transposed convolutions, which have their units at
    another axis, it is not meant.)

    Args:
        num_nonzero: How many weights of a unit are not 0, 1 or more; 15 by default.
        stddev: Their standard deviation, at least 1e-30; 1 by default. In float16 a weight
            below 3e-8 is rounded to 0.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If a number is too small or not finite, the seed negative or, at a call,
            the shape is of a rank below 2 or has fewer than ``num_nonzero`` inputs.

    Example:
    >>> values = Sparse(num_nonzero=3, seed=1)((784, 100))
    >>> set((values != 0).sum(axis=0).tolist())
    {3}

    Reference:
        Martens, 2010, "Deep learning via Hessian-free optimization", section 5.
    """

    def __init__(self, num_nonzero: int = 15, stddev: float = 1.0, seed: Seed = None):
        super().__init__(seed)
        self.num_nonzero = checked_whole(self, "num_nonzero", num_nonzero, minimum=1)
        self.stddev = checked_number(self, "stddev", stddev, minimum=_LEAST_STDDEV)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"num_nonzero": self.num_nonzero, "stddev": self.stddev, **super().get_config()}

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        name = type(self).__qualname__
        if len(shape) < 2:
            raise ValueError(
                f"{name} makes kernels, of rank 2 or more; got the shape {shape}, of rank "
                f"{len(shape)}. For a bias use Zeros."
            )
        inputs, units = math.prod(shape[:-1]), shape[-1]
        if self.num_nonzero > inputs:
            raise ValueError(
                f"{name} got num_nonzero={self.num_nonzero}, but a unit of the shape {shape} has "
                f"only {inputs} inputs; give num_nonzero={inputs} or less."
            )
        places = sampling.choices(stream.child(0), self.num_nonzero, inputs, units)
        # None of them is 0: no number of this sampler is.
        weights = sampling.normal(stream.child(1), places.shape, dtype, stddev=self.stddev)
        values = np.zeros((inputs, units), dtype)
        np.put_along_axis(values, places, weights, axis=0)
        return values.reshape(shape)
