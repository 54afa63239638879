"""Initializers for biases that know something from the start."""

import math
from typing import Any

import numpy as np

from kerasinit._src import errors
from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    Initializer,
    RandomInitializer,
    Seed,
    checked_number,
    checked_whole,
    registered,
)
from kerasinit._src.initializers.constant import held
from kerasinit._src.initializers.sampling import Stream

CELLS = ("gru", "lstm")

# The order of the gates in Keras' biases: input, forget, cell, output of an LSTM; update,
# reset, candidate of a GRU.
INPUT, FORGET = 0, 1
UPDATE = 0


@registered
class PriorProbability(Initializer):
    """A bias with which a sigmoid starts at a given probability.

    For the last layer of a classifier or detector of something rare: otherwise the many
    negative examples dominate the loss of the first steps, and training may diverge.
    The last layer's kernel should be small, so that the bias decides.

    Formula: ``b = log(p / (1 - p))``, so that ``sigmoid(b) = p``.

    Args:
        probability: How likely a positive is before anything is seen, between 0 and 1
            exclusively; 0.01 by default.

    Raises:
        TypeError: If the probability is not a number.
        ValueError: If it is not between 0 and 1 or, at a call, the dtype is not a floating
            one.

    Example:
    >>> import keras
    >>> layer = keras.layers.Dense(
    ...     3, "sigmoid", kernel_initializer="zeros", bias_initializer=PriorProbability(0.25)
    ... )
    >>> layer(keras.ops.ones((1, 8))).numpy()
    array([[0.25, 0.25, 0.25]], dtype=float32)

    Reference:
        Lin, Goyal, Girshick, He and Dollár, 2017, "Focal loss for dense object detection",
        section 4.1.
    """

    _floating_only = True

    def __init__(self, probability: float = 0.01):
        self.probability = checked_number(self, "probability", probability, above=0)
        if self.probability >= 1:
            raise ValueError(
                f"{type(self).__qualname__} got probability={probability!r}; expected a number "
                f"between 0 and 1, such as 0.01 for one in a hundred."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"probability": self.probability}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        odds = math.log(self.probability) - math.log1p(-self.probability)
        return np.full(shape, np.float32(odds), dtype)


@registered
class ForgetBias(Initializer):
    """The bias of an LSTM whose forget gates start open.

    With a bias of 0 an LSTM forgets half of what it knows at every step, and the gradient
    with it. Keras' own ``unit_forget_bias`` sets 1; here the value is yours.

    Formula: ``b = [0, value, 0, 0]``, ``units`` of each, for the gates in Keras' order:
    input, forget, cell, output.

    Keras joins such a bias by itself as long as ``unit_forget_bias`` is true, as it is by
    default, and asks the initializer for the other gates only: pass
    ``unit_forget_bias=False``.

    Args:
        units: The layer's units; the filters of a ``ConvLSTM``.
        value: Bias of the forget gates; 1 by default.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``units`` is below 1, ``value`` not finite or, at a call, the shape
            not ``(4 * units,)`` or the dtype too small for the value.

    Example:
    >>> import keras
    >>> layer = keras.layers.LSTM(
    ...     64, unit_forget_bias=False, bias_initializer=ForgetBias(64, value=2.0)
    ... )
    >>> ForgetBias(2)((8,))
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)

    Reference:
        Gers, Schmidhuber and Cummins, 2000, "Learning to forget: continual prediction with
        LSTM"; Jozefowicz, Zaremba and Sutskever, 2015, "An empirical exploration of
        recurrent network architectures".
    """

    _floating_only = True

    def __init__(self, units: int, value: float = 1.0):
        self.units = checked_whole(self, "units", units, minimum=1)
        self.value = checked_number(self, "value", value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"units": self.units, "value": self.value}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        _check_lstm_bias(self, shape)
        held(self, self.value, dtype)
        values = np.zeros(shape, np.float32)
        values[_gate(FORGET, self.units)] = self.value
        return values.astype(dtype)


