"""Loss and gradients as the graph of `fit` gives them, where Keras takes logits from the graph.

See `compat.fit_loss.logits_need_graph`. A model that ends in TensorFlow's own softmax or sigmoid
is differentiated in a graph.
"""

from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss, logits_need_graph
from kerasinit._src.diagnosis.batch import Batch
from kerasinit._src.diagnosis.probes import probing, unprobed
from kerasinit._src.diagnosis.recorded import kept_as_computed


class Pulls(NamedTuple):
    """What a pass gave: the loss, its gradients by the ``id`` of variables, and their norms.

    Attributes:
        loss: The loss.
        weights: The gradient with respect to each trainable variable that has one.
        norms: By the place of a layer's call, the norm of the gradient that comes to its output.
    """

    loss: float
    weights: dict[int, Any]
    norms: dict[int, float]


class GraphPass:
    """A pass forward and back in a graph, traced once.

    Args:
        model: A model of either Keras that can be traced.
        batch: The examples and their labels.
        loss: What to differentiate; it has been computed before, so that it holds all it needs.
    """

    def __init__(self, model: Any, batch: Batch, loss: FitLoss) -> None:
        self._model, self._batch, self._loss = model, batch, loss
        self._variables = list(model.trainable_variables)
        self._run = tf.function(self._pass, autograph=False)

    def is_for(self, model: Any, batch: Batch, loss: FitLoss) -> bool:
        """Return whether it was traced for this model as it stands, this batch and this loss."""
        same = model is self._model and batch is self._batch and loss is self._loss
        return same and list(map(id, model.trainable_variables)) == list(map(id, self._variables))

    def loss(self) -> float:
        """Return the loss of the model's current weights."""
        return float(self._run()[0])

    def __call__(self) -> Pulls:
        """Return the loss and the gradients at the model's current weights."""
        loss, weights, norms = self._run()
        return Pulls(
            float(loss),
            {id(self._variables[place]): gradient for place, gradient in weights.items()},
            {place: float(norm) for place, norm in norms.items()},
        )

    def _pass(self) -> tuple[Any, dict[int, Any], dict[int, Any]]:
        model, batch = self._model, self._batch
        made: list[Any] = []
        norms: dict[int, Any] = {}

        def hear(place: int, gradient: Any) -> None:
            norms[place] = tf.norm(tf.cast(gradient, tf.float64))

        def look(path: str, layer: Any, given: list[Any], out: Any) -> Any:
            made.append(out)
            return partial(hear, len(made) - 1)

        with kept_as_computed(model), probing(model, look), tf.GradientTape() as tape:
            outputs = model(batch.x, training=False)
            flat = tf.nest.flatten(outputs)
            # What Keras looks for must not hide behind the probes.
            bare = {place: unprobed(one) for place, one in enumerate(flat)}
            read = {place: one for place, one in bare.items() if logits_need_graph(model, one)}
            for place, one in read.items():
                if hasattr(flat[place], "_keras_mask"):
                    one._keras_mask = flat[place]._keras_mask
            shown = [read.get(place, one) for place, one in enumerate(flat)]
            loss = self._loss(
                batch.x, batch.y, tf.nest.pack_sequence_as(outputs, shown), batch.weights
            )
        weights = [compat.tensor(one) for one in self._variables]
        logits = [one.op.inputs[0] for one in read.values()]
        pulled = tape.gradient(loss, weights + logits)
        for one, gradient in zip(read.values(), pulled[len(weights) :], strict=True):
            for place, out in enumerate(made):
                if gradient is not None and unprobed(out) is one:
                    hear(place, gradient)
        found = {
            place: tf.convert_to_tensor(gradient)
            for place, gradient in enumerate(pulled[: len(weights)])
            if gradient is not None
        }
        return loss, found, norms
