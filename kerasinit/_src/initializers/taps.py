"""The parts of a kernel: its window and, at each tap of it, a matrix.

A kernel is ``(*window, inputs, outputs)`` in both Kerases, a matrix without a window
being that of a dense layer.
"""

import numpy as np


def checked_kernel(owner: object, shape: tuple[int, ...], ranks: range) -> None:
    """Raise what is wrong with the shape of a kernel.

    Args:
        owner: The initializer that is to fill it.
        shape: The shape.
        ranks: The ranks that it may have: 2 for a matrix, 3 to 5 for a convolution with
            a window of one to three axes.

    Raises:
        ValueError: If the rank is another or the window has no taps.
    """
    name = type(owner).__qualname__
    if len(shape) not in ranks:
        expected = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        kernels = "matrices and convolution kernels" if 2 in ranks else "convolution kernels"
        raise ValueError(
            f"{name} makes {kernels}, (*window, inputs, outputs) of rank {expected}; got the "
            f"shape {shape}, of rank {len(shape)}."
        )
    if 0 in shape[:-2]:
        raise ValueError(f"{name} needs a window of at least one tap; got the shape {shape}.")


def centre_tap(kernel: np.ndarray) -> np.ndarray:
    """Return the matrix in the middle of a kernel's window, to be written to.

    With ``padding="same"`` the tap ``(k - 1) // 2`` of ``k`` lies on the pixel that is
    computed: of an even number of taps, TensorFlow pads one pixel less before than after.
    """
    return kernel[tuple((size - 1) // 2 for size in kernel.shape[:-2])]
