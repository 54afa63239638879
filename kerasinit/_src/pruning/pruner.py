"""The pruning of Keras 3 models: masks beside the model, no wrapper layers.

A pruned model is the same object with the same layers and variables. Its training step
starts with three more operations, in the same graph, so that they also run inside
``steps_per_execution`` and XLA::

    step <- step + 1
    if the schedule fires at this step:  mask <- pattern(weights as they are now)
    weights <- weights * mask

Evaluation, prediction and saving see the weights with the last of them applied, for the
optimizer's last update has moved removed weights as well; afterwards that is put back.

The step number, the masks and the thresholds are TensorFlow variables that the model
does not know of: they are in no ``model.weights``, no summary and no saved file.

What one training knows from step to step is in :mod:`pruning.session`, and how a
model is made to call all this in :mod:`pruning.pruned_models`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.network.prunable import PrunableWeight
from kerasinit._src.pruning import schedules
from kerasinit._src.pruning.patterns import Pattern


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


class Counter:
    """Counts training steps, in the graph of a step or from outside of it.

    The graph has to count wherever a schedule looks at the number in the same call, or a
    call takes several steps. Where neither is so, it is cheaper to count calls in Python, and to
    write their number before a graph reads it: the smallest operation of a graph costs a
    hundredth of the step of a small network, and to read a variable from Python more.

    Args:
        start: Steps that lie behind.
    """

    def __init__(self, start: int) -> None:
        self._step = _beside(tf.constant(start, tf.int64))
        # Training steps since the weights were last updated, with gradient accumulation.
        self._waiting = _beside(tf.constant(0, tf.int64))
        # What was read, and the steps that Python alone has counted since.
        self._read, self._unwritten = (start, 0), 0

    @property
    def step(self) -> tf.Variable:
        """The number of steps; with gradient accumulation, of updates of the weights."""
        # Within a graph, whoever runs it has written the number before.
        if not tf.inside_function():
            self.write()
        return self._step

    @property
    def position(self) -> tuple[int, int]:
        """The number of steps, and of calls that wait for the next update of the weights."""
        if not self._unwritten:
            self._read = int(self._step.numpy()), int(self._waiting.numpy())
        step, waiting = self._read
        return step + self._unwritten, waiting

    def go_to(self, step: int, waiting: int) -> None:
        """Go on from an earlier `position`."""
        self.step.assign(step)
        self._waiting.assign(waiting)

    def count(self, every: int) -> Any:
        """Count one call, of which ``every`` make a step; return whether a step begins."""
        moves: Any = True
        if every > 1:
            moves = tf.equal(self._waiting, 0)
            self._waiting.assign(tf.math.floormod(self._waiting + 1, every))
        self.step.assign_add(tf.cast(moves, tf.int64))
        return moves

    def write(self) -> None:
        """Write the steps that were counted outside; before a graph that reads them runs."""
        if self._unwritten:
            step, waiting = self._read
            self._read = step + self._unwritten, waiting
            self._step.assign_add(self._unwritten)
            self._unwritten = 0

    def count_outside(self) -> None:
        """Count one step that a graph took without counting it.

        No other graph may have counted since `position` was asked for last.
        """
        self._unwritten += 1


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
        variables: The Keras variables of the weights, in the same order.
        fresh: Whether no training is known of, here or before.
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
        # Until a training shows otherwise, none has been before.
        self.fresh = not given
        self.counter = Counter(max(given, default=0))
        self.masks, self.thresholds = {}, {}
        for name, weight in self.weights.items():
            owner, other = _owner(weight, shared or [])
            self.masks[name] = owner.masks[other] if owner else _beside(_like(weight, tf.ones))
            self.thresholds[name] = (
                owner.thresholds[other] if owner else _beside(tf.zeros([], weight.dtype))
            )
        # On replicas a variable has a copy for each, and they are written together.
        self.replicated = any(
            isinstance(weight, tf.distribute.DistributedValues) for weight in self.weights.values()
        )

    @property
    def sparsities(self) -> dict[str, float]:
        """Name of each pruned weight to the fraction that its mask removes."""
        return {
            name: 1 - float(tf.reduce_mean(tf.cast(mask.read_value(), tf.float32)))
            for name, mask in self.masks.items()
        }

    def by_rule(self) -> dict[Rule, list[str]]:
        """Return the rules, each with the names of its weights."""
        names: dict[Rule, list[str]] = {}
        for name, rule in self.rules.items():
            names.setdefault(rule, []).append(name)
        return names

    def take_zeros(self) -> None:
        """Take weights that are exactly zero for removed, save in weights all zero."""
        for name, weight in self.weights.items():
            alive = self.rules[name].pattern.alive(tf.convert_to_tensor(weight))
            alive = tf.logical_or(alive, tf.logical_not(tf.reduce_any(alive)))
            self.masks[name].assign(tf.cast(alive, weight.dtype))

    def keep_masks_of(self, earlier: "Pruner") -> None:
        """Go on from the masks of an earlier pruning of the same model."""
        for name, weight in self.weights.items():
            owner, other = _owner(weight, [earlier])
            if owner is not None and self.masks[name] is not owner.masks[other]:
                self.masks[name].assign(owner.masks[other].read_value())

    def keep_only(self, weights: list[PrunableWeight]) -> dict[str, Any]:
        """Go on with some of the weights, under the names that they have now.

        Returns:
            The variables of the others, which have no masks any more, by their names.
        """
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
        self, every: int = 1, counting: bool | None = None, foreseen: bool = False
    ) -> None:
        """Count one training step, update the masks if it is time, and apply them.

        Args:
            every: Calls that make one step, as in gradient accumulation.
            counting: How thresholds are found, see
                :func:`~kerasinit.pruning.selection.kth_largest`.
            foreseen: Whether what the schedules ask for in this training was looked through
                before it began.
        """
        self.fresh = False
        self._everywhere(lambda: self._begin_step(every, counting, foreseen))

    def apply_masks(self) -> None:
        """Set the removed weights to zero."""
        self._everywhere(self._apply_masks)

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Set the removed weights to zero, and put back afterwards what they were.

        Weights that somebody writes meanwhile stay as they were written.
        """
        before = {name: weight.read_value() for name, weight in self.weights.items()}
        self.apply_masks()
        masked = {name: weight.read_value() for name, weight in self.weights.items()}
        try:
            yield
        finally:
            self._everywhere(lambda: self._put_back(before, masked))

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

    def _begin_step(self, every: int, counting: bool | None, foreseen: bool) -> None:
        moves = self.counter.count(every)
        step = tf.identity(self.counter.step)
        for rule, names in self.by_rule().items():
            checks: list[tf.Operation] = []
            if rule.pattern.once:
                fires = tf.equal(step, 1)
            else:
                fires, sparsity = rule.schedule(step)
                if not foreseen:
                    checks = schedules.check_update(rule.schedule, step, fires, sparsity)
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

    def _put_back(self, before: dict[str, Any], masked: dict[str, Any]) -> None:
        def put_back(weight: Any, value: Any, zeroed: Any) -> None:
            if tf.reduce_all(tf.equal(weight, zeroed)):
                weight.assign(value)

        for name, weight in self.weights.items():
            self._on_each_copy(weight, put_back, (before[name], masked[name]))

    def _on_each_copy(self, variable: Any, change: Callable[..., Any], others: tuple) -> Any:
        if not self.replicated:
            return change(variable, *others)
        return self._strategy.extended.update(variable, change, args=others)

    def _everywhere(self, change: Callable[[], Any]) -> None:
        """Make a change once for all replicas, wherever the call comes from.

        Replicas may not write a variable on their own, nor meet inside of a condition.
        So they meet first, and the condition and the writing are for all of them.
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
            f"{name!r} is of dtype {tf.as_dtype(dtype).name}, as in a layer that was quantized, "
            "and cannot be pruned. Prune the model before it is quantized, and call strip_pruning "
            "in between: zeros stay zeros."
        )


def _owner(weight: Any, pruners: list[Pruner]) -> tuple[Pruner | None, str]:
    for pruner in pruners:
        for name, other in pruner.weights.items():
            if other is weight:
                return pruner, name
    return None, ""


def _like(weight: Any, make: Callable[..., tf.Tensor]) -> tf.Tensor:
    return make(weight.shape, weight.dtype)


def _beside(value: tf.Tensor) -> tf.Variable:
    """Make a variable that stands beside a model; replicas of it agree."""
    return tf.Variable(
        value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
