"""Trainings that run in turn, an epoch each, so that they share the noise of the machine."""

import queue
import statistics
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

BATCH = 60


def pictures(batches: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return random pictures and labels; few, for many trainings have them at a time."""
    images = np.random.default_rng(0).random((batches * BATCH, 28, 28, 1), dtype="float32")
    return images, np.random.default_rng(1).integers(0, 10, batches * BATCH)


class Training:
    """A training that stands still after each epoch until it is told to go on.

    It is one call of ``fit`` in a thread of its own, so that starting a ``fit`` is in no time.

    Args:
        library: ``keras`` or ``tf_keras``.
        model: Compiled here, with Adam.
        callbacks: What the training has besides.
        steps: Steps of an epoch.
        jit: Whether XLA compiles the steps; None leaves it to Keras.
        apart: Tells the milliseconds so far of what is not to be counted.
    """

    def __init__(
        self,
        library: Any,
        model: Any,
        callbacks: list[Any],
        steps: int,
        jit: bool | str | None = None,
        apart: Callable[[], float] = lambda: 0.0,
    ) -> None:
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        options = {} if jit is None else {"jit_compile": jit}
        model.compile(library.optimizers.Adam(1e-3), loss, **options)
        self._model, self._steps, self._apart = model, steps, apart
        self._turns: queue.Queue[bool] = queue.Queue()
        self._ends: queue.Queue[float | BaseException] = queue.Queue()
        waits = library.callbacks.LambdaCallback(on_epoch_begin=self._wait, on_epoch_end=self._end)
        self._thread = threading.Thread(target=self._fit, args=([*callbacks, waits],))
        self._thread.start()
        self.epoch()  # compiles

    def _fit(self, callbacks: list[Any]) -> None:
        data = tf.data.Dataset.from_tensor_slices(pictures())
        data = data.batch(BATCH, drop_remainder=True).cache().repeat().prefetch(2)
        try:
            self._model.fit(
                data,
                epochs=10**6,
                steps_per_epoch=self._steps,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
        except BaseException as error:
            self._ends.put(error)

    def _wait(self, epoch: int, logs: Any = None) -> None:
        if not self._turns.get():
            raise KeyboardInterrupt
        self._began = time.perf_counter() - self._apart() / 1e3

    def _end(self, epoch: int, logs: Any = None) -> None:
        self._ends.put(time.perf_counter() - self._apart() / 1e3 - self._began)

    def epoch(self) -> float:
        """Train for an epoch and return the milliseconds of a step."""
        self._turns.put(True)
        taken = self._ends.get()
        if isinstance(taken, BaseException):
            raise taken
        return 1e3 * taken / self._steps

    def stop(self) -> None:
        """End the training."""
        self._turns.put(False)
        self._thread.join()


def take_turns(trainings: Mapping[Hashable, Training], repeat: int) -> dict[Any, list[float]]:
    """Let every training run for ``repeat`` epochs; return the milliseconds of a step in each.

    Each once and then each again, in another order every time, so that none of them always
    follows the same. Afterwards they are stopped.
    """
    taken: dict[Any, list[float]] = {key: [] for key in trainings}
    order, random = list(trainings), np.random.default_rng(3)
    for _ in range(repeat):
        random.shuffle(order)
        for key in order:
            taken[key].append(trainings[key].epoch())
    for training in trainings.values():
        training.stop()
    return taken


def median_ratio(taken: list[float], plain: list[float]) -> tuple[float, float, float]:
    """Return the median of the ratios of neighbours, and between what it lies at 95 %.

    Of neighbours, so that drift of the machine cancels.
    """
    ratios = sorted(mine / theirs for mine, theirs in zip(taken, plain, strict=True))
    # How many of them are below it is binomial, near to normal.
    rank = max(0, int(len(ratios) / 2 - 0.98 * len(ratios) ** 0.5))
    return statistics.median(ratios), ratios[rank], ratios[-1 - rank]
