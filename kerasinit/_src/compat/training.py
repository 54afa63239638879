"""How a compiled model of either Keras trains: its loss, its steps and its states."""

import inspect
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from kerasinit._src.compat.models import kerase_of, layer_classes, library_of


def is_compiled(model: Any) -> bool:
    """Return whether ``model.compile`` was called."""
    if kerase_of(model) == "keras":
        return bool(model.compiled)
    return getattr(model, "optimizer", None) is not None


def steps_per_execution(model: Any) -> int:
    """Return how many steps a compiled model takes between two calls of its callbacks."""
    steps = model.steps_per_execution
    return int(steps.numpy() if isinstance(steps, tf.Variable) else steps)


def has_own_train_step(model: Any) -> bool:
    """Return whether a model's class replaces Keras' ``train_step``."""
    library = library_of(model)
    kinds = (library.Model, library.Sequential)
    return all(type(model).train_step is not kind.train_step for kind in kinds)


def reset_states(layers: Iterable[Any]) -> None:
    """Let recurrent layers that keep their state from call to call begin again.

    The states are no weights, in either Keras.
    """
    for layer in layers:
        stateful = isinstance(layer, _RNN) and layer.stateful and layer.states is not None
        # tf_keras makes the states at the first call.
        if stateful and all(state is not None for state in tf.nest.flatten(layer.states)):
            layer.reset_states()


_RNN = layer_classes("RNN")


def loss_of(
    model: Any, x: Any, y: Any, outputs: Any, sample_weight: Any = None, *, training: bool
) -> Any:
    """Return the compiled loss of a batch, with the model's own penalties.

    Called as each Keras calls it: a ``compute_loss`` of a user's own may give the arguments other
    names, and one written before Keras 3.3 takes no ``training``.
    """
    if kerase_of(model) == "keras" and _takes_training(model):
        return model.compute_loss(x, y, outputs, sample_weight, training=training)
    return model.compute_loss(x, y, outputs, sample_weight)


def _takes_training(model: Any) -> bool:
    parameters = inspect.signature(model.compute_loss).parameters
    kinds = {one.kind for one in parameters.values()}
    return "training" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
