"""The scalar that is differentiated: the loss, or a random linear functional of the outputs."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.compat.fit_loss import FitLoss

LINEAR = "a random linear functional of the outputs"


def loss_for(model: Any, y: Any, loss: Any) -> FitLoss | None:
    """Return the loss to differentiate, the compiled one if none is given; None without labels."""
    if y is None:
        if loss is not None:
            raise ValueError(f"A loss needs labels: pass y along with loss={loss!r}.")
        return None
    return FitLoss(model, loss)


def random_functional(outputs: Any, seed: int) -> Any:
    """Return a random linear functional of the outputs, which needs no labels.

    Formula: ``sum_k <r_k, o_k>``, with outputs ``o_k`` and normal numbers ``r_k`` from the stream
    ``(seed, "diagnose", k)``. The direction of the loss gradient is unknown before training; a
    random direction reaches every path that a gradient can take.
    """
    total = 0.0
    for place, output in enumerate(tf.nest.flatten(outputs)):
        rng = streams.generator(seed, "diagnose", place)
        numbers = rng.standard_normal(tuple(output.shape), np.float32)
        total += tf.reduce_sum(tf.cast(output, tf.float32) * numbers)
    return total
