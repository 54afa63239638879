"""How the first weights of a layer come about, and what theory asks for instead."""

import inspect
import math
from dataclasses import dataclass
from typing import Any

from kerasinit._src.initializers.base import Initializer
from kerasinit._src.playground import formulas
from kerasinit._src.playground.formulas import short
from kerasinit._src.playground.settings import METHODS, initializer_of
from kerasinit._src.theory.fans import shape_fans
from kerasinit._src.theory.gains import gain
from kerasinit._src.theory.mean_field import is_neutral, stability_of
from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm, within_layer

SOURCES = {
    "AlexNet": "Krizhevsky et al., 2012",
    "CentredNormal": "LeCun et al., 1998; Huang et al., 2017",
    "GlorotNormal": "Glorot and Bengio, 2010",
    "GlorotUniform": "Glorot and Bengio, 2010",
    "HeNormal": "He et al., 2015",
    "HeUniform": "He et al., 2015",
    "Identity": "Le et al., 2015",
    "LecunNormal": "LeCun et al., 1998",
    "LecunUniform": "LeCun et al., 1998",
    "Orthogonal": "Saxe et al., 2014",
    "PriorProbability": "Lin et al., 2017",
    "Siren": "Sitzmann et al., 2020",
    "Sparse": "Martens, 2010",
    "VarianceScaling": "Glorot and Bengio, 2010; He et al., 2015",
    "ZerO": "Zhao et al., 2021",
    "lsuv": "Mishkin and Matas, 2016",
    "recommend": "He et al., 2015; Glorot and Bengio, 2010; Schoenholz et al., 2017",
    "weight_norm": "Salimans and Kingma, 2016",
    "within_layer": "Krähenbühl et al., 2016",
}
"""The papers of initializers and methods; those that have none are missing."""


@dataclass(frozen=True)
class Explanation:
    """How the first weights of a layer come about.

    Attributes:
        title: The initializer and the shape.
        lines: The formula, step by step, with numbers; one sentence or equation each.
        source: The paper; empty if there is none.
        mean: The expected mean of the values; None if it depends on data.
        variance: Their expected variance; None if it depends on data.

    Example:
        See `explain`.
    """

    title: str
    lines: tuple[str, ...]
    source: str
    mean: float | None = None
    variance: float | None = None


def explain(initializer: Any, shape: tuple[int, ...], activation: str | None = None) -> Explanation:
    """Explain the first weights of a layer by the formula with its numbers.

    Args:
        initializer: An initializer, its name with arguments as on the command line, or the name
            of a method for the whole network.
        shape: The shape of the layer's kernel.
        activation: The activation of the units that the layer takes as inputs, for a comparison
            with theory; None (default) for the first layer, whose inputs are the examples.

    Returns:
        An `Explanation`.

    Raises:
        ValueError: If there is no such initializer, or it does not support the shape.

    Example:
    >>> for line in explain("HeUniform", (16, 8)).lines:
    ...     print(line)
    Var(W) = 2 / fan_in = 2 / 16 = 0.125
    The 2 makes up for relu, which sets half of its inputs to zero.
    uniform on [-0.612, 0.612], since sqrt(3 Var(W)) = sqrt(3 * 0.125) = 0.612
    """
    size = " x ".join(map(str, shape))
    if isinstance(initializer, str):
        if initializer in METHODS:
            lines = _METHOD_LINES[initializer](*shape_fans(shape))
            return Explanation(f"{initializer}: {size} weights", lines, SOURCES[initializer])
        initializer = initializer_of(initializer, METHODS)
    _require_support(initializer, shape)
    formula = formulas.formula_of(initializer, shape)
    name = type(initializer).__qualname__
    return Explanation(
        f"{name}: {size} weights",
        (*formula.lines, *_compared(formula, shape, activation)),
        SOURCES.get(name, ""),
        formula.mean,
        formula.variance,
    )


def _require_support(initializer: Initializer, shape: tuple[int, ...]) -> None:
    """Raise the initializer's own error for a shape that it does not support.

    A copy with a seed draws, so that no generator advances.
    """
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = 0
    type(initializer).from_config(config)(shape)


