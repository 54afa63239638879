"""What a model gives, what it is to give, and by which loss the two are compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss, by_output
from kerasinit._src.diagnosis.flow import Flow
from kerasinit._src.diagnosis.signals import activation_name

CATEGORICAL = ("categorical_crossentropy", "categorical_focal_crossentropy")
SPARSE = ("sparse_categorical_crossentropy",)
BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
DISTANCES = (
    "huber",
    "log_cosh",
    "logcosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
)
DIVERGENCES = ("kl_divergence", "kullback_leibler_divergence")
SOFTMAXES = ("log_softmax", "softmax", "sparsemax")
# The functions whose inputs Keras takes for the logits of a loss, if it sees them in a graph.
_READ = {("softmax", loss) for loss in (*CATEGORICAL, *SPARSE)} | {
    ("sigmoid", loss) for loss in BINARY
}
_FEW = 100  # distinct whole numbers that may be classes
_CLOSE = 1e-3


@dataclass(frozen=True)
class Targets:
    """The labels of an output.

    Attributes:
        shape: Their shape, the batch first.
        least: The smallest number.
        most: The largest number.
        scale: The root of their mean square.
        finite: Whether all are finite.
        whole: Whether all are whole numbers.
        distinct: How many different numbers there are.
        sums: Smallest and largest sum of a row; None unless labels and outputs have rows of one
            length, above 1.
        unreachable: The share of their variance that no output of the activation can reach.
        distance: Root of the mean square of targets minus outputs; None unless shapes agree.
    """

    shape: tuple[int, ...]
    least: float
    most: float
    scale: float
    finite: bool
    whole: bool
    distinct: int
    sums: tuple[float, float] | None
    unreachable: float
    distance: float | None

    @property
    def binary(self) -> bool:
        """Whether there are only zeros and ones."""
        return self.whole and self.least >= 0 and self.most <= 1

    @property
    def classes(self) -> bool:
        """Whether they look like the numbers of classes."""
        return self.whole and self.least >= 0 and self.distinct <= _FEW and self.most < 10 * _FEW


@dataclass(frozen=True)
class Head:
    """An output of a model.

    Attributes:
        layer: The path of the layer that gives it; the output's place where no layer does.
        shape: Its shape, the batch first.
        activation: What the layer applies last, such as ``"linear"``; None where that is not known.
        loss: What its loss is called in Keras; None without one or for a custom one.
        from_logits: Whether its loss was told to expect logits.
        logits: Whether Keras takes the logits before the activation all the same.
        least: The smallest number that comes out.
        most: The largest number.
        distribution: Whether each row sums to 1 and nothing in it is negative.
        chooses: Among how many its softmax chooses; None without one.
        targets: Its labels; None without any.
        ignored: The class that its loss leaves out, if any.
        moved: Root of the mean square of what the next update adds to it; None if unknown.
    """

    layer: str
    shape: tuple[int, ...]
    activation: str | None
    loss: str | None
    from_logits: bool
    logits: bool
    least: float
    most: float
    distribution: bool
    chooses: int | None
    targets: Targets | None
    ignored: int | None = None
    moved: float | None = None


def heads_of(
    model: Any,
    loss: FitLoss | None,
    y: Any,
    outputs: Any,
    made_by: Mapping[int, tuple[str, Any]],
    flow: Flow,
) -> tuple[Head, ...]:
    """Return what is to be known of each output, in the order of `tf.nest.flatten`.

    Args:
        model: The model.
        loss: The loss that is looked at; None for the one that the model is compiled with, which
            says what the outputs are for, without labels too.
        y: The labels, or None.
        outputs: What the model returned.
        made_by: Path and layer of what came out of layers, by the tensors' ``id``.
        flow: What the model computes, for functions that are no layer's.
    """
    flat = tf.nest.flatten(outputs)
    given = loss.loss if loss is not None else getattr(model, "loss", None)
    losses = by_output(model, given, outputs)
    # One array of labels is for one output; one loss may be for all of them.
    labels = by_output(model, y if tf.nest.is_nested(y) or len(flat) == 1 else None, outputs)
    ends = flow.ends if len(flow.ends) == len(flat) else (None,) * len(flat)
    found = []
    for place, (output, one, label) in enumerate(zip(flat, losses, labels, strict=True)):
        if not output.dtype.is_floating or not output.shape.rank:
            continue
        path, layer = made_by.get(id(output), (f"output {place}", None))
        name = _loss(model, one)[0]
        logits = hasattr(output, "_keras_logits")
        if flow.in_graph and not logits:
            logits = (ends[place], name) in _READ
        found.append(_head(model, path, layer, output, one, label, ends[place], logits))
    return tuple(found)


def _head(
    model: Any,
    path: str,
    layer: Any,
    output: Any,
    loss: Any,
    label: Any,
    end: str | None,
    logits: bool,
) -> Head:
    values = tf.cast(output, tf.float32).numpy()
    activation = (None if layer is None else activation_name(_innermost(layer))) or end
    name, from_logits, ignored = _loss(model, loss)
    sums = values.sum(-1, dtype=np.float64)
    chooses = None
    if activation in SOFTMAXES:
        axis = getattr(layer, "axis", -1)
        chooses = values.shape[axis] if isinstance(axis, int) else None
    return Head(
        path,
        tuple(values.shape),
        activation,
        name,
        from_logits,
        logits,
        float(values.min(initial=np.inf)),
        float(values.max(initial=-np.inf)),
        bool((values >= 0).all() and (np.abs(sums - 1) < _CLOSE).all()),
        chooses,
        None if label is None else _targets(np.asarray(label), values, activation),
        ignored,
    )


def _innermost(layer: Any) -> Any:
    """Return the layer whose activation comes last in one that only wraps others."""
    inner = getattr(layer, "layer", None)
    return _innermost(inner) if compat.is_layer(inner) else layer


def _targets(label: np.ndarray, values: np.ndarray, activation: str | None) -> Targets:
    if label.shape == values.shape[:-1] and values.shape[-1] == 1:
        label = label[..., None]  # as Keras does
    numbers = label.astype(np.float64)
    finite = bool(np.isfinite(numbers).all()) and numbers.size > 0
    known = numbers[np.isfinite(numbers)]
    rows = numbers.shape == values.shape and values.ndim > 1 and values.shape[-1] > 1
    sums = numbers.sum(-1) if rows and finite else None
    low, high = RANGES.get(activation or "", (-np.inf, np.inf))
    beyond = known - known.clip(low, high)
    spread = float(known.var()) if known.size else 0.0
    lost = float(np.square(beyond).mean()) if known.size else 0.0
    same = numbers.reshape(values.shape) if numbers.size == values.size else None
    return Targets(
        tuple(label.shape),
        float(known.min(initial=np.inf)),
        float(known.max(initial=-np.inf)),
        float(np.sqrt(np.square(known).mean())) if known.size else 0.0,
        finite,
        bool((known == np.round(known)).all()),
        len(np.unique(known)),
        None if sums is None else (float(sums.min()), float(sums.max())),
        lost / spread if spread > 0 else float(lost > 0),
        float(np.sqrt(np.square(same - values).mean())) if finite and same is not None else None,
    )


# What comes out of an activation, whatever goes in.
RANGES = {
    "elu": (-1.0, np.inf),
    "exponential": (0.0, np.inf),
    "gelu": (-0.17, np.inf),
    "hard_sigmoid": (0.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "log_sigmoid": (-np.inf, 0.0),
    "log_softmax": (-np.inf, 0.0),
    "mish": (-0.309, np.inf),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "selu": (-1.7581, np.inf),
    "sigmoid": (0.0, 1.0),
    "silu": (-0.2785, np.inf),
    "softmax": (0.0, 1.0),
    "softplus": (0.0, np.inf),
    "softsign": (-1.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "sparsemax": (0.0, 1.0),
    "squareplus": (0.0, np.inf),
    "swish": (-0.2785, np.inf),
    "tanh": (-1.0, 1.0),
}


def _loss(model: Any, loss: Any) -> tuple[str | None, bool, int | None]:
    """Return a loss' name in Keras, whether it expects logits, and the class it leaves out."""
    library = compat.library_of(model)
    try:
        loss = library.losses.get(loss)
    except (ValueError, TypeError):
        return None, False, None
    if loss is None:
        return None, False, None
    if isinstance(loss, library.losses.Loss):
        name, get_config = compat.snake_case(type(loss).__name__), loss.get_config
        try:
            config = get_config()
        except (NotImplementedError, TypeError, ValueError):
            config = {}  # a custom loss may have no configuration
        ignored = config.get("ignore_class")
        return name, config.get("from_logits") is True, ignored
    return getattr(loss, "__name__", None), False, None


