"""The outputs of a model, with their labels and losses."""

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
from kerasinit._src.keras_naming import snake_case

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
# In a graph, Keras takes the inputs of these activations as the logits of these losses.
_READ = {("softmax", loss) for loss in (*CATEGORICAL, *SPARSE)} | {
    ("sigmoid", loss) for loss in BINARY
}
_MAX_CLASSES = 100  # distinct whole numbers that may be class indices
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Targets:
    """The labels of an output.

    Attributes:
        shape: Their shape, the batch first.
        least: The min.
        most: The max.
        scale: Their root mean square.
        finite: Whether all are finite.
        whole: Whether all are whole numbers.
        distinct: The number of distinct values.
        sums: Min and max of the row sums; None unless labels and outputs have rows of the same
            length, above 1.
        unreachable: The fraction of their variance outside the range of the activation.
        distance: Root mean square of labels minus outputs; None if the shapes differ.
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
        """Whether they may be class indices."""
        few = self.distinct <= _MAX_CLASSES and self.most < 10 * _MAX_CLASSES
        return self.whole and self.least >= 0 and few


@dataclass(frozen=True)
class Head:
    """An output of a model.

    Attributes:
        layer: The path of the layer that returns it; the output's index where no layer does.
        shape: Its shape, the batch first.
        activation: The layer's activation, such as ``"linear"``; None if unknown.
        loss: The name of its loss in Keras; None without one or for a custom one.
        from_logits: Whether its loss was built with ``from_logits=True``.
        logits: Whether Keras computes the loss from the logits before the activation anyway.
        least: The min.
        most: The max.
        distribution: Whether each row sums to 1 and has no negative values.
        chooses: The number of classes of its softmax; None without one.
        targets: Its labels; None without any.
        ignored: The class that its loss ignores, if any.
        moved: Root mean square of its change by the next update; None if unknown.
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
    """Return the floating-point outputs, in the order of `tf.nest.flatten`.

    Without a loss to differentiate, the compiled one describes the outputs. ``made_by`` holds path
    and layer of tensors by their ``id``; the flow has the activations that are not in layers.
    """
    flat = tf.nest.flatten(outputs)
    given = loss.loss if loss is not None else getattr(model, "loss", None)
    losses = by_output(model, given, outputs)
    # A single array of labels is for a single output; a single loss may be for all of them.
    labels = by_output(model, y if tf.nest.is_nested(y) or len(flat) == 1 else None, outputs)
    ends = flow.ends if len(flow.ends) == len(flat) else (None,) * len(flat)
    heads = []
    for place, (output, its_loss, label) in enumerate(zip(flat, losses, labels, strict=True)):
        if not output.dtype.is_floating or not output.shape.rank:
            continue
        path, layer = made_by.get(id(output), (f"output {place}", None))
        description = _describe_loss(model, its_loss)
        logits = hasattr(output, "_keras_logits")
        if flow.in_graph and not logits:
            logits = (ends[place], description[0]) in _READ
        heads.append(_head(path, layer, output, description, label, ends[place], logits))
    return tuple(heads)


def _head(
    path: str,
    layer: Any,
    output: Any,
    loss: tuple[str | None, bool, int | None],
    label: Any,
    end: str | None,
    logits: bool,
) -> Head:
    values = tf.cast(output, tf.float32).numpy()
    activation = (None if layer is None else activation_name(_innermost(layer))) or end
    name, from_logits, ignored = loss
    with np.errstate(invalid="ignore"):  # an infinity of each sign
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
        bool((values >= 0).all() and (np.abs(sums - 1) < _TOLERANCE).all()),
        chooses,
        None if label is None else _targets(np.asarray(label), values, activation),
        ignored,
    )


def _innermost(layer: Any) -> Any:
    """Return the layer inside all wrappers."""
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


# The range of each activation.
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


def _describe_loss(model: Any, loss: Any) -> tuple[str | None, bool, int | None]:
    """Return a loss' name in Keras, whether it expects logits, and the class it ignores."""
    library = compat.library_of(model)
    try:
        loss = library.losses.get(loss)
    except (ValueError, TypeError):
        return None, False, None
    if not isinstance(loss, library.losses.Loss):
        return getattr(loss, "__name__", None), False, None
    try:
        config = loss.get_config()
    except (NotImplementedError, TypeError, ValueError):
        config = {}  # a custom loss may have no configuration
    name = snake_case(type(loss).__name__)
    return name, config.get("from_logits") is True, config.get("ignore_class")


def is_constant(head: Head) -> bool:
    """Return whether an output, or the loss of it, is the same for every input."""
    return head.chooses == 1 or (head.loss in (*CATEGORICAL, *SPARSE) and head.shape[-1] == 1)


def misfit(head: Head) -> tuple[str, str] | None:
    """Return what is wrong with the labels for their loss and how to fix it, if anything is."""
    given = head.targets
    if given is None:
        return None
    if not given.finite:
        return "labels are not all finite", "y = y[numpy.isfinite(y)], and the same rows of x"
    units = head.shape[-1]
    if head.loss in SPARSE and units > 1:
        return _misfit_sparse(head, given, units)
    if head.loss in CATEGORICAL and units > 1:
        if given.shape != head.shape and given.classes:
            return (
                f"labels of shape {given.shape} are class indices; {head.loss} expects one number "
                f"for each of {units} classes",
                "loss='sparse_categorical_crossentropy'",
            )
        if given.sums is not None and given.least < 0:
            return (
                f"labels go down to {given.least:.3g}; class probabilities are not negative",
                "y = keras.utils.to_categorical(classes)",
            )
        return None
    if head.loss in DISTANCES and math.prod(given.shape) != math.prod(head.shape):
        return (
            f"labels of shape {given.shape} are broadcast to outputs of shape {head.shape}",
            f"keras.layers.Dense({given.shape[-1]}) as output"
            if len(given.shape) == len(head.shape)
            else "outputs and labels of the same shape",
        )
    if head.loss in BINARY and (given.least < 0 or given.most > 1):
        return (
            f"labels range from {given.least:.3g} to {given.most:.3g}; {head.loss} expects 0 to 1",
            _as_binary(head, given),
        )
    return None


def _misfit_sparse(head: Head, given: Targets, units: int) -> tuple[str, str] | None:
    if given.shape == head.shape and given.sums is not None:
        return (
            f"labels of shape {given.shape} have a number for each class; {head.loss} expects "
            f"class indices",
            "loss='categorical_crossentropy'",
        )
    if not given.whole:
        if given.least >= 0 and given.most <= 1:
            return (
                f"labels are not whole numbers ({given.distinct} between {given.least:.3g} and "
                f"{given.most:.3g}); {head.loss} expects class indices",
                "Do not rescale the labels: y = numpy.unique(y, return_inverse=True)[1].",
            )
        return (
            f"labels are not whole numbers; {head.loss} expects class indices",
            "keras.layers.Dense(1) as output and loss='mse', or numpy.unique(y, "
            "return_inverse=True)[1] as y",
        )
    least = 0 if given.least == head.ignored else given.least
    if least < 0 or given.most >= units:
        return (
            f"labels range from {given.least:.0f} to {given.most:.0f}; {units} outputs are classes "
            f"0 to {units - 1}",
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
