"""The pruning of Keras 3 models: masks beside the model, no wrapper layers.

A pruned model is the same object with the same layers and variables. Its training step
starts with three more operations, in the same graph, so that they also run inside
``steps_per_execution`` and XLA::

    step <- step + 1
    if the schedule fires at this step:  mask <- pattern(weights as they are now)
    weights <- weights * mask

Evaluation, prediction and saving begin with the last of them, for the optimizer's last
update has moved removed weights as well.

Most steps change no mask. In ``fit``, those after which no mask changes either are taken by
a second, *quiet* training function, in which weights are not masked at the beginning of a
step but by the update at the end of the one before, which costs less. The numbers are the
same.

The step number, the masks and the thresholds are TensorFlow variables that the model
does not know of: they are in no ``model.weights``, no summary and no saved file. What a
training that was stopped needs to go on is in the file all the same: the masks are the
zeros of the weights, and the step is the number of epochs behind times their length.

How a model is made to call all this is in :mod:`kerasinit.pruning.hooks`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kerasinit import kerases
from kerasinit.pruning import outlook
from kerasinit.pruning.blocks import Pattern
from kerasinit.pruning.counter import Counter, beside
from kerasinit.pruning.masked_update import Epsilons
from kerasinit.pruning.quiet import QuietSteps
from kerasinit.pruning.registry import PrunableWeight


@dataclass(frozen=True, eq=False)
class Rule:
    """How some weights are pruned.

    Attributes:
        schedule: Called with the step, returns ``(whether to update, sparsity)``.
        pattern: Which weights may be removed together.
        initial_step: Training steps that lie behind; None if that is to be found out.
    """

    schedule: Any
    pattern: Pattern
    initial_step: int | None = None


class Pruner:
    """The masks of one Keras 3 model and the rules by which they change.

    It holds the variables but not the model, so that it lives exactly as long.

    Args:
        weights: What is pruned, each with its rule.
        strategy: The model's distribution strategy.
        shared: Pruners of other models; what they prune too has the same mask in both.

    Attributes:
        counter: The number of training steps so far. With gradient accumulation, one per
            update of the weights.
        weights: Name of each pruned weight to its TensorFlow variable.
        masks: The same names to variables of 0 and 1, in the dtype of the weights.
        thresholds: The same names to the magnitude at the last update below which
            weights were removed.
        rules: The same names to their rules.
        begun: Whether a training has begun that has not ended, by
            :class:`~kerasinit.pruning.UpdatePruningStep` or by a first `begin_step`.
        fitting: Whether Keras' own ``fit`` is running, which counts by itself.
        waits_for_training: Whether a callback knows the model and has not begun yet.
        quiet: Whether the training step that is traced or run at present is a quiet one.
        epsilons: By which the optimizer leaves removed weights alone in quiet steps; None if
            its updates are masked.
        variables: The Keras variables of the weights, in the same order.
    """

    def __init__(
        self,
        weights: list[tuple[PrunableWeight, Rule]],
        strategy: Any,
        shared: "list[Pruner] | None" = None,
    ) -> None:
        self.begun = self.fitting = self.waits_for_training = False
        self._strategy = strategy
        self._in_fit = self._restored = self._first_epoch = False
        self.quiet = self._counts_calls = self._masked = False
        self._quiet_steps = QuietSteps()
        self._prepare_quiet_step: Callable[[], Any] | None = None
        self.epsilons: Epsilons | None = None
        self._before_ahead: tuple[int, int] | None = None
        # The first step of a training that nobody could look to the end of.
        self._unforeseen: int | None = None
        self._position_of_epoch: dict[int, tuple[int, int]] = {}
        self._said: set[str] = set()
        self.rules = {weight.name: rule for weight, rule in weights}
        self.variables = [weight.variable for weight, _ in weights]
        self.weights = {weight.name: kerases.tensor(weight.variable) for weight, _ in weights}
        for name, variable in self.weights.items():
            self.rules[name].pattern.check(name, variable.shape)
        given = {rule.initial_step for rule in self.rules.values()} - {None}
        # Until a training shows otherwise, none has been before.
        self._fresh = not given
        self.counter = Counter(max(given, default=0))
        self.masks, self.thresholds = {}, {}
        for name, weight in self.weights.items():
            owner, other = _owner(weight, shared or [])
            self.masks[name] = owner.masks[other] if owner else beside(_like(weight, tf.ones))
            self.thresholds[name] = (
                owner.thresholds[other] if owner else beside(tf.zeros([], weight.dtype))
            )
        # On replicas a variable has a copy for each, and they are written together.
        self._replicated = any(
            isinstance(weight, tf.distribute.DistributedValues) for weight in self.weights.values()
        )

    @property
    def sparsities(self) -> dict[str, float]:
        """Name of each pruned weight to the fraction that its mask removes."""
        return {
            name: 1 - float(tf.reduce_mean(tf.cast(mask.read_value(), tf.float32)))
            for name, mask in self.masks.items()
        }

    def take_zeros(self) -> None:
        """Take weights that are exactly zero for removed, save in weights all zero."""
        for name, weight in self.weights.items():
            alive = self.rules[name].pattern.alive(tf.convert_to_tensor(weight))
            alive = tf.logical_or(alive, tf.logical_not(tf.reduce_any(alive)))
            self.masks[name].assign(tf.cast(alive, weight.dtype))

    def keep_masks_of(self, earlier: "Pruner") -> None:
        """Go on from the masks of an earlier pruning of the same model."""
        for name in self.masks.keys() & earlier.masks.keys():
            if self.masks[name] is not earlier.masks[name]:
                self.masks[name].assign(earlier.masks[name].read_value())

    def expect_quiet_steps(self, optimizer: Any, in_xla: bool) -> None:
        """Get ready for a quiet training function that is about to be made.

        Args:
            optimizer: The model's.
            in_xla: Whether XLA compiles the function.
        """
        self.epsilons = None
        if not in_xla and Epsilons.suit(optimizer):
            self.epsilons = Epsilons(
                optimizer, zip(self.variables, self.masks.values(), strict=True)
            )

        def prepare() -> None:
            self._apply_masks()
            if self.epsilons is not None:
                self.epsilons.follow_masks()

        # At every epoch, so not one operation after the other from Python.
        self._prepare_quiet_step = tf.function(prepare, autograph=False)

    def begin_quiet_step(self, every: int = 1) -> None:
        """Count one training step in which no mask changes and every weight is masked."""
        if not self._counts_calls:
            self.counter.count(every)

    def begin_step(self, every: int = 1, counting: bool | None = None) -> None:
        """Count one training step, update the masks if it is time, and apply them.

        Args:
            every: Calls that make one step, as in gradient accumulation.
            counting: How thresholds are found, see
                :func:`~kerasinit.pruning.selection.kth_largest`.
        """
        self._fresh = False
        self._everywhere(lambda: self._begin_step(every, counting))

    def apply_masks(self) -> None:
        """Set the removed weights to zero."""
        self._everywhere(self._apply_masks)

    def release(self, variables: list[Any]) -> bool:
        """Apply the masks of some variables one last time and forget them.

        Returns:
            Whether any of them was pruned here.
        """
        self.apply_masks()
        ids = {id(variable) for variable in variables}
        released = [
            name for name, v in zip(self.weights, self.variables, strict=True) if id(v) in ids
        ]
        self.variables = [variable for variable in self.variables if id(variable) not in ids]
        for name in released:
            weight = self.weights.pop(name)
            # Turns -0.0 into 0.0, which files compress better.
            weight.assign(weight.read_value() + 0.0)
            del self.masks[name], self.thresholds[name], self.rules[name]
        return bool(released)

    def _begin_step(self, every: int, counting: bool | None) -> None:
        moves = self.counter.count(every)
        step = tf.identity(self.counter.step)
        for rule, names in self._by_rule().items():
            checks: list[tf.Operation] = []
            if rule.pattern.once:
                fires = tf.equal(step, 1)
            else:
                fires, sparsity = rule.schedule(step)
                # In `fit`, the whole training was looked through before.
                if not self.fitting:
                    checks = outlook.check_update(rule.schedule, step, fires, sparsity)
            fires = tf.logical_and(tf.convert_to_tensor(fires), moves)

            def update(rule: Rule = rule, names: list[str] = names) -> tf.Operation:
                return self._update_masks(rule, names, step, counting)

            with tf.control_dependencies(checks):
                tf.cond(fires, update, tf.no_op)
        self._apply_masks()

    def _update_masks(
        self, rule: Rule, names: list[str], step: tf.Tensor, counting: bool | None
    ) -> tf.Operation:
        assigned = []
        for name in names:
            # Asked for here, inside the branch and for each weight, as tfmot does:
            # TensorFlow simplifies arithmetic within a branch, and where a count lies
            # halfway between two numbers, the last bit of the sparsity decides.
            sparsity = rule.schedule(step)[1]

            def update(
                mask: Any, weight: Any, threshold: Any, sparsity: Any = sparsity
            ) -> tf.Operation:
                weight = tf.convert_to_tensor(weight)
                kept, found = rule.pattern.update(weight, mask != 0, sparsity, counting)
                return tf.group(mask.assign(tf.cast(kept, weight.dtype)), threshold.assign(found))

            others = (self.weights[name], self.thresholds[name])
            assigned.append(self._on_each_copy(self.masks[name], update, others))
        return tf.group(*assigned)

    def _apply_masks(self) -> None:
        for name, weight in self.weights.items():
            self._on_each_copy(weight, lambda w, mask: w.assign(w * mask), (self.masks[name],))

    def _by_rule(self) -> dict[Rule, list[str]]:
        names: dict[Rule, list[str]] = {}
        for name, rule in self.rules.items():
            names.setdefault(rule, []).append(name)
        return names

    def _on_each_copy(self, variable: Any, change: Callable[..., Any], others: tuple) -> Any:
        if not self._replicated:
            return change(variable, *others)
        return self._strategy.extended.update(variable, change, args=others)

    def _everywhere(self, change: Callable[[], Any]) -> None:
        """Make a change once for all replicas, wherever the call comes from.

        Replicas may not write a variable on their own, nor meet inside of a condition.
        So they meet first, and the condition and the writing are for all of them.
        """
        if not self._replicated:
            change()
        elif not tf.distribute.has_strategy():
            with self._strategy.scope():
                change()
        elif tf.distribute.in_cross_replica_context():
            change()
        else:
            tf.distribute.get_replica_context().merge_call(lambda strategy: change())

    def begin_training(self) -> None:
        """Expect the first epoch of a training."""
        self.begun = self._first_epoch = True
        self.waits_for_training = False
        self._unforeseen = self.counter.position[0] + 1

    def begin_epoch(self, epoch: int, batches: int | None, epochs: int, every: int) -> None:
        """Find the step at the first epoch of a training, and look ahead to its end.

        Args:
            epoch: The epoch that begins; more than 0 if a training is gone on with.
            batches: Training steps in an epoch, None if unknown.
            epochs: The epoch at which the training will end.
            every: Training steps that make one update of the weights.
        """
        # Between epochs other callbacks may write weights.
        self._masked = False
        self._quiet_steps.forget()
        if self._first_epoch:
            self._first_epoch = False
            if self._restored and epoch in self._position_of_epoch:
                self._go_to(*self._position_of_epoch[epoch])
            elif epoch > 0 and (self._fresh or self._restored):
                self._resume(epoch, batches, every)
            self._restored = self._fresh = False
            self._unforeseen = self.counter.position[0] + 1
            if batches is not None:
                self._look_ahead(epoch, batches, epochs, every)
        self._position_of_epoch[epoch] = self.counter.position

    def end_epoch(self) -> None:
        """Mask what the last update has moved, unless its step was a quiet one."""
        if not self._masked:
            self.apply_masks()

    def _resume(self, epoch: int, batches: int | None, every: int) -> None:
        """Take the step from the epochs behind, if they can have been of this pruning."""
        if not self._restored:
            self.take_zeros()
        sparse = any(sparsity > 0 for sparsity in self.sparsities.values())
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
            outlook.removes_by(rule.schedule, rule.pattern, behind) for rule in self._by_rule()
        ):
            self._go_to(behind, epoch * batches % every)

    def _look_ahead(self, epoch: int, batches: int, epochs: int, every: int) -> None:
        ahead = (epochs - epoch) * batches
        if ahead <= 0:
            return
        step, waiting = self.counter.position
        behind = step * every if waiting == 0 else (step - 1) * every + waiting
        self._unforeseen = None
        self._say_what_will_not_work(step + 1, -(-(behind + ahead) // every))

    def _say_what_will_not_work(self, first: int, last: int) -> None:
        outlook.say_what_will_not_work(
            self._by_rule(),
            {name: tuple(weight.shape) for name, weight in self.weights.items()},
            self.sparsities,
            first=first,
            last=last,
            said=self._said,
        )

    def _go_to(self, step: int, waiting: int) -> None:
        self.counter.go_to(step, waiting)
        self._quiet_steps.forget()

    def end_training(self) -> None:
        """Apply the masks one last time, and expect a callback again in the next training."""
        self.apply_masks()
        self.begun = False
        # Keras' callbacks are still at work in a `fit` that is ours.
        self.fitting = self._in_fit
        first, self._unforeseen = self._unforeseen, None
        last, _ = self.counter.position
        if first is not None and first <= last:
            # How long the training would be was not known; better late than never.
            self._say_what_will_not_work(first, last)

    def restored(self) -> None:
        """Take the masks from weights that a callback has just put back in a training.

        The weights of an earlier epoch, such as EarlyStopping and BackupAndRestore put
        back, are those of an earlier mask. Weights that a user loads between trainings
        are not: they get the masks, as when a ticket is rewound.
        """
        self._masked = False
        if self.fitting:
            self.take_zeros()
            self._restored = True

    def count_ahead(self, every: int) -> None:
        """Begin a step from outside the training step, for loops that users write.

        `fit` counts by itself. A loop around ``train_on_batch`` does so too, and may
        call this as well; :meth:`run` takes the number back then.
        """
        self._before_ahead = self.counter.position
        self.begin_step(every)

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
        if not self.begun:
            raise ValueError(
                "This model is pruned, and its masks are only kept up to date by the callback "
                "UpdatePruningStep, which is missing in this training. Use "
                "fit(..., callbacks=[kerasinit.pruning.UpdatePruningStep()]), or "
                "strip_pruning(model) first if it is to be trained without pruning."
            )
        if self._before_ahead is not None:
            # Updating the masks again from weights just masked gives the same masks.
            self._go_to(*self._before_ahead)
            self._before_ahead = None
        self._fresh = False
        if quiet_function is None or not self._quiet_steps.next_call(
            lambda: self.counter.position[0], self.rules.values(), steps
        ):
            self._masked = False
            self.counter.write()
            return train_function(iterator)
        if not self._masked:
            self._prepare_quiet_step()
            self._masked = True
        self.quiet, self._counts_calls = True, steps == every == 1
        try:
            logs = quiet_function(iterator)
        finally:
            self.quiet = False
        if self._counts_calls:
            self.counter.count_outside()
        return logs

    def fit(
        self, original: Callable[..., Any], may_be_quiet: bool, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a model's own ``fit``, in which a training must begin anew.

        Args:
            original: The model's own.
            may_be_quiet: Whether nobody writes weights between two steps.
            *args: What `original` is called with.
            **kwargs: The same.
        """
        self.begun, self.fitting, self._in_fit, self._before_ahead = False, True, True, None
        self._quiet_steps.begin(may_be_quiet and not self._replicated)
        try:
            return original(*args, **kwargs)
        finally:
            self.begun = self.fitting = self._in_fit = self._quiet_steps.allowed = False
            self._masked = False
            # From here, graphs that nobody knows of may count.
            self.counter.write()


def _owner(weight: Any, pruners: list[Pruner]) -> tuple[Pruner | None, str]:
    for pruner in pruners:
        for name, other in pruner.weights.items():
            if other is weight:
                return pruner, name
    return None, ""


def _like(weight: Any, make: Callable[..., tf.Tensor]) -> tf.Tensor:
    return make(weight.shape, weight.dtype)