def is_constant(head: Head) -> bool:
    """Return whether an output, or what its loss makes of it, is the same whatever goes in."""
    return head.chooses == 1 or (head.loss in (*CATEGORICAL, *SPARSE) and head.shape[-1] == 1)


def misfit(head: Head) -> tuple[str, str] | None:
    """Return what is wrong with labels for their loss, and what mends it; None if nothing is.

    Args:
        head: The output.
    """
    given = head.targets
    if given is None:
        return None
    if not given.finite:
        return "labels have numbers that are not finite", "y = y[numpy.isfinite(y)], and x with it"
    units = head.shape[-1]
    if head.loss in SPARSE and units > 1:
        return _misfit_sparse(head, given, units)
    if head.loss in CATEGORICAL and units > 1:
        if given.shape != head.shape and given.classes:
            return (
                f"labels of shape {given.shape}, class numbers, under a loss that takes one number "
                f"for each of {units} classes",
                "loss='sparse_categorical_crossentropy'",
            )
        if given.sums is not None and given.least < 0:
            return (
                f"labels go down to {given.least:.3g}; probabilities of classes are not negative",
                "y: one-hot rows, as keras.utils.to_categorical(classes) makes them",
            )
        return None
    if head.loss in DISTANCES and math.prod(given.shape) != math.prod(head.shape):
        return (
            f"labels of shape {given.shape} are spread over outputs of shape {head.shape}",
            f"keras.layers.Dense({given.shape[-1]}) as output"
            if len(given.shape) == len(head.shape)
            else "outputs and labels of one shape",
        )
    if head.loss in BINARY and (given.least < 0 or given.most > 1):
        return (
            f"labels go from {given.least:.3g} to {given.most:.3g}; {head.loss} takes 0 to 1",
            _as_binary(head, given),
        )
    return None


