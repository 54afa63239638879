"""Random batches for a model whose data is not available."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerasinit._src import streams
from kerasinit._src.compat import dtypes
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import walk

_SIZE = 32


def random_batch(model: Any, examples: int, seed: int) -> tuple[Any, str]:
    """Return a random batch in the structure of a model's inputs, and its description.

    Standard normal numbers, like standardized data; for an embedding, integers below its number of
    words; for other integers, below the smallest vocabulary of the model, or 2 without one. An
    axis of unknown size gets 32; a fixed batch size overrides ``examples``.

    Raises ValueError if the model's inputs are unknown or of another dtype.
    """
    wanted = inputs_of(model)
    if wanted is None:
        raise ValueError(
            f"The inputs of the model ({type(model).__name__}) are unknown. Give examples with "
            f"--data FILE.npz."
        )
    words = [layer.input_dim for _, layer in walk(model) if row_of(layer).signal == "embeds"]
    description: dict[str, None] = {}

    def sampled(index: int, tensor: Any) -> np.ndarray:
        shape = tuple(tensor.shape)
        dtype = dtypes.name_of(tensor.dtype)
        kind = dtypes.kind_of(tensor.dtype)
        size = (shape[0] or examples, *(axis or _SIZE for axis in shape[1:]))
        if any(axis is None for axis in shape[1:]):
            description[f"an axis of unknown size has {_SIZE}"] = None
        random = streams.generator(seed, "made", index)
        limit = min(_vocabulary_sizes(model, tensor), default=None)
        if limit is None and kind == "integer":
            limit = min(words, default=2)
        if limit is not None:
            description[f"integers from 0 to {limit - 1}"] = None
            return random.integers(0, limit, size).astype(dtype)
        if kind != "floating":
            raise ValueError(
                f"The model takes {dtype}, which cannot be sampled. Give examples with --data."
            )
        description["standard normal numbers"] = None
        return random.standard_normal(size).astype(np.float32)

    flat = [sampled(index, tensor) for index, tensor in enumerate(keras.tree.flatten(wanted))]
    return keras.tree.pack_sequence_as(wanted, flat), ", ".join(description)


def inputs_of(model: Any) -> Any:
    """Return a model's symbolic inputs, in their structure; None if unknown."""
    try:
        found = model.input
    # The Kerases raise different errors for a model that was not called.
    except (AttributeError, ValueError, RuntimeError):
        # A loaded sequential model of Keras 3 has not been called yet.
        known = getattr(model, "inputs", None) or [None]
        found = known[0] if len(known) == 1 else known
    return found


def _vocabulary_sizes(model: Any, tensor: Any) -> Iterator[int]:
    """Yield the number of words of each embedding that an input feeds."""
    for _, layer in walk(model):
        if row_of(layer).signal == "embeds":
            try:
                given = layer.input
            except (AttributeError, ValueError, RuntimeError):  # called several times
                continue
            if given is tensor:
                yield layer.input_dim
