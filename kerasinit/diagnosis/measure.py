"""One pass forward and one back, and what every layer showed on the way."""

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit import kerases
from kerasinit.diagnosis import limits, objective
from kerasinit.diagnosis.batch import Batch
from kerasinit.diagnosis.flow import Flow, Way, traced
from kerasinit.diagnosis.heads import Head, heads_of, is_constant, misfit
from kerasinit.diagnosis.next_update import NextUpdate
from kerasinit.diagnosis.probes import probing, quantized_layers, require_unquantized
from kerasinit.diagnosis.signals import Signal, activation_name, saturated_fraction, signal_of
from kerasinit.diagnosis.trial import Moved, Step, trial
from kerasinit.diagnosis.twins import Twins, twins
from kerasinit.fit_loss import FitLoss
from kerasinit.graph.units import only_looks
from kerasinit.kernels import KERNELS, Part, parts
from kerasinit.unchanged import as_it_was


@dataclass(frozen=True)
class Measure:
    """What one call of a layer showed.

    Attributes:
        layer: The layer's path, such as ``"dense_1"``: the first part of the names that
            `kerasinit.reinitialize` gives its variables.
        name: The name that Keras gave the layer.
        kind: The layer's class.
        call: Which call of the layer it is, from 1.
        shape: Shape of what came out, the batch first.
        role: ``"kernel"`` for a layer that multiplies by weights, ``"source"`` for one that
            sets the scale anew (normalization, embedding, rescaling), ``"block"`` for one
            that has others inside, ``"average"`` for a pooling by means, ``"choice"`` for a
            softmax, ``""`` for the rest.
        activation: What the layer applies last; None if it is linear or unknown.
        signal: What came out.
        given: What went in first; None if nothing did.
        before: Places of the calls whose outputs come in, in the order of the data; ``-1 - k``
            for the model's floating input ``k``.
        averaged: How many nats of the mean square an average may have taken on the way from there.
        way: Where it stands, see `kerasinit.diagnosis.flow.Passage`.
        follows: The function that its output goes into, if that is no layer's.
        learns: Whether kernels or embeddings of the layer's own are trained.
        gradient: Norm of the gradient of the loss with respect to what came out, or, for an
            output whose crossentropy Keras computes from the logits, with respect to these; None
            if it does not reach the loss.
        weight_gradient: Norm of the gradient with respect to the layer's own weights; None
            without any, or where it does not reach the loss.
        update_ratio: Length of the next update over that of the weights, of the layer's
            kernel; None for a model that is not compiled.
        twins: Units that are alike; None where that says nothing.
        zero_kernel: Whether a kernel of the layer, or a normalization's scale, is all zeros.
        finite_weights: Whether all of the layer's weights are finite.
    """

    layer: str
    name: str
    kind: str
    call: int
    shape: tuple[int, ...]
    role: str
    activation: str | None
    signal: Signal
    given: Signal | None
    before: tuple[int, ...] = ()
    averaged: float = 0.0
    way: Way = "main"
    follows: str | None = None
    learns: bool = False
    gradient: float | None = None
    weight_gradient: float | None = None
    update_ratio: float | None = None
    twins: Twins | None = None
    zero_kernel: bool = False
    finite_weights: bool = True


@dataclass(frozen=True)
class Measured:
    """What a model showed.

    Attributes:
        inputs: The model's floating inputs.
        layers: The calls of its layers, in the order in which they were finished.
        objective: What was differentiated.
        examples: How many examples went through.
        passes: How many passes forward and back were made, together.
        heads: The floating outputs, with their labels and losses.
        loss: The loss; None where it was not looked at.
        step: The next step; None for a model that is not compiled, or without labels.
        alike: ``"same"`` if all examples are one and the same, ``"zero"`` if all are zero, else
            empty.
        unseen: Layers that could not be looked at, and why.
        trainable: Whether the model has weights that are trained.
        note: Why the layers are judged in the order of their calls, instead of on the ways of the
            data; empty if they are not.
    """

    inputs: tuple[Signal, ...]
    layers: tuple[Measure, ...]
    objective: str
    examples: int
    passes: int
    heads: tuple[Head, ...] = ()
    loss: float | None = None
    step: Step | None = None
    alike: str = ""
    unseen: tuple[str, ...] = ()
    trainable: bool = True
    note: str = ""

    @property
    def caveat(self) -> str:
        """The note as a sentence."""
        return (
            f"What the model computes could not be followed ({self.note}): each layer is judged "
            f"by the one called before it."
        )


