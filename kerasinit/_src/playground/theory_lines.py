"""What theory predicts for the two networks: the mean square of the activations of each layer.

Mean field theory follows the mean square ``q`` of a wide network of independent weights of mean 0:
a unit's preactivation is normal, with variance ``fan_in Var(W) q / fan_in``, and its activation has
the mean square ``E[f(z)^2]``.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasinit._src.comparison import choices
from kerasinit._src.initializers import identifiers
from kerasinit._src.playground.networks import takes_seed
from kerasinit._src.playground.settings import Settings, SideSettings
from kerasinit._src.theory.quadrature import Moments, gaussian_moments

_LARGEST = 1e30  # beyond which squares leave the range of float32


def squares(
    settings: Settings, side: SideSettings, kernels: Sequence[Any], biases: Sequence[Any], q: float
) -> tuple[list[float] | None, str]:
    """Return the predicted mean square after each hidden layer, and a note.

    Formula: ``v = fan_in mean(W^2) q + mean(b^2)``, or 1 after a normalization, and ``q' =
    E[f(sqrt(v) z)^2]`` with ``z ~ N(0, 1)``; with a residual connection ``q + q' + 2 m E[f(sqrt(v)
    z)]``, where ``m`` is the mean of the signal so far.

    Args:
        settings: The settings that both sides share.
        side: The settings of the side.
        kernels: The first values of the hidden layers' kernels.
        biases: Those of their biases.
        q: The mean square of the inputs.

    Returns:
        One number for each hidden layer, or None if the theory does not apply; the note says
        what it assumes, or why it does not.

    Reference:
        Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli, 2016, "Exponential expressivity in deep
        neural networks through transient chaos"; Yang and Schoenholz, 2017, "Mean field residual
        networks: on the edge of chaos".
    """
    name = identifiers.split(side.initializer)[0].removeprefix("kerasinit>")
    assumes = "No line of theory: it assumes weights drawn at random"
    if name in choices.FROM_BATCH:
        return None, f"{assumes}, and {name} fits them to the data."
    if name != choices.RECOMMEND and not takes_seed(name):
        return None, f"{assumes}, and {name} draws none."
    if any(_is_off_centre(kernel) for kernel in kernels):
        return None, f"{assumes}, with mean 0."
    lines, mean = [], 0.0
    for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), 1):
        variance = kernel.shape[0] * float(np.mean(np.square(kernel, dtype=np.float64))) * q
        variance += float(np.mean(np.square(bias, dtype=np.float64)))
        if settings.normalization != "none":
            variance = 1.0
        if not variance < _LARGEST:
            lines += [math.inf] * (len(kernels) - len(lines))
            break
        moments = _moments(side.activation, variance)
        if settings.residual and number > 1:
            q += moments.square + 2 * mean * moments.mean
            mean += moments.mean
        else:
            q, mean = moments.square, moments.mean
        lines.append(q)
    return lines, (
        f"Theory: the mean square in a wide network whose weights are independent, from the mean "
        f"square of these weights; a network {settings.width} wide scatters around it."
    )


def _moments(activation: str, variance: float) -> Moments:
    function, deviation = getattr(keras.activations, activation), math.sqrt(variance)
    return gaussian_moments(activation, lambda z: function(deviation * z))


def _is_off_centre(kernel: np.ndarray) -> bool:
    """Return whether the mean of a kernel is further from 0 than by chance (5 standard errors)."""
    kernel = np.asarray(kernel, np.float64)
    return abs(kernel.mean()) > 5 * math.sqrt(np.mean(kernel**2) / kernel.size)
