"""Integrals of an activation over the normal distribution, for `theory.gains`.

The activation itself is evaluated, in float64 where it can be. Nothing is said here of
what the integrals are for.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat

# The normal distribution has 1e-32 of itself beyond this.
_REACH = 12.0
# Panels end at multiples of a half: where the pieces of Keras' activations meet.
_WIDTH = 0.5
# A panel's nodes, as an image: a layer sees images of one shape, however many there are.
_PANEL = (4, 2, 2)
_TOLERANCE = 1e-13  # of the integral, for one panel
_NARROW = 1e-8  # a panel of this width stands for a point
_MOST_PANELS = 2**14


@dataclass(frozen=True)
class Moments:
    """Integrals of an activation f over z ~ N(0, 1)."""

    square: float  # E[f(z)^2]
    variance: float  # Var[f(z)]
    square_change: float  # d/dq E[f(sqrt(q) z)^2] at q = 1
    variance_change: float  # d/dq Var[f(sqrt(q) z)] at q = 1
    derivative_square: float  # E[f'(z)^2], infinite where f jumps
    mean: float  # E[f(z)]


def gaussian_moments(activation: Any, function: Callable[[Any], Any]) -> Moments:
    """Integrate by Gauss-Legendre quadrature on panels, halved until each is smooth.

    A panel is smooth when the last Legendre coefficients of the values on its nodes are
    nothing. So a kink or a jump ends up in a panel too narrow to matter, wherever it
    is, and the derivative can be taken from the coefficients.

    Args:
        activation: What messages call the function.
        function: A function from an array to an array, or a layer of either Keras.

    Raises:
        ValueError: If the function cannot be applied to an array, is not elementwise,
            not finite, too rough, or grows too fast.
    """
    function = _copied(function)
    nodes, weights, analysis, derivative = _rule()
    start = np.arange(-_REACH, _REACH + _WIDTH / 2, _WIDTH)
    edges, least_precision = start, 0.0
    _check_elementwise(activation, function, _points(start, nodes))
    while True:
        z = _points(edges, nodes)
        values, precision = _evaluated(activation, function, z)
        coefficients = values @ analysis
        half = np.diff(edges)[:, None] / 2
        precision = max(precision, least_precision)
        rough = _rough(coefficients, weights * half * _density(z), values, precision)
        if not rough.any():
            break
        middles = (edges[:-1] + edges[1:])[rough] / 2
        edges = np.sort(np.concatenate([edges, middles]))
        if edges.size > _MOST_PANELS and not least_precision:
            # The numbers may have been through float32 on the way to float64, as in a sum
            # with Keras' tanh on JAX, which then has no more digits than that.
            edges, least_precision = start, _precision(np.float32)
        elif edges.size > _MOST_PANELS:
            raise ValueError(
                f"The activation {activation!r} is too rough to integrate: it changes faster "
                f"than {_MOST_PANELS} panels can follow."
            )
    measure = weights * half * _density(z)

    def expected(integrand: np.ndarray) -> float:
        return float((measure * integrand).sum())

    squares = values**2
    deviations = (values - expected(values)) ** 2
    square = expected(squares)
    outer = expected(np.where(np.abs(z) > _REACH - 1, squares * z**2, 0))
    if not outer <= 1e-9 * square < math.inf:
        raise ValueError(
            f"The activation {activation!r} grows so fast that the second moment of its output "
            f"is not finite."
        )
    # By parts, d/dq E[g(sqrt(q) z)] at q = 1 is E[g(z) (z^2 - 1)] / 2, without derivatives.
    tilt = (z**2 - 1) / 2
    slopes = coefficients @ derivative / half
    wide = 2 * half > _NARROW
    jumps = _jumps(edges, coefficients, math.sqrt(square))
    return Moments(
        square=square,
        variance=expected(deviations),
        square_change=expected(squares * tilt),
        variance_change=expected(deviations * tilt),
        derivative_square=math.inf if jumps else expected(np.where(wide, slopes**2, 0)),
        mean=expected(values),
    )


def _copied(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a copy of a layer, in float64; any other function as it is."""
    if not compat.is_layer(function):
        return function
    try:
        return type(function).from_config({**function.get_config(), "dtype": "float64"})
    except Exception as error:
        raise ValueError(
            f"The layer {function!r} cannot be copied from its configuration: {error} Give its "
            f"function instead."
        ) from error


