"""Initializers for upsampling layers that avoid checkerboard artifacts."""

import functools
from typing import Any

import numpy as np

from kerasinit._src.initializers.base import Initializer, Seed, checked_whole, registered
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.taps import checked_kernel
from kerasinit._src.initializers.wrapping import Wrapper


@registered
class Bilinear(Initializer):
    """Initializer with which a transposed convolution interpolates each channel linearly.

    For the upsampling layers of segmentation networks and decoders, as a starting point of
    training: ``Conv2DTranspose(c, 2 * s - s % 2, strides=s, padding="same")`` enlarges an image
    of ``c`` channels ``s`` times. Constants and ramps are reproduced exactly except at the
    border, where zero padding interferes. Linear, bilinear or trilinear interpolation, for one,
    two or three spatial axes.

    Formula: ``w[..., i, i]`` is the product over the spatial axes of
    ``1 - |x - centre| / f`` at tap ``x`` of ``k``, with ``f = (k + 1) // 2`` and
    ``centre = (k - 1) / 2``; zero between different channels.

    Raises:
        ValueError: If, when called, the shape is not that of a transposed convolution with as
            many outputs as inputs, ``(*window, n, n)`` of rank 3 to 5, or the dtype is not
            floating-point.

    Example:
    >>> Bilinear()((4, 1, 1)).ravel()
    array([0.25, 0.75, 0.75, 0.25], dtype=float32)
    >>> import keras, numpy as np
    >>> layer = keras.layers.Conv1DTranspose(
    ...     1, 4, strides=2, padding="same", kernel_initializer=Bilinear()
    ... )
    >>> np.ravel(layer(np.array([0, 1, 2, 3], "float32").reshape(1, 4, 1)))[1:-1]
    array([0.25, 0.75, 1.25, 1.75, 2.25, 2.75], dtype=float32)

    Reference:
        Long, Shelhamer and Darrell, 2015, "Fully convolutional networks for semantic
        segmentation", section 3.3.
    """

    _floating_only = True

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(3, 6))
        *window, outputs, inputs = shape
        if outputs != inputs:
            raise ValueError(
                f"Bilinear interpolates each channel separately and needs as many outputs as "
                f"inputs; got shape {shape}, with {outputs} outputs and {inputs} inputs (the "
                f"order of a transposed convolution). Change the number of channels in a "
                f"separate layer, such as a convolution with kernel size 1."
            )
        values = np.zeros(shape, np.float32)
        channel = np.arange(inputs)
        taps = functools.reduce(np.multiply.outer, map(_triangle, window))
        values[..., channel, channel] = taps[..., np.newaxis]
        return values.astype(dtype, copy=False)


def _triangle(taps: int) -> np.ndarray:
    """Return the weights of linear interpolation along one axis."""
    distance = np.abs(np.arange(taps) - (taps - 1) / 2)
    return 1 - distance / ((taps + 1) // 2)


@registered
class ICNR(Wrapper):
    """ICNR initializer: a sub-pixel convolution that starts as nearest-neighbour upsampling.

    For ``Conv2D(channels * scale**2, ...)`` followed by ``tf.nn.depth_to_space(x, scale)``
    or ``keras.ops.depth_to_space``. All ``scale**2`` sub-pixels of a pixel start with the same
    weights, so that the image has no checkerboard artifacts before training, and fewer after.
    ("Initialization to convolution NN resize".)

    Formula: ``w[..., p * n + c] = v[..., c]`` for the channels ``c`` of ``n`` and the
    sub-pixels ``p`` of ``scale**2`` in row-major order, as in ``tf.nn.depth_to_space``; ``v``,
    of shape ``(*window, inputs, n)``, is drawn by the wrapped initializer, with the fans of
    that shape.

    Args:
        initializer: The wrapped initializer: one of this package, or a registered custom
            subclass, without a seed; as an instance, a name or a configuration. Defaults to
            ``"HeNormal"``.
        scale: Upsampling factor of each axis, at least 1. Defaults to 2.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``scale`` is below 1, the initializer is unknown or has a seed, the seed
            is negative or, when called, the shape is not that of a two-dimensional convolution
            with a multiple of ``scale**2`` filters.

    Example:
    >>> kernel = ICNR("GlorotUniform", scale=2, seed=1)((3, 3, 8, 12))
    >>> [bool((kernel[..., :3] == kernel[..., p : p + 3]).all()) for p in (3, 6, 9)]
    [True, True, True]

    Reference:
        Aitken, Ledig, Theis, Caballero, Wang and Shi, 2017, "Checkerboard artifact free
        sub-pixel convolution".
    """

    _arguments = ("scale", "initializer", "seed")

    def __init__(
        self,
        initializer: Initializer | str | dict[str, Any] = "HeNormal",
        scale: int = 2,
        seed: Seed = None,
    ):
        super().__init__(initializer, seed)
        self.scale = checked_whole(self, "scale", scale, minimum=1)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(4, 5))
        pixels = self.scale**2
        if shape[-1] % pixels:
            raise ValueError(
                f"ICNR needs scale**2 = {pixels} filters for each channel of the upsampled image; "
                f"got shape {shape}, with {shape[-1]} filters, which is not a multiple of it. "
                f"Give the layer channels * {pixels} filters."
            )
        small = self._draw_inner(stream, (*shape[:-1], shape[-1] // pixels), dtype)
        return np.tile(small, pixels)
