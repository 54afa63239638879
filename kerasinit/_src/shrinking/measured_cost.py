"""The latency of a model without some of its channels, measured on this machine."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.sample_batch import random_batch
from kerasinit._src.shrinking.compaction import without
from kerasinit._src.shrinking.reading import ModelChannels

# Each is timed this often, in turn with the other, for at least so long.
_RUNS, _SECONDS = 20, 0.5


class Latency:
    """Measures a model and the same one without some channels.

    Args:
        reading: The channels of the model.
        x: A batch; None: one random example.
        measure: A function that returns the seconds that a model takes; None: the median of
            interleaved calls of the compiled models.
    """

    def __init__(
        self, reading: ModelChannels, x: Any, measure: Callable[[Any], float] | None
    ) -> None:
        self._reading, self._measure = reading, measure
        self._x = random_batch(reading.model, 1, 0)[0] if x is None else x
        self._known: dict[bytes, tuple[float, float]] = {}

    def fraction_of(self, kept: np.ndarray) -> float:
        """Return the latency of the remaining model as a fraction of the dense model's."""
        dense, left = self.measured(kept)
        return left / dense

    def measured(self, kept: np.ndarray) -> tuple[float, float]:
        """Return the latency of the dense and of the remaining model, in seconds."""
        key = np.packbits(kept).tobytes()
        if key not in self._known:
            small = without(self._reading, ~kept)
            if self._measure is not None:
                self._known[key] = (
                    float(self._measure(self._reading.model)), float(self._measure(small)),
                )  # fmt: skip
            else:
                self._known[key] = self._interleaved(small)
        return self._known[key]

    def _interleaved(self, small: Any) -> tuple[float, float]:
        calls = [_compiled(model, self._x) for model in (self._reading.model, small)]
        times: list[list[float]] = [[], []]
        start = time.perf_counter()
        while len(times[0]) < _RUNS or time.perf_counter() - start < _SECONDS:
            for call, own in zip(calls, times, strict=True):
                before = time.perf_counter()
                call()
                own.append(time.perf_counter() - before)
        dense, left = (float(np.median(own)) for own in times)
        return dense, left


def _compiled(model: Any, x: Any) -> Callable[[], Any]:
    """Return a compiled call of a model on a batch, which has been run."""
    if keras.backend.backend() != "tensorflow" and compat.kerase_of(model) == "keras":
        return lambda: model.predict_on_batch(x)
    import tensorflow as tf

    function = tf.function(lambda x: model(x, training=False), autograph=False)
    given = tf.nest.map_structure(tf.convert_to_tensor, x)

    def call() -> Any:
        return [one.numpy() for one in tf.nest.flatten(function(given))]

    call()
    return call
