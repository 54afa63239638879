"""A batch for a model whose data are not at hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import walk

_SIZE = 32


def made_batch(model: Any, examples: int, seed: int) -> tuple[Any, str]:
    """Return a batch as a model takes it, and what it is in words.

    Unit normal numbers, as data are after they were standardized. Where an embedding looks
    words up, integers below the number of its words, each as often; for other integers the
    least number of words of any embedding of the model, or 2 without one. An axis of no
    fixed size gets 32.

    Args:
        model: A model of either Keras that knows its inputs.
        examples: How many; a model of a fixed batch size gets its own.
        seed: The origin of the numbers.

    Raises:
        ValueError: If the model does not say what it takes, or takes something else.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((7,)), keras.layers.Embedding(10, 4)])
    >>> batch, said = made_batch(model, 64, seed=0)
    >>> batch.shape, said, bool((batch == batch.round()).all()), int(batch.max())
    ((64, 7), 'integers from 0 to 9', True, 9)
    """
    wanted = inputs_of(model)
    if wanted is None:
        raise ValueError(
            f"The model ({type(model).__name__}) does not say what it takes. Give examples with "
            f"--data FILE.npz."
        )
    words = [layer.input_dim for _, layer in walk(model) if row_of(layer).signal == "embeds"]
    said: dict[str, None] = {}

    def made(place: int, tensor: Any) -> np.ndarray:
        shape = tuple(tensor.shape)
        dtype = tf.as_dtype(tensor.dtype)
        size = (shape[0] or examples, *(axis or _SIZE for axis in shape[1:]))
        if any(axis is None for axis in shape[1:]):
            said[f"an axis of no fixed size has {_SIZE}"] = None
        random = streams.generator(seed, "made", place)
        most = min(_looked_up(model, tensor), default=None)
        if most is None and dtype.is_integer:
            most = min(words, default=2)
        if most is not None:
            said[f"integers from 0 to {most - 1}"] = None
            return random.integers(0, most, size).astype(dtype.as_numpy_dtype)
        if not dtype.is_floating:
            raise ValueError(
                f"The model takes {dtype.name}, of which no batch can be made up. Give examples "
                f"with --data."
            )
        said["unit normal numbers"] = None
        return random.standard_normal(size).astype(np.float32)

    flat = [made(place, tensor) for place, tensor in enumerate(tf.nest.flatten(wanted))]
    return tf.nest.pack_sequence_as(wanted, flat), ", ".join(said)


def inputs_of(model: Any) -> Any:
    """Return what stands for a model's inputs, in its structure; None if it does not say."""
    try:
        found = model.input
    # What a model raises that was not called, or does not know, differs between the Kerases.
    except (AttributeError, ValueError, RuntimeError):
        # A sequential model of Keras 3 that was loaded was not called yet.
        known = getattr(model, "inputs", None) or [None]
        found = known[0] if len(known) == 1 else known
    return found


def _looked_up(model: Any, tensor: Any) -> Iterator[int]:
    """Yield the number of words of each embedding that an input goes into."""
    for _, layer in walk(model):
        if row_of(layer).signal == "embeds":
            try:
                given = layer.input
            except (AttributeError, ValueError, RuntimeError):  # it is called several times
                continue
            if given is tensor:
                yield layer.input_dim
