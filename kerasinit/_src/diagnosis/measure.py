"""One forward and one backward pass, and the measurements of every layer."""

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
from kerasinit._src.diagnosis.next_step import KernelUpdate, try_step
from kerasinit._src.diagnosis.next_update import NextUpdate
from kerasinit._src.diagnosis.probes import probing, quantized_layers, require_unquantized
from kerasinit._src.diagnosis.signals import Signal, activation_name, saturated_fraction, signal_of
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
    """Run one forward and one backward pass of a model and return the measurements.

    The loss is None for a random functional, drawn with ``seed``. A caller that measures the same
    model repeatedly passes the update and the flow (from `flow_for`) to reuse them.
    """
    model = network.model
    unseen = quantized_layers(model)
    require_unquantized(model, unseen, [part.layer for part in network.parts])
    flow = flow or flow_for(model, batch)
    update = update or NextUpdate(model)
    calls = _Calls(_parts_by_layer(network.parts))
    with restored(model):
        run = _forward_and_backward(model, batch, loss, seed, calls, flow)
        if not calls.rows:
            raise ValueError(
                f"No layer of {model.name!r} could be measured: none is called, or none returns "
                f"floating-point numbers. Computations outside of layers are not measured."
            )
        of_loss = loss is not None and run.objective == loss.name
        graph = None
        if loss is not None and of_loss and flow.in_graph:
            graph = update.graph_pass
            if graph is None or not graph.is_for(model, batch, loss):
                graph = update.graph_pass = GraphPass(model, batch, loss)
            gradients = graph()
            calls.gradient_norms = gradients.norms
            run = run._replace(scalar=gradients.loss, gradients=gradients.weights)
        # Without its own penalty, which is a part of the loss, a codebook has no gradient.
        learning = KERNELS if of_loss or not model.losses else ("kernel",)
        trained = {id(variable) for variable in model.trainable_variables}
        layers = calls.measures(run.gradients, update.ratios(run.gradients), learning, trained)
        heads, step = run.heads, None
        if loss is not None and of_loss:
            kernels = _kernel_updates(network.parts, layers)
            step, heads = try_step(model, batch, graph or loss, update, kernels, heads, run.outputs)
    layers, note = _with_flow(flow, layers)
    return Measured(
        run.inputs,
        layers,
        run.objective,
        batch.size,
        2 if step is None else 3,
        heads,
        run.scalar if of_loss else None,
        step,
        batch.alike,
        tuple(f"{path} ({mode})" for path, mode in unseen),
        bool(model.trainable_variables),
        note,
    )


class _Calls:
    """The calls of layers during one pass, and the norm of the gradient of each output."""

    def __init__(self, parts: dict[int, list[Part]]) -> None:
        self._parts = parts
        self.rows: list[Measure] = []
        self._layers: list[Any] = []
        self.gradient_norms: dict[int, float] = {}
        self._counts: dict[str, int] = {}
        self.differentiating = False

    def on_call(self, path: str, layer: Any, given: list[Any], out: Any) -> Any:
        """Record a call, and return the callback for the gradient of its output."""
        place, values = len(self.rows), _numbers(out)
        if self.differentiating:  # recomputed for the gradient: a call that was recorded before
            return partial(self._on_gradient, _same_call(self.rows, path, values))
        self._counts[path] = self._counts.get(path, 0) + 1
        own = self._parts.get(id(layer), [])
        activation, role = activation_name(layer), _role(layer, own)
        axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        saturated = saturated_fraction(values, activation, math.exp(-limits.HARM))
        self.rows.append(
            Measure(
                path,
                layer.name,
                type(layer).__name__,
                self._counts[path],
                tuple(values.shape),
                role,
                None if activation == "linear" else activation,
                signal_of(values, axis, saturated),
                _input_signal(_numbers(given[0])) if given else None,
                (place - 1,),
                _averaged(role, given, values),
                "choice" if any(map(is_query_or_key, own)) else "main",
            )
        )
        self._layers.append(layer)
        return partial(self._on_gradient, place)

    def _on_gradient(self, place: int, gradient: Any) -> None:
        self.gradient_norms[place] = float(np.linalg.norm(_numbers(gradient).astype(np.float64)))

    def measures(
        self,
        gradients: dict[int, Any],
        ratios: dict[int, float],
        learning: tuple[str, ...],
        trained: set[int],
    ) -> tuple[Measure, ...]:
        """Return the rows with the measurements of weights and gradients added.

        ``gradients``, ``ratios`` and ``trained`` go by the ``id`` of variables; ``learning`` holds
        the roles of variables that should have a gradient.
        """
        rows = []
        for place, (row, layer) in enumerate(zip(self.rows, self._layers, strict=True)):
            own = self._parts.get(id(layer), [])
            learns = any(part.role in learning and id(part.variable) in trained for part in own)
            row = dataclasses.replace(row, gradient=self.gradient_norms.get(place), learns=learns)
            rows.append(_with_weights(row, own, gradients, ratios))
        return tuple(rows)