def _misfit_sparse(head: Head, given: Targets, units: int) -> tuple[str, str] | None:
    if given.shape == head.shape and given.sums is not None:
        return (
            f"labels of shape {given.shape}, a number for each class, under a loss that takes "
            f"class numbers",
            "loss='categorical_crossentropy'",
        )
    if not given.whole:
        if given.least >= 0 and given.most <= 1:
            return (
                f"labels are no whole numbers ({given.distinct} between {given.least:.3g} and "
                f"{given.most:.3g}); {head.loss} takes the numbers of classes",
                "Leave labels as they are loaded, without dividing them: numpy.unique(y, "
                "return_inverse=True)[1].",
            )
        return (
            f"labels are no whole numbers; {head.loss} takes the numbers of classes",
            "keras.layers.Dense(1) as output and loss='mse', or numpy.unique(y, "
            "return_inverse=True)[1] as y",
        )
    least = given.least
    if head.ignored is not None and least == head.ignored:
        least = 0
    if least < 0 or given.most >= units:
        return (
            f"labels go from {given.least:.0f} to {given.most:.0f}; {units} outputs are classes 0 "
            f"to {units - 1}",
            f"y = y - {least:.0f}"
            if least > 0 and given.most - least < units
            else f"keras.layers.Dense({given.most + 1:.0f}) as output"
            if least >= 0 and given.classes
            else "numpy.unique(y, return_inverse=True)[1] as y",
        )
    return None


def _as_binary(head: Head, given: Targets) -> str:
    if given.distinct <= 2:
        if given.least == -1 and given.most == 1:
            return "y = (y + 1) / 2"
        return f"y = (y == {given.most:g})"
    if given.classes:
        return (
            f"keras.layers.Dense({given.most + 1:.0f}, activation='softmax') as output, "
            f"loss='sparse_categorical_crossentropy'"
        )
    return "activation=None at the output, loss='mse'"
