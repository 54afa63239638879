"""Kernels of a convolution that computes a short-time Fourier transform."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src import errors
from kerasinit._src.initializers.base import Initializer, checked_flag, checked_number, registered

SIDES = ("imag", "real")
SCALINGS = ("density", "spectrum")


@registered
class STFT(Initializer):
    """Initializer of convolution kernels that compute a short-time Fourier transform.

    A ``Conv1D`` with these kernels correlates each frame of a signal with one cosine
    (``side="real"``) or sine (``"imag"``) for each frequency; a pair of them computes the
    transform. ``keras.layers.STFTSpectrogram`` has such a pair.

    Formula: for a frame of ``T`` samples and ``n`` frequencies, from 0 to half of the sampling
    rate, ``w[t, 0, k] = f(-2 pi t k / (2 (n - 1))) window[t] / s``, where f is the cosine or sine;
    ``s = sqrt(sum(window^2))`` (``scaling="density"``), ``sum(|window|)`` (``"spectrum"``) or 1.
    The phase is reduced in integer arithmetic and the values are computed in float64, so that
    they are exact up to rounding (those of Keras have errors of up to 1e-4 in float32).

    Args:
        side: ``"real"`` (default) or ``"imag"``.
        window: The name of a window of ``scipy.signal.windows``, its values, one for each sample
            of the frame, or None for no window and no scaling. Defaults to ``"hann"``.
        scaling: ``"density"`` (default), ``"spectrum"`` or None.
        periodic: Whether a window given by name is periodic, for spectral analysis, or symmetric
            (default), for filter design.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a choice is unknown, the window requires parameters (give its values) or,
            when called, the dtype is not floating-point, the shape is not ``(samples, 1,
            frequencies)`` with two frequencies or more, the window does not have the length of
            the frame, or all its values are zero and it is to be scaled.

    Example:
    >>> import keras, numpy as np
    >>> time = np.arange(64, dtype="float32").reshape(1, 64, 1)
    >>> wave = np.cos(2 * np.pi * 5 / 64 * time)  # of the frequency 5
    >>> real, imag = (
    ...     keras.layers.Conv1D(33, 64, use_bias=False, kernel_initializer=STFT(side))(wave)
    ...     for side in ("real", "imag")
    ... )
    >>> int(np.argmax(np.hypot(real, imag)))
    5

    Reference:
        Allen and Rabiner, 1977, "A unified approach to short-time Fourier analysis and
        synthesis"; Heinzel, Rüdiger and Schilling, 2002, "Spectrum and spectral density
        estimation by the discrete Fourier transform" (the two scalings).
    """

    _floating_only = True
    _arguments = ("side", "window", "scaling", "periodic")

    def __init__(
        self,
        side: str = "real",
        window: str | Iterable[float] | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ):
        if side not in SIDES:
            raise errors.unknown("side", side, SIDES)
        if scaling is not None and scaling not in SCALINGS:
            raise errors.unknown("scaling", scaling, SCALINGS, "Or None for no scaling.")
        self.periodic = checked_flag(self, "periodic", periodic)
        self.side = side
        self.window = _checked_window(self, window)
        self.scaling = scaling

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise ValueError(
                f"STFT needs the shape of a Conv1D kernel for a signal of one channel, (samples, "
                f"1, frequencies), with two frequencies or more; got shape {shape}."
            )
        samples, _, frequencies = shape
        period = 2 * (frequencies - 1)
        # Reduced to one period in integers, before the division, so that no digits are lost.
        turns = np.outer(np.arange(samples), np.arange(frequencies)) % period / period
        wave = np.cos if self.side == "real" else np.sin
        values = (wave(-2 * np.pi * turns) * self._window(samples)).reshape(shape)
        # Like random values, those of a shorter dtype are rounded from float32.
        return values if dtype == np.float64 else values.astype(np.float32).astype(dtype)

    def _window(self, samples: int) -> np.ndarray:
        """Return the window, scaled, as a column."""
        if self.window is None:
            return np.ones((samples, 1))
        if isinstance(self.window, str):
            window = _named_window(self.window, samples, self.periodic)
        else:
            window = np.array(self.window, np.float64)
        if len(window) != samples:
            raise ValueError(
                f"STFT has a window of {len(window)} values; the frame has {samples} samples."
            )
        scale = {
            None: 1.0,
            "density": np.sqrt(np.square(window).sum()),
            "spectrum": np.abs(window).sum(),
        }[self.scaling]
        if samples and not scale:
            raise ValueError(
                f"{self!r} has a window of {samples} zeros, which cannot be scaled. Use another "
                f"window, a longer frame, or scaling=None."
            )
        return window[:, np.newaxis] / (scale or 1.0)


def _checked_window(owner: STFT, window: Any) -> str | list[float] | None:
    """Return a window as plain JSON: a name, its values, or None."""
    if window is None:
        return None
    if isinstance(window, str):
        _named_window(window, 1, periodic=False)
        return window
    if not isinstance(window, Iterable):
        raise TypeError(
            f"STFT got window={window!r}; expected the name of a window such as 'hann', its "
            f"values, or None."
        )
    return [checked_number(owner, "window", value) for value in window]


def _named_window(name: str, samples: int, periodic: bool) -> np.ndarray:
    # Imported on demand: it takes as long as most of this package.
    from scipy import signal

    if not samples:
        return np.empty(0)
    try:
        return np.asarray(signal.get_window(name, samples, periodic), np.float64)
    except ValueError as error:
        if callable(getattr(signal.windows, name, None)):
            raise ValueError(
                f"The window {name!r} requires parameters, which a name cannot specify ({error}). "
                f"Give its values, as returned by scipy.signal.get_window."
            ) from error
        known = [kind for kind in signal.windows.__all__ if kind not in ("get_window", "dpss")]
        raise errors.unknown("window", name, known) from error
