"""The kernels of a convolution that computes a short-time Fourier transform."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src import errors
from kerasinit._src.initializers.base import Initializer, checked_number, registered

SIDES = ("imag", "real")
SCALINGS = ("density", "spectrum")


@registered
class STFT(Initializer):
    """Kernels of a convolution that computes a short-time Fourier transform of its input.

    A ``Conv1D`` with these kernels slides over the signal and correlates each frame with one
    cosine (``side="real"``) or sine (``"imag"``) for each frequency; two of them are the
    transform. ``keras.layers.STFTSpectrogram`` has such a pair.

    Formula: for a frame of ``T`` samples and ``n`` frequencies, from 0 to half of the sampling
    rate, ``w[t, 0, k] = f(-2 pi t k / (2 (n - 1))) window[t] / s``, where f is the cosine or sine;
    ``s = sqrt(sum(window^2))`` (``scaling="density"``), ``sum(|window|)`` (``"spectrum"``) or 1.
    The phase is reduced in whole numbers and everything is computed in float64, so that the
    values are those of the formula up to rounding (Keras' are off by up to 1e-4 in float32).

    Args:
        side: ``"real"`` (default) or ``"imag"``.
        window: The name of a window of ``scipy.signal.windows``, ``"hann"`` by default; its
            values, one for each sample of the frame; or None for no window, and then no scaling.
        scaling: ``"density"`` (default), ``"spectrum"`` or None.
        periodic: Whether a window that is given by its name is periodic, for a transform, or
            symmetric (default), for the design of filters.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If a word is unknown, or the window needs parameters (give its values) or,
            at a call, the dtype is not a floating one, the shape not ``(samples, 1,
            frequencies)`` with two frequencies or more, the window's length not that of the
            frame, or its values all zero with a scaling.

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
        if not isinstance(periodic, bool):
            raise TypeError(f"STFT got periodic={periodic!r}; expected True or False.")
        self.side = side
        self.window = _checked_window(self, window)
        self.scaling = scaling
        self.periodic = periodic

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {
            "side": self.side,
            "window": self.window,
            "scaling": self.scaling,
            "periodic": self.periodic,
        }

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise ValueError(
                f"STFT makes kernels of a Conv1D over a signal of one channel, (samples, 1, "
                f"frequencies) with two frequencies or more; got the shape {shape}."
            )
        samples, _, frequencies = shape
        period = 2 * (frequencies - 1)
        # Whole turns are left out before the product becomes a fraction, so that nothing is lost.
        turns = np.outer(np.arange(samples), np.arange(frequencies)) % period / period
        wave = np.cos if self.side == "real" else np.sin
        values = (wave(-2 * np.pi * turns) * self._window(samples)).reshape(shape)
        # As for what is drawn, a shorter dtype rounds what float32 has.
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
                f"{self!r} has a window of {samples} zeros, which cannot be scaled. Give another "
                f"window, a longer frame, or scaling=None."
            )
        return window[:, np.newaxis] / (scale or 1.0)


def _checked_window(owner: STFT, window: Any) -> str | list[float] | None:
    """Return a window as JSON has it: a name, its values, or None."""
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
    # Imported when it is needed: it takes as long as most of this package.
    from scipy import signal

    if not samples:
        return np.empty(0)
    try:
        return np.asarray(signal.get_window(name, samples, periodic), np.float64)
    except ValueError as error:
        if callable(getattr(signal.windows, name, None)):
            raise ValueError(
                f"The window {name!r} needs parameters, which a name does not give ({error}). Give "
                f"its values, as scipy.signal.get_window returns them."
            ) from error
        known = [kind for kind in signal.windows.__all__ if kind not in ("get_window", "dpss")]
        raise errors.unknown("window", name, known) from error
