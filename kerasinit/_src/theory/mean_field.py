"""Mean field theory of activations, cached for use on whole models."""

import weakref
from typing import Any

import keras
import numpy as np

from kerasinit._src.keras_naming import snake_case
from kerasinit._src.theory.gains import Stability, stability

# Results for functions and layers, which `stability` does not cache.
_CACHE: dict[str, Any] = {
    mode: weakref.WeakKeyDictionary() for mode in ("centred", "second_moment")
}
NEUTRAL = 1e-3  # tolerance of a slope that is 1 in theory


def is_collapsing(activation: Any) -> bool:
    """Return whether an activation makes all examples alike, whatever the scale of plain kernels.

    This happens if the mean of its outputs dominates their differences: sigmoid, softplus.

    Example:
    >>> is_collapsing("sigmoid"), is_collapsing("relu"), is_collapsing(None)
    (True, False, False)
    """
    result = None if activation is None else _cached(activation, "second_moment")
    return result is not None and result.correlation_slope < 1 - NEUTRAL


def stability_of(activation: Any) -> Stability | None:
    """Return the stability of an activation, with centred kernels where it requires them.

    None if there is no activation, or the theory does not apply to it (softmax).
    """
    if activation is None:
        return None
    return _cached(activation, "centred" if is_collapsing(activation) else "second_moment")


def is_neutral(result: Stability) -> bool:
    """Return whether any variance is preserved, as by relu and leaky relu."""
    return abs(result.variance_slope - 1) < NEUTRAL


def is_odd(activation: Any) -> bool:
    """Return whether ``f(-x) = -f(x)``, as for tanh."""
    points = np.array([0.0, 0.25, 1.0, 4.0], np.float32)
    return bool(np.allclose(_at(activation, points), -_at(activation, -points), atol=1e-6))


def slope_at_zero(activation: Any) -> float:
    """Return the slope of an activation at 0."""
    step = np.array([1e-3], np.float32)
    return float((_at(activation, step) - _at(activation, -step))[0]) / 2e-3


def _at(activation: Any, points: np.ndarray) -> np.ndarray:
    if isinstance(activation, str):
        activation = getattr(keras.activations, activation)
    return np.asarray(keras.ops.convert_to_numpy(activation(points)), np.float64)


def written(activation: Any) -> str:
    """Return the display name of an activation."""
    if activation is None or isinstance(activation, str):
        return activation or "linear"
    name = getattr(activation, "__name__", None)
    return name or snake_case(type(activation).__name__)


def _cached(activation: Any, mode: str) -> Stability | None:
    if isinstance(activation, str):
        return _computed(activation, mode)
    cache = _CACHE[mode]
    try:
        if activation not in cache:
            cache[activation] = _computed(activation, mode)
        return cache[activation]
    except TypeError:  # a NumPy function, which does not support weak references
        return _computed(activation, mode)


def _computed(activation: Any, mode: str) -> Stability | None:
    try:
        return stability(activation, mode)
    except (TypeError, ValueError):  # not elementwise, or otherwise unsupported
        return None
