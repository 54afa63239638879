"""Gains of activations: the factor that compensates for their effect on the signal.

Weights with variance ``gain^2 / fan_in`` preserve the signal from layer to layer. The gain is
an integral over the normal distribution, computed here in float64 for any activation.
"""

import functools
import math
import numbers
from dataclasses import dataclass
from typing import Any

import keras

from kerasinit._src import errors
from kerasinit._src.theory.quadrature import Moments, gaussian_moments

MODES = ("centred", "second_moment", "torch")

# The table of torch.nn.init.calculate_gain, except leaky_relu, which depends on its slope.
_TORCH = {"linear": 1.0, "relu": math.sqrt(2), "selu": 3 / 4, "sigmoid": 1.0, "tanh": 5 / 3}
_TORCH_SLOPE = 0.01

_STABLE = 1 + 1e-6  # the slope of relu is 1, up to rounding


def gain(
    activation: Any, mode: str = "second_moment", negative_slope: float | None = None
) -> float:
    """Return the gain of an activation: the factor that compensates for its effect.

    For weights of variance ``gain^2 / fan_in``, where ``fan_in`` counts units with this
    activation.

    Formula: with ``z ~ N(0, 1)``, ``second_moment``: ``1 / sqrt(E[f(z)^2])``; He's
    sqrt(2) for relu. ``centred``: ``1 / sqrt(Var[f(z)])``, for layers that ignore the
    mean of their inputs, such as those with standardized weights. ``torch``: the table of
    PyTorch: 1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for relu,
    ``sqrt(2 / (1 + negative_slope^2))`` for leaky_relu, 3/4 for selu.

    Also known as ``calculate_gain`` in PyTorch. A gain preserves the signal through one layer.
    `stability` reports whether that holds for many consecutive layers; for gelu, silu and mish it
    does not.

    Args:
        activation: The name of an activation of Keras 3, such as ``"gelu"``; None, which
            means ``"linear"``; an activation layer of Keras 3 or tf_keras, such as
            ``keras.layers.LeakyReLU(0.3)``, with its initial parameters; or any elementwise
            function of an array of any shape. Names have the meaning of Keras 3; where that of
            tf_keras differs (hard_sigmoid), pass the function.
        mode: ``"second_moment"`` (default), ``"centred"`` or ``"torch"``.
        negative_slope: Slope for negative inputs, for ``"leaky_relu"`` only. By default (None)
            0.2, as in Keras, or 0.01 in the mode ``"torch"``, as in PyTorch.

    Returns:
        The gain, as accurate as the activation: TensorFlow rounds some of its constants to
        float32, which leaves 8 digits; JAX computes in float32, which leaves 6.

    Raises:
        TypeError: If the activation is of another kind, or ``negative_slope`` is not a number.
        ValueError: If the name or the mode is unknown; if the activation is not in the table
            of the mode ``"torch"``, is not elementwise (softmax, glu), is zero (or, centred,
            constant) everywhere, is not finite, changes too fast to integrate or has no finite
            second moment; or if ``negative_slope`` is not finite or given with another
            activation.

    Example:
    >>> round(gain("gelu"), 5), round(gain("gelu", "centred"), 5), gain("tanh", "torch")
    (1.53353, 1.70093, 1.6666666666666667)
    >>> round(gain(lambda x: x * (x > 0)), 5)
    1.41421

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers"; Brock, De and
        Smith, 2021, "Characterizing signal propagation to close the performance gap in
        unnormalized ResNets" (centred).
    """
    if mode not in MODES:
        raise errors.unknown("mode", mode, MODES)
    activation, slope = _checked(activation, negative_slope)
    if mode == "torch":
        return _torch_gain(activation, slope)
    return _gain(activation, _moments_of(activation, slope), mode)


@dataclass(frozen=True)
class Stability:
    """Signal propagation in a deep plain network of one activation, with its gain.

    Attributes:
        gain: The gain, see `gain`.
        variance_slope: Slope of the map from the variance of one layer to that of the next, at
            its fixed point 1. If it is above 1, small deviations grow from layer to layer.
        correlation_slope: Slope of the map from the correlation of two inputs in one layer to
            that in the next, at 1; also the factor of the variance of the gradient per layer.
            Below 1 all inputs become alike; above 1 similar inputs diverge and gradients grow
            with depth. Infinite for a discontinuous function.

    Example:
    >>> found = stability("tanh")
    >>> round(found.gain, 4), round(found.variance_slope, 2), round(found.correlation_slope, 2)
    (1.5925, 0.46, 1.18)

    Reference:
        Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli, 2016, "Exponential expressivity in deep
        neural networks through transient chaos".
    """

    gain: float
    variance_slope: float
    correlation_slope: float

    @property
    def stable(self) -> bool:
        """Whether the variance stays near its fixed point at any depth."""
        return self.variance_slope <= _STABLE


