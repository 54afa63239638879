"""One pass forward and one back, and what every layer showed on the way."""

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.compat.restore import restored
from kerasinit._src.diagnosis import objective
from kerasinit._src.diagnosis.batch import Batch
from kerasinit._src.diagnosis.flow import Flow, traced
from kerasinit._src.diagnosis.graph_pass import GraphPass
from kerasinit._src.diagnosis.heads import Head, heads_of, is_constant, misfit
from kerasinit._src.diagnosis.measured import Measure, Measured
from kerasinit._src.diagnosis.next_update import NextUpdate
from kerasinit._src.diagnosis.probes import probing, quantized_layers, require_unquantized
from kerasinit._src.diagnosis.signals import Signal, activation_name, saturated_fraction, signal_of
from kerasinit._src.diagnosis.trial import Moved, trial
from kerasinit._src.diagnosis.twins import twins
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.model import Network, is_query_or_key
from kerasinit._src.network.parts import KERNELS, Part
from kerasinit._src.theory import limits


def measure(
    network: Network,
    batch: Batch,
    loss: FitLoss | None,
    seed: int,
    update: NextUpdate | None = None,
    flow: Flow | None = None,
) -> Measured:
    """Run a model forward and back once and return what its layers showed.

    Args:
        network: The model, read.
        batch: The examples, with labels if there is a loss.
        loss: What to differentiate; None for a random functional.
        seed: The seed of the random functional.
        update: The next update of the model; None to make one. A caller that measures the same
            model repeatedly passes it, and the flow.
        flow: What `flow_for` returned; None to trace the model.

    Raises:
        ValueError: If no layer can be looked at, or labels and outputs do not make a loss.
    """
    model, found = network.model, network.parts
    unseen = quantized_layers(model)
    require_unquantized(model, unseen, [part.layer for part in found])
    flow = flow or flow_for(model, batch)
    step = update or NextUpdate(model)
    calls = _Calls(_owners(found))
    with restored(model):
        there = _there_and_back(model, batch, loss, seed, calls, flow)
        if not calls.seen:
            raise ValueError(
                f"No layer of {model.name!r} could be looked at: none is called, or none gives "
                f"floating numbers. What a model computes by itself is seen only where it stands "
                f"in a layer."
            )
        looked_at = loss is not None and there.objective == loss.name
        graph = None
        if loss is not None and looked_at and flow.in_graph:
            graph = step.graph_pass
            if graph is None or not graph.is_for(model, batch, loss):
                graph = step.graph_pass = GraphPass(model, batch, loss)
            pulled = graph()
            calls.hear_instead(pulled.norms)
            there = there._replace(scalar=pulled.loss, pulls=pulled.weights)
        # Without its own penalty, which is a part of the loss, a codebook has no gradient.
        learning = KERNELS if looked_at or not model.losses else ("kernel",)
        trained = {id(variable) for variable in model.trainable_variables}
        layers = calls.measures(there.pulls, step.ratios(there.pulls), learning, trained)
        heads, taken = there.heads, None
        if loss is not None and looked_at:
            moved = _moved(found, layers)
            taken, heads = trial(model, batch, graph or loss, step, moved, heads, there.outputs)
    layers, note = _along(flow, layers)
    return Measured(
        there.inputs,
        layers,
        there.objective,
        batch.size,
        2 if taken is None else 3,
        heads,
        there.scalar if looked_at else None,
        taken,
        batch.alike,
        tuple(f"{path} ({mode})" for path, mode in unseen),
        bool(model.trainable_variables),
        note,
    )


