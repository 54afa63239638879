"""The loss that `fit` minimizes, for those who differentiate it outside of `fit`.

Keras does more to a loss than call it: labels of shape ``(n,)`` are brought to outputs of shape
``(n, 1)``, losses are given to outputs by name or place and weighted, masks and sample weights are
applied, penalties are added, and a crossentropy is computed from the logits where an activation
left them on its output. ``compute_loss`` does all of this, in both Kerases. So that nothing of a
model's own compilation changes, it is called on an empty model, compiled with the same loss.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat

_MISFITS = (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError)


class FitLoss:
    """What `fit` would minimize on a model.

    Args:
        model: A model of either Keras.
        loss: A loss of the model's Keras, its name, a function of labels and outputs, or a list or
            dictionary of these; None for what the model is compiled with.

    Attributes:
        loss: The loss or losses; None if the model has its own `compute_loss`, or only penalties.
        name: What a report calls it.

    Raises:
        ValueError: If there is no loss, and the model is not compiled.
    """

    def __init__(self, model: Any, loss: Any = None) -> None:
        compiled = loss is None
        if compiled and not compat.is_compiled(model):
            raise ValueError(
                "There are labels y but no loss: the model is not compiled with one. Give loss=, "
                "such as loss='mse', or leave y out."
            )
        self._model = model
        self.loss = getattr(model, "loss", None) if compiled else loss
        self._own = compiled and has_own_compute_loss(model)
        self._judge: Any = None if self._own else _judge(model, self.loss, compiled)
        self.name = f"{type(model).__name__}.compute_loss" if self._own else _written(self.loss)

    def __call__(
        self, x: Any, y: Any, outputs: Any, sample_weight: Any = None, *, training: bool = True
    ) -> Any:
        """Return the loss of a batch, penalties included, as a scalar.

        Args:
            x: The inputs, as tensors.
            y: The labels, as tensors.
            outputs: What the model returned for the inputs.
            sample_weight: A weight for each example, or None.
            training: Passed to a `compute_loss` of the model's own.

        Raises:
            ValueError: If outputs and labels do not make a loss.
        """
        if not self._own and self.loss is None and not self._model.losses:
            raise ValueError(
                "There are labels y but no loss: the model is compiled without one. Give loss=, "
                "such as loss='mse', or leave y out."
            )
        judge = self._model if self._own else self._judge
        try:
            loss = compat.loss_of(judge, x, y, outputs, sample_weight, training=training)
        except _MISFITS as error:
            raise ValueError(
                f"The loss {self.name} cannot be computed of labels of shape {_shapes(y)} and "
                f"outputs of shape {_shapes(outputs)}: {error}"
            ) from error
        if loss is None or tf.convert_to_tensor(loss).shape.rank != 0:
            raise ValueError(f"The loss {self.name} is no number, but {loss!r}.")
        return loss


def by_output(model: Any, given: Any, outputs: Any) -> list[Any]:
    """Return the loss or labels of each output, in the order of `tf.nest.flatten`.

    Args:
        model: The model, for the names of its outputs.
        given: What `compile` takes as loss, or `fit` as labels: one for all outputs, a list, or
            a dictionary by the names of outputs.
        outputs: What the model returned.

    Returns:
        One for each output; None where it cannot be told which.
    """
    count = len(tf.nest.flatten(outputs))
    unknown: list[Any] = [None] * count
    if isinstance(given, Mapping):
        names = getattr(model, "output_names", None)
        if isinstance(outputs, Mapping):
            names = sorted(outputs)
        if names is None or len(names) != count:
            return list(given.values()) if count == len(given) == 1 else unknown
        return [given.get(name) for name in names]
    if isinstance(given, list | tuple):
        return list(given) if len(given) == count else unknown
    return [given] * count


def has_own_compute_loss(model: Any) -> bool:
    """Return whether a model's class replaces Keras' ``compute_loss``."""
    return type(model).compute_loss is not compat.library_of(model).Model.compute_loss


def class_weights(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Return the sample weights that `fit` makes of class weights.

    Args:
        y: Labels: class numbers, or one-hot rows.
        class_weight: Weights by class; of a class that is not in it, 1.
    """
    classes = np.asarray(y)
    if classes.ndim > 1:
        classes = classes.argmax(-1) if classes.shape[-1] != 1 else classes[..., 0]
    classes = np.round(classes).astype(np.int64)
    return np.vectorize(lambda one: float(class_weight.get(int(one), 1.0)), [np.float32])(classes)


def takes_from_graph(model: Any, output: Any) -> bool:
    """Return whether Keras' losses may find the logits of an output only in the graph.

    Keras' own softmax and sigmoid leave the logits on their output, and its crossentropies are
    computed from these, eagerly and in a graph. TensorFlow's leave nothing. In a graph, such as
    that of `fit`, Keras sees all the same which operation made an output, and takes what went into
    it; eagerly it cannot.

    Args:
        model: A model of either Keras.
        output: What it returned in a graph.
    """
    if getattr(model, "run_eagerly", False) or hasattr(output, "_keras_logits"):
        return False
    return tf.is_symbolic_tensor(output) and output.op.type in ("Sigmoid", "Softmax")


def _judge(model: Any, loss: Any, compiled: bool) -> Any:
    """Return an empty model that computes a loss as ``model`` would, with the same penalties."""
    weights = model.get_compile_config().get("loss_weights") if compiled else None
    library = compat.library_of(model)
    judge = _judge_class(library)(name="judge")
    if hasattr(model, "output_names"):
        judge.output_names = model.output_names
    # tf_keras needs an optimizer; the judge takes no steps with it.
    in_tf_keras = compat.kerase_of(model) == "tf_keras"
    optimizer = library.optimizers.SGD(name="SGD") if in_tf_keras else None
    judge.compile(optimizer, loss, loss_weights=weights)
    # Past Keras' own __setattr__, which would take the model for a part of this one.
    object.__setattr__(judge, "judged", model)
    return judge


@functools.cache
def _judge_class(library: Any) -> Any:
    class Judge(library.Model):
        judged: Any

        @property
        def losses(self) -> Any:
            return self.judged.losses

    return Judge


def _written(loss: Any) -> str:
    if isinstance(loss, Mapping):
        return ", ".join(f"{key}: {_written(one)}" for key, one in loss.items())
    if isinstance(loss, list | tuple):
        return ", ".join(map(_written, loss))
    if loss is None:
        return "the model's penalties"
    return str(getattr(loss, "__name__", None) or getattr(loss, "name", None) or loss)


def _shapes(things: Any) -> Any:
    return tf.nest.map_structure(lambda one: tuple(one.shape), things)
