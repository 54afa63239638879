"""Masks in the update of a weight, where they cost less than at the beginning of a step.

At the beginning nothing can be done before every weight is masked. Behind the update a mask is
multiplied into what the optimizer writes, as a constraint of the weight::

    w <- (w - update) * mask

Adam needs not even that: it divides by a number that may as well be infinite, see
:class:`Epsilons`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat


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


class Epsilons:
    """Adam's epsilon for each weight, infinite where a weight is removed.

    In ``w <- w - lr * m / (sqrt(v) + epsilon)`` it leaves a weight as it is, so one that is
    masked stays so, by no arithmetic that Adam does not do anyway. A mask multiplied in is one
    more pass over the weights, and Adam makes a dozen: twice the cost, for the same numbers.
    The price is one more variable of the size of each weight.

    XLA makes one loop of all passes, where a mask is free.

    Args:
        optimizer: Adam or AdamW, see `suit`.
        masks: Keras variables and the mask of each, a TensorFlow variable of 0 and 1.
    """

    def __init__(self, optimizer: Any, masks: Iterable[tuple[Any, tf.Variable]]) -> None:
        self._optimizer, self._epsilon = optimizer, optimizer.epsilon
        # The optimizer is given TensorFlow's variables.
        self._of = {
            id(compat.tensor(variable)): (mask, tf.Variable(tf.zeros_like(mask), trainable=False))
            for variable, mask in masks
        }

    @staticmethod
    def suit(optimizer: Any) -> bool:
        """Return whether this is Adam or AdamW as Keras has it, without averages over weights."""
        return (
            type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
            and "update_step" not in vars(optimizer)
            and not optimizer.use_ema
        )

    def __contains__(self, variable: Any) -> bool:
        return id(compat.tensor(variable)) in self._of

    def follow_masks(self) -> None:
        """Become infinite where the masks remove weights now."""
        for mask, epsilon in self._of.values():
            kept, removed = (tf.constant(e, mask.dtype) for e in (self._epsilon, float("inf")))
            epsilon.assign(tf.where(tf.equal(mask, 0), removed, kept))

    @contextmanager
    def given(self) -> Iterator[None]:
        """Let the optimizer take them while a training step is traced or runs."""
        optimizer, update_step = self._optimizer, self._optimizer.update_step

        def with_its_epsilon(gradient: Any, variable: Any, learning_rate: Any) -> None:
            if id(variable) in self._of:
                # Its value, for Keras takes a variable for a part of the optimizer.
                optimizer.epsilon = self._of[id(variable)][1].read_value()
            try:
                update_step(gradient, variable, learning_rate)
            finally:
                optimizer.epsilon = self._epsilon

        optimizer.update_step = with_its_epsilon
        try:
            yield
        finally:
            del optimizer.update_step


@contextmanager
def masking(
    held: Iterable[tuple[Any, Any, Any]], epsilons: Epsilons | None = None
) -> Iterator[None]:
    """Let weights be masked after each update while a training step is traced or runs.

    Args:
        held: Keras variables, the mask of each as a TensorFlow tensor or variable of 0 and 1,
            and the constraint that goes before it, or None.
        epsilons: The optimizer's, if all weights are masked before each step, so that it is
            enough to mask what is added. Default: they may be not.
    """
    held = list(held)
    before = [variable.constraint for variable, _, _ in held]
    for variable, mask, constraint in held:
        # A constraint of the user's may well revive a weight, by a shift or a rescaled noise.
        enough = epsilons is not None and variable in epsilons and constraint is None
        variable.constraint = None if enough else _Masking(mask, constraint)
    try:
        with nullcontext() if epsilons is None else epsilons.given():
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
            value = compat.tensor(value)
        return value * self._mask
