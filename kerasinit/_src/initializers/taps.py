"""Kernels of shape ``(*window, inputs, outputs)``: a matrix at each tap of the window.

The kernel of a dense layer is a matrix without a window.
"""

import numpy as np


def checked_kernel(owner: object, shape: tuple[int, ...], ranks: range) -> None:
    """Raise a ValueError unless the rank is one of ``ranks`` and the window has taps."""
    name = type(owner).__qualname__
    if len(shape) not in ranks:
        expected = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        kernels = "matrices and convolution kernels" if 2 in ranks else "convolution kernels"
        raise ValueError(
            f"{name} supports {kernels}, (*window, inputs, outputs) of rank {expected}; got "
            f"shape {shape}, of rank {len(shape)}."
        )
    if 0 in shape[:-2]:
        raise ValueError(f"{name} needs a window of at least one tap; got shape {shape}.")


def centre_tap(kernel: np.ndarray) -> np.ndarray:
    """Return the matrix at the centre of a kernel's window, as a writable view.

    With ``padding="same"`` the tap ``(k - 1) // 2`` of ``k`` is aligned with the output pixel:
    for an even ``k``, TensorFlow pads one pixel less before than after.
    """
    return kernel[tuple((size - 1) // 2 for size in kernel.shape[:-2])]
