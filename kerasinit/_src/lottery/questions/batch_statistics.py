"""Recomputed statistics of batch normalization, for weights that were never trained."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import walk

# Enough for an accurate mean and variance; a pass over all examples would cost more than the
# errors that it is for.
_EXAMPLES, _BATCH_SIZE = 10_000, 500


def normalizations(model: Any) -> list[Any]:
    """Return the layers of a model that keep batch statistics."""
    return [layer for _, layer in walk(model) if row_of(layer).by_batch]


def recompute(model: Any, x: np.ndarray) -> None:
    """Set moving means and variances to those of the examples under the current weights.

    Between two networks, neither's statistics nor their mean are right. Each becomes the mean over
    batches, from at most 10,000 examples. Other variables that a forward pass in training mode
    changes, such as the seeds of Dropout, change as well.
    """
    layers = normalizations(model)
    momenta = [layer.momentum for layer in layers]
    # Shuffled, since the variance within batches of one class would be too small.
    chosen = streams.generator(0, "batch statistics").permutation(len(x))[:_EXAMPLES]
    # Nearly equal sizes, since each batch has the same weight in the mean.
    pieces = np.array_split(x[chosen], max(1, len(chosen) // _BATCH_SIZE))
    try:
        for number, piece in enumerate(pieces):
            # moving * n / (n + 1) + new / (n + 1): a plain mean, whatever the old value.
            for layer in layers:
                layer.momentum = number / (number + 1)
            model(tf.constant(piece), training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
