"""Masks as constraints: multiplied into a weight right after the optimizer has moved it.

There a mask costs next to nothing, since XLA makes one loop of it and the optimizer's own
arithmetic, and TensorFlow has other weights to work on meanwhile. At the beginning of a
step, where nothing can be done before it is done, it takes a tenth of the step of a small
network.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kerasinit import kerases


def are_applied(model: Any) -> bool:
    """Return whether a Keras 3 model applies constraints at every update of its weights.

    It does if training step and optimizer are Keras' own, and there is one replica.
    """
    optimizer = getattr(model, "optimizer", None)
    return (
        type(model).train_step is keras.Model.train_step
        and isinstance(optimizer, keras.optimizers.Optimizer)
        and all(
            getattr(type(optimizer), name) is getattr(keras.optimizers.Optimizer, name)
            for name in ("apply", "apply_gradients")
        )
        and model.distribute_strategy.num_replicas_in_sync == 1
    )


@contextmanager
def masking(held: Iterable[tuple[Any, Any, Any]]) -> Iterator[None]:
    """Let masks be the constraints of weights while a training step is traced or runs.

    Args:
        held: Keras variables, the mask of each as a TensorFlow tensor or variable of 0 and 1,
            and the constraint that goes before it, or None.
    """
    held = list(held)
    before = [variable.constraint for variable, _, _ in held]
    for variable, mask, constraint in held:
        variable.constraint = _Masking(mask, constraint)
    try:
        yield
    finally:
        for (variable, _, _), constraint in zip(held, before, strict=True):
            variable.constraint = constraint


class _Masking:
    def __init__(self, mask: Any, first: Any) -> None:
        self._mask, self._first = mask, first

    def __call__(self, value: Any) -> tf.Tensor:
        if self._first is not None:
            value = self._first(value)
        if isinstance(value, keras.Variable):
            value = kerases.tensor(value)
        return value * self._mask
