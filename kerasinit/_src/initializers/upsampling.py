"""Initializers of the layers that enlarge images, so that no checkerboard shows."""

import functools
from typing import Any

import numpy as np

from kerasinit._src.initializers.base import Initializer, Seed, checked_whole, registered
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.taps import checked_kernel
from kerasinit._src.initializers.wrapping import Wrapper


@registered
class Bilinear(Initializer):
    """A transposed convolution that starts as linear interpolation, channel by channel.

    For the upsampling layers of segmentation networks and decoders, which then learn
    something better: ``Conv2DTranspose(c, 2 * s - s % 2, strides=s, padding="same")`` on
    ``c`` channels makes an image ``s`` times as large. Away from the border it keeps
    constants and ramps exactly; at the border the zeros beyond it shine in. Of one, two or
    three axes: linear, bilinear, trilinear.

    Formula: ``w[..., i, i]`` is the product over the axes of the window of
    ``1 - |x - centre| / f`` at tap ``x`` of ``k``, with ``f = (k + 1) // 2`` and
    ``centre = (k - 1) / 2``; zero between different channels.

    Raises:
        ValueError: If, at a call, the shape is not that of a transposed convolution with as
            many outputs as inputs, ``(*window, n, n)`` of rank 3 to 5, or the dtype not a
            floating one.

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
                f"Bilinear enlarges every channel by itself and needs as many outputs as inputs; "
                f"got the shape {shape}, with {outputs} outputs and {inputs} inputs (in this "
                f"order, as transposed convolutions have them). Change the number of channels "
                f"in a layer of its own, such as a convolution of window 1."
            )
        values = np.zeros(shape, np.float32)
        channel = np.arange(inputs)
        taps = functools.reduce(np.multiply.outer, map(_triangle, window))
        values[..., channel, channel] = taps[..., np.newaxis]
        return values.astype(dtype, copy=False)


def _triangle(taps: int) -> np.ndarray:
    """Return the weights of linear interpolation, around the middle of an axis."""
    distance = np.abs(np.arange(taps) - (taps - 1) / 2)
    return 1 - distance / ((taps + 1) // 2)


@registered
class ICNR(Wrapper):
    """A sub-pixel convolution that starts as nearest-neighbour enlargement.

    For ``Conv2D(channels * scale**2, ...)`` followed by ``tf.nn.depth_to_space(x, scale)``
    or ``keras.ops.depth_to_space``: all ``scale**2`` pixels that come from one place start
    with the same weights, so that the image has no checkerboard before training, and less of
    it after. ("Initialization to convolution NN resize".)

    Formula: ``w[..., p * n + c] = v[..., c]`` for the channels ``c`` of ``n`` and the
    sub-pixels ``p``, row by row, of ``scale**2``, which is the order of
    ``tf.nn.depth_to_space``; ``v``, of shape ``(*window, inputs, n)``, comes from the
    wrapped initializer, whose fans are thus those of the small convolution.

    Args:
        initializer: Where the weights of the small convolution come from: an initializer
            of this package without a seed, as an instance, a name or a configuration;
            ``"HeNormal"`` by default. See `kerasinit.initializers.wrapping.Wrapper`.
        scale: How many times as large the image becomes along each axis, at least 1; 2 by
            default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``scale`` is below 1, the initializer unknown or with a seed of its
            own, the seed negative or, at a call, the shape not that of a two-dimensional
            convolution with a multiple of ``scale**2`` filters.

    Example:
    >>> kernel = ICNR("GlorotUniform", scale=2, seed=1)((3, 3, 8, 12))
    >>> [bool((kernel[..., :3] == kernel[..., p : p + 3]).all()) for p in (3, 6, 9)]
    [True, True, True]

    Reference:
        Aitken, Ledig, Theis, Caballero, Wang and Shi, 2017, "Checkerboard artifact free
        sub-pixel convolution".
    """

    def __init__(
        self,
        initializer: Initializer | str | dict[str, Any] = "HeNormal",
        scale: int = 2,
        seed: Seed = None,
    ):
        super().__init__(initializer, seed)
        self.scale = checked_whole(self, "scale", scale, minimum=1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"scale": self.scale, **super().get_config()}

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(4, 5))
        pixels = self.scale**2
        if shape[-1] % pixels:
            raise ValueError(
                f"ICNR needs scale**2 = {pixels} filters for each channel of the large image; got "
                f"the shape {shape}, with {shape[-1]} filters, which is not a multiple of it. "
                f"Give the layer channels * {pixels} filters."
            )
        small = self._draw_inner(stream, (*shape[:-1], shape[-1] // pixels), dtype)
        return np.tile(small, pixels)
