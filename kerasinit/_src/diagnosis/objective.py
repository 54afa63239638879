"""The scalar whose gradient is looked at."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.compat.fit_loss import FitLoss

LINEAR = "a random linear functional of the outputs"


def chosen(model: Any, y: Any, loss: Any) -> FitLoss | None:
    """Return the loss to differentiate; None for a random functional.

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
        return None
    return FitLoss(model, loss)


def functional(outputs: Any, seed: int) -> Any:
    """Return a random linear functional of the outputs, for which no labels are needed.

    Formula: ``sum_k <r_k, o_k>``, with outputs ``o_k`` and normal numbers ``r_k`` from the stream
    ``(seed, "diagnose", k)``. Which way the loss pulls is not known before training; a random way
    sees every path that the gradient can take.

    Args:
        outputs: What the model returned.
        seed: The seed of the numbers.
    """
    total = 0.0
    for place, output in enumerate(tf.nest.flatten(outputs)):
        rng = streams.generator(seed, "diagnose", place)
        numbers = rng.standard_normal(tuple(output.shape), np.float32)
        total += tf.reduce_sum(tf.cast(output, tf.float32) * numbers)
    return total