class _Calls:
    """The calls of layers during one pass, and how large the gradient is that comes back to each.

    Args:
        owners: What `_owners` returned.
    """

    def __init__(self, owners: dict[int, list[Part]]) -> None:
        self._owners = owners
        self.seen: list[Measure] = []
        self._holders: list[Any] = []
        self._gradients: dict[int, float] = {}
        self._counts: dict[str, int] = {}
        self.differentiating = False

    def look(self, path: str, layer: Any, given: list[Any], out: Any) -> Any:
        """Note a call, and return what takes the gradient of its output."""
        place, values = len(self.seen), _numbers(out)
        if self.differentiating:  # computed again for the gradient: a call that was seen before
            return partial(self._heard, _same_call(self.seen, path, values))
        self._counts[path] = self._counts.get(path, 0) + 1
        own = self._owners.get(id(layer), [])
        activation, role = activation_name(layer), _role(layer, own)
        axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        saturated = saturated_fraction(values, activation, math.exp(-limits.HARM))
        self.seen.append(
            Measure(
                path,
                layer.name,
                type(layer).__name__,
                self._counts[path],
                tuple(values.shape),
                role,
                None if activation == "linear" else activation,
                signal_of(values, axis, saturated),
                _scale_of(_numbers(given[0])) if given else None,
                (place - 1,),
                _averaged(role, given, values),
                "choice" if any(map(is_query_or_key, own)) else "main",
            )
        )
        self._holders.append(layer)
        return partial(self._heard, place)

    def _heard(self, place: int, gradient: Any) -> None:
        self._gradients[place] = float(np.linalg.norm(_numbers(gradient).astype(np.float64)))

    def hear_instead(self, norms: dict[int, float]) -> None:
        """Take other norms of the gradients, by the places of the calls."""
        self._gradients = norms

    def measures(
        self,
        pulls: dict[int, Any],
        ratios: dict[int, float],
        learning: tuple[str, ...],
        trained: set[int],
    ) -> tuple[Measure, ...]:
        """Return the calls with what weights and gradients say.

        Args:
            pulls: Gradients by the ``id`` of their variables.
            ratios: What `NextUpdate.ratios` returned.
            learning: The roles of variables that a gradient is expected for.
            trained: The ``id`` of each variable that is trained.
        """
        rows = []
        for place, (row, layer) in enumerate(zip(self.seen, self._holders, strict=True)):
            own = self._owners.get(id(layer), [])
            learns = any(part.role in learning and id(part.variable) in trained for part in own)
            measured = _with_weights(row, self._gradients.get(place), own, pulls, ratios)
            rows.append(dataclasses.replace(measured, learns=learns))
        return tuple(rows)


class _Pass(NamedTuple):
    """What one pass forward and back gave: the scalar, its name, and its gradients by variable."""

    inputs: tuple[Signal, ...]
    outputs: Any
    heads: tuple[Head, ...]
    scalar: float
    objective: str
    pulls: dict[int, Any]


def _there_and_back(
    model: Any, batch: Batch, loss: FitLoss | None, seed: int, calls: _Calls, flow: Flow
) -> _Pass:
    made_by: dict[int, tuple[str, Any]] = {}
    with probing(model, calls.look, made_by), tf.GradientTape() as tape:
        sources = [one for one in tf.nest.flatten(batch.x) if one.dtype.is_floating]
        for source in sources:
            tape.watch(source)
        outputs = model(batch.x, training=False)
        heads = heads_of(model, loss, batch.y, outputs, made_by, flow)
        scalar, called = _objective(loss, batch, outputs, heads, seed)
        weights = [compat.tensor(one) for one in model.trainable_variables]
        calls.differentiating = True
        with tape.stop_recording():
            pulled = tape.gradient(scalar, weights + sources)
    pulls = {
        id(variable): tf.convert_to_tensor(pull)
        for variable, pull in zip(model.trainable_variables, pulled, strict=False)
        if pull is not None
    }
    inputs = tuple(signal_of(_numbers(source)) for source in sources)
    return _Pass(inputs, outputs, heads, float(scalar), called, pulls)


def _moved(found: list[Part], layers: tuple[Measure, ...]) -> list[Moved]:
    """Return how far the next update moves each layer's kernel."""
    sizes = {
        part.name.rpartition("/")[0]: math.prod(part.shape)
        for part in found
        if part.role == "kernel"
    }
    return [
        Moved(row.layer, sizes.get(row.layer, 0), row.update_ratio)
        for row in layers
        if row.update_ratio is not None
    ]


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
    """Return how a batch flows through a model, for a caller that measures it repeatedly.

    Args:
        model: A built model of either Keras.
        batch: The examples.
    """
    with restored(model):
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
    signal = row_of(layer).signal
    if signal in ("embeds", "normalizes", "rescales"):
        return "source"
    if signal in ("averages", "chooses"):
        return "average" if signal == "averages" else "choice"
    kernels = [part for part in own if part.role in KERNELS]
    if any(part.layer is layer for part in kernels) or signal == "recurs":
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
    values = {part.name: np.asarray(compat.read(part.variable), np.float32) for part in own}
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