def stability(
    activation: Any, mode: str = "second_moment", negative_slope: float | None = None
) -> Stability:
    """Return how an activation, with its gain, propagates the signal through a deep network.

    The gain preserves a variance of 1. Whether a variance ``q`` near 1 returns to it depends on
    the slope of the map: if it is above 1 (gelu 1.144, silu 1.173, mish 1.076), no gain makes a
    deep plain network stable, only normalization or skip connections do. relu is marginal, with
    slope 1; tanh (0.46) and selu (0.78) return to the fixed point.

    Formula: with ``z ~ N(0, 1)``, the variance map is ``V(q) = gain^2 E[f(sqrt(q) z)^2]``
    (centred: ``gain^2 Var[f(sqrt(q) z)]``), with ``V(1) = 1``, and ``variance_slope =
    V'(1)``. ``correlation_slope = gain^2 E[f'(z)^2]``, the papers' chi.

    Args:
        activation: See `gain`.
        mode: ``"second_moment"`` (default) or ``"centred"``. With other gains 1 is not a fixed
            point.
        negative_slope: See `gain`.

    Returns:
        A `Stability`: the gain and both slopes.

    Raises:
        TypeError: See `gain`.
        ValueError: See `gain`; also for the mode ``"torch"``.

    Example:
    >>> silu = stability("silu")
    >>> round(silu.variance_slope, 3), silu.stable
    (1.173, False)
    >>> stability("relu").stable
    True

    Reference:
        Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli, 2016, "Exponential
        expressivity in deep neural networks through transient chaos"; Schoenholz,
        Gilmer, Ganguli and Sohl-Dickstein, 2017, "Deep information propagation".
    """
    modes = tuple(choice for choice in MODES if choice != "torch")
    if mode not in modes:
        raise errors.unknown("mode", mode, modes)
    activation, slope = _checked(activation, negative_slope)
    moments = _moments_of(activation, slope)
    factor = _gain(activation, moments, mode)
    change = moments.variance_change if mode == "centred" else moments.square_change
    return Stability(
        gain=factor,
        variance_slope=factor**2 * change,
        correlation_slope=factor**2 * moments.derivative_square,
    )


def _checked(activation: Any, negative_slope: Any) -> tuple[Any, float | None]:
    """Validate an activation and its slope; an activation of Keras becomes its name."""
    if activation is None:
        activation = "linear"
    for name in _names():
        if activation is getattr(keras.activations, name):
            activation = name
    if isinstance(activation, str):
        if activation not in _names():
            raise errors.unknown("activation", activation, _names())
    elif not callable(activation):
        raise TypeError(
            f"Expected activation to be a name known to Keras, an activation layer or a function "
            f"of one array; got {activation!r} of type {type(activation).__qualname__}."
        )
    if negative_slope is None:
        return activation, None
    if activation != "leaky_relu":
        raise ValueError(
            f"negative_slope={negative_slope!r} requires the activation 'leaky_relu'; got "
            f"{activation!r}."
        )
    if isinstance(negative_slope, bool) or not isinstance(negative_slope, numbers.Real):
        raise TypeError(f"Expected negative_slope to be a number; got {negative_slope!r}.")
    if not math.isfinite(negative_slope):
        raise ValueError(f"Expected negative_slope to be a finite number; got {negative_slope!r}.")
    return activation, float(negative_slope)


@functools.cache
def _names() -> tuple[str, ...]:
    """Return the names of the activations of Keras 3."""
    others = ("deserialize", "get", "serialize")
    return tuple(
        name
        for name in dir(keras.activations)
        if name not in others
        and not name.startswith("_")
        and callable(getattr(keras.activations, name))
    )


def _torch_gain(activation: Any, slope: float | None) -> float:
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + (_TORCH_SLOPE if slope is None else slope) ** 2))
    if isinstance(activation, str) and activation in _TORCH:
        return _TORCH[activation]
    raise errors.unknown(
        "activation in PyTorch's table",
        activation,
        [*_TORCH, "leaky_relu"],
        "The mode 'second_moment' supports every activation.",
    )


def _gain(activation: Any, moments: Moments, mode: str) -> float:
    power = moments.variance if mode == "centred" else moments.square
    # The variance of a constant may be a rounding error above 0.
    if power <= 1e-20 * moments.square:
        what = "constant" if moments.square else "zero"
        raise ValueError(
            f"The activation {activation!r} is {what} everywhere: no gain restores the signal."
        )
    return 1 / math.sqrt(power)


def _moments_of(activation: Any, slope: float | None) -> Moments:
    if isinstance(activation, str):
        return _moments_of_name(activation, slope)
    return gaussian_moments(activation, activation)


@functools.lru_cache(maxsize=256)
def _moments_of_name(name: str, slope: float | None) -> Moments:
    function = getattr(keras.activations, name)
    if slope is not None:
        function = functools.partial(function, negative_slope=slope)
    return gaussian_moments(name, function)
