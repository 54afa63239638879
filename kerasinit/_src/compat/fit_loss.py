"""The loss that `fit` minimizes, available outside of `fit`.

Keras does more than call a loss function: it expands labels of shape ``(n,)`` to match outputs of
shape ``(n, 1)``, assigns losses to outputs by name or position, applies loss weights, masks and
sample weights, adds regularization losses, and computes a crossentropy from logits where an
activation left them on its output. ``compute_loss`` does all of this, in both Kerases. It is called
on an empty model compiled with the same loss, so that the user's compilation stays unchanged.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.troubleshooting import see

_COMPUTE_ERRORS = (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError)


class FitLoss:
    """The loss that `fit` would minimize on a model.

    Args:
        model: A model of either Keras.
        loss: Anything that ``compile`` accepts. None stands for the loss that the model is
            compiled with, and is a ValueError if it is not compiled.

    Attributes:
        loss: The loss or losses; None if the model is compiled with regularization losses only.
        name: Its name in reports.
    """

    def __init__(self, model: Any, loss: Any = None) -> None:
        compiled = loss is None
        if compiled and not compat.is_compiled(model):
            raise ValueError(
                "There are labels y but no loss: the model is not compiled with one. Give loss=, "
                f"such as loss='mse', or leave y out. {see('uncompiled-model')}"
            )
        self._model = model
        self.loss = getattr(model, "loss", None) if compiled else loss
        self._custom = compiled and has_own_compute_loss(model)
        self._loss_model = model if self._custom else _loss_model(model, self.loss, compiled)
        self.name = f"{type(model).__name__}.compute_loss" if self._custom else _name(self.loss)

    def __call__(
        self, x: Any, y: Any, outputs: Any, sample_weight: Any = None, *, training: bool = True
    ) -> Any:
        """Return the scalar loss of a batch of tensors, including regularization losses.

        ``training`` is passed to a custom `compute_loss`. A ValueError reports labels and outputs
        that the loss cannot be computed from.
        """
        if not self._custom and self.loss is None and not self._model.losses:
            raise ValueError(
                "There are labels y but no loss: the model is compiled without one. Give loss=, "
                f"such as loss='mse', or leave y out. {see('uncompiled-model')}"
            )
        try:
            loss = compat.loss_of(self._loss_model, x, y, outputs, sample_weight, training=training)
        except _COMPUTE_ERRORS as error:
            raise ValueError(
                f"The loss {self.name} cannot be computed from labels of shape {_shapes(y)} and "
                f"outputs of shape {_shapes(outputs)}: {error}"
            ) from error
        if loss is None or tf.convert_to_tensor(loss).shape.rank != 0:
            raise ValueError(f"The loss {self.name} must be a scalar; got {loss!r}.")
        return loss


def by_output(model: Any, values: Any, outputs: Any) -> list[Any]:
    """Return the loss or labels of each output, in the order of `tf.nest.flatten`.

    ``values`` is what `compile` accepts as loss, or `fit` as labels: one for all outputs, a list,
    or a dictionary by output name. None stands for an output that cannot be matched.
    """
    count = len(tf.nest.flatten(outputs))
    unknown: list[Any] = [None] * count
    if isinstance(values, Mapping):
        names = getattr(model, "output_names", None)
        if isinstance(outputs, Mapping):
            names = sorted(outputs)
        if names is None or len(names) != count:
            return list(values.values()) if count == len(values) == 1 else unknown
        return [values.get(name) for name in names]
    if isinstance(values, list | tuple):
        return list(values) if len(values) == count else unknown
    return [values] * count


def has_own_compute_loss(model: Any) -> bool:
    """Return whether a model's class overrides Keras' ``compute_loss``."""
    return type(model).compute_loss is not compat.library_of(model).Model.compute_loss


def class_weights(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Return the sample weights that `fit` derives from class weights.

    ``y`` holds class indices or one-hot rows; a class without a weight has weight 1.
    """
    classes = np.asarray(y)
    if classes.ndim > 1:
        classes = classes.argmax(-1) if classes.shape[-1] != 1 else classes[..., 0]
    classes = np.round(classes).astype(np.int64)
    return np.vectorize(lambda one: float(class_weight.get(int(one), 1.0)), [np.float32])(classes)


def logits_need_graph(model: Any, output: Any) -> bool:
    """Return whether Keras finds the logits of an output in its graph, but not eagerly.

    Keras' softmax and sigmoid attach the logits to their output, and its crossentropies use them,
    eagerly and in a graph. TensorFlow's activations attach nothing; but in a graph, such as that of
    `fit`, Keras sees which operation produced ``output`` and uses the input of that operation.
    """
    if getattr(model, "run_eagerly", False) or hasattr(output, "_keras_logits"):
        return False
    return tf.is_symbolic_tensor(output) and output.op.type in ("Sigmoid", "Softmax")


def _loss_model(model: Any, loss: Any, compiled: bool) -> Any:
    """Return an empty model that computes the same loss as ``model``."""
    weights = model.get_compile_config().get("loss_weights") if compiled else None
    library = compat.library_of(model)
    empty = _loss_model_class(library)(name="loss")
    if hasattr(model, "output_names"):
        empty.output_names = model.output_names
    # tf_keras requires an optimizer; it is never used.
    in_tf_keras = compat.kerase_of(model) == "tf_keras"
    optimizer = library.optimizers.SGD(name="SGD") if in_tf_keras else None
    empty.compile(optimizer, loss, loss_weights=weights)
    # Bypasses Keras' __setattr__, which would track the original as a submodel.
    object.__setattr__(empty, "original", model)
    return empty


@functools.cache
def _loss_model_class(library: Any) -> Any:
    class LossModel(library.Model):
        original: Any

        @property
        def losses(self) -> Any:
            return self.original.losses

    return LossModel


def _name(loss: Any) -> str:
    if isinstance(loss, Mapping):
        return ", ".join(f"{key}: {_name(one)}" for key, one in loss.items())
    if isinstance(loss, list | tuple):
        return ", ".join(map(_name, loss))
    if loss is None:
        return "the model's regularization losses"
    return str(getattr(loss, "__name__", None) or getattr(loss, "name", None) or loss)


def _shapes(things: Any) -> Any:
    return tf.nest.map_structure(lambda one: tuple(one.shape), things)
