"""Masks in the update of a weight, where they cost less than at the beginning of a step.

At the beginning nothing can be done before every weight is masked. Behind the update a mask is
multiplied into what the optimizer writes, as a constraint of the weight::

    w <- (w - update) * mask

Adam needs not even that: it divides by a number that may as well be infinite, see
:class:`Epsilons`.

Most steps change no mask. In ``fit``, those after which no mask changes either are *quiet*: their
weights were masked by the update at the end of the step before, and a second, cheaper training
function takes them, see :class:`QuietSteps`. The numbers are the same.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.pruning import attach, schedules
from kerasinit._src.pruning.pruner import Pruner

# Steps without a change of masks from which on a second training function pays.
_WORTH_COMPILING = 20


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

    def given(self) -> AbstractContextManager[None]:
        """Let the optimizer take them while a training step is traced or runs."""

        def epsilon_of(variable: Any) -> Any:
            # Its value, for Keras takes a variable for a part of the optimizer.
            return self._of[id(variable)][1].read_value() if id(variable) in self._of else None

        return attach.with_epsilons(self._optimizer, epsilon_of)


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

    def constraints() -> Iterator[tuple[Any, Any]]:
        for variable, mask, constraint in held:
            # A constraint of the user's may well revive a weight, by a shift or a rescaled noise.
            enough = epsilons is not None and variable in epsilons and constraint is None
            yield variable, None if enough else _Masking(mask, constraint)

    with attach.constrained(constraints()), nullcontext() if epsilons is None else epsilons.given():
        yield


class _Masking:
    def __init__(self, mask: Any, first: Any) -> None:
        self._mask, self._first = mask, first

    def __call__(self, value: Any) -> tf.Tensor:
        if self._first is not None:
            value = self._first(value)
        if isinstance(value, keras.Variable):
            value = compat.tensor(value)
        return value * self._mask


class QuietSteps:
    """Knows which calls of a training function may be quiet, and makes them.

    Args:
        pruner: The model's.

    Attributes:
        allowed: Whether there may be quiet steps: nobody else writes weights between two
            steps of the training that runs.
        traced: Whether the training step that is traced or run at present is a quiet one.
        masked: Whether every weight is masked at present, as a quiet step leaves them.
        epsilons: By which the optimizer leaves removed weights alone; None if its updates
            are masked.
    """

    def __init__(self, pruner: Pruner) -> None:
        self._pruner = pruner
        self.allowed = self.traced = self.masked = False
        self.epsilons: Epsilons | None = None
        self._prepare: Callable[[], Any] = pruner.apply_masks
        self._counts_calls = False
        self._unchanged, self._sure_calls = range(0), 0

    def begin(self, allowed: bool) -> None:
        """Begin a training."""
        self.allowed = allowed
        self._unchanged, self._sure_calls = range(0), 0

    def end(self) -> None:
        """End a training."""
        self.allowed = self.masked = False

    def forget(self) -> None:
        """Look again before the next call: the step is another one now."""
        self._sure_calls = 0

    def expect(self, optimizer: Any, in_xla: bool) -> None:
        """Get ready for a quiet training function that is about to be made.

        Args:
            optimizer: The model's.
            in_xla: Whether XLA compiles the function.
        """
        pruner, epsilons = self._pruner, None
        if not in_xla and Epsilons.suit(optimizer):
            masks = zip(pruner.variables, pruner.masks.values(), strict=True)
            epsilons = Epsilons(optimizer, masks)

        def prepare() -> None:
            pruner.apply_masks()
            if epsilons is not None:
                epsilons.follow_masks()

        self.epsilons = epsilons
        # At every epoch, so not one operation after the other from Python.
        self._prepare = tf.function(prepare, autograph=False)

    def are_next(self, steps: int) -> bool:
        """Return whether no mask changes in the next call, nor in the step after it.

        That step would look at weights that are not masked yet.

        Args:
            steps: Training steps that a call may take.
        """
        if not self.allowed:
            return False
        if self._sure_calls:
            self._sure_calls -= 1
            return True
        now, _ = self._pruner.counter.position
        if now not in self._unchanged:
            rules = set(self._pruner.rules.values())
            following = min(
                (schedules.next_update(rule, now) for rule in rules), default=schedules.NEVER
            )
            # For few steps it is not worth to compile a training function.
            worth = following - now > _WORTH_COMPILING
            self._unchanged = range(now, following if worth else now)
        # A call takes that many steps or, at the end of the data, fewer.
        calls = max(0, (self._unchanged.stop - now - 2) // steps)
        self._sure_calls = max(0, calls - 1)
        return calls > 0

    def run(
        self, quiet_function: Callable[[Any], Any], iterator: Any, steps: int, every: int
    ) -> Any:
        """Run a quiet training function.

        Args:
            quiet_function: Made after `expect`.
            iterator: The data.
            steps: Training steps that a call may take.
            every: Training steps that make one update of the weights.
        """
        if not self.masked:
            self._prepare()
            self.masked = True
        self.traced, self._counts_calls = True, steps == every == 1
        try:
            logs = quiet_function(iterator)
        finally:
            self.traced = False
        if self._counts_calls:
            self._pruner.counter.count_outside()
        return logs

    def begin_step(self, every: int = 1) -> None:
        """Count one quiet step, from within it."""
        if not self._counts_calls:
            self._pruner.counter.count(every)
