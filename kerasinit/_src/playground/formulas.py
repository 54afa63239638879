"""The formula of each class of initializers, with the numbers of one layer in it.

Each class has a function of its own, which computes what it shows from the initializer's arguments
and the layer's fans.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from kerasinit._src.initializers.base import Initializer
from kerasinit._src.initializers.bias import PriorProbability
from kerasinit._src.initializers.centred import CentredNormal
from kerasinit._src.initializers.constant import Constant, Identity, Ones, Zeros
from kerasinit._src.initializers.networks import AlexNet, Siren
from kerasinit._src.initializers.orthogonal import Orthogonal
from kerasinit._src.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from kerasinit._src.initializers.sparse import Sparse
from kerasinit._src.initializers.structured_kernels import ZerO
from kerasinit._src.initializers.variance_scaling import VarianceScaling
from kerasinit._src.theory.fans import shape_fans

_SYMMETRY = "All units of the layer are equal. If those of the others are, too, they never differ."


@dataclass(frozen=True)
class Formula:
    """The formula of an initializer for one shape.

    Attributes:
        lines: The formula, step by step, with numbers; one sentence or equation each.
        mean: The expected mean of the values.
        variance: Their expected variance.
        random: Whether the values are drawn.
        mode: Of the gain that theory asks for, see `kerasinit.gain`.
    """

    lines: tuple[str, ...]
    mean: float
    variance: float
    random: bool = True
    mode: str = "second_moment"


@functools.singledispatch
def formula_of(initializer: Initializer, shape: tuple[int, ...]) -> Formula:
    """Return the formula of an initializer for a shape that it supports."""
    raise TypeError(f"There is no explanation of {initializer!r}.")


@formula_of.register
def _(initializer: VarianceScaling, shape: tuple[int, ...]) -> Formula:
    variance = initializer.variance(shape)
    fan_in, fan_out = initializer.fans or shape_fans(
        shape, initializer.input_axes, initializer.output_axes
    )
    words, numbers, count = {
        "fan_in": ("fan_in", short(fan_in), fan_in),
        "fan_out": ("fan_out", short(fan_out), fan_out),
        "fan_avg": (
            "((fan_in + fan_out) / 2)",
            f"(({short(fan_in)} + {short(fan_out)}) / 2)",
            (fan_in + fan_out) / 2,
        ),
        "fan_geo": (
            "sqrt(fan_in * fan_out)",
            f"sqrt({short(fan_in)} * {short(fan_out)})",
            math.sqrt(fan_in * fan_out),
        ),
    }[initializer.mode]
    if count < 1:
        words, numbers, count = f"max(1, {words})", f"max(1, {numbers})", 1
    factor = variance * count
    first = short(factor)
    lines = [
        f"Var(W) = {first} / {words} = {first} / {numbers} = {short(variance)}",
        *_factor_lines(initializer, factor),
        _drawn(initializer.distribution, variance),
    ]
    return Formula(tuple(lines), 0.0, variance)


def _factor_lines(initializer: VarianceScaling, factor: float) -> list[str]:
    """Return where the numerator of a variance comes from, if it is not just the scale."""
    own = initializer.scale * initializer.gain**2
    square = factor / own  # of the nonlinearity's gain
    name, slope = initializer.nonlinearity, initializer.negative_slope
    lines = []
    if initializer.gain != 1:
        lines.append(
            f"scale * gain^2 = {short(initializer.scale)} * {short(initializer.gain)}^2 = "
            f"{short(own)}"
        )
    if name is None and not math.isclose(square, 1):
        if slope:
            name = f"leaky_relu, whose slope is {short(slope)} for negative inputs"
        else:
            name = "relu, which sets half of its inputs to zero"
    elif name is not None:
        name = f"{getattr(name, '__name__', name)}, whose gain is {short(math.sqrt(square))}"
    if name is not None:
        lines.append(f"The {short(square)} makes up for {name}.")
    return lines


def _drawn(distribution: str, variance: float) -> str:
    deviation, shown = math.sqrt(variance), short(variance)
    if distribution == "uniform":
        limit = short(math.sqrt(3 * variance))
        return f"uniform on [-{limit}, {limit}], since sqrt(3 Var(W)) = sqrt(3 * {shown}) = {limit}"
    text = f"standard deviation sqrt({shown}) = {short(deviation)}, drawn from a "
    if distribution == "untruncated_normal":
        return f"{text}normal distribution"
    sigma = deviation / math.sqrt(_truncated(-2.0, 2.0)[1])
    return (
        f"{text}truncated normal whose sigma is {short(sigma)}: values beyond two sigma, "
        f"{short(2 * sigma)}, are not used, so that what is left has it"
    )


@formula_of.register
def _(initializer: CentredNormal, shape: tuple[int, ...]) -> Formula:
    base = formula_of.dispatch(VarianceScaling)(initializer, shape)
    line = "The weights of each unit sum to 0: it sees how its inputs differ, not their mean."
    return Formula((*base.lines, line), 0.0, base.variance, mode="centred")


@formula_of.register
def _(initializer: RandomNormal, shape: tuple[int, ...]) -> Formula:
    return _normal(initializer.mean, initializer.stddev)


@formula_of.register
def _(initializer: AlexNet, shape: tuple[int, ...]) -> Formula:
    return _normal(0.0, 0.01)


def _normal(mean: float, stddev: float) -> Formula:
    variance = stddev**2
    lines = (
        f"W ~ N({short(mean)}, {short(stddev)}^2): normal, with mean {short(mean)} and "
        f"standard deviation {short(stddev)}",
        f"Var(W) = {short(stddev)}^2 = {short(variance)}, whatever the fans",
    )
    return Formula(lines, mean, variance)


@formula_of.register
def _(initializer: TruncatedNormal, shape: tuple[int, ...]) -> Formula:
    mean, stddev = initializer.mean, initializer.stddev
    low, high = (
        end if bound is None else bound if initializer.absolute else mean + bound * stddev
        for bound, end in zip(initializer.bounds, (-math.inf, math.inf), strict=True)
    )
    centre, variance = 0.0, 0.0
    if stddev:
        centre, variance = _truncated((low - mean) / stddev, (high - mean) / stddev)
    mean_left, variance = mean + centre * stddev, variance * stddev**2
    lines = (
        f"W ~ N({short(mean)}, {short(stddev)}^2), without what is beyond {short(low)} and "
        f"{short(high)}",
        f"Var(W) of what is left = {short(variance)}, standard deviation "
        f"{short(math.sqrt(variance))}, mean {short(mean_left)}, whatever the fans",
    )
    return Formula(lines, mean_left, variance)


@formula_of.register
def _(initializer: RandomUniform, shape: tuple[int, ...]) -> Formula:
    low, high = initializer.minval, initializer.maxval
    variance = (high - low) ** 2 / 12
    lines = (
        f"uniform on [{short(low)}, {short(high)}], with mean {short((low + high) / 2)}",
        f"Var(W) = (high - low)^2 / 12 = {short(high - low)}^2 / 12 = {short(variance)}, "
        f"whatever the fans",
    )
    return Formula(lines, (low + high) / 2, variance)


@formula_of.register
def _(initializer: Siren, shape: tuple[int, ...]) -> Formula:
    fan_in = max(
        1,
        (initializer.fans or shape_fans(shape, initializer.input_axes, initializer.output_axes))[0],
    )
    shown = short(fan_in)
    if initializer.first:
        limit, words = 1 / fan_in, f"1 / fan_in = 1 / {shown}"
    else:
        limit, omega = math.sqrt(6 / fan_in) / initializer.omega, short(initializer.omega)
        words = f"sqrt(6 / fan_in) / omega = sqrt(6 / {shown}) / {omega}"
    variance = limit**2 / 3
    lines = (
        f"uniform on [-limit, limit], limit = {words} = {short(limit)}",
        f"Var(W) = limit^2 / 3 = {short(variance)}, for layers that compute "
        f"sin({short(initializer.omega)} * z)",
    )
    return Formula(lines, 0.0, variance)


@formula_of.register
def _(initializer: Orthogonal, shape: tuple[int, ...]) -> Formula:
    fan_in, fan_out = shape_fans(shape, initializer.input_axes, initializer.output_axes)
    square, more = initializer.factor**2, max(fan_in, fan_out)
    factor = short(initializer.factor)
    which = "columns" if fan_in >= fan_out else "rows"
    kept = (
        "The layer keeps the length of every input"
        if fan_in <= fan_out
        else f"The layer keeps the length of inputs in {fan_out} of {fan_in} directions, "
        f"and drops the others"
    )
    scaled = "" if initializer.factor == 1 else f", times {factor}"
    lines = (
        f"W = {factor} * Q, where the {which} of Q are perpendicular and have length 1",
        f"Var(W) = {factor}^2 / max(fan_in, fan_out) = {short(square)} / {short(more)} = "
        f"{short(square / more)}",
        f"{kept}{scaled}.",
    )
    return Formula(lines, 0.0, square / more)


@formula_of.register
def _(initializer: Sparse, shape: tuple[int, ...]) -> Formula:
    inputs, count = math.prod(shape[:-1]), initializer.num_nonzero
    deviation = short(initializer.stddev)
    variance = count / inputs * initializer.stddev**2
    lines = (
        f"Each unit has {count} weights from N(0, {deviation}^2); its other {inputs - count} are 0",
        f"Var(W) = {count} / {inputs} * {deviation}^2 = {short(variance)}",
    )
    return Formula(lines, 0.0, variance)


@formula_of.register
def _(initializer: Zeros, shape: tuple[int, ...]) -> Formula:
    return _fixed(initializer, shape, "W = 0", _SYMMETRY)


@formula_of.register
def _(initializer: Ones, shape: tuple[int, ...]) -> Formula:
    return _fixed(initializer, shape, "W = 1", _SYMMETRY)


@formula_of.register
def _(initializer: Constant, shape: tuple[int, ...]) -> Formula:
    if isinstance(initializer.value, np.ndarray):
        return _fixed(initializer, shape, f"W = an array of shape {initializer.value.shape}")
    return _fixed(initializer, shape, f"W = {short(initializer.value)}", _SYMMETRY)


@formula_of.register
def _(initializer: PriorProbability, shape: tuple[int, ...]) -> Formula:
    odds = initializer.probability / (1 - initializer.probability)
    words = (
        f"W = log(p / (1 - p)) = log({short(odds)}) = {short(math.log(odds))}, with p = "
        f"{short(initializer.probability)}: meant for the bias of a sigmoid"
    )
    return _fixed(initializer, shape, words, _SYMMETRY)


@formula_of.register
def _(initializer: Identity, shape: tuple[int, ...]) -> Formula:
    words = f"W[i, j] = {short(initializer.gain)} where i = j, else 0"
    times = "" if initializer.gain == 1 else f", times {short(initializer.gain)}"
    return _fixed(initializer, shape, words, f"The layer returns its inputs{times}.")


@formula_of.register
def _(initializer: ZerO, shape: tuple[int, ...]) -> Formula:
    inputs, outputs = shape[-2:]
    if outputs <= inputs:
        first = "" if outputs == inputs else f"first {outputs} of its "
        return _fixed(
            initializer,
            shape,
            "W[i, j] = 1 where i = j, else 0",
            f"The layer returns the {first}{inputs} inputs.",
        )
    order = (outputs - 1).bit_length()
    factor = short(2 ** (-(order - 1) / 2))
    return _fixed(
        initializer,
        shape,
        f"W = c * H, where H is a Hadamard matrix of 1 and -1, and c = 2^(-(m - 1) / 2) = {factor} "
        f"with m = ceil(log2({outputs})) = {order}",
    )


def _fixed(initializer: Initializer, shape: tuple[int, ...], *lines: str) -> Formula:
    """Return the formula of an initializer that draws nothing, so that its values are known."""
    values = np.asarray(initializer(shape), np.float64)
    variance = float(values.var())
    return Formula(
        (*lines, f"Var(W) = {short(variance)}: nothing is drawn"),
        float(values.mean()),
        variance,
        random=False,
    )


def _truncated(low: float, high: float) -> tuple[float, float]:
    """Return mean and variance of the standard normal distribution between two bounds."""
    from scipy.stats import truncnorm

    mean, variance = truncnorm.stats(low, high, moments="mv")
    return float(mean), float(variance)


def short(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:.3g}"
