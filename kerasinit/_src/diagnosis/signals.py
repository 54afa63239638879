"""Statistics of a layer's output for a batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src.network.catalogue import row_of


@dataclass(frozen=True)
class Signal:
    """Statistics of a layer's output (or input) for a batch.

    Attributes:
        mean: Mean over all elements.
        variance: Variance over all elements.
        square: Mean square, ``q`` in the theory.
        least: The min.
        most: The max.
        finite: Whether all elements are finite. If not, the other statistics are NaN.
        units: The number of features, on the last axis (or the channel axis).
        dead: Fraction of the units that are zero for every example, at every position.
        saturated: Fraction of the elements at which a bounded activation is saturated; None for
            other activations.
        correlation: Mean cosine similarity over pairs of examples, ``c`` in the theory; None for
            a single example.
        rank: Effective rank of the matrix of examples and features, between 1 and the
            number of examples.
        spread: For an input, the median standard deviation of the features that vary; None for an
            output.

    Example:
        See `kerasinit.diagnose`.
    """

    mean: float
    variance: float
    square: float
    least: float
    most: float
    finite: bool
    units: int
    dead: float
    saturated: float | None
    correlation: float | None
    rank: float
    spread: float | None = None


def signal_of(values: np.ndarray, axis: int = -1, saturated: float | None = None) -> Signal:
    """Compute the statistics of an array, examples first, with its features on ``axis``.

    Formula: the effective rank is ``exp(H(p))``, with ``H`` the entropy and ``p`` the
    singular values divided by their sum.

    Example:
    >>> found = signal_of(np.array([[1.0, 0.0], [3.0, 0.0]]))
    >>> found.mean, found.square, found.dead, round(found.correlation, 6), round(found.rank, 6)
    (1.0, 2.5, 0.5, 1.0, 1.0)

    Reference:
        Roy and Vetterli, 2007, "The effective rank: a measure of effective dimensionality".
    """
    values = np.asarray(values, np.float32)
    flat = values.reshape(len(values), -1)
    units = values.shape[axis] if values.ndim > 1 else 1
    if not flat.size or not np.isfinite(flat).all():
        nan = float("nan")
        return Signal(nan, nan, nan, nan, nan, False, units, nan, None, None, nan)
    mean = float(flat.mean(dtype=np.float64))
    square = float(np.square(flat, dtype=np.float64).mean())
    others = tuple(a for a in range(values.ndim) if a != axis % values.ndim)
    dead = float((values == 0).all(others).mean()) if values.ndim > 1 else float((flat == 0).all())
    correlation, rank = _between_examples(flat)
    return Signal(
        mean,
        max(0.0, float(flat.var(dtype=np.float64))),
        square,
        float(flat.min()),
        float(flat.max()),
        True,
        units,
        dead,
        saturated,
        correlation,
        rank,
    )


def _between_examples(flat: np.ndarray) -> tuple[float | None, float]:
    """Return the mean cosine between examples and the effective rank, from the Gram matrix."""
    size = np.abs(flat).max()
    if size == 0:
        return None, 0.0
    flat = flat / size  # squares of tiny numbers would underflow
    if flat.size < 1 << 20:
        flat = flat.astype(np.float64)
    gram = (flat @ flat.T).astype(np.float64)
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    p = singular[singular > 1e-7 * singular.max()]
    p = p / p.sum()
    rank = float(np.exp(-(p * np.log(p)).sum()))
    lengths = np.sqrt(np.diag(gram))
    alive = lengths > 0
    if alive.sum() < 2:
        return None, rank
    cosine = gram[np.ix_(alive, alive)] / np.outer(lengths[alive], lengths[alive])
    pairs = ~np.eye(len(cosine), dtype=bool)
    return float(np.clip(cosine[pairs].mean(), -1, 1)), rank


# Activations among TensorFlow's functions.
_KNOWN = {
    "elu",
    "leaky_relu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
}
# An activation's slope relative to its max slope, as a function of the activation's output.
_SLOPES = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: 4 * y * (1 - y),
    "softmax": lambda y: 4 * y * (1 - y),
    "softsign": lambda y: (1 - np.abs(y)) ** 2,
    "hard_sigmoid": lambda y: (np.abs(y - 0.5) < 0.5) * 1.0,
    "hard_tanh": lambda y: (np.abs(y) < 1) * 1.0,
}


def saturated_fraction(values: np.ndarray, activation: str | None, limit: float) -> float | None:
    """Return the fraction of an activation's outputs at which it is saturated; None if unbounded.

    It is saturated where the square of the slope, by which a gradient's variance is multiplied, is
    below ``limit`` times the max; a softmax where one of its outputs is near 1.

    Example:
    >>> saturated_fraction(np.array([0.0, 0.5, -0.9999, 1.0]), "tanh", 0.01)
    0.5
    """
    if activation not in _SLOPES or not np.isfinite(values).all():
        return None
    values = np.asarray(values, np.float32)
    if activation == "softmax":
        values = values.max(-1)
        # A low probability alone is not saturation: the max decides.
        return float(((values > 0.5) & (_SLOPES["softmax"](values) ** 2 < limit)).mean())
    return float((np.square(_SLOPES[activation](values)) < limit).mean())


def activation_name(layer: Any) -> str | None:
    """Return the name of a layer's activation, ``"relu"`` also for a ReLU layer; None if unknown.

    Example:
    >>> import keras
    >>> activation_name(keras.layers.Dense(3, "tanh")), activation_name(keras.layers.LeakyReLU())
    ('tanh', 'leaky_relu')
    """
    if row_of(layer).function:
        return row_of(layer).function
    if type(layer).__name__ == "TFOpLambda":  # a function that tf_keras wrapped into a layer
        function = str(layer.get_config()["function"]).rsplit(".", 1)[-1]
        return function if function in _KNOWN else None
    activation = getattr(layer, "activation", None)
    if activation is None or hasattr(layer, "cell") or hasattr(layer, "recurrent_activation"):
        return None  # the output of a recurrent layer has passed several
    if hasattr(activation, "call"):
        return activation_name(activation)
    name = getattr(activation, "__name__", None)
    return None if name is None else name.removesuffix("_v2")  # of TensorFlow's functions
