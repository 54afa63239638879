"""Pruning of Keras 3 models: masks kept outside of the model, no wrapper layers.

A pruned model is the same object with the same layers and variables. Its training step begins with
three additional operations in the same graph, so that they also work with ``steps_per_execution``
and XLA::

    step <- step + 1
    if the schedule fires at this step:  mask <- pattern(unmasked weights)
    weights <- weights * mask

The optimizer's last update has changed removed weights as well, so evaluation, prediction and
saving apply the masks temporarily.

The step number, the masks and the thresholds are TensorFlow variables that the model does not
track: they are not in ``model.weights``, its summary or a saved file.

:mod:`pruning.session` keeps the state of a training run, and :mod:`pruning.pruned_models` makes a
model call all this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.network.prunable import PrunableWeight
from kerasinit._src.pruning import outlook
from kerasinit._src.pruning.patterns import Pattern


@dataclass(frozen=True, eq=False)
class Rule:
    """How some weights are pruned; ``initial_step`` is None if `fit` determines it."""

    schedule: Any
    pattern: Pattern
    initial_step: int | None = None


class Counter:
    """Counts training steps, either in the graph of a step or in Python.

    The graph has to count if a schedule reads the step in the same call, or if a call takes several
    steps. Otherwise it is cheaper to count calls in Python and write the number before a graph
    reads it: a single graph operation costs a hundredth of the step of a small network, and reading
    a variable from Python costs more.
    """

    def __init__(self, start: int) -> None:
        self._step = _untracked_variable(tf.constant(start, tf.int64))
        # Calls since the last weight update, with gradient accumulation.
        self._waiting = _untracked_variable(tf.constant(0, tf.int64))
        # The values read last, and the steps counted in Python since.
        self._read, self._unwritten = (start, 0), 0

    @property
    def step(self) -> tf.Variable:
        """The number of steps; with gradient accumulation, of weight updates."""
        # The caller of a graph has written the number before running it.
        if not tf.inside_function():
            self.write()
        return self._step

    @property
    def position(self) -> tuple[int, int]:
        """The number of steps, and of calls since the last weight update."""
        if not self._unwritten:
            self._read = int(self._step.numpy()), int(self._waiting.numpy())
        step, waiting = self._read
        return step + self._unwritten, waiting

    def go_to(self, step: int, waiting: int) -> None:
        """Continue from an earlier `position`."""
        self.step.assign(step)
        self._waiting.assign(waiting)

    def count(self, every: int) -> Any:
        """Count one call, ``every`` of which make a step; return whether a step begins."""
        begins: Any = True
        if every > 1:
            begins = tf.equal(self._waiting, 0)
            self._waiting.assign(tf.math.floormod(self._waiting + 1, every))
        self.step.assign_add(tf.cast(begins, tf.int64))
        return begins

    def write(self) -> None:
        """Write the steps counted in Python; call this before running a graph that reads them."""
        if self._unwritten:
            step, waiting = self._read
            self._read = step + self._unwritten, waiting
            self._step.assign_add(self._unwritten)
            self._unwritten = 0

    def count_outside(self) -> None:
        """Count in Python one step of a graph that does not count.

        No other graph may have counted since `position` was last read.
        """
        self._unwritten += 1


class Pruner:
    """The masks of one Keras 3 model and the rules by which they change.

    It references the variables but not the model, so that it does not keep the model alive. Weights
    that the pruners in ``shared`` prune as well share their masks.

    Attributes:
        counter: The number of training steps (weight updates) so far.
        weights: Name of each pruned weight to its TensorFlow variable.
        masks: The same names to variables of 0 and 1, in the dtype of the weights.
        thresholds: The same names to the magnitude below which the last update removed weights.
        rules: The same names to their rules.
        variables: The Keras variables of the weights, in the same order.
        fresh: Whether no training is known, in this process or before.
        replicated: Whether the weights have copies on several replicas.
    """

    def __init__(
        self,
        weights: list[tuple[PrunableWeight, Rule]],
        strategy: Any,
        shared: "list[Pruner] | None" = None,
    ) -> None:
        self._strategy = strategy
        self.rules = {weight.name: rule for weight, rule in weights}
        self.variables = [weight.variable for weight, _ in weights]
        self.weights = {weight.name: compat.tensor(weight.variable) for weight, _ in weights}
        for name, variable in self.weights.items():
            _check_dtype(name, variable.dtype)
            self.rules[name].pattern.check(name, variable.shape)
        steps = {rule.initial_step for rule in self.rules.values()}
        given = {step for step in steps if step is not None}
        # Assumes no earlier training until `fit` finds one.
        self.fresh = not given
        self.counter = Counter(max(given, default=0))
        self.masks, self.thresholds = {}, {}
        for name, weight in self.weights.items():
            owner, other = _find_owner(weight, shared or [])
            if owner is None:
                mask, threshold = tf.ones(weight.shape, weight.dtype), tf.zeros([], weight.dtype)
                self.masks[name] = _untracked_variable(mask)
                self.thresholds[name] = _untracked_variable(threshold)
            else:
                self.masks[name] = owner.masks[other]
                self.thresholds[name] = owner.thresholds[other]
        # A replicated variable has one copy per replica; all are written together.
        self.replicated = any(
            isinstance(weight, tf.distribute.DistributedValues) for weight in self.weights.values()
        )

    @property
    def sparsities(self) -> dict[str, float]:
        """The fraction that the mask removes, by name of the weight."""
        return {
            name: 1 - float(tf.reduce_mean(tf.cast(mask.read_value(), tf.float32)))
            for name, mask in self.masks.items()
        }

    def by_rule(self) -> dict[Rule, list[str]]:
        """Return the names of the weights of each rule."""
        names: dict[Rule, list[str]] = {}
        for name, rule in self.rules.items():
            names.setdefault(rule, []).append(name)
        return names

    def mask_zeros(self) -> None:
        """Mask the zeros of every weight that is not entirely zero."""
        for name, weight in self.weights.items():
            alive = self.rules[name].pattern.nonzero(tf.convert_to_tensor(weight))
            alive = tf.logical_or(alive, tf.logical_not(tf.reduce_any(alive)))
            self.masks[name].assign(tf.cast(alive, weight.dtype))

    def copy_masks_from(self, earlier: "Pruner") -> None:
        """Copy the masks of weights that an earlier pruner of the model has in common."""
        for name, weight in self.weights.items():
            owner, other = _find_owner(weight, [earlier])
            if owner is not None and self.masks[name] is not owner.masks[other]:
                self.masks[name].assign(owner.masks[other].read_value())

    def keep_only(self, weights: list[PrunableWeight]) -> dict[str, Any]:
        """Keep only some weights, under their new names; return the removed variables by name."""
        before = {id(v): name for name, v in zip(self.weights, self.variables, strict=True)}
        stay = {weight.name: before.pop(id(weight.variable)) for weight in weights}
        gone = {
            name: v for name, v in zip(self.weights, self.variables, strict=True) if id(v) in before
        }
        self.variables = [weight.variable for weight in weights]
        for held in ("weights", "masks", "thresholds", "rules"):
            values = getattr(self, held)
            setattr(self, held, {now: values[name] for now, name in stay.items()})
        return gone

    def begin_step(
        self, every: int = 1, by_histogram: bool | None = None, checked: bool = False
    ) -> None:
        """Count one training step, update the masks if the schedule fires, and apply them.

        ``every`` is the number of calls per weight update, and ``checked`` whether the sparsities
        of this training were checked before it began.
        """
        self.fresh = False
        self._across_replicas(lambda: self._begin_step(every, by_histogram, checked))

    def apply_masks(self) -> None:
        """Set the removed weights to zero."""
        self._across_replicas(self._apply_masks)

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Set the removed weights to zero within the block.

        Weights that are written within the block keep their new values.
        """
        before = {name: weight.read_value() for name, weight in self.weights.items()}
        self.apply_masks()
        masked = {name: weight.read_value() for name, weight in self.weights.items()}
        try:
            yield
        finally:
            self._across_replicas(lambda: self._restore(before, masked))

    def release(self, variables: list[Any]) -> bool:
        """Apply all masks, then drop some variables; return whether any of them was pruned here."""
        self.apply_masks()
        ids = {id(variable) for variable in variables}
        released = [
            name for name, v in zip(self.weights, self.variables, strict=True) if id(v) in ids
        ]
        self.variables = [variable for variable in self.variables if id(variable) not in ids]
        for name in released:
            weight = self.weights.pop(name)
            # Turns -0.0 into 0.0, which compresses better in files.
            weight.assign(weight.read_value() + 0.0)
            del self.masks[name], self.thresholds[name], self.rules[name]
        return bool(released)

    def _begin_step(self, every: int, by_histogram: bool | None, checked: bool) -> None:
        begins = self.counter.count(every)
        step = tf.identity(self.counter.step)
        for rule, names in self.by_rule().items():
            checks: list[tf.Operation] = []
            if rule.pattern.once:
                fires = tf.equal(step, 1)
            else:
                fires, sparsity = rule.schedule(step)
                if not checked:
                    checks = outlook.check_update(rule.schedule, step, fires, sparsity)
            fires = tf.logical_and(tf.convert_to_tensor(fires), begins)

            def update(rule: Rule = rule, names: list[str] = names) -> tf.Operation:
                return self._update_masks(rule, names, step, by_histogram)

            with tf.control_dependencies(checks):
                tf.cond(fires, update, tf.no_op)
        self._apply_masks()

    def _update_masks(
        self, rule: Rule, names: list[str], step: tf.Tensor, by_histogram: bool | None
    ) -> tf.Operation:
        assigned = []
        for name in names:
            # Computed inside the branch and for each weight, as in tfmot: TensorFlow simplifies
            # arithmetic within a branch, and the last bit of the sparsity decides how a count
            # halfway between two integers is rounded.
            sparsity = rule.schedule(step)[1]

            def update(
                mask: Any, weight: Any, threshold: Any, sparsity: Any = sparsity
            ) -> tf.Operation:
                weight = tf.convert_to_tensor(weight)
                kept, found = rule.pattern.update(weight, mask != 0, sparsity, by_histogram)
                return tf.group(mask.assign(tf.cast(kept, weight.dtype)), threshold.assign(found))

            others = (self.weights[name], self.thresholds[name])
            assigned.append(self._on_each_replica(self.masks[name], update, others))
        return tf.group(*assigned)

    def _apply_masks(self) -> None:
        for name, weight in self.weights.items():
            self._on_each_replica(weight, lambda w, mask: w.assign(w * mask), (self.masks[name],))

    def _restore(self, before: dict[str, Any], masked: dict[str, Any]) -> None:
        def put_back(weight: Any, value: Any, zeroed: Any) -> None:
            if tf.reduce_all(tf.equal(weight, zeroed)):
                weight.assign(value)

        for name, weight in self.weights.items():
            self._on_each_replica(weight, put_back, (before[name], masked[name]))

    def _on_each_replica(self, variable: Any, change: Callable[..., Any], others: tuple) -> Any:
        if not self.replicated:
            return change(variable, *others)
        return self._strategy.extended.update(variable, change, args=others)

    def _across_replicas(self, change: Callable[[], Any]) -> None:
        """Apply a change once for all replicas, in any distribution context.

        A replica can neither write a variable alone nor merge inside a condition. So replicas merge
        first, and the condition and the assignments run in the cross-replica context.
        """
        if not self.replicated:
            change()
        elif not tf.distribute.has_strategy():
            with self._strategy.scope():
                change()
        elif tf.distribute.in_cross_replica_context():
            change()
        else:
            tf.distribute.get_replica_context().merge_call(lambda strategy: change())


def _check_dtype(name: str, dtype: Any) -> None:
    if not tf.as_dtype(dtype).is_floating:
        raise ValueError(
            f"{name!r} is of dtype {tf.as_dtype(dtype).name}, as in a quantized layer, "
            "and cannot be pruned. Prune the model before it is quantized, and call strip_pruning "
            "in between: zeros stay zeros."
        )


def _find_owner(weight: Any, pruners: list[Pruner]) -> tuple[Pruner | None, str]:
    for pruner in pruners:
        for name, other in pruner.weights.items():
            if other is weight:
                return pruner, name
    return None, ""


def _untracked_variable(value: tf.Tensor) -> tf.Variable:
    """Create a variable that no model tracks, and that is the same on all replicas."""
    return tf.Variable(
        value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