class _Pass(NamedTuple):
    """The scalar of one forward and backward pass, its name, and its gradients by variable."""

    inputs: tuple[Signal, ...]
    outputs: Any
    heads: tuple[Head, ...]
    scalar: float
    objective: str
    gradients: dict[int, Any]


def _forward_and_backward(
    model: Any, batch: Batch, loss: FitLoss | None, seed: int, calls: _Calls, flow: Flow
) -> _Pass:
    made_by: dict[int, tuple[str, Any]] = {}
    with probing(model, calls.on_call, made_by), tf.GradientTape() as tape:
        sources = [source for source in tf.nest.flatten(batch.x) if source.dtype.is_floating]
        for source in sources:
            tape.watch(source)
        outputs = model(batch.x, training=False)
        heads = heads_of(model, loss, batch.y, outputs, made_by, flow)
        scalar, name = _objective(loss, batch, outputs, heads, seed)
        weights = [compat.tensor(variable) for variable in model.trainable_variables]
        calls.differentiating = True
        with tape.stop_recording():
            results = tape.gradient(scalar, weights + sources)
    gradients = {
        id(variable): tf.convert_to_tensor(gradient)
        for variable, gradient in zip(model.trainable_variables, results, strict=False)
        if gradient is not None
    }
    inputs = tuple(signal_of(_numbers(source)) for source in sources)
    return _Pass(inputs, outputs, heads, float(scalar), name, gradients)


def _kernel_updates(parts: list[Part], layers: tuple[Measure, ...]) -> list[KernelUpdate]:
    sizes = {
        part.name.rpartition("/")[0]: math.prod(part.shape)
        for part in parts
        if part.role == "kernel"
    }
    return [
        KernelUpdate(row.layer, sizes.get(row.layer, 0), row.update_ratio)
        for row in layers
        if row.update_ratio is not None
    ]


def _with_flow(flow: Flow, layers: tuple[Measure, ...]) -> tuple[tuple[Measure, ...], str]:
    """Return the rows with the data flow added, or unchanged, and why."""
    note = flow.failure
    if not note and flow.paths != tuple(row.layer for row in layers):
        note = "its layers are called in another order when it is traced"
    if note:
        return layers, note
    pairs = zip(layers, flow.passages, strict=True)
    return tuple(dataclasses.replace(row, **vars(passage)) for row, passage in pairs), ""


def _objective(
    loss: FitLoss | None, batch: Batch, outputs: Any, heads: tuple[Head, ...], seed: int
) -> tuple[Any, str]:
    """Return the scalar to differentiate, and its name."""
    if loss is not None:
        try:
            return loss(batch.x, batch.y, outputs, batch.weights), loss.name
        except ValueError:
            # The fault of the labels becomes a finding; the layers are measured all the same.
            if not any(misfit(head) or is_constant(head) for head in heads):
                raise
    return objective.random_functional(outputs, seed), objective.LINEAR


