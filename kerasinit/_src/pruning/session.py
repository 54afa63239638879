"""The training runs of a pruned model: where each starts, what it will do and how it ends.

A saved model contains no masks and no step number, yet training can be resumed from it: the masks
are the zeros of the weights, and the step is the number of completed epochs times their length.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from kerasinit._src.pruning import outlook, shortfalls
from kerasinit._src.pruning.composition import Composition
from kerasinit._src.pruning.layer_policies import warn_of_frozen
from kerasinit._src.pruning.masked_update import QuietSteps
from kerasinit._src.pruning.pruner import Pruner
from kerasinit._src.pruning.schedules import is_standard
from kerasinit._src.pruning.shortfalls import Sparsity
from kerasinit._src.pruning.writers import (
    BETWEEN_STEPS,
    as_list,
    callbacks_of,
    is_keras_method,
    may_write_weights,
)
from kerasinit._src.troubleshooting import see


class Session:
    """The state of one pruned model across its training runs.

    It references the pruner but not the model, so that it does not keep the model alive.
    ``layers`` maps the ``id`` of each pruned variable to its layer.

    Attributes:
        quiet: The steps of ``fit`` in which no mask changes.
        begun: Whether training is in progress, started by
            :class:`~kerasinit.pruning.UpdatePruningStep` or by a first `begin_step`.
        fitting: Whether Keras' own ``fit`` is running, which counts steps automatically.
        waits: Whether a callback was given the model, but training has not begun yet.
        pending: Whether something to prune has no weights yet.
        composition: The model's layers and weights; set when it is pruned.
    """

    composition: Composition

    def __init__(self, pruner: Pruner, layers: Mapping[int, weakref.ref[Any]]) -> None:
        self.pruner, self._layers = pruner, layers
        self.quiet = QuietSteps(pruner)
        self.begun = self.fitting = self.waits = self.pending = False
        self._in_fit = self._restored = self._first_epoch = False
        self._before_ahead: tuple[int, int] | None = None
        self._begin_again: Callable[[], None] | None = None
        # The first step not checked in advance, or the last step that was announced.
        self._unchecked_from: int | None = None
        self._announced: int | None = None
        # The sparsity before weights of an earlier epoch were restored, and that of saved files.
        self._reached: Sparsity | None = None
        self._files: dict[str, tuple[int, Sparsity]] = {}
        self._first_step = pruner.counter.position[0]
        self._calls_before = 0
        self._position_of_epoch: dict[int, tuple[int, int]] = {}
        self._reported: set[str] = set()

    @property
    def checked(self) -> bool:
        """Whether all sparsities of the current training run are known to be valid."""
        return self.fitting and (
            self._announced is not None
            or all(is_standard(rule.schedule) for rule in self.pruner.by_rule())
        )

    def warn_of_frozen_layers(self) -> None:
        """Warn once of layers that are pruned although they are not trained."""
        layers = [
            self._layers[id(variable)]()
            for variable in self.pruner.variables
            if not variable.trainable
        ]
        # An adapter also freezes its kernel; `Composition` reports that.
        frozen = [
            layer.name
            for layer in layers
            if layer is not None and not getattr(layer, "lora_enabled", False)
        ]
        warn_of_frozen(name for name in frozen if f"frozen {name}" not in self._reported)
        self._reported.update(f"frozen {name}" for name in frozen)

    def begin(self) -> None:
        """Called when training begins."""
        self.begun = self._first_epoch = True
        self.waits = False
        self._unchecked_from = self.pruner.counter.position[0] + 1
        self._announced = self._reached = None
        self._files.clear()

    def begin_epoch(self, epoch: int, batches: int | None, epochs: int, every: int) -> None:
        """Determine the step at the first epoch, and check the schedules up to the last one.

        ``epoch`` is more than 0 if training is resumed, ``batches`` are the training steps in an
        epoch, if known, and ``every`` the training steps per weight update.
        """
        if self.pending:
            self._begin_again = lambda: self.begin_epoch(epoch, batches, epochs, every)
            return
        # Between epochs other callbacks may write weights.
        self.quiet.masked = False
        self.quiet.invalidate()
        counter = self.pruner.counter
        if self._first_epoch:
            self._first_epoch = False
            self.warn_of_frozen_layers()
            if self._restored and epoch in self._position_of_epoch:
                self._go_to(*self._position_of_epoch[epoch])
            elif epoch > 0 and (self.pruner.fresh or self._restored):
                self._resume(epoch, batches, every)
            self._restored = self.pruner.fresh = False
            self._reached = None
            self._unchecked_from = counter.position[0] + 1
            self._calls_before = self._calls(every)
            if batches is not None:
                self._look_ahead(epoch, batches, epochs, every)
        elif self._unchecked_from is not None:
            # The number of batches was unknown until the first epoch ended.
            self._look_ahead(epoch, self._calls(every) - self._calls_before, epochs, every)
        self._position_of_epoch[epoch] = counter.position

    def replace_pruner(self, pruner: Pruner, layers: Mapping[int, weakref.ref[Any]]) -> None:
        """Continue with a pruner for the weights that have been created since."""
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
        """Mask the weights after the last update, unless its step was quiet."""
        if not self.quiet.masked:
            self.pruner.apply_masks()

    def end(self) -> None:
        """Apply the masks one last time; the next training run needs a callback again."""
        self.pruner.apply_masks()
        self.begun = False
        # Within `fit`, other callbacks are still to be called.
        self.fitting = self._in_fit
        first, self._unchecked_from = self._unchecked_from, None
        last, _ = self.pruner.counter.position
        if first is not None and first <= last:
            # The number of steps was unknown until now.
            self._warn_of_problems(first, last)
        if not self._in_fit:
            self._look_back([])

    def restored(self) -> None:
        """Derive the masks from weights that a callback has just restored during training.

        Weights of an earlier epoch, as restored by EarlyStopping and BackupAndRestore, belong to
        an earlier mask. Weights loaded by the user between training runs do not: the current masks
        are applied to them, as when a ticket is rewound.
        """
        self.quiet.masked = False
        if self.fitting:
            before = self._sparsity()
            self.pruner.mask_zeros()
            self._restored = True
            if self._sparsity().short_of(before) and self._reached is None:
                self._reached = before

    def saved(self, path: Any) -> None:
        """Record the sparsity of a model that a callback saves during training."""
        if self.fitting and isinstance(path, str | os.PathLike):
            name = os.fspath(path)
            self._files.pop(name, None)
            self._files[name] = self.pruner.counter.position[0], self._sparsity()

    def stripped(self) -> None:
        """Warn, unless it was reported, if the stripped model is less sparse than intended."""
        last, _ = self.pruner.counter.position
        if last == self._first_step:
            return
        messages = [
            shortfalls.stripped_early(rule.schedule, last)
            for rule in self.pruner.by_rule()
            if not rule.pattern.once and not outlook.was_reported(rule.schedule, self._reported)
        ]
        if self._reached is not None:
            messages.append(shortfalls.weights_restored(self._sparsity(), self._reached))
        shortfalls.warn(messages)

    def count_ahead(self, every: int) -> None:
        """Begin a step from outside the training step, in a custom loop.

        A loop around ``train_on_batch`` counts its steps as well; :meth:`run` then undoes this one.
        """
        self._before_ahead = self.pruner.counter.position
        self.pruner.begin_step(every)

    def fit(self, original: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a model's original ``fit``, for which training must begin again."""
        self.begun, self.fitting, self._in_fit, self._before_ahead = False, True, True, None
        callbacks = callbacks_of(original, args, kwargs)
        may_be_quiet = is_keras_method(original) and not may_write_weights(callbacks, BETWEEN_STEPS)
        self.quiet.begin(may_be_quiet and not self.pruner.replicated)
        try:
            history = original(*args, **kwargs)
        finally:
            self.begun = self.fitting = self._in_fit = False
            self.quiet.end()
            # Graphs of custom loops may count from here on.
            self.pruner.counter.write()
        self._look_back(as_list(callbacks))
        return history

    def run(
        self,
        train_function: Callable[[Any], Any],
        quiet_function: Callable[[Any], Any] | None,
        iterator: Any,
        steps: int,
        every: int,
    ) -> Any:
        """Run a compiled training function, or the one for quiet steps if no mask changes.

        A call takes up to ``steps`` training steps, and ``every`` of these make one weight update.
        """
        self.require_callback()
        if self._before_ahead is not None:
            # Updating the masks again from masked weights gives the same masks.
            self._go_to(*self._before_ahead)
            self._before_ahead = None
        self.pruner.fresh = False
        if quiet_function is not None and self.quiet.are_next(steps):
            return self.quiet.run(quiet_function, iterator, steps, every)
        self.quiet.masked = False
        self.pruner.counter.write()
        return train_function(iterator)

    def require_callback(self) -> None:
        """Raise ValueError unless a callback has begun this training run."""
        if not self.begun:
            raise ValueError(
                "This model is pruned, and its masks are only updated by the callback "
                "UpdatePruningStep, which is missing in this training. Use "
                "fit(..., callbacks=[kerasinit.pruning.UpdatePruningStep()]), or "
                "strip_pruning(model) first to train without pruning. "
                f"{see('pruning-callback')}"
            )

    def _resume(self, epoch: int, batches: int | None, every: int) -> None:
        """Set the step from the number of epochs, unless the model was not pruned in these."""
        if not self._restored:
            self.pruner.mask_zeros()
        sparse = any(sparsity > 0 for sparsity in self.pruner.sparsities.values())
        if batches is None:
            if not sparse:
                return
            raise ValueError(
                f"This training resumes at epoch {epoch}, and the number of steps taken so far is "
                "unknown, since the data does not report the number of batches per epoch. Pass "
                "fit(..., steps_per_epoch=...), or prune_low_magnitude(..., initial_step=...)."
            )
        behind = -(-epoch * batches // every)
        if sparse or not any(
            outlook.removes_by(rule.schedule, rule.pattern, behind)
            for rule in self.pruner.by_rule()
        ):
            self._go_to(behind, epoch * batches % every)

    def _look_ahead(self, epoch: int, batches: int, epochs: int, every: int) -> None:
        ahead = (epochs - epoch) * batches
        if ahead <= 0:
            return
        first = self._unchecked_from or self.pruner.counter.position[0] + 1
        self._unchecked_from = None
        self._announced = -(-(self._calls(every) + ahead) // every)
        self._warn_of_problems(first, self._announced)

    def _calls(self, every: int) -> int:
        """Return the number of training steps so far, ``every`` of which make one weight update."""
        step, waiting = self.pruner.counter.position
        return step * every if waiting == 0 else (step - 1) * every + waiting

    def _look_back(self, callbacks: list[Any]) -> None:
        """Warn of shortfalls, once no callback is left that may restore weights."""
        messages: list[str | None] = []
        last, _ = self.pruner.counter.position
        announced, self._announced = self._announced, None
        if announced is not None:
            for rule in self.pruner.by_rule():
                if rule.pattern.once:
                    continue
                missed = shortfalls.ended_early(rule.schedule, last, announced)
                if missed:
                    outlook.note_early_end(rule.schedule, self._reported)
                messages.append(missed)
        if self._reached is not None or self._files:
            now = self._sparsity()
            if self._reached is not None:
                messages.append(shortfalls.weights_restored(now, self._reached))
            messages += [shortfalls.stale_checkpoint(one, self._files, now) for one in callbacks]
        self._reached = None
        self._files.clear()
        shortfalls.warn(messages)

    def _sparsity(self) -> Sparsity:
        weights = self.pruner.weights
        half = any(weight.dtype.size < 4 for weight in weights.values())
        sizes = {name: weight.shape.num_elements() for name, weight in weights.items()}
        return Sparsity(self.pruner.sparsities, sizes, 0.02 if half else 1e-6)

    def _warn_of_problems(self, first: int, last: int) -> None:
        outlook.warn_of_problems(
            self.pruner.by_rule(),
            {name: tuple(weight.shape) for name, weight in self.pruner.weights.items()},
            self.pruner.sparsities,
            first=first,
            last=last,
            reported=self._reported,
        )

    def _go_to(self, step: int, waiting: int) -> None:
        self.pruner.counter.go_to(step, waiting)
        self.quiet.invalidate()
