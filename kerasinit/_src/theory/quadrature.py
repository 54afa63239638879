"""Integrals of an activation over the normal distribution, in float64 where possible."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat

# The probability of the normal distribution beyond this is 1e-32.
_REACH = 12.0
# Panels end at multiples of a half, like the pieces of the activations of Keras.
_WIDTH = 0.5
# Nodes of a panel, as an image, so that layers get images of a fixed shape.
_PANEL = (4, 2, 2)
_TOLERANCE = 1e-13  # of the integral, for one panel
_NARROW = 1e-8  # a panel of this width represents a point
_MAX_PANELS = 2**14


@dataclass(frozen=True)
class Moments:
    """Integrals of an activation f over z ~ N(0, 1)."""

    square: float  # E[f(z)^2]
    variance: float  # Var[f(z)]
    square_change: float  # d/dq E[f(sqrt(q) z)^2] at q = 1
    variance_change: float  # d/dq Var[f(sqrt(q) z)] at q = 1
    derivative_square: float  # E[f'(z)^2], infinite for a discontinuous f
    mean: float  # E[f(z)]


def gaussian_moments(activation: Any, function: Callable[[Any], Any]) -> Moments:
    """Integrate by adaptive Gauss-Legendre quadrature; ``activation`` is for error messages.

    Panels are halved until the last Legendre coefficients of the values on their nodes vanish.
    So a kink or a jump ends up in a negligibly narrow panel, and derivatives can be computed
    from the coefficients.
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
        if edges.size > _MAX_PANELS and not least_precision:
            # float64 values may have only the precision of float32, as in a sum with the tanh
            # of Keras on JAX.
            edges, least_precision = start, _precision(np.float32)
        elif edges.size > _MAX_PANELS:
            raise ValueError(
                f"The activation {activation!r} is too rough to integrate: it changes faster "
                f"than {_MAX_PANELS} panels can resolve."
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
    # By partial integration, d/dq E[g(sqrt(q) z)] at q = 1 is E[g(z) (z^2 - 1)] / 2.
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
    """Return a float64 copy of a layer; any other function unchanged."""
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
    """Return nodes and weights on [-1, 1], and two matrices.

    The first maps values on the nodes to Legendre coefficients, the second maps these to the
    derivative on the nodes.
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
    """Return the values of the panels' polynomials at their left and right edges."""
    return coefficients @ (-1.0) ** np.arange(coefficients.shape[1]), coefficients.sum(axis=1)


def _rough(
    coefficients: np.ndarray, measure: np.ndarray, values: np.ndarray, precision: float
) -> np.ndarray:
    """Return a mask of the panels to halve: those that are not smooth and not negligible."""
    largest = np.abs(values).max(axis=1)
    rest = np.abs(coefficients[:, -2:]).max(axis=1)
    # A jump between an edge and the nearest node is visible only in the gap to the neighbour.
    starts, ends = _ends(coefficients)
    gaps = np.abs(starts[1:] - ends[:-1])
    gap = np.maximum(np.append(0, gaps), np.append(gaps, 0))
    error = np.maximum(rest, gap / coefficients.shape[1])
    typical = math.sqrt((measure * values**2).sum())
    # In the moments, an error is multiplied by the value, or its deviation from the mean.
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
    """Return the values of the activation, and their precision relative to the largest."""
    inputs = z.reshape(-1, *_PANEL)
    values = _applied(activation, function, inputs)
    if values.shape != inputs.shape:
        raise ValueError(
            f"The activation {activation!r} is not elementwise: it maps the shape {inputs.shape} "
            f"to {values.shape}. A gain is defined for elementwise functions only."
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
    """Return the relative precision of a dtype after a few operations."""
    return 64 * float(np.finfo(dtype).eps)


def _applied(activation: Any, function: Callable[[Any], Any], inputs: np.ndarray) -> np.ndarray:
    """Apply a function to an array, or to a tensor if it does not accept arrays."""
    errors = []
    tf = compat.imported_tensorflow()
    converters = [np.copy, keras.ops.convert_to_tensor, *([tf.convert_to_tensor] if tf else [])]
    # An initializer may be created while a tf.function is being traced.
    with compat.outside_graphs(), np.errstate(all="ignore"):
        for convert in converters:
            try:
                outputs = function(convert(inputs))
                if isinstance(outputs, np.ndarray):
                    return outputs
                return np.asarray(keras.ops.convert_to_numpy(outputs))
            except Exception as error:
                errors.append(error)
    raise ValueError(
        f"The activation {activation!r} cannot be applied to an array of float64 numbers: "
        f"{errors[0]} Give an elementwise function of one array."
    ) from errors[0]


def _check_elementwise(activation: Any, function: Callable[[Any], Any], z: np.ndarray) -> None:
    """Raise if an output depends on several elements of the input."""
    values, precision = _evaluated(activation, function, z)
    precision = precision * np.abs(values).max()
    parity = np.indices((len(z), *_PANEL)).sum(axis=0).reshape(z.shape) % 2
    for side in (0, 1):
        others, _ = _evaluated(activation, function, np.where(parity == side, z, z / 2 + 0.1))
        same = parity == side
        if not np.allclose(others[same], values[same], rtol=0, atol=precision):
            raise ValueError(
                f"The activation {activation!r} is not elementwise: its outputs depend on several "
                f"inputs. A gain is defined for elementwise functions only."
            )
