"""How a compiled model of either Keras trains: its loss, steps and recurrent states."""

import inspect
from collections.abc import Iterable
from typing import Any

import keras

from kerasinit._src.compat.models import kerase_of, layer_classes, library_of


def is_compiled(model: Any) -> bool:
    """Return whether a model was compiled."""
    if kerase_of(model) == "keras":
        return bool(model.compiled)
    return getattr(model, "optimizer", None) is not None


def steps_per_execution(model: Any) -> int:
    """Return the number of steps between two calls of a compiled model's callbacks."""
    steps = model.steps_per_execution
    return int(steps.numpy() if hasattr(steps, "numpy") else steps)  # a variable in tf_keras


def has_own_train_step(model: Any) -> bool:
    """Return whether a model's class overrides Keras' ``train_step``."""
    library = library_of(model)
    kinds = (library.Model, library.Sequential)
    return all(type(model).train_step is not kind.train_step for kind in kinds)


def reset_states(layers: Iterable[Any]) -> None:
    """Reset the states of stateful recurrent layers, which are not weights in either Keras."""
    recurrent = layer_classes("RNN")
    for layer in layers:
        stateful = isinstance(layer, recurrent) and layer.stateful and layer.states is not None
        # tf_keras creates the states at the first call.
        if stateful and all(state is not None for state in keras.tree.flatten(layer.states)):
            layer.reset_states()


def loss_of(
    model: Any, x: Any, y: Any, outputs: Any, sample_weight: Any = None, *, training: bool
) -> Any:
    """Return the compiled loss of a batch, including the model's regularization losses.

    Arguments are positional, since a custom ``compute_loss`` may name them differently; one written
    before Keras 3.3 has no ``training``.
    """
    if kerase_of(model) == "keras" and _accepts_training(model):
        return model.compute_loss(x, y, outputs, sample_weight, training=training)
    return model.compute_loss(x, y, outputs, sample_weight)


def _accepts_training(model: Any) -> bool:
    parameters = inspect.signature(model.compute_loss).parameters
    kinds = {one.kind for one in parameters.values()}
    return "training" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
