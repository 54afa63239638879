"""The trainings of a pruned model: where each begins, what it will do, how it ends.

What a training that was stopped needs to go on is in the model's file, though no mask and no
number of steps is: the masks are the zeros of the weights, and the step is the number of
epochs behind times their length.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from kerasinit._src.pruning import hindsight, schedules
from kerasinit._src.pruning.composition import Composition
from kerasinit._src.pruning.hindsight import Sparsity
from kerasinit._src.pruning.layer_policies import warn_of_frozen
from kerasinit._src.pruning.masked_update import QuietSteps
from kerasinit._src.pruning.pruner import Pruner
from kerasinit._src.pruning.writers import (
    BETWEEN_STEPS,
    callbacks_of,
    is_kerass_own,
    listed,
    may_write_weights,
)


class Training:
    """The trainings of one pruned model, one after the other.

    It holds the pruner but not the model, so that both live exactly as long.

    Args:
        pruner: The model's.
        layers: The layer of each pruned variable, by the variable's ``id``.

    Attributes:
        pruner: The same.
        quiet: The steps of ``fit`` in which no mask changes.
        begun: Whether a training has begun that has not ended, by
            :class:`~kerasinit.pruning.UpdatePruningStep` or by a first `begin_step`.
        fitting: Whether Keras' own ``fit`` is running, which counts by itself.
        waits: Whether a callback knows the model and has not begun yet.
        pending: Whether something that is to be pruned has no weights yet.
        composition: What the model is made of, by whoever pruned it.
    """

    composition: Composition

    def __init__(self, pruner: Pruner, layers: Mapping[int, weakref.ref[Any]]) -> None:
        self.pruner, self._layers = pruner, layers
        self.quiet = QuietSteps(pruner)
        self.begun = self.fitting = self.waits = self.pending = False
        self._in_fit = self._restored = self._first_epoch = False
        self._before_ahead: tuple[int, int] | None = None
        self._begin_again: Callable[[], None] | None = None
        # The first step of a training that nobody could look to the end of, or the last of one
        # that somebody did.
        self._unforeseen: int | None = None
        self._announced: int | None = None
        # What was more sparse before weights of an earlier epoch were put back, and what was saved.
        self._reached: Sparsity | None = None
        self._files: dict[str, tuple[int, Sparsity]] = {}
        self._first_step = pruner.counter.position[0]
        self._calls_before = 0
        self._position_of_epoch: dict[int, tuple[int, int]] = {}
        self._said: set[str] = set()

    @property
    def foreseen(self) -> bool:
        """Whether no schedule will ask for an impossible sparsity in the training that runs."""
        return self.fitting and (
            self._announced is not None
            or all(schedules.is_tfmots_own(rule.schedule) for rule in self.pruner.by_rule())
        )

    def say_what_is_frozen(self) -> None:
        """Warn of layers that are pruned though they are not trained, unless that was said."""
        layers = [
            self._layers[id(variable)]()
            for variable in self.pruner.variables
            if not variable.trainable
        ]
        # An adapter freezes the kernel below it, which is another matter (see `Composition`).
        frozen = [
            layer.name
            for layer in layers
            if layer is not None and not getattr(layer, "lora_enabled", False)
        ]
        warn_of_frozen(name for name in frozen if f"frozen {name}" not in self._said)
        self._said.update(f"frozen {name}" for name in frozen)

    def begin(self) -> None:
        """Expect the first epoch of a training."""
        self.begun = self._first_epoch = True
        self.waits = False
        self._unforeseen = self.pruner.counter.position[0] + 1
        self._announced = self._reached = None
        self._files.clear()

    def begin_epoch(self, epoch: int, batches: int | None, epochs: int, every: int) -> None:
        """Find the step at the first epoch of a training, and look ahead to its end.

        Args:
            epoch: The epoch that begins; more than 0 if a training is gone on with.
            batches: Training steps in an epoch, None if unknown.
            epochs: The epoch at which the training will end.
            every: Training steps that make one update of the weights.
        """
        if self.pending:
            self._begin_again = lambda: self.begin_epoch(epoch, batches, epochs, every)
            return
        # Between epochs other callbacks may write weights.
        self.quiet.masked = False
        self.quiet.forget()
        counter = self.pruner.counter
        if self._first_epoch:
            self._first_epoch = False
            self.say_what_is_frozen()
            if self._restored and epoch in self._position_of_epoch:
                self._go_to(*self._position_of_epoch[epoch])
            elif epoch > 0 and (self.pruner.fresh or self._restored):
                self._resume(epoch, batches, every)
            self._restored = self.pruner.fresh = False
            self._reached = None
            self._unforeseen = counter.position[0] + 1
            self._calls_before = self._calls(every)
            if batches is not None:
                self._look_ahead(epoch, batches, epochs, every)
        elif self._unforeseen is not None:
            # The data did not say how long an epoch is, but the first has shown it.
            self._look_ahead(epoch, self._calls(every) - self._calls_before, epochs, every)
        self._position_of_epoch[epoch] = counter.position

    def go_on_with(self, pruner: Pruner, layers: Mapping[int, weakref.ref[Any]]) -> None:
        """Take the masks of weights that were made in the first step, or since."""
        self._layers = layers
        if self.pruner.counter.position != (0, 0):
            pruner.counter.go_to(*self.pruner.counter.position)
        allowed = self.quiet.allowed
        self.pruner, self.quiet, self.pending = pruner, QuietSteps(pruner), False
        self.quiet.begin(allowed and not pruner.replicated)
        begin_again, self._begin_again = self._begin_again, None
        if begin_again is not None:
            begin_again()

    def end_epoch(self) -> None:
        """Mask what the last update has moved, unless its step was a quiet one."""
        if not self.quiet.masked:
            self.pruner.apply_masks()

    def end(self) -> None:
        """Apply the masks one last time, and expect a callback again in the next training."""
        self.pruner.apply_masks()
        self.begun = False
        # Keras' callbacks are still at work in a `fit` that is ours.
        self.fitting = self._in_fit
        first, self._unforeseen = self._unforeseen, None
        last, _ = self.pruner.counter.position
        if first is not None and first <= last:
            # How long the training would be was not known; better late than never.
            self._say_what_will_not_work(first, last)
        if not self._in_fit:
            self._look_back([])

    def restored(self) -> None:
        """Take the masks from weights that a callback has just put back in a training.

        The weights of an earlier epoch, such as EarlyStopping and BackupAndRestore put
        back, are those of an earlier mask. Weights that a user loads between trainings
        are not: they get the masks, as when a ticket is rewound.
        """
        self.quiet.masked = False
        if self.fitting:
            before = self._sparsity()
            self.pruner.take_zeros()
            self._restored = True
            if self._sparsity().short_of(before) and self._reached is None:
                self._reached = before

    def saved(self, path: Any) -> None:
        """Remember how sparse the model is that a callback saves in a training."""
        if self.fitting and isinstance(path, str | os.PathLike):
            name = os.fspath(path)
            self._files.pop(name, None)
            self._files[name] = self.pruner.counter.position[0], self._sparsity()

    def stripped(self) -> None:
        """Say what is not as sparse as it was to be, unless that was said before."""
        last, _ = self.pruner.counter.position
        if last == self._first_step:
            return
        messages = [
            hindsight.short_of_the_end(rule.schedule, last)
            for rule in self.pruner.by_rule()
            if not rule.pattern.once and not schedules.was_said(rule.schedule, self._said)
        ]
        if self._reached is not None:
            messages.append(hindsight.weights_put_back(self._sparsity(), self._reached))
        hindsight.say(messages)

    def count_ahead(self, every: int) -> None:
        """Begin a step from outside the training step, for loops that users write.

        `fit` counts by itself. A loop around ``train_on_batch`` does so too, and may
        call this as well; :meth:`run` takes the number back then.
        """
        self._before_ahead = self.pruner.counter.position
        self.pruner.begin_step(every)

    def fit(self, original: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a model's own ``fit``, in which a training must begin anew.

        Args:
            original: The model's own.
            *args: What `original` is called with.
            **kwargs: The same.
        """
        self.begun, self.fitting, self._in_fit, self._before_ahead = False, True, True, None
        callbacks = callbacks_of(original, args, kwargs)
        may_be_quiet = is_kerass_own(original) and not may_write_weights(callbacks, BETWEEN_STEPS)
        self.quiet.begin(may_be_quiet and not self.pruner.replicated)
        try:
            history = original(*args, **kwargs)
        finally:
            self.begun = self.fitting = self._in_fit = False
            self.quiet.end()
            # From here, graphs that nobody knows of may count.
            self.pruner.counter.write()
        self._look_back(listed(callbacks))
        return history

    def run(
        self,
        train_function: Callable[[Any], Any],
        quiet_function: Callable[[Any], Any] | None,
        iterator: Any,
        steps: int,
        every: int,
    ) -> Any:
        """Run a compiled training function, if a callback has begun this training.

        Args:
            train_function: For any steps.
            quiet_function: For steps without a change of masks; None if there is none.
            iterator: The data.
            steps: Training steps that a call may take.
            every: Training steps that make one update of the weights.
        """
        self.require_callback()
        if self._before_ahead is not None:
            # Updating the masks again from weights just masked gives the same masks.
            self._go_to(*self._before_ahead)
            self._before_ahead = None
        self.pruner.fresh = False
        if quiet_function is not None and self.quiet.are_next(steps):
            return self.quiet.run(quiet_function, iterator, steps, every)
        self.quiet.masked = False
        self.pruner.counter.write()
        return train_function(iterator)

    def require_callback(self) -> None:
        """Raise ValueError unless a callback has begun this training."""
        if not self.begun:
            raise ValueError(
                "This model is pruned, and its masks are only kept up to date by the callback "
                "UpdatePruningStep, which is missing in this training. Use "
                "fit(..., callbacks=[kerasinit.pruning.UpdatePruningStep()]), or "
                "strip_pruning(model) first if it is to be trained without pruning."
            )

    def _resume(self, epoch: int, batches: int | None, every: int) -> None:
        """Take the step from the epochs behind, if they can have been of this pruning."""
        if not self._restored:
            self.pruner.take_zeros()
        sparse = any(sparsity > 0 for sparsity in self.pruner.sparsities.values())
        if batches is None:
            if not sparse:
                return
            raise ValueError(
                f"This training goes on at epoch {epoch}, and how many steps lie behind is not "
                "known, since the data does not say how many batches an epoch has. Give "
                "fit(..., steps_per_epoch=...), or prune_low_magnitude(..., initial_step=...)."
            )
        behind = -(-epoch * batches // every)
        if sparse or not any(
            schedules.removes_by(rule.schedule, rule.pattern, behind)
            for rule in self.pruner.by_rule()
        ):
            self._go_to(behind, epoch * batches % every)

    def _look_ahead(self, epoch: int, batches: int, epochs: int, every: int) -> None:
        ahead = (epochs - epoch) * batches
        if ahead <= 0:
            return
        first = self._unforeseen or self.pruner.counter.position[0] + 1
        self._unforeseen = None
        self._announced = -(-(self._calls(every) + ahead) // every)
        self._say_what_will_not_work(first, self._announced)

    def _calls(self, every: int) -> int:
        """Return the training steps so far, of which ``every`` make an update of the weights."""
        step, waiting = self.pruner.counter.position
        return step * every if waiting == 0 else (step - 1) * every + waiting

    def _look_back(self, callbacks: list[Any]) -> None:
        """Say what a training has not done, once no callback is left to put weights back."""
        messages: list[str | None] = []
        last, _ = self.pruner.counter.position
        announced, self._announced = self._announced, None
        if announced is not None:
            for rule in self.pruner.by_rule():
                if rule.pattern.once:
                    continue
                missed = hindsight.ended_early(rule.schedule, last, announced)
                if missed:
                    schedules.note_early_end(rule.schedule, self._said)
                messages.append(missed)
        if self._reached is not None or self._files:
            now = self._sparsity()
            if self._reached is not None:
                messages.append(hindsight.weights_put_back(now, self._reached))
            messages += [hindsight.file_left_behind(one, self._files, now) for one in callbacks]
        self._reached = None
        self._files.clear()
        hindsight.say(messages)

    def _sparsity(self) -> Sparsity:
        weights = self.pruner.weights
        half = any(weight.dtype.size < 4 for weight in weights.values())
        sizes = {name: weight.shape.num_elements() for name, weight in weights.items()}
        return Sparsity(self.pruner.sparsities, sizes, 0.02 if half else 1e-6)

    def _say_what_will_not_work(self, first: int, last: int) -> None:
        schedules.say_what_will_not_work(
            self.pruner.by_rule(),
            {name: tuple(weight.shape) for name, weight in self.pruner.weights.items()},
            self.pruner.sparsities,
            first=first,
            last=last,
            said=self._said,
        )

    def _go_to(self, step: int, waiting: int) -> None:
        self.pruner.counter.go_to(step, waiting)
        self.quiet.forget()
