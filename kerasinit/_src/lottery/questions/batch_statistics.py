"""The statistics of batch normalization, measured anew for weights that nobody trained."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import walk

# As many as settle a mean and a variance well; a pass over all examples would cost
# more than the errors that are asked for.
_EXAMPLES, _AT_ONCE = 10_000, 500


def normalizations(model: Any) -> list[Any]:
    """Return the layers of a model that keep statistics of batches.

    Example:
    >>> import keras
    >>> layers = [keras.Input((4,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    >>> [layer.__class__.__name__ for layer in normalizations(keras.Sequential(layers))]
    ['BatchNormalization']
    """
    return [layer for _, layer in walk(model) if row_of(layer).by_batch]


def recompute(model: Any, x: np.ndarray) -> None:
    """Set moving means and variances to those that examples have under the present weights.

    Between two networks, neither's statistics are right, nor their mean: the values
    before a normalization are another function of the examples. Each becomes the mean
    over batches, from at most 10,000 examples.

    Args:
        model: A built model of either Keras; other variables that a pass in training
            changes, such as the seeds of Dropout, are changed as well.
        x: Examples in the shape that the model takes.
    """
    layers = normalizations(model)
    momenta = [layer.momentum for layer in layers]
    # Shuffled, since the variance within batches of one class would be too small.
    chosen = streams.generator(0, "batch statistics").permutation(len(x))[:_EXAMPLES]
    # As equal as can be: each batch has the same say in the mean.
    pieces = np.array_split(x[chosen], max(1, len(chosen) // _AT_ONCE))
    try:
        for number, piece in enumerate(pieces):
            # moving * n / (n + 1) + new / (n + 1): a plain mean, whatever was there.
            for layer in layers:
                layer.momentum = number / (number + 1)
            model(tf.constant(piece), training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