def flow_for(model: Any, batch: Batch) -> Flow:
    """Trace the data flow of a batch through a model and restore the model."""
    with restored(model):
        return traced(model, batch.x)


def _same_call(rows: list[Measure], path: str, values: np.ndarray) -> int:
    """Return the index of the call of a layer that returned these values."""
    square = float(np.square(values, dtype=np.float64).mean())
    calls = [place for place, row in enumerate(rows) if row.layer == path]
    return min(calls, key=lambda place: abs(rows[place].signal.square - square))


def _averaged(role: str, given: list[Any], values: np.ndarray) -> float:
    if role == "choice":
        return math.log(values.shape[-1])
    if role != "average" or not given or not values.size:
        return 0.0
    return max(0.0, math.log(math.prod(given[0].shape) / values.size))


def _numbers(tensor: Any) -> np.ndarray:
    tensor = tf.convert_to_tensor(tensor)
    return np.asarray(tf.cast(tensor, tf.float32).numpy())


def _input_signal(values: np.ndarray) -> Signal:
    """Return the signal of an input: correlation and rank, which are slow, of one feature only."""
    flat = values.reshape(values.shape[0], -1)[:, :1] if values.size else values
    return dataclasses.replace(
        signal_of(flat),
        mean=float(values.mean(dtype=np.float64)),
        variance=float(values.var(dtype=np.float64)),
        square=float(np.square(values, dtype=np.float64).mean()),
        least=float(values.min(initial=math.inf)),
        most=float(values.max(initial=-math.inf)),
        finite=bool(np.isfinite(values).all()),
        units=values.shape[-1],
        spread=_median_deviation(values),
    )


def _median_deviation(values: np.ndarray) -> float:
    """Return the median standard deviation of the features that vary."""
    if values.ndim < 2 or not values.size:
        return 0.0
    deviations = values.reshape(-1, values.shape[-1]).std(axis=0, dtype=np.float64)
    return float(np.median(deviations[deviations > 0])) if (deviations > 0).any() else 0.0


def _parts_by_layer(parts: list[Part]) -> dict[int, list[Part]]:
    """Return the parts of each layer by its ``id``; a recurrent layer also has its cells'."""
    by_layer: dict[int, list[Part]] = {}
    for part in parts:
        for layer in part.layers:
            by_layer.setdefault(id(layer), []).append(part)
    return by_layer


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
    row: Measure, own: list[Part], gradients: dict[int, Any], ratios: dict[int, float]
) -> Measure:
    """Return the row with the measurements of the layer's own weights added."""
    if row.role == "block" or not own:
        return row
    squares = [
        float(np.square(_numbers(gradients[id(part.variable)]), dtype=np.float64).sum())
        for part in own
        if id(part.variable) in gradients
    ]
    values = {part.name: np.asarray(compat.read(part.variable), np.float32) for part in own}
    bias = next((values[part.name] for part in own if part.role == "bias"), None)
    kernels = [part for part in own if part.role in ("kernel", "recurrent_kernel")]
    first = next((part for part in kernels if part.role == "kernel"), None)
    alike = None
    if first is not None and all(np.isfinite(value).all() for value in values.values()):
        gradient = gradients.get(id(first.variable))
        gradient = None if gradient is None else _numbers(gradient)
        alike = twins(first, values[first.name], gradient, bias)
    return dataclasses.replace(
        row,
        weight_gradient=math.sqrt(sum(squares)) if squares else None,
        update_ratio=None if first is None else ratios.get(id(first.variable)),
        twins=alike,
        zero_kernel=any(
            not values[part.name].any() for part in own if part in kernels or part.role == "scale"
        ),
        finite_weights=all(bool(np.isfinite(value).all()) for value in values.values()),
    )
