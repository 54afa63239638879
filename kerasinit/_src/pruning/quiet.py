"""Training steps in which no mask changes, by a second and cheaper training function.

Most steps change no mask. In ``fit``, those after which no mask changes either are *quiet*:
weights are not masked at their beginning but by the update at the end of the step before, see
:mod:`kerasinit.pruning.masked_update`. The numbers are the same.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasinit._src.pruning import schedules
from kerasinit._src.pruning.masked_update import Epsilons
from kerasinit._src.pruning.pruner import Pruner

# Steps without a change of masks from which on a second training function pays.
_WORTH_COMPILING = 20


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