@registered
class Chrono(RandomInitializer):
    """The bias of an LSTM or GRU whose units remember for times of up to a given length.

    A unit whose forget gate is at ``f`` remembers for about ``1 / (1 - f)`` steps. These
    times are drawn uniformly up to the longest dependence that the task is known to have,
    so that some units carry a signal over all of it from the start.

    Formula: ``u ~ U[1, max_time - 1)`` for each unit. LSTM: forget gate ``log(u)``, input
    gate ``-log(u)``, cell and output 0; the unit's time is ``1 + u``. GRU: update gate
    ``log(u)``, the others 0. The update gate of Keras' GRU is the share of the old state
    that is kept, ``h = z * h + (1 - z) * candidate``, so it takes the forget gate's bias;
    in the paper and elsewhere it is the other way round. Of the two biases of a GRU with
    ``reset_after``, its default in Keras, which are added up, the first one gets it.

    For an LSTM or ConvLSTM pass ``unit_forget_bias=False``, see `ForgetBias`.

    Args:
        units: The layer's units; the filters of a ``ConvLSTM``.
        max_time: The longest time to remember, in steps, above 2; of the order of the
            sequence's length.
        cell: ``"lstm"`` (default) or ``"gru"``.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``units`` is below 1, ``max_time`` not above 2 and finite, ``cell``
            unknown, the seed negative or, at a call, the shape not that of the cell's bias:
            ``(4 * units,)`` for an LSTM, ``(3 * units,)`` or ``(2, 3 * units)`` for a GRU.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> layer = keras.layers.GRU(64, bias_initializer=Chrono(64, max_time=100, cell="gru"))
    >>> bias = Chrono(64, max_time=100, seed=1)((256,))
    >>> forget = 1 / (1 + np.exp(-bias[64:128]))
    >>> times = 1 / (1 - forget)
    >>> bool(2 <= times.min().round(4) and times.max() < 100)
    True

    Reference:
        Tallec and Ollivier, 2018, "Can recurrent neural networks warp time?"
    """

    def __init__(self, units: int, max_time: float, cell: str = "lstm", seed: Seed = None):
        super().__init__(seed)
        self.units = checked_whole(self, "units", units, minimum=1)
        self.max_time = checked_number(self, "max_time", max_time, above=2)
        if cell not in CELLS:
            raise errors.unknown("cell", cell, CELLS)
        self.cell = cell

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {
            "units": self.units,
            "max_time": self.max_time,
            "cell": self.cell,
            **super().get_config(),
        }

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if self.cell == "lstm":
            _check_lstm_bias(self, shape)
        else:
            _check_gru_bias(self, shape)
        float32 = np.dtype(np.float32)
        times = sampling.uniform(stream, (self.units,), float32, 1.0, self.max_time - 1)
        # In float64, so that the last digit is not the processor's.
        logarithms = np.log(times.astype(np.float64)).astype(np.float32)
        values = np.zeros(shape, np.float32)
        if self.cell == "lstm":
            values[_gate(FORGET, self.units)] = logarithms
            values[_gate(INPUT, self.units)] = -logarithms
        else:
            # A bias of shape (2, 3 * units) has that of the inputs in its first row.
            inputs = values if values.ndim == 1 else values[0]
            inputs[_gate(UPDATE, self.units)] = logarithms
        return values.astype(dtype)


def _gate(index: int, units: int) -> slice:
    """Return where the bias of one gate is."""
    return slice(index * units, (index + 1) * units)


def _check_lstm_bias(owner: ForgetBias | Chrono, shape: tuple[int, ...]) -> None:
    units = owner.units
    if shape == (4 * units,):
        return
    message = (
        f"{type(owner).__qualname__} makes the bias of an LSTM of {units} units, of the shape "
        f"({4 * units},); got the shape {shape}."
    )
    if shape in ((units,), (2 * units,)):
        message += (
            " That is a part of the bias, which Keras completes with ones for the forget gates: "
            "pass unit_forget_bias=False to the layer."
        )
    raise ValueError(message)


def _check_gru_bias(owner: Chrono, shape: tuple[int, ...]) -> None:
    size = 3 * owner.units
    if shape not in ((size,), (2, size)):
        raise ValueError(
            f"{type(owner).__qualname__} makes the bias of a GRU of {owner.units} units, of the "
            f"shape (2, {size}), or ({size},) with reset_after=False; got the shape {shape}."
        )
