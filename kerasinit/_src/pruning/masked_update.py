"""Applies masks during the weight update, which is cheaper than at the beginning of a step.

At the beginning, nothing else can run until every weight is masked. After the update, the mask is
multiplied into what the optimizer writes, as a constraint of the weight::

    w <- (w - update) * mask

Adam does not even need the product: an infinite epsilon has the same effect, see
:class:`PerWeightEpsilons`.

Most steps change no mask. In ``fit``, a step is *quiet* if the masks change neither in it nor in
the next one. The previous update has already masked the weights, so a second, cheaper training
function can run the step, with identical results: see :class:`QuietSteps`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.pruning import attach, outlook
from kerasinit._src.pruning.pruner import Pruner

# The min number of steps without a mask update for which to compile a second training function.
_MIN_QUIET_STEPS = 20


def is_possible(model: Any, train_step: Callable[..., Any]) -> bool:
    """Return whether a Keras 3 model can be masked during its updates.

    This requires Keras' own training step and optimizer, and a single replica.
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


class PerWeightEpsilons:
    """Adam's epsilon for each weight, infinite where a weight is removed.

    In ``w <- w - lr * m / (sqrt(v) + epsilon)`` an infinite epsilon leaves the weight unchanged, so
    a masked weight stays zero without any arithmetic that Adam does not do anyway. Multiplying by
    the mask is one more pass over the weights and costs twice as much. The price is a variable of
    the size of each weight. XLA fuses all passes into one loop, where a mask is free.

    ``masks`` holds Keras variables with their masks, TensorFlow variables of 0 and 1.
    """

    def __init__(self, optimizer: Any, masks: Iterable[tuple[Any, tf.Variable]]) -> None:
        self._optimizer, self._epsilon = optimizer, optimizer.epsilon
        # Keyed by TensorFlow variable, which is what `update_step` receives.
        self._of = {
            id(compat.tensor(variable)): (mask, tf.Variable(tf.zeros_like(mask), trainable=False))
            for variable, mask in masks
        }

    @staticmethod
    def supports(optimizer: Any) -> bool:
        """Return whether this is Keras' own Adam or AdamW, without a moving average of weights."""
        return (
            type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
            and "update_step" not in vars(optimizer)
            and not optimizer.use_ema
        )

    def __contains__(self, variable: Any) -> bool:
        return id(compat.tensor(variable)) in self._of

    def follow_masks(self) -> None:
        """Set the epsilons to infinity where the current masks remove weights."""
        for mask, epsilon in self._of.values():
            kept, removed = (tf.constant(e, mask.dtype) for e in (self._epsilon, float("inf")))
            epsilon.assign(tf.where(tf.equal(mask, 0), removed, kept))

    def applied(self) -> AbstractContextManager[None]:
        """Make the optimizer use these epsilons while a training step is traced or run."""

        def epsilon_of(variable: Any) -> Any:
            # The value, since Keras would track a variable as part of the optimizer.
            return self._of[id(variable)][1].read_value() if id(variable) in self._of else None

        return attach.per_weight_epsilons(self._optimizer, epsilon_of)


@contextmanager
def masking(
    held: Iterable[tuple[Any, Any, Any]], epsilons: PerWeightEpsilons | None = None
) -> Iterator[None]:
    """Mask weights after each update while a training step is traced or run.

    Args:
        held: For each Keras variable its mask, a TensorFlow tensor or variable of 0 and 1, and the
            constraint to apply before the mask, or None.
        epsilons: The optimizer's, if all weights are already masked before each step, so that
            only the update needs masking.
    """

    def constraints() -> Iterator[tuple[Any, Any]]:
        for variable, mask, constraint in held:
            # A custom constraint may make a removed weight nonzero, for instance by a shift.
            covered = epsilons is not None and variable in epsilons and constraint is None
            yield variable, None if covered else _MaskConstraint(mask, constraint)

    with (
        attach.temporary_constraints(constraints()),
        nullcontext() if epsilons is None else epsilons.applied(),
    ):
        yield


class _MaskConstraint(keras.constraints.Constraint):
    def __init__(self, mask: Any, first: Any) -> None:
        self._mask, self._first = mask, first

    def __call__(self, value: Any) -> tf.Tensor:
        if self._first is not None:
            value = self._first(value)
        if isinstance(value, keras.Variable):
            value = compat.tensor(value)
        return value * self._mask


class QuietSteps:
    """Decides which calls of the training function can be quiet, and runs those.

    Attributes:
        allowed: Whether quiet steps are possible: nothing else writes weights between steps.
        traced: Whether the training step being traced or run is a quiet one.
        masked: Whether all weights are currently masked, as after a quiet step.
        epsilons: The epsilons of a quiet step; None if its updates are multiplied by masks.
    """

    def __init__(self, pruner: Pruner) -> None:
        self._pruner = pruner
        self.allowed = self.traced = self.masked = False
        self.epsilons: PerWeightEpsilons | None = None
        self._prepare: Callable[[], Any] = pruner.apply_masks
        self._counts_calls = False
        self._unchanged, self._sure_calls = range(0), 0

    def begin(self, allowed: bool) -> None:
        """Called when training begins."""
        self.allowed = allowed
        self._unchanged, self._sure_calls = range(0), 0

    def end(self) -> None:
        """Called when training ends."""
        self.allowed = self.masked = False

    def invalidate(self) -> None:
        """Discard what is known about the next calls, since the step has changed."""
        self._sure_calls = 0

    def set_up(self, optimizer: Any, in_xla: bool) -> None:
        """Prepare for creating a quiet training function, which XLA may compile."""
        pruner, epsilons = self._pruner, None
        if not in_xla and PerWeightEpsilons.supports(optimizer):
            masks = zip(pruner.variables, pruner.masks.values(), strict=True)
            epsilons = PerWeightEpsilons(optimizer, masks)

        def prepare() -> None:
            pruner.apply_masks()
            if epsilons is not None:
                epsilons.follow_masks()

        self.epsilons = epsilons
        # Runs at every epoch; a graph is faster than single operations.
        self._prepare = tf.function(prepare, autograph=False)

    def are_next(self, steps: int) -> bool:
        """Return whether no mask changes in the next call of up to ``steps``, or the step after.

        A mask update ranks unmasked weights, so the step before it must not be quiet.
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
                (outlook.next_update(rule, now) for rule in rules), default=outlook.NEVER
            )
            # Compiling another training function does not pay off for a few steps.
            worth = following - now > _MIN_QUIET_STEPS
            self._unchanged = range(now, following if worth else now)
        # A call takes `steps` steps, or fewer at the end of the data.
        calls = max(0, (self._unchanged.stop - now - 2) // steps)
        self._sure_calls = max(0, calls - 1)
        return calls > 0

    def run(
        self, quiet_function: Callable[[Any], Any], iterator: Any, steps: int, every: int
    ) -> Any:
        """Run a quiet training function, created after `set_up`.

        A call takes up to ``steps`` training steps, and ``every`` of these make one weight update.
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
        """Count one quiet step; called from within its graph."""
        if not self._counts_calls:
            self._pruner.counter.count(every)
