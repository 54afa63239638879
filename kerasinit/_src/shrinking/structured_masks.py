"""StructuredPruning: groups of channels are set to zero while a model trains, in both Kerases."""

from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.pruning import outlook, shortfalls
from kerasinit._src.pruning.hold import MaskedFit
from kerasinit._src.pruning.optimizers import steps_of
from kerasinit._src.pruning.schedules import is_standard
from kerasinit._src.shrinking.channel_groups import Group
from kerasinit._src.shrinking.planning import Planner
from kerasinit._src.shrinking.removal_plan import Plan

_CONTINUE = "A further fit with the same callback continues the schedule."


class StructuredPruning(MaskedFit):
    """Removes the channels of a plan step by step in ``fit``, and keeps them at zero.

    At each step ``t`` at which the schedule fires, channels are chosen again by their importance
    for the current weights, with the settings of the plan (importance, scope, widths, ignored
    layers), so that the fraction of each cost that remains is::

        1 - s(t) / s_final * (1 - target)

    where ``s`` is the sparsity of the schedule and ``s_final`` its final one. Only the shape of
    the rise matters: with any final sparsity, training ends at the targets of the plan. The
    fractions of ``ratios`` grow in the same way. A removed channel remains removed, as in gradual
    pruning (Zhu and Gupta): its weights are zero in every forward pass, evaluation and saved file,
    whatever the optimizer does.

    The masks are applied as by `kerasinit.pruning.HoldMasks`: in the compiled step of a Keras 3
    model, where they can change without retracing, between steps in tf_keras and with a custom
    training step or optimizer. Where a model takes several steps at a time
    (``steps_per_execution``), the update follows the call in which the schedule fires. Steps are
    updates of the weights, counted from 1, and continued by further calls of ``fit`` with the same
    callback, also at an ``initial_epoch`` with a loaded model, whose zero channels are considered
    removed. In a custom training loop, call ``set_model`` and ``on_train_begin`` before the loop
    and ``on_train_batch_end(batch)`` after each step.

    To restore the best weights of a training, compare only epochs after the end of the schedule:
    weights of an earlier epoch have more channels. Afterwards remove the channels with
    `kerasinit.shrinking.compact`, or with `Plan.cut` of this callback's ``plan``.

    Args:
        plan: The `Plan` that `structured` returned for this model, or one of the same structure.
        schedule: A schedule of `kerasinit.pruning`, such as ``PolynomialDecay``.

    Attributes:
        plan: The plan; once channels have been removed, the plan of their removal.

    Raises:
        TypeError: If the plan is not a `Plan`, or the result of the schedule is not that of a
            schedule.
        ValueError: If the final sparsity of the schedule is 0; when training begins, if the plan
            does not fit the model, or if masks have to be applied between steps and
            ``steps_per_execution`` is not 1.

    Example:
    >>> import keras
    >>> from kerasinit import pruning, shrinking
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(2)])
    >>> model.compile("adam", "mse")
    >>> plan = shrinking.structured(model, {"macs": 0.5})
    >>> schedule = pruning.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=8, frequency=2)
    >>> callback = shrinking.StructuredPruning(plan, schedule)
    >>> x, y = np.ones((16, 4)), np.ones((16, 2))
    >>> history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[callback])
    >>> shrinking.compact(model).layers[0].units
    8

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878) (gradual pruning)
    """

    def __init__(self, plan: Plan, schedule: Any) -> None:
        super().__init__()
        if not isinstance(plan, Plan):
            raise TypeError(f"Expected the plan that structured(model, ...) returns; got {plan!r}.")
        outlook.check_schedule(schedule)
        if is_standard(schedule) and not _final(schedule):
            raise ValueError(f"{schedule!r} removes nothing: its final sparsity is 0.")
        self.plan, self._schedule = plan, schedule
        self._first_plan = plan
        self._of: Any = None  # the model that the masks are for
        self._planner: Any = None
        self._kept = np.ones(0, bool)
        # The variables that are masked, and their masks, by the ``id`` of the variable.
        self._masks: dict[int, tuple[Any, Any]] = {}
        self._step, self._progress = 0, 0.0
        self._iterations = 0
        self._waiting = 0
        self._began = False
        self._announced: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Read the model, and apply the masks of earlier trainings."""
        self._planner = Planner(self.model, self._first_plan.settings)
        self._first_plan.require_fit(self._planner.groups)
        if self._of is not self.model:
            self._of, self._masks = self.model, {}
            self._step, self._progress = 0, 0.0
            self._kept = np.ones(self._planner.reading.channels.number, bool)
        self._began, self._announced = False, None
        self._hold(self._held_variables())
        self._waiting = 0
        if self._compiled is not None:
            self._iterations = self._updates_of_optimizer()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Determine the step at the first epoch, and check what the schedule will do."""
        known = self.params or {}
        if self._began or "epochs" not in known:
            return
        self._began = True
        batches, every = known.get("steps"), steps_of(self.model)
        if epoch > 0 and not self._step:
            self._resume(epoch, batches, every)
        if batches is None:
            return
        first, last = self._step + 1, self._step + (known["epochs"] - epoch) * batches // every
        steps, targets = outlook.updates(self._schedule, last)
        shortfalls.warn(
            outlook.schedule_problems(self._schedule, steps, targets, first, last).values()
        )
        self._announced = last

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the step, remove channels if the schedule fires, and keep them at zero."""
        super().on_train_batch_end(batch, logs)
        before, self._step = self._step, self._step_now()
        step = _last_update(self._schedule, before, self._step)
        if step is not None:
            self._update(float(self._schedule(step)[1]))

    def on_train_end(self, logs: Any = None) -> None:
        """Keep the channels at zero, and warn if training ended before the schedule."""
        super().on_train_end(logs)
        if self._announced is not None:
            shortfalls.warn(
                [shortfalls.ended_early(self._schedule, self._step, self._announced, _CONTINUE)]
            )

    def _update(self, sparsity: float) -> None:
        """Choose channels again, as many as the schedule requires."""
        if sparsity <= 0:
            return
        progress = min(sparsity / self._final_sparsity(), 1.0)
        if progress > 1 - 1e-6:
            progress = 1.0
        if progress <= self._progress:
            return
        self._progress = progress
        macs = self._first_plan.cost("macs").ratio
        self._kept = self._planner.choose(progress, self._kept, macs)
        self.plan = self._planner.plan(self._kept)
        self._write_masks()
        self._apply()

    def _final_sparsity(self) -> float:
        """Return the largest sparsity of the schedule, at which the targets are reached."""
        if _final(self._schedule):
            return _final(self._schedule)
        if self._announced is None:
            raise ValueError(
                f"The final sparsity of {self._schedule!r} is unknown, since the number of steps "
                f"of this training is. Give it an attribute final_sparsity, or pass "
                f"fit(..., steps_per_epoch=...)."
            )
        return float(outlook.updates(self._schedule, self._announced)[1].max())

    def _held_variables(self) -> list[tuple[Any, Any]]:
        """Return the variables whose channels may be removed, with their masks."""
        import tensorflow as tf

        free = {
            id(one.variable): one.variable
            for place, group in enumerate(self._planner.groups)
            if not group.reason
            for one in group.slices
            if one.role != "statistic"
        }
        for key, variable in free.items():
            if key not in self._masks:
                tensor = compat.tensor(variable)
                mask = tf.Variable(tf.ones(tensor.shape, tensor.dtype), trainable=False)
                self._masks[key] = variable, mask
        self._masks = {key: self._masks[key] for key in free}
        self._write_masks()
        return list(self._masks.values())

    def _write_masks(self) -> None:
        """Set the masks to zero for the channels that are removed."""
        channels = self._planner.reading.channels
        for key, (_, mask) in self._masks.items():
            bound, values = channels.bound[key], np.ones(mask.shape, bool)
            for axis, labels in enumerate(bound.axes):
                if labels is not None and bound.roles[axis] != "statistic":
                    shape = [-1 if one == axis else 1 for one in range(values.ndim)]
                    values &= self._kept[channels.of(labels)].reshape(shape)
            mask.assign(values)

    def _step_now(self) -> int:
        """Return the number of weight updates, given that a call has returned."""
        if self._compiled is not None:
            # The call may have taken several steps, or fewer at the end of the data.
            before, self._iterations = self._iterations, self._updates_of_optimizer()
            return self._step + self._iterations - before
        self._waiting += 1
        every = steps_of(self.model)
        updates, self._waiting = divmod(self._waiting, every)
        return self._step + updates

    def _updates_of_optimizer(self) -> int:
        return int(np.asarray(self.model.optimizer.iterations))

    def _resume(self, epoch: int, batches: int | None, every: int) -> None:
        """Continue a training of another process: from its epochs, and the zeros of the model."""
        if batches is None:
            raise ValueError(
                f"This training resumes at epoch {epoch}, and the number of steps taken so far is "
                "unknown, since the data does not report the number of batches per epoch. Pass "
                "fit(..., steps_per_epoch=...)."
            )
        for group in self._planner.groups:
            if not group.reason:
                self._kept[group.channels[_are_zero(group)]] = False
        self._step = epoch * batches // every
        steps, targets = outlook.updates(self._schedule, self._step)
        if len(steps) and not self._kept.all():
            self._progress = min(float(targets[-1]) / self._final_sparsity(), 1.0)
            self.plan = self._planner.plan(self._kept)
        self._write_masks()


def _final(schedule: Any) -> float:
    """Return the final sparsity that a schedule names; 0 if it names none."""
    named = (getattr(schedule, name, 0) for name in ("final_sparsity", "target_sparsity"))
    return float(max(named))


def _last_update(schedule: Any, before: int, now: int) -> int | None:
    """Return the last step after ``before``, up to ``now``, at which a schedule fires."""
    if not is_standard(schedule):
        return max((one for one in range(before + 1, now + 1) if schedule(one)[0]), default=None)
    found, step = None, outlook.next_standard_update(schedule, before)
    while step <= now:
        found, step = step, outlook.next_standard_update(schedule, step)
    return found


def _are_zero(group: Group) -> np.ndarray:
    """Return for each channel whether all weights that make or read it are zero."""
    slices = [one for one in group.slices if one.role != "statistic"]
    return np.all([(one.values() == 0).all(1) for one in slices], 0)
