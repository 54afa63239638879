"""Loss and gradients of a traced graph, as in `fit`, where Keras takes the logits from the graph.

A model that ends in TensorFlow's own softmax or sigmoid needs this: see
`compat.fit_loss.logits_need_graph`.
"""

from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss, logits_need_graph
from kerasinit._src.diagnosis.batch import Batch
from kerasinit._src.diagnosis.probes import probing, unprobed
from kerasinit._src.diagnosis.recorded import without_recomputation


class Gradients(NamedTuple):
    """The loss and its gradients.

    Attributes:
        loss: The loss.
        weights: The gradients with respect to trainable variables, by their ``id``.
        norms: The norms of the gradients with respect to outputs, by the index of the call.
    """

    loss: float
    weights: dict[int, Any]
    norms: dict[int, float]


class GraphPass:
    """A forward and backward pass in a graph, traced once.

    The loss must have been computed before, so that its variables exist.
    """

    def __init__(self, model: Any, batch: Batch, loss: FitLoss) -> None:
        self._model, self._batch, self._loss = model, batch, loss
        self._variables = list(model.trainable_variables)
        self._run = tf.function(self._pass, autograph=False)

    def is_for(self, model: Any, batch: Batch, loss: FitLoss) -> bool:
        """Return whether it was traced for this model in its current state, batch and loss."""
        same = model is self._model and batch is self._batch and loss is self._loss
        return same and list(map(id, model.trainable_variables)) == list(map(id, self._variables))

    def loss(self) -> float:
        """Return the loss of the model's current weights."""
        return float(self._run()[0])

    def __call__(self) -> Gradients:
        """Return the loss and the gradients at the model's current weights."""
        loss, weights, norms = self._run()
        return Gradients(
            float(loss),
            {id(self._variables[place]): gradient for place, gradient in weights.items()},
            {place: float(norm) for place, norm in norms.items()},
        )

    def _pass(self) -> tuple[Any, dict[int, Any], dict[int, Any]]:
        model, batch = self._model, self._batch
        signals: list[Any] = []
        norms: dict[int, Any] = {}

        def on_gradient(place: int, gradient: Any) -> None:
            norms[place] = tf.norm(tf.cast(gradient, tf.float64))

        def on_call(path: str, layer: Any, given: list[Any], out: Any) -> Any:
            signals.append(out)
            return partial(on_gradient, len(signals) - 1)

        with without_recomputation(model), probing(model, on_call), tf.GradientTape() as tape:
            outputs = model(batch.x, training=False)
            flat = tf.nest.flatten(outputs)
            # The probes must not hide the operations that Keras searches for.
            bare = {place: unprobed(output) for place, output in enumerate(flat)}
            read = {place: out for place, out in bare.items() if logits_need_graph(model, out)}
            for place, out in read.items():
                if hasattr(flat[place], "_keras_mask"):
                    out._keras_mask = flat[place]._keras_mask
            taken = [read.get(place, output) for place, output in enumerate(flat)]
            loss = self._loss(
                batch.x, batch.y, tf.nest.pack_sequence_as(outputs, taken), batch.weights
            )
        weights = [compat.tensor(variable) for variable in self._variables]
        logits = [out.op.inputs[0] for out in read.values()]
        gradients = tape.gradient(loss, weights + logits)
        for out, gradient in zip(read.values(), gradients[len(weights) :], strict=True):
            for place, signal in enumerate(signals):
                if gradient is not None and unprobed(signal) is out:
                    on_gradient(place, gradient)
        by_variable = {
            place: tf.convert_to_tensor(gradient)
            for place, gradient in enumerate(gradients[: len(weights)])
            if gradient is not None
        }
        return loss, by_variable, norms
