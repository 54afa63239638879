"""Initializers whose matrix keeps lengths and angles."""

from typing import Any

import numpy as np

from kerasinit.initializers import sampling
from kerasinit.initializers.base import RandomInitializer, Seed, checked_number, registered
from kerasinit.initializers.sampling import Stream


@registered
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal columns, or rows where there are fewer of them.

    It keeps the length of every signal, not only the average length, so a deep linear
    network learns in a time that does not grow with its depth; much used for the
    recurrent kernels of RNNs.

    Formula: ``w = gain * Q``, where ``Q`` is uniform (Haar) among the matrices with
    ``Q^T Q = I`` (rows >= columns) or ``Q Q^T = I``. A tensor of rank above 2 is taken
    as the matrix whose rows are all axes but the last, as in Keras.

    ``Q`` is a product of random reflections, multiplied by LAPACK: from one version of it to
    the next the values may differ in the last digits of float32.

    Args:
        gain: Factor; 1 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the gain is not finite, the seed negative or, at a call, the shape
            of a rank below 2.

    Example:
    >>> import numpy as np
    >>> q = Orthogonal(seed=1)((64, 32))
    >>> bool(np.abs(q.T @ q - np.eye(32)).max() < 1e-5)
    True

    Reference:
        Saxe, McClelland and Ganguli, 2014, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks"; Stewart, 1980, "The efficient generation of
        random orthogonal matrices with an application to condition estimators"; Mezzadri,
        2007, "How to generate random matrices from the classical compact groups".
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None):
        super().__init__(seed)
        self.gain = checked_number(self, "gain", gain)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"gain": self.gain, **super().get_config()}

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal makes matrices, of rank 2 or more; got the shape {shape}, of rank "
                f"{len(shape)}. For a vector use another initializer, such as RandomNormal."
            )
        return sampling.orthogonal(stream, shape, dtype, self.gain)