def measure(
    model: Any,
    batch: Batch,
    loss: FitLoss | None,
    seed: int,
    update: NextUpdate | None = None,
    flow: Flow | None = None,
) -> Measured:
    """Run a model forward and back once and return what its layers showed.

    Args:
        model: A built model of either Keras.
        batch: The examples, with labels if there is a loss.
        loss: What to differentiate; None for a random functional.
        seed: The seed of the random functional.
        update: The next update of the model, for who measures it again and again; None to
            make one.
        flow: What `flow_for` returned, for the same; None to trace the model.

    Raises:
        ValueError: If no layer can be looked at, or labels and outputs do not make a loss.
    """
    found = parts(model)
    owners = _owners(found)
    seen: list[Measure] = []
    holders: list[Any] = []
    gradients: dict[int, float] = {}
    counts: dict[str, int] = {}
    differentiating = False

    def look(path: str, layer: Any, given: list[Any], out: Any) -> Any:
        place, values = len(seen), _numbers(out)
        if differentiating:  # computed anew, to be differentiated: a call that was seen before
            return partial(heard, _same_call(seen, path, values))
        counts[path] = counts.get(path, 0) + 1
        activation, role = activation_name(layer), _role(layer, owners.get(id(layer), []))
        axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        saturated = saturated_fraction(values, activation, math.exp(-limits.HARM))
        seen.append(
            Measure(
                path,
                layer.name,
                type(layer).__name__,
                counts[path],
                tuple(values.shape),
                role,
                None if activation == "linear" else activation,
                signal_of(values, axis, saturated),
                _scale_of(_numbers(given[0])) if given else None,
                (place - 1,),
                _averaged(role, given, values),
                "choice" if any(map(only_looks, owners.get(id(layer), []))) else "main",
            )
        )
        holders.append(layer)
        return partial(heard, place)

    def heard(place: int, gradient: Any) -> None:
        gradients[place] = float(np.linalg.norm(_numbers(gradient).astype(np.float64)))

    made_by: dict[int, tuple[str, Any]] = {}
    step = update or NextUpdate(model)
    unseen = quantized_layers(model)
    require_unquantized(model, unseen, [part.layer for part in found])
    flow = flow or flow_for(model, batch)
    with as_it_was(model):
        with probing(model, look, made_by), tf.GradientTape() as tape:
            sources = [one for one in tf.nest.flatten(batch.x) if one.dtype.is_floating]
            for source in sources:
                tape.watch(source)
            outputs = model(batch.x, training=False)
            heads = heads_of(model, loss, batch.y, outputs, made_by)
            scalar, called = _objective(loss, batch, outputs, heads, seed)
            weights = [kerases.tensor(one) for one in model.trainable_variables]
            differentiating = True
            with tape.stop_recording():
                pulled = tape.gradient(scalar, weights + sources)
        if not seen:
            raise ValueError(
                f"No layer of {model.name!r} could be looked at: none is called, or none gives "
                f"floating numbers. What a model computes by itself is seen only where it stands "
                f"in a layer."
            )
        pulls = {
            id(variable): tf.convert_to_tensor(pull)
            for variable, pull in zip(model.trainable_variables, pulled, strict=False)
            if pull is not None
        }
        ratios = step.ratios(pulls)
        inputs = tuple(signal_of(_numbers(source)) for source in sources)
        looked_at, taken = called == getattr(loss, "name", None), None
        trained = {id(variable) for variable in model.trainable_variables}
        # Without its own penalty, which is a part of the loss, a codebook has no gradient.
        learning = KERNELS if looked_at or not model.losses else ("kernel",)
        layers = tuple(
            dataclasses.replace(
                _with_weights(one, gradients.get(place), owners.get(id(layer), []), pulls, ratios),
                learns=any(
                    part.role in learning and id(part.variable) in trained
                    for part in owners.get(id(layer), [])
                ),
            )
            for place, (one, layer) in enumerate(zip(seen, holders, strict=True))
        )
        if loss is not None and looked_at:
            sizes = {
                part.name.rpartition("/")[0]: math.prod(part.shape)
                for part in found
                if part.role == "kernel"
            }
            moved = [
                Moved(row.layer, sizes.get(row.layer, 0), row.update_ratio)
                for row in layers
                if row.update_ratio is not None
            ]
            taken, heads = trial(model, batch, loss, step, moved, heads, outputs)
    layers, note = _along(flow, layers)
    return Measured(
        inputs,
        layers,
        called,
        batch.size,
        2 if taken is None else 3,
        heads,
        float(scalar) if looked_at else None,
        taken,
        batch.alike,
        tuple(f"{path} ({mode})" for path, mode in unseen),
        bool(model.trainable_variables),
        note,
    )


def _along(flow: Flow, layers: tuple[Measure, ...]) -> tuple[tuple[Measure, ...], str]:
    """Return the calls with how the data passes them, or as they are, and why."""
    note = flow.failure
    if not note and flow.paths != tuple(one.layer for one in layers):
        note = "its layers are called otherwise when it is traced"
    if note:
        return layers, note
    pairs = zip(layers, flow.passages, strict=True)
    return tuple(dataclasses.replace(one, **vars(passage)) for one, passage in pairs), ""


def _objective(
    loss: FitLoss | None, batch: Batch, outputs: Any, heads: tuple[Head, ...], seed: int
) -> tuple[Any, str]:
    """Return the scalar to differentiate, and its name."""
    if loss is None:
        return objective.functional(outputs, seed), objective.LINEAR
    try:
        return loss(batch.x, batch.y, outputs, batch.weights), loss.name
    except ValueError:
        # What is wrong with the labels is found; the layers are looked at all the same.
        if not any(misfit(head) or is_constant(head) for head in heads):
            raise
        return objective.functional(outputs, seed), objective.LINEAR


