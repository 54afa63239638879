"""A model that is built by its first training step, built without taking the step.

Keras builds such a model while it traces the step, when it is too late to prune what the step
trains. So the step is traced once before, and that graph is thrown away.
"""

import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def build(train_step: Callable[[Any], Any], iterator: Any) -> Any:
    """Make every variable that a training step makes.

    Args:
        train_step: A model's.
        iterator: What Keras gives the training function: an iterator of TensorFlow, of which
            nothing is taken, or any other iterator of batches.

    Returns:
        An iterator of the same batches.
    """
    if isinstance(iterator, tf.data.Iterator):
        batch = keras.tree.map_structure(_known_to_a_step, iterator.element_spec)
    else:
        batch = next(iterator)
        iterator = itertools.chain([batch], iterator)
    try:
        tf.function(train_step, autograph=False).get_concrete_function(batch)
    except Exception as error:
        error.add_note(
            "This happened while a pruned model was built before its first training step. Build it "
            "before fit, by a call on a batch, if its train_step cannot be traced."
        )
        raise
    return iterator


def _known_to_a_step(spec: Any) -> Any:
    # Keras passes a missing sample weight on as None.
    return None if isinstance(spec, tf.OptionalSpec) else spec
