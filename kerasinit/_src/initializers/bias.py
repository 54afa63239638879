"""Initializers for biases that encode prior knowledge of the task."""

import math

import numpy as np

from kerasinit._src import errors
from kerasinit._src.initializers import arrays, sampling
from kerasinit._src.initializers.base import (
    Initializer,
    RandomInitializer,
    Seed,
    checked_number,
    checked_whole,
    registered,
)
from kerasinit._src.initializers.sampling import Stream

CELLS = ("gru", "lstm")

# The order of the gates in Keras' biases: input, forget, cell, output of an LSTM; update,
# reset, candidate of a GRU.
INPUT, FORGET = 0, 1
UPDATE = 0


@registered
class PriorProbability(Initializer):
    """Initializer that makes a sigmoid output start at a given probability.

    For the last layer of a classifier or detector of a rare class. Otherwise the many
    negative examples dominate the loss of the first steps, and training may diverge. The
    kernel of that layer should be small, so that the bias dominates its output. Also known as
    the bias initialization of RetinaNet and of the focal loss.

    Formula: ``b = log(p / (1 - p))``, so that ``sigmoid(b) = p``.

    Args:
        probability: Prior probability of the positive class, strictly between 0 and 1.
            Defaults to 0.01.

    Raises:
        TypeError: If the probability is not a number.
        ValueError: If it is not between 0 and 1 or, when called, the dtype is not
            floating-point.

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
    _arguments = ("probability",)

    def __init__(self, probability: float = 0.01):
        self.probability = checked_number(self, "probability", probability, above=0)
        if self.probability >= 1:
            raise ValueError(
                f"{type(self).__qualname__} got probability={probability!r}; expected a number "
                f"between 0 and 1, such as 0.01 for one in a hundred."
            )

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        odds = math.log(self.probability) - math.log1p(-self.probability)
        return np.full(shape, np.float32(odds), dtype)


@registered
class ForgetBias(Initializer):
    """Initializer for the bias of an LSTM whose forget gates start open.

    With a bias of 0, an LSTM halves its cell state at every step, and the gradient with it.
    ``unit_forget_bias`` in Keras sets the bias of the forget gates to 1; this initializer
    sets it to any value.

    Formula: ``b = [0, value, 0, 0]``, ``units`` of each, for the gates in the order of Keras:
    input, forget, cell, output.

    Pass ``unit_forget_bias=False`` to the layer. Otherwise, and by default, Keras sets the
    bias of the forget gates itself and uses the initializer for the other gates only.

    Args:
        units: Number of units of the layer; the filters of a ``ConvLSTM``.
        value: Bias of the forget gates. Defaults to 1.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``units`` is below 1, ``value`` is not finite or, when called, the shape
            is not ``(4 * units,)`` or the dtype cannot hold the value.

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
    _arguments = ("units", "value")

    def __init__(self, units: int, value: float = 1.0):
        self.units = checked_whole(self, "units", units, minimum=1)
        self.value = checked_number(self, "value", value)

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        _check_lstm_bias(self, shape)
        arrays.cast(self, self.value, dtype)  # raises if the dtype cannot hold the value
        values = np.zeros(shape, np.float32)
        values[_gate(FORGET, self.units)] = self.value
        return values.astype(dtype)


@registered
class Chrono(RandomInitializer):
    """Chrono initializer for the bias of an LSTM or GRU.

    A unit whose forget gate has the value ``f`` remembers for about ``1 / (1 - f)`` steps.
    These time scales are drawn uniformly up to the longest dependency expected in the data,
    so that some units carry a signal over its whole length from the start.

    Formula: ``u ~ U[1, max_time - 1)`` for each unit. LSTM: forget gate ``log(u)``, input
    gate ``-log(u)``, cell and output 0; the time scale of the unit is ``1 + u``. GRU: update
    gate ``log(u)``, the others 0. In Keras the update gate of a GRU is the fraction of the
    old state that is kept, ``h = z * h + (1 - z) * candidate``, so it takes the bias of the
    forget gate; the paper has the opposite convention. A GRU with ``reset_after=True``, the
    default in Keras, adds two biases; the first one is set.

    For an LSTM or ConvLSTM pass ``unit_forget_bias=False``, see `ForgetBias`.

    Args:
        units: Number of units of the layer; the filters of a ``ConvLSTM``.
        max_time: Longest dependency, in steps, above 2; of the order of the sequence length.
        cell: ``"lstm"`` (default) or ``"gru"``.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``units`` is below 1, ``max_time`` is not above 2 and finite, ``cell`` is
            unknown, the seed is negative or, when called, the shape is not that of the bias:
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

    _arguments = ("units", "max_time", "cell", "seed")

    def __init__(self, units: int, max_time: float, cell: str = "lstm", seed: Seed = None):
        super().__init__(seed)
        self.units = checked_whole(self, "units", units, minimum=1)
        self.max_time = checked_number(self, "max_time", max_time, above=2)
        if cell not in CELLS:
            raise errors.unknown("cell", cell, CELLS)
        self.cell = cell

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if self.cell == "lstm":
            _check_lstm_bias(self, shape)
        else:
            _check_gru_bias(self, shape)
        float32 = np.dtype(np.float32)
        times = sampling.uniform(stream, (self.units,), float32, 1.0, self.max_time - 1)
        # In float64, so that the float32 result is the same on every processor.
        logarithms = np.log(times.astype(np.float64)).astype(np.float32)
        values = np.zeros(shape, np.float32)
        if self.cell == "lstm":
            values[_gate(FORGET, self.units)] = logarithms
            values[_gate(INPUT, self.units)] = -logarithms
        else:
            # The first row of a bias of shape (2, 3 * units) is that of the inputs.
            inputs = values if values.ndim == 1 else values[0]
            inputs[_gate(UPDATE, self.units)] = logarithms
        return values.astype(dtype)


def _gate(index: int, units: int) -> slice:
    return slice(index * units, (index + 1) * units)


def _check_lstm_bias(owner: ForgetBias | Chrono, shape: tuple[int, ...]) -> None:
    units = owner.units
    if shape == (4 * units,):
        return
    message = (
        f"{type(owner).__qualname__} initializes the bias of an LSTM with {units} units, of "
        f"shape ({4 * units},); got shape {shape}."
    )
    if shape in ((units,), (2 * units,)):
        message += (
            " This is the part of the bias that Keras completes with ones for the forget gates: "
            "pass unit_forget_bias=False to the layer."
        )
    raise ValueError(message)


def _check_gru_bias(owner: Chrono, shape: tuple[int, ...]) -> None:
    size = 3 * owner.units
    if shape not in ((size,), (2, size)):
        raise ValueError(
            f"{type(owner).__qualname__} initializes the bias of a GRU with {owner.units} units, "
            f"of shape (2, {size}), or ({size},) with reset_after=False; got shape {shape}."
        )