def _compared(
    formula: formulas.Formula, shape: tuple[int, ...], activation: str | None
) -> tuple[str, ...]:
    """Return what theory asks for, and what these weights do instead."""
    if activation is None:
        return ()
    if not formula.random:
        return (f"These weights are not random: the theory of {activation}'s gain is not theirs.",)
    if formula.mean:
        return (
            f"The theory of {activation}'s gain is of weights whose mean is 0; here it is "
            f"{short(formula.mean)}.",
        )
    fan_in = shape_fans(shape)[0]
    wanted, power = gain(activation, formula.mode) ** 2, fan_in * formula.variance
    centred = formula.mode == "centred"
    moment = f"Var[{activation}(z)]" if centred else f"E[{activation}(z)^2]"
    theory = (
        f"Theory for {activation}: Var(W) = gain^2 / fan_in = {short(wanted)} / {fan_in} = "
        f"{short(wanted / fan_in)}, with gain^2 = 1 / {moment} = {short(wanted)}."
    )
    ratio = short(power / wanted)
    result = stability_of(activation)
    if result is not None and is_neutral(result):
        kept, effect = "its signal", f"each layer multiplies the mean square by {ratio}"
    else:
        kept = "a mean square of 1"
        effect = f"{kept} becomes {ratio} in the next layer"
    if ratio == "1":
        effect = "it does"
    return (
        theory,
        f"{activation} keeps {kept} if fan_in * Var(W) = {short(wanted)}; here it is "
        f"{short(power)}, so {effect}.",
    )


def _default(method: Any, name: str) -> str:
    return short(inspect.signature(method).parameters[name].default)


def _lsuv_lines(fan_in: float, fan_out: float) -> tuple[str, ...]:
    return (
        f"W starts as an orthogonal matrix, Var(W) = 1 / max(fan_in, fan_out) = 1 / "
        f"{short(max(fan_in, fan_out))} = {short(1 / max(fan_in, fan_out))}",
        f"then W <- W / sqrt(Var[z]), until |Var[z] - 1| <= {_default(lsuv, 'tolerance')}: z is "
        "the layer's output before the activation, on the first 64 training examples",
        "Layer by layer, from the first to the last; biases are 0, and before a sigmoid minus the "
        "mean of z.",
    )


def _weight_norm_lines(fan_in: float, fan_out: float) -> tuple[str, ...]:
    return (
        f"v ~ N(0, {_default(weight_norm, 'stddev')}^2), {short(fan_in)} numbers for each of the "
        f"{short(fan_out)} units; only their direction is used: t = v . x / |v|",
        "W = v / |v| / std(t), b = -mean(t) / std(t), over the first 64 training examples x",
        "Each unit's output has mean 0 and variance 1 on them, before the activation.",
    )


def _within_layer_lines(fan_in: float, fan_out: float) -> tuple[str, ...]:
    limit = math.sqrt(6 / (fan_in + fan_out))
    return (
        f"W starts uniform on [-{short(limit)}, {short(limit)}] (GlorotUniform), since sqrt(6 / "
        f"(fan_in + fan_out)) = sqrt(6 / ({short(fan_in)} + {short(fan_out)}))",
        "then W <- W / std(z), b <- (b - mean(z)) / std(z), for each unit's output z before the "
        "activation, on the first 64 training examples",
        f"until mean and variance are 0 and 1 within {_default(within_layer, 'tolerance')}.",
    )


def _recommend_lines(fan_in: float, fan_out: float) -> tuple[str, ...]:
    return (
        f"Var(W) = v / (m * fan_in) = v / (m * {short(fan_in)})",
        "m is the mean square of the layer's inputs: 1 for scaled examples and after relu, "
        f"{short(1 / gain('tanh') ** 2)} after tanh; v is the variance that suits its activation: "
        f"{short(gain('relu') ** 2)} for relu, 1 for tanh and for outputs",
        "print(kerasinit.recommend(model)) shows the choice for each layer, with the reason.",
    )


_METHOD_LINES = {
    "lsuv": _lsuv_lines,
    "recommend": _recommend_lines,
    "weight_norm": _weight_norm_lines,
    "within_layer": _within_layer_lines,
}
