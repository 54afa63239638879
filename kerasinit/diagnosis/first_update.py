"""How far the first step of the compiled optimizer would move each weight."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit import kerases


def update_ratios(model: Any, gradients: dict[int, Any]) -> dict[int, float]:
    """Return for each variable the length of its first update over its own length.

    A second optimizer of the same settings takes the step, on copies: right for any
    optimizer, and the model's own stays as it is.

    Args:
        model: A model of either Keras.
        gradients: Gradients of the loss by the variables' ``id``.

    Returns:
        Ratios by the variables' ``id``; nothing for a model that is not compiled, and no
        entry for a variable that is zero.
    """
    optimizer = getattr(model, "optimizer", None)
    legacy = tf_keras.optimizers.legacy.Optimizer
    if optimizer is None or isinstance(optimizer, legacy) or not kerases.is_compiled(model):
        return {}
    variables = [one for one in model.trainable_variables if id(one) in gradients]
    if not variables:
        return {}
    fresh = type(optimizer).from_config(optimizer.get_config())
    before = [kerases.read(one) for one in variables]
    if kerases.kerase_of(model) == "keras":
        copies = [keras.Variable(value, dtype=value.dtype) for value in before]
    else:
        copies = [tf.Variable(value) for value in before]
    pairs = [
        (tf.convert_to_tensor(gradients[id(one)]), copy)
        for one, copy in zip(variables, copies, strict=True)
    ]
    fresh.apply_gradients(pairs)
    ratios = {}
    for one, old, copy in zip(variables, before, copies, strict=True):
        length = np.linalg.norm(np.asarray(old, np.float64))
        if length > 0:
            moved = np.asarray(kerases.read(copy), np.float64) - np.asarray(old, np.float64)
            ratios[id(one)] = float(np.linalg.norm(moved) / length)
    return ratios