@functools.cache
def _rule() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what a panel needs.

    Nodes and weights on [-1, 1], the matrix from values on the nodes to Legendre
    coefficients, and that from coefficients to the derivative on the nodes.
    """
    legendre = np.polynomial.legendre
    size = math.prod(_PANEL)
    nodes, weights = legendre.leggauss(size)
    basis = legendre.legvander(nodes, size - 1)
    analysis = weights[:, None] * basis * (np.arange(size) + 0.5)
    derivative = legendre.legval(nodes, legendre.legder(np.eye(size)))
    return nodes, weights, analysis, derivative


def _points(edges: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    return (edges[:-1] + edges[1:])[:, None] / 2 + np.diff(edges)[:, None] / 2 * nodes


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _ends(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the panels come to at their left and right edges."""
    return coefficients @ (-1.0) ** np.arange(coefficients.shape[1]), coefficients.sum(axis=1)


def _rough(
    coefficients: np.ndarray, measure: np.ndarray, values: np.ndarray, precision: float
) -> np.ndarray:
    """Return which panels are to be halved: those not yet smooth, where it matters."""
    largest = np.abs(values).max(axis=1)
    rest = np.abs(coefficients[:, -2:]).max(axis=1)
    # A jump between an edge and the node next to it shows only beside the neighbour.
    starts, ends = _ends(coefficients)
    gaps = np.abs(starts[1:] - ends[:-1])
    gap = np.maximum(np.append(0, gaps), np.append(gaps, 0))
    error = np.maximum(rest, gap / coefficients.shape[1])
    typical = math.sqrt((measure * values**2).sum())
    # In the moments an error meets the value, or its distance from the mean.
    share = error * (largest + typical) * measure.sum(axis=1)
    matters = share > _TOLERANCE * typical**2
    return matters & (error > precision * largest)


def _jumps(edges: np.ndarray, coefficients: np.ndarray, typical: float) -> bool:
    """Return whether the activation has different limits on the two sides of a point."""
    largest = np.abs(coefficients).max(axis=1)
    followed = np.abs(coefficients[:, -2:]).max(axis=1) <= 1e-6 * largest
    left, right = edges[:-1], edges[1:]
    kept = followed & (right - left > _NARROW)
    starts, ends = _ends(coefficients[kept])
    touching = left[kept][1:] - right[kept][:-1] < 100 * _NARROW
    gaps = np.abs(starts[1:] - ends[:-1])
    return bool((touching & (gaps > 1e-4 * typical)).any())


def _evaluated(
    activation: Any, function: Callable[[Any], Any], z: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the activation's values, and how exact they are, relative to the largest."""
    inputs = z.reshape(-1, *_PANEL)
    values = _applied(activation, function, inputs)
    if values.shape != inputs.shape:
        raise ValueError(
            f"The activation {activation!r} is not elementwise: it made the shape "
            f"{values.shape} of {inputs.shape}. A gain belongs to a function of one number."
        )
    precision = _precision(values.dtype if values.dtype.kind == "f" else np.float64)
    values = values.astype(np.float64).reshape(z.shape)
    if not np.isfinite(values).all():
        where = z[~np.isfinite(values)]
        raise ValueError(
            f"The activation {activation!r} is not finite at "
            f"{where[np.abs(where).argmin()]:.3g}; expected finite values for |z| <= {_REACH:g}."
        )
    return values, precision


def _precision(dtype: Any) -> float:
    """Return how exact numbers of a dtype are after a few operations."""
    return 64 * float(np.finfo(dtype).eps)


def _applied(activation: Any, function: Callable[[Any], Any], inputs: np.ndarray) -> np.ndarray:
    """Return what a function makes of an array, or of a tensor if it takes no array."""
    errors = []
    # An initializer may be made while a tf.function is being traced.
    with tf.init_scope(), np.errstate(all="ignore"):
        for convert in (np.copy, keras.ops.convert_to_tensor, tf.convert_to_tensor):
            try:
                outputs = function(convert(inputs))
                if isinstance(outputs, np.ndarray):
                    return outputs
                return np.asarray(keras.ops.convert_to_numpy(outputs))
            except Exception as error:
                errors.append(error)
    raise ValueError(
        f"The activation {activation!r} cannot be applied to an array of float64 numbers: "
        f"{errors[0]} Give a function of one array that treats each element alike."
    ) from errors[0]


def _check_elementwise(activation: Any, function: Callable[[Any], Any], z: np.ndarray) -> None:
    """Raise if the value at one place depends on what stands at others."""
    values, precision = _evaluated(activation, function, z)
    precision = precision * np.abs(values).max()
    parity = np.indices((len(z), *_PANEL)).sum(axis=0).reshape(z.shape) % 2
    for side in (0, 1):
        others, _ = _evaluated(activation, function, np.where(parity == side, z, z / 2 + 0.1))
        same = parity == side
        if not np.allclose(others[same], values[same], rtol=0, atol=precision):
            raise ValueError(
                f"The activation {activation!r} is not elementwise: what it makes of a number "
                f"depends on the numbers beside it. A gain belongs to a function of one number."
            )
