"""The scalar whose gradient is looked at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit import kerases, streams

LINEAR = "a random linear functional of the outputs"


def chosen(model: Any, y: Any, loss: Any) -> tuple[Any, str]:
    """Return what to differentiate, and its name for the report.

    Args:
        model: The model.
        y: The labels, or None.
        loss: A loss of the model's Keras, its name, a function of labels and outputs, or a
            list or dictionary of these; None for the compiled one.

    Raises:
        ValueError: If there are labels and no loss, or a loss and no labels.
    """
    if y is None:
        if loss is not None:
            raise ValueError(f"A loss needs labels: give y beside loss={loss!r}.")
        return None, LINEAR
    if loss is None:
        loss = getattr(model, "loss", None) if kerases.is_compiled(model) else None
    if loss is None:
        raise ValueError(
            "There are labels y but no loss: the model is not compiled with one. Give loss=, such "
            "as loss='mse', or leave y out."
        )
    return loss, str(getattr(loss, "__name__", None) or getattr(loss, "name", None) or loss)


def objective(model: Any, loss: Any, y: Any, outputs: Any, seed: int) -> Any:
    """Return the scalar: the mean loss, or without labels a random functional.

    Formula: the functional is ``sum_k <r_k, o_k>``, with outputs ``o_k`` and normal numbers
    ``r_k`` from the stream ``(seed, "diagnose", k)``. Which way the loss pulls is not known
    before training; a random way sees every path that the gradient can take.

    Args:
        model: The model.
        loss: What `chosen` returned; None for the functional.
        y: The labels.
        outputs: What the model returned.
        seed: The seed of the functional.
    """
    if loss is None:
        total = 0.0
        for place, output in enumerate(tf.nest.flatten(outputs)):
            rng = streams.generator(seed, "diagnose", place)
            numbers = rng.standard_normal(tuple(output.shape), np.float32)
            total += tf.reduce_sum(tf.cast(output, tf.float32) * numbers)
        return total
    if isinstance(loss, Mapping):
        return sum(objective(model, loss[key], y[key], outputs[key], seed) for key in loss)
    if isinstance(loss, list | tuple):
        return sum(
            objective(model, one, label, output, seed)
            for one, label, output in zip(loss, y, outputs, strict=True)
        )
    function = kerases.library_of(model).losses.get(loss)
    return tf.reduce_mean(function(tf.convert_to_tensor(y), outputs))
