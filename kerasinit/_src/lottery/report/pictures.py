"""Masks as pictures: which inputs a ticket still looks at, and where a layer is thin."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST_BLOCKS = 64


def image_shape(num_inputs: int, input_shape: Sequence[int] | None) -> tuple[int, int, int]:
    """Return height, width and channels of what a dense layer looks at.

    Args:
        num_inputs: The rows of its kernel.
        input_shape: The shape of one example, if it is known. What is no image is taken
            for a square one if it can be, with one channel or three, else for a strip.

    Example:
    >>> image_shape(784, (28, 28)), image_shape(3072, None), image_shape(7, (7,))
    ((28, 28, 1), (32, 32, 3), (1, 7, 1))
    """
    shape = tuple(input_shape or ())
    if math.prod(shape) == num_inputs and len(shape) in (2, 3):
        height, width, channels = (*shape, 1)[:3]
        return height, width, channels
    for channels in (1, 3):
        side = math.isqrt(num_inputs // channels)
        if side > 1 and side * side * channels == num_inputs:
            return side, side, channels
    return 1, num_inputs, 1


def surviving_inputs(mask: np.ndarray, input_shape: Sequence[int] | None) -> np.ndarray | None:
    """Return how many outgoing weights of each input pixel live, as an image.

    Args:
        mask: The mask of the first kernel.
        input_shape: The shape of one example, if it is known.

    Returns:
        Counts of shape ``(height, width)``, the channels of a pixel added up; ``None``
        if the kernel is not that of a dense layer on the inputs.

    Example:
    >>> mask = np.array([[True, True], [False, True], [False, False], [True, False]])
    >>> surviving_inputs(mask, (2, 2))
    array([[2, 1],
           [0, 1]])
    """
    if mask.ndim != 2 or (input_shape and math.prod(input_shape) != len(mask)):
        return None
    shape = image_shape(len(mask), input_shape)
    return np.count_nonzero(mask, axis=1).reshape(shape).sum(axis=2)


def blocks(mask: np.ndarray) -> np.ndarray:
    """Return the density of each part of a mask, inputs downwards and outputs to the right.

    A convolution's positions are averaged; a large kernel is cut into at most 64 x 64
    blocks, as equal as can be.

    Example:
    >>> blocks(np.array([[True, False], [True, True]]))
    array([[1., 0.],
           [1., 1.]])
    """
    values = mask.astype(float)
    values = values.mean(axis=tuple(range(mask.ndim - 2))) if mask.ndim > 2 else values
    values = np.atleast_2d(values)
    for axis in (0, 1):
        size = values.shape[axis]
        edges = np.linspace(0, size, min(size, _MOST_BLOCKS) + 1).astype(int)
        values = np.add.reduceat(values, edges[:-1], axis=axis)
        values = values / np.expand_dims(np.diff(edges), 1 - axis)
    return values


def png(values: np.ndarray, most: float) -> str:
    """Return a picture as a data address, dark blue for 0 to yellow for ``most``.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.image import imsave

    # cividis looks the same to the colour-blind, and grows lighter all the way.
    pixels = matplotlib.colormaps["cividis"](np.asarray(values) / (most or 1), bytes=True)
    buffer = io.BytesIO()
    # None leaves out what would name matplotlib's version.
    options: dict[str, Any] = {"metadata": {"Software": None}}
    imsave(buffer, pixels, format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
