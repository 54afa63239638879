"""What mean field theory says of an activation, and of a deep network of it."""

import weakref
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.theory.gains import Stability, stability

# Functions and layers are integrated anew each time that `stability` is asked; a model asks often.
_SEEN: dict[str, Any] = {mode: weakref.WeakKeyDictionary() for mode in ("centred", "second_moment")}
NEUTRAL = 1e-3  # how far from 1 a slope may be that is 1 in theory


def is_collapsing(activation: Any) -> bool:
    """Return whether an activation makes all examples alike, whatever the scale of plain kernels.

    Its outputs then have a mean that outweighs what differs: sigmoid, softplus.

    Example:
    >>> is_collapsing("sigmoid"), is_collapsing("relu"), is_collapsing(None)
    (True, False, False)
    """
    found = None if activation is None else _known(activation, "second_moment")
    return found is not None and found.correlation_slope < 1 - NEUTRAL


def stability_of(activation: Any) -> Stability | None:
    """Return how an activation carries the signal, with centred kernels where it needs them.

    Returns:
        None if there is no activation, or theory has nothing to say of it (softmax).
    """
    if activation is None:
        return None
    return _known(activation, "centred" if is_collapsing(activation) else "second_moment")


def is_neutral(found: Stability) -> bool:
    """Return whether a variance stays what it is, whatever it is: relu, leaky relu.

    Example:
    >>> is_neutral(stability_of("relu")), is_neutral(stability_of("tanh"))
    (True, False)
    """
    return abs(found.variance_slope - 1) < NEUTRAL


def is_odd(activation: Any) -> bool:
    """Return whether ``f(-x) = -f(x)``, as for tanh."""
    points = np.array([0.0, 0.25, 1.0, 4.0], np.float32)
    return bool(np.allclose(_at(activation, points), -_at(activation, -points), atol=1e-6))


def slope_at_zero(activation: Any) -> float:
    """Return an activation's slope at 0."""
    step = np.array([1e-3], np.float32)
    return float((_at(activation, step) - _at(activation, -step))[0]) / 2e-3


def _at(activation: Any, points: np.ndarray) -> np.ndarray:
    if isinstance(activation, str):
        activation = getattr(keras.activations, activation)
    return np.asarray(keras.ops.convert_to_numpy(activation(points)), np.float64)


def written(activation: Any) -> str:
    """Return an activation's name, for a reader."""
    if activation is None or isinstance(activation, str):
        return activation or "linear"
    name = getattr(activation, "__name__", None)
    return name or compat.snake_case(type(activation).__name__)


def _known(activation: Any, mode: str) -> Stability | None:
    if isinstance(activation, str):
        return _computed(activation, mode)
    seen = _SEEN[mode]
    try:
        if activation not in seen:
            seen[activation] = _computed(activation, mode)
        return seen[activation]
    except TypeError:  # one of NumPy's functions, which weak references cannot hold
        return _computed(activation, mode)


def _computed(activation: Any, mode: str) -> Stability | None:
    try:
        return stability(activation, mode)
    except (TypeError, ValueError):  # of one's own, or not elementwise
        return None
