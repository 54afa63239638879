"""Builds a model that its first training step would build, without taking the step.

Keras builds such a model while tracing the step, which is too late to prune the weights that the
step trains. So the step is traced once beforehand, and that graph is discarded.
"""

import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def build(train_step: Callable[[Any], Any], iterator: Any) -> Any:
    """Create every variable that a training step creates; return an iterator of the same batches.

    ``iterator`` is what Keras passes to the training function: a TensorFlow iterator, of which no
    batch is consumed, or any other iterator of batches.
    """
    if isinstance(iterator, tf.data.Iterator):
        batch = keras.tree.map_structure(_step_input, iterator.element_spec)
    else:
        batch = next(iterator)
        iterator = itertools.chain([batch], iterator)
    try:
        tf.function(train_step, autograph=False).get_concrete_function(batch)
    except Exception as error:
        error.add_note(
            "This happened while building a pruned model before its first training step. If its "
            "train_step cannot be traced, build the model before fit by calling it on a batch."
        )
        raise
    return iterator


def _step_input(spec: Any) -> Any:
    # Keras passes a missing sample weight to the step as None.
    return None if isinstance(spec, tf.OptionalSpec) else spec