def flow_for(model: Any, batch: Batch) -> Flow:
    """Return how a batch flows through a model, for who measures it again and again.

    Args:
        model: A built model of either Keras.
        batch: The examples.
    """
    with as_it_was(model):
        return traced(model, batch.x)


def _same_call(seen: list[Measure], path: str, values: np.ndarray) -> int:
    """Return the place of the call of a layer that gave these numbers."""
    square = float(np.square(values, dtype=np.float64).mean())
    calls = [place for place, one in enumerate(seen) if one.layer == path]
    return min(calls, key=lambda place: abs(seen[place].signal.square - square))


def _averaged(role: str, given: list[Any], values: np.ndarray) -> float:
    if role == "choice":
        return math.log(values.shape[-1])
    if role != "average" or not given or not values.size:
        return 0.0
    return max(0.0, math.log(math.prod(given[0].shape) / values.size))


def _numbers(tensor: Any) -> np.ndarray:
    tensor = tf.convert_to_tensor(tensor)
    return np.asarray(tf.cast(tensor, tf.float32).numpy())


def _scale_of(values: np.ndarray) -> Signal:
    """Return the signal of what went in, without what takes long to compute."""
    flat = values.reshape(values.shape[0], -1)[:, :1] if values.size else values
    whole = signal_of(flat)
    squares = np.square(values, dtype=np.float64)
    return dataclasses.replace(
        whole,
        mean=float(values.mean(dtype=np.float64)),
        variance=float(values.var(dtype=np.float64)),
        square=float(squares.mean()),
        least=float(values.min(initial=math.inf)),
        most=float(values.max(initial=-math.inf)),
        finite=bool(np.isfinite(values).all()),
        units=values.shape[-1],
        spread=_spread_of(values),
    )


def _spread_of(values: np.ndarray) -> float:
    """Return the standard deviation of a typical feature, of those that vary."""
    if values.ndim < 2 or not values.size:
        return 0.0
    found = values.reshape(-1, values.shape[-1]).std(axis=0, dtype=np.float64)
    return float(np.median(found[found > 0])) if (found > 0).any() else 0.0


def _owners(found: list[Part]) -> dict[int, list[Part]]:
    """Return the variables of each layer that is looked at, by the layer's ``id``.

    A layer in which nothing is looked at, such as a recurrent one, stands for its cells.
    """
    owned: dict[int, list[Part]] = {}
    for part in found:
        for layer in part.layers:
            owned.setdefault(id(layer), []).append(part)
    return owned


def _role(layer: Any, own: list[Part]) -> str:
    if isinstance(layer, _SOURCES):
        return "source"
    if isinstance(layer, _AVERAGES):
        return "average"
    if isinstance(layer, _CHOICES):
        return "choice"
    kernels = [part for part in own if part.role in KERNELS]
    if any(part.layer is layer for part in kernels) or isinstance(layer, _RECURRENT):
        return "kernel"
    return "block" if own and any(part.layer is not layer for part in own) else ""


def _with_weights(
    one: Measure,
    gradient: float | None,
    own: list[Part],
    pulls: dict[int, Any],
    ratios: dict[int, float],
) -> Measure:
    """Return a measure with what the weights and gradients say added to it."""
    if one.role == "block" or not own:
        return dataclasses.replace(one, gradient=gradient)
    squares = [
        float(np.square(_numbers(pulls[id(part.variable)]), dtype=np.float64).sum())
        for part in own
        if id(part.variable) in pulls
    ]
    values = {part.name: np.asarray(kerases.read(part.variable), np.float32) for part in own}
    bias = next((values[part.name] for part in own if part.role == "bias"), None)
    kernels = [part for part in own if part.role in ("kernel", "recurrent_kernel")]
    first = next((part for part in kernels if part.role == "kernel"), None)
    alike = None
    if first is not None and all(np.isfinite(value).all() for value in values.values()):
        pull = pulls.get(id(first.variable))
        pull = None if pull is None else _numbers(pull)
        alike = twins(first, values[first.name], pull, bias)
    return dataclasses.replace(
        one,
        gradient=gradient,
        weight_gradient=math.sqrt(sum(squares)) if squares else None,
        update_ratio=None if first is None else ratios.get(id(first.variable)),
        twins=alike,
        zero_kernel=any(
            not values[part.name].any() for part in own if part in kernels or part.role == "scale"
        ),
        finite_weights=all(bool(np.isfinite(value).all()) for value in values.values()),
    )


def _classes(*names: str) -> tuple[type, ...]:
    return tuple(
        getattr(library.layers, name)
        for library in (keras, tf_keras)
        for name in names
        if hasattr(library.layers, name)
    )


_SOURCES = _classes(
    "BatchNormalization",
    "Embedding",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "RMSNormalization",
    "Rescaling",
    "UnitNormalization",
)
_AVERAGES = _classes(
    *(f"{kind}{rank}D" for kind in ("AveragePooling", "GlobalAveragePooling") for rank in (1, 2, 3))
)
_CHOICES = _classes("Softmax")
_RECURRENT = _classes("RNN", "Bidirectional")
