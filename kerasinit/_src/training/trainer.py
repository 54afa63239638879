"""One training of a masked classifier, with the early stop determined on the way.

Pruned weights receive no gradient, as in a network whose weights are multiplied by their mask,
so they leave no trace in momentum or in the norm by which gradients are clipped. They are also
multiplied by the mask after the step where an optimizer may move a weight without a gradient
(averaging, moments from before the mask).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.prunable import prunable_weights
from kerasinit._src.training.checkpoint import Checkpoint
from kerasinit._src.training.data import Dataset, Order
from kerasinit._src.training.held_masks import HeldMasks
from kerasinit._src.training.loop import EVALUATION_BATCH, Loop
from kerasinit._src.training.models import fit_shape
from kerasinit._src.training.moments import weight_copies, weights_of_moments
from kerasinit._src.training.outcome import DivergedError, Outcome, Point, Progress, State
from kerasinit._src.training.xla import take_steps

# Iterations per call: enough that the call's overhead is negligible, few enough that a
# checkpoint can be written every few seconds.
_STEPS_AT_ONCE = 1000


class Trainer(Loop):
    """A compiled classifier and its data, ready to be trained repeatedly.

    ``validation`` has the positions of the validation examples among ``data.x_train``; ``seed`` and
    ``xla`` are those of `Loop`.
    """

    def __init__(
        self,
        model: Any,
        data: Dataset,
        validation: np.ndarray,
        *,
        seed: int = 0,
        xla: bool | None = None,
    ) -> None:
        super().__init__(
            model,
            fit_shape(model, data.x_train, "The build function"),
            data.y_train,
            max_steps=_STEPS_AT_ONCE,
            seed=seed,
            xla=xla,
        )
        self._validation = tf.gather(self._x, validation), tf.gather(self._y, validation)
        self._test = (
            tf.constant(fit_shape(model, data.x_test, "The build function")),
            tf.constant(data.y_test),
        )
        self._prunable = {weight.name: weight.variable for weight in prunable_weights(model)}
        if not self._prunable:
            raise ValueError("The model has no weights that can be pruned (no kernels).")
        self._owning = weights_of_moments(model, self._optimizer_variables)
        names = {id(variable): name for name, variable in self._variables.items()}
        self._copies = {
            name: (names[id(weight)], first)
            for name, (weight, first) in weight_copies(
                self._optimizer_variables, self._owning
            ).items()
            if id(weight) in names
        }
        self._held = HeldMasks(model, self._prunable, self._optimizer_variables, self._owning)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the prunable weights, by name, in the model's order."""
        return {name: tuple(variable.shape) for name, variable in self._prunable.items()}

    def mask_state(self, state: Mapping[str, np.ndarray], masks: Masks) -> State:
        """Return a state in which pruned weights and their moments are zero.

        An ambiguous moment is kept, and decays without gradients. A moment that started as a copy
        of its weight, and has not moved yet, becomes a copy of the state's weight.
        """
        masked = dict(state)
        for name, (weight, first) in self._copies.items():
            if np.array_equal(state[name], first):
                masked[name] = state[weight]
        for name, mask in masks.items():
            masked[name] = np.where(mask, state[name], np.zeros((), state[name].dtype))
        for name, owner in self.owners.items():
            masked[name] = np.where(masks[owner], masked[name], np.zeros((), state[name].dtype))
        return masked

    @property
    def owners(self) -> dict[str, str]:
        """The prunable weight of each of the optimizer's moments; ambiguous ones are left out."""
        prunable = {id(variable): name for name, variable in self._prunable.items()}
        return {n: prunable[id(w)] for n, w in self._owning.items() if id(w) in prunable}

    def train(
        self,
        masks: Masks,
        order: Order,
        *,
        iterations: int,
        start: int = 0,
        evaluate_every: int = 100,
        keep: int | None = None,
        watch: Callable[[Point], None] | None = None,
        checkpoint: Checkpoint | None = None,
        resumed: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Train from the current values to the end, holding the masks.

        Args:
            masks: Which weights are kept.
            order: The order of the examples.
            iterations: The iteration to stop after, counted from the first weights.
            start: The iteration that the current values come from.
            evaluate_every: Iterations between two evaluations on the validation examples.
            keep: An iteration whose state is returned as `Outcome.kept`.
            watch: Called with every measurement.
            checkpoint: Saves the training while it runs and resumes it with the same bits. A model
                that is not `repeatable` starts over instead.
            resumed: Called with the iteration from which a checkpoint resumes.

        Raises:
            DivergedError: If the loss is not a finite number.
            ValueError: If the masks do not fit the model, or there is nothing to train.
        """
        masks.require_fit(self.shapes, "the model")
        self._held.set(masks)
        if not self.repeatable:
            checkpoint = None
        progress = checkpoint.read(self.state()) if checkpoint else None
        if progress:
            self.restore(progress.state)
            if resumed:
                resumed(progress.at)
        else:
            progress = Progress(start, kept=self.state() if keep == start else None)
        self._held.hold()
        # Where XLA fuses the optimizer into one pass, masks cost nothing.
        holding = self.uses_xla or not self._held.zeros_persist()
        self._make_loop = self._held_steps if holding else self._loop_function
        self._max_steps = min(evaluate_every, _STEPS_AT_ONCE)
        steps = range(start + 1, iterations)
        evaluations = {i for i in steps if i % evaluate_every == 0} | {iterations}
        stops = evaluations | {i for i in steps if i % self._max_steps == 0}
        if keep is not None and keep > start:
            stops.add(keep)
        for stop in sorted(stop for stop in stops if stop > progress.at):
            self._advance_to(stop, progress, order)
            if not holding:
                self._held.require_zeros()
            if stop == keep:
                progress.kept = self.state()
            if stop in evaluations:
                self._evaluate(progress, start)
            if checkpoint and checkpoint.due and stop < iterations:
                best = progress.best_state
                arrays = best and {name: np.array(value) for name, value in best.items()}
                checkpoint.write(replace(progress, state=self.state(), best_state=arrays))
            # Last, so that the caller may stop the process here.
            if watch and stop in evaluations:
                watch(progress.curve[-1])
        if progress.best is None:
            raise ValueError(f"There is nothing to train from iteration {start} to {iterations}.")
        return self._outcome(progress, progress.curve[progress.best])

    def _advance_to(self, stop: int, progress: Progress, order: Order) -> None:
        """Take the iterations up to ``stop``."""
        began = time.perf_counter()
        progress.total += self.advance(order.batches(progress.at, stop))
        progress.seconds += time.perf_counter() - began
        if not math.isfinite(progress.total):
            raise DivergedError(
                f"The training loss is {progress.total} between iterations {progress.at} and "
                f"{stop}. A smaller learning rate or another initializer usually fixes this."
            )
        progress.at = stop

    def _evaluate(self, progress: Progress, start: int) -> None:
        """Evaluate the current values, and keep them if they are the best so far."""
        since = progress.curve[-1].iteration if progress.curve else start
        loss = progress.total / (progress.at - since)
        point = Point(progress.at, loss, *self.measure(*self._validation))
        if not math.isfinite(point.validation_loss):
            raise DivergedError(
                f"The validation loss is {point.validation_loss} at iteration {point.iteration}."
            )
        progress.total = 0.0
        best = None if progress.best is None else progress.curve[progress.best]
        if best is None or point.validation_loss < best.validation_loss:
            progress.best, progress.best_state = len(progress.curve), self.state_on_device()
        progress.curve = (*progress.curve, point)

    def _outcome(self, progress: Progress, best: Point) -> Outcome:
        final = self.state_on_device()
        _, final_accuracy = self.measure(*self._test)
        self.restore(progress.best_state or {})
        _, best_accuracy = self.measure(*self._test)
        self.restore(final)
        return Outcome(
            curve=progress.curve,
            best_iteration=best.iteration,
            best_validation_loss=best.validation_loss,
            test_accuracy=best_accuracy,
            final_test_accuracy=final_accuracy,
            final=self.state(),
            kept=progress.kept,
            seconds=progress.seconds,
        )

    def measure(self, x: tf.Tensor, y: tf.Tensor) -> tuple[float, float]:
        """Return the mean loss and the accuracy of the current values on examples."""
        signature = tuple(tf.TensorSpec(part.shape, part.dtype) for part in (x, y))
        loss, correct = self._compiler.compiled(self._make_evaluation, signature)(x, y)
        return float(loss), int(correct) / len(x)

    def _gradients_to_apply(self, gradients: list[Any], variables: Sequence[Any]) -> list[Any]:
        return self._held.mask(gradients, variables)

    def _held_step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        loss = self._step(x, y)
        self._held.hold()
        return loss

    def _held_steps(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        """Return the loop that applies the masks after every step, whatever the optimizer does."""
        return take_steps(self._held_step, self._x, self._y, signature, jit=jit)

    def _make_evaluation(self, signature: Any, *, jit: bool) -> Callable[..., Any]:
        """Return the function that computes the mean loss and the number of correct answers."""
        function = tf.function(self._evaluation, autograph=False, jit_compile=jit)
        return function.get_concrete_function(*signature)

    def _evaluation(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = compat.known_shape(x)[0]
        at_once = min(size, EVALUATION_BATCH)

        def evaluate(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = self.model(x, training=False)
            loss = compat.loss_of(self.model, x, y, outputs, training=False)
            truth = y if y.shape.rank == 1 else tf.argmax(y, axis=-1, output_type=tf.int32)
            hits = tf.argmax(outputs, axis=-1, output_type=tf.int32) == truth
            return tf.cast(loss, tf.float32) * x.shape[0], tf.reduce_sum(tf.cast(hits, tf.int32))

        def rows(part: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
            begin = [i * at_once] + [0] * (part.shape.rank - 1)
            return tf.slice(part, begin, [at_once, *part.shape[1:]])

        def one(i: tf.Tensor, loss: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, ...]:
            more_loss, more_correct = evaluate(rows(x, i), rows(y, i))
            return i + 1, loss + more_loss, correct + more_correct

        whole = size // at_once
        _, loss, correct = tf.while_loop(lambda i, *_: i < whole, one, (0, 0.0, 0))
        if size % at_once:
            more_loss, more_correct = evaluate(x[whole * at_once :], y[whole * at_once :])
            loss, correct = loss + more_loss, correct + more_correct
        return loss / size, correct
