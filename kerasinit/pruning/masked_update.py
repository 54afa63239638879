"""Masks in the update of a weight, where they cost less than at the beginning of a step.

At the beginning nothing can be done before every weight is masked. Here a mask is multiplied
into what the optimizer writes::

    w <- w - update * mask

which, for a weight that is masked already, is the same number as ``(w - update) * mask``, and
which TensorFlow does in place. Where something else may write weights, the mask is a constraint
of the weight instead, and follows all of it. XLA makes one loop of either and the optimizer's
own arithmetic.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kerasinit import kerases

# By these, Keras tells optimizers to write a variable; other backends need to know of it.
_WRITES = ("assign", "assign_add", "assign_sub")


def is_possible(model: Any, train_step: Callable[..., Any]) -> bool:
    """Return whether masks in the update hold at every training step of a Keras 3 model.

    They do if training step and optimizer are Keras' own, and there is one replica.
    """
    optimizer = getattr(model, "optimizer", None)
    return (
        getattr(train_step, "__func__", None) is keras.Model.train_step
        and isinstance(optimizer, keras.optimizers.Optimizer)
        and all(
            getattr(type(optimizer), name) is getattr(keras.optimizers.Optimizer, name)
            for name in ("apply", "apply_gradients")
        )
        and model.distribute_strategy.num_replicas_in_sync == 1
    )


@contextmanager
def masking(held: Iterable[tuple[Any, Any, Any]], optimizer: Any = None) -> Iterator[None]:
    """Let weights be masked after each update while a training step is traced or runs.

    Args:
        held: Keras variables, the mask of each as a TensorFlow tensor or variable of 0 and 1,
            and the constraint that goes before it, or None.
        optimizer: Who updates them, if they are masked before each step, so that it is
            enough to mask what is added. Default: they may be not.
    """
    held = list(held)
    before = [variable.constraint for variable, _, _ in held]
    for variable, mask, constraint in held:
        variable.constraint = _Masking(mask, constraint)
    writes = _masked_writes(held, optimizer) if _only_writes_by_methods(optimizer) else {}
    for name, write in writes.items():
        setattr(optimizer, name, write)
    try:
        yield
    finally:
        for name in writes:
            delattr(optimizer, name)
        for (variable, _, _), constraint in zip(held, before, strict=True):
            variable.constraint = constraint


def _only_writes_by_methods(optimizer: Any) -> bool:
    """Return whether an optimizer is one of Keras' own, and writes no averages over weights."""
    return (
        optimizer is not None
        and type(optimizer).__module__.partition(".")[0] == "keras"
        and not optimizer.use_ema
        and not any(name in vars(optimizer) for name in _WRITES)
    )


def _masked_writes(held: list[tuple[Any, Any, Any]], optimizer: Any) -> dict[str, Callable]:
    # The optimizer is given TensorFlow's variables. A constraint of the user's wants to see
    # what is not masked yet, so such a weight is masked after it.
    free = {
        id(kerases.tensor(variable)): (variable, mask)
        for variable, mask, constraint in held
        if constraint is None
    }

    def masked(name: str) -> Callable[[Any, Any], None]:
        write = getattr(optimizer, name)

        def masked_write(variable: Any, value: Any) -> None:
            # Rows of an embedding alone are no tensor that a mask could be multiplied into.
            if id(variable) in free and not isinstance(value, tf.IndexedSlices):
                weight, mask = free[id(variable)]
                value = tf.cast(value, mask.dtype) * mask
                weight.constraint = None
            write(variable, value)

        return masked_write

    return {name: masked(name) for name in _WRITES}


class _Masking:
    def __init__(self, mask: Any, first: Any) -> None:
        self._mask, self._first = mask, first

    def __call__(self, value: Any) -> tf.Tensor:
        if self._first is not None:
            value = self._first(value)
        if isinstance(value, keras.Variable):
            value = kerases.tensor(value)
        return value * self._mask
