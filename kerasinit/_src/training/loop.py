"""One training of a masked model, as a compiled loop.

A Keras model of either kind is taken through many iterations by one TensorFlow
function: it gathers the batches from data in memory, takes the model's compiled
loss and optimizer through a step, and holds the masks. XLA compiles the whole loop
where that pays (see `training.xla.xla_pays`), which is several times
faster than a call per step.

Pruned weights get no gradient, as in a network whose weights are multiplied by
their mask: so they also leave no trace in momentum or in the norm that gradients
are clipped by. They are multiplied by the mask after the step as well, where an optimizer
may move a weight without a gradient (averaging, moments from before the mask).
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.prunable import named_variables, prunable_weights
from kerasinit._src.training.checkpoint import Checkpoint
from kerasinit._src.training.data import Dataset, Order
from kerasinit._src.training.held_masks import HeldMasks
from kerasinit._src.training.models import fit_shape
from kerasinit._src.training.moments import first_copies, weights_of_moments
from kerasinit._src.training.outcome import Course, DivergedError, Point, State, Trained
from kerasinit._src.training.xla import Compiler, draws_hidden_numbers, take_steps, xla_pays

# Rows that are evaluated at once: enough to keep two cores busy, few enough for
# the activations of a convolutional network to stay in memory.
_EVALUATED_AT_ONCE = 1000
# Iterations that one call takes: enough that a call costs nothing beside them, few enough
# that a checkpoint can be written every few seconds.
_STEPS_AT_ONCE = 1000


class Trainer:
    """A compiled model and its data, ready to be trained again and again.

    Args:
        model: A built and compiled model of either Keras, that fits the data.
        data: The examples.
        validation: Positions of the validation examples among ``data.x_train``.
        seed: The origin of what random layers of tf_keras draw; those of Keras 3 have
            their own.
        xla: Whether XLA compiles the loop; None for where it is faster. Without it, the two
            Kerases train to the same bits.

    Example:
    >>> import keras
    >>> x = np.eye(12, 4, dtype="float32")
    >>> data = Dataset(x, np.arange(12) % 2, x, np.arange(12) % 2)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> trainer = Trainer(model, data, validation=np.arange(10, 12))
    >>> trained = trainer.train(Masks.dense(trainer.shapes),
    ...                         Order(np.arange(10), 5, seed=0, trial=0), iterations=4)
    >>> trained.best_iteration
    4
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
        self.model = model
        inputs = fit_shape(model, data.x_train, "The build function")
        self._x, self._y = tf.constant(inputs), tf.constant(data.y_train)
        self._validation = tf.gather(self._x, validation), tf.gather(self._y, validation)
        self._test = (
            tf.constant(fit_shape(model, data.x_test, "The build function")),
            tf.constant(data.y_test),
        )
        self._variables = {
            **named_variables(model),
            **{
                f"optimizer/{number:03d}": variable
                for number, variable in enumerate(optimizers.optimizer_variables(model))
            },
        }
        self._prunable = {weight.name: weight.variable for weight in prunable_weights(model)}
        if not self._prunable:
            raise ValueError("The model has no weights that can be pruned (no kernels).")
        moments = {n: v for n, v in self._variables.items() if n.startswith("optimizer/")}
        self._owning = weights_of_moments(model, moments)
        names = {id(variable): name for name, variable in self._variables.items()}
        self._copies = {
            name: (names[id(weight)], first)
            for name, (weight, first) in first_copies(moments, self._owning).items()
            if id(weight) in names
        }
        self._held = HeldMasks(model, self._prunable, moments, self._owning)
        forward = tf.function(lambda x: model(x, training=True), autograph=False)
        traced = forward.get_concrete_function(self._x[:2])
        self.repeatable = not draws_hidden_numbers(traced)
        """Whether `restore` puts back all that a training depends on.

        False where a layer draws from a generator that TensorFlow hides in the graph,
        as the random layers of tf_keras do; XLA would draw other numbers every time.
        """
        # Keras compiles for a processor without XLA unless told otherwise, so what the
        # model was compiled with does not say what its author wants.
        self.xla = xla_pays(traced) if xla is None else xla
        """Whether XLA was chosen, by the caller or by what is faster."""
        self._compiler = Compiler(seed, xla=self.xla and self.repeatable)
        self._holding = True

    @property
    def by_xla(self) -> bool:
        """Whether XLA compiles the loop, as far as is known: it refuses when it first tries."""
        return self._compiler.xla

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights that can be pruned, by name, in the model's order."""
        return {name: tuple(variable.shape) for name, variable in self._prunable.items()}

    def state(self) -> State:
        """Return a copy of every variable of the model and its optimizer."""
        return {name: compat.read(variable) for name, variable in self._variables.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Give variables back the values of an earlier `state`, or of a part of one."""
        for name, value in state.items():
            compat.assign(self._variables[name], value)

    def mask_state(self, state: Mapping[str, np.ndarray], masks: Masks) -> State:
        """Return a state in which what is pruned is zero, in the optimizer's moments too.

        A moment that cannot be told apart is kept, and dies out without gradients. One that
        begins as a copy of its weight, and has not been moved yet, is a copy of the weight that
        the state has.
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
        """The prunable weights that the optimizer's moments belong to, by the moments' names.

        A moment that cannot be told apart from others has no owner, and is not here.
        """
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
    ) -> Trained:
        """Train from the present values, holding the masks, to the end.

        Args:
            masks: Which weights live.
            order: The order of the examples.
            iterations: The iteration to stop after, counted from the first weights.
            start: The iteration that the present values come from.
            evaluate_every: Iterations between two looks at the validation examples.
            keep: An iteration whose state is to be returned as `Trained.kept`.
            watch: Called with every measurement.
            checkpoint: Where the training is kept while it runs, and where it goes on from
                if something is there; it then ends in the same bits. A model that is not
                `repeatable` cannot go on in the middle and begins again.
            resumed: Called with the iteration that it goes on from.

        Raises:
            DivergedError: When the loss is not a finite number.
            ValueError: If the masks do not fit the model, or there is nothing to train.
        """
        masks.require_fit(self.shapes, "the model")
        self._held.set(masks)
        if not self.repeatable:
            checkpoint = None
        course = checkpoint.read(self.state()) if checkpoint else None
        if course:
            self.restore(course.state)
            if resumed:
                resumed(course.at)
        self._held.hold()
        # Where XLA makes one pass of all that an optimizer does, masks cost nothing.
        self._holding = self.by_xla or not self._held.hold_by_themselves()
        most = min(evaluate_every, _STEPS_AT_ONCE)
        looks = {i for i in range(start + 1, iterations) if i % evaluate_every == 0} | {iterations}
        stops = looks | {i for i in range(start + 1, iterations) if i % most == 0}
        if keep is not None and keep > start:
            stops.add(keep)
        if course is None:
            at, total, seconds = start, 0.0, 0.0
            curve: list[Point] = []
            best: tuple[Point, Mapping[str, Any]] | None = None
            kept = self.state() if keep == start else None
        else:
            at, total, seconds = course.at, course.total, course.seconds
            curve = list(course.curve)
            best = None
            if course.best is not None and course.best_state is not None:
                best = curve[course.best], course.best_state
            kept = course.kept
        for stop in sorted(stop for stop in stops if stop > at):
            began = time.perf_counter()
            total += self._advance(order, at, stop, most)
            seconds += time.perf_counter() - began
            if not math.isfinite(total):
                raise DivergedError(
                    f"The training loss is {total} between iterations {at} and {stop}. A smaller "
                    f"learning rate or another initializer usually mends this."
                )
            if not self._holding:
                self._held.require_zeros()
            at = stop
            if stop == keep:
                kept = self.state()
            if stop in looks:
                since = curve[-1].iteration if curve else start
                point = Point(stop, total / (stop - since), *self._measure(*self._validation))
                if not math.isfinite(point.validation_loss):
                    raise DivergedError(
                        f"The validation loss is {point.validation_loss} at iteration {stop}."
                    )
                total = 0.0
                curve.append(point)
                if best is None or point.validation_loss < best[0].validation_loss:
                    best = point, self._copy()
            if checkpoint and checkpoint.due and stop < iterations:
                checkpoint.write(
                    Course(
                        at,
                        self.state(),
                        tuple(curve),
                        curve.index(best[0]) if best else None,
                        {name: np.array(value) for name, value in best[1].items()}
                        if best
                        else None,
                        kept,
                        total,
                        seconds,
                    )
                )
            # Last, so that whoever listens may stop the process here.
            if watch and stop in looks:
                watch(point)
        if best is None:
            raise ValueError(f"There is nothing to train from iteration {at} to {iterations}.")
        final = self._copy()
        _, final_accuracy = self._measure(*self._test)
        self._put(best[1])
        _, best_accuracy = self._measure(*self._test)
        self._put(final)
        return Trained(
            curve=tuple(curve),
            best_iteration=best[0].iteration,
            best_validation_loss=best[0].validation_loss,
            test_accuracy=best_accuracy,
            final_test_accuracy=final_accuracy,
            final=self.state(),
            kept=kept,
            seconds=seconds,
        )

    def _advance(self, order: Order, start: int, stop: int, most: int) -> float:
        """Take the iterations from ``start`` to ``stop``, at most ``most``; sum their losses."""
        batches = order.batches(start, stop)
        # Padded to one size: XLA compiles once for each shape.
        padded = np.zeros((most, batches.shape[1]), np.int32)
        padded[: stop - start] = batches
        signature = tf.TensorSpec(padded.shape, tf.int32), tf.TensorSpec((), tf.int32)
        loop = self._held_loop if self._holding else self._loop
        steps = self._compiler.compiled(loop, signature)
        return float(steps(tf.constant(padded), tf.constant(stop - start)))

    def measure(self, x: tf.Tensor, y: tf.Tensor) -> tuple[float, float]:
        """Return the mean loss and the accuracy of the present values on some examples.

        Args:
            x: Inputs in the shape that the model takes.
            y: Their labels.
        """
        return self._measure(x, y)

    def _measure(self, x: tf.Tensor, y: tf.Tensor) -> tuple[float, float]:
        """Return the mean loss and the accuracy on some examples."""
        signature = tuple(tf.TensorSpec(part.shape, part.dtype) for part in (x, y))
        loss, correct = self._compiler.compiled(self._look, signature)(x, y)
        return float(loss), int(correct) / len(x)

    def _copy(self) -> dict[str, tf.Tensor]:
        return {name: tf.identity(compat.tensor(v)) for name, v in self._variables.items()}

    def _put(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            compat.assign(self._variables[name], value)

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        model = self.model
        trainable = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = compat.loss_of(model, x, y, outputs, training=True)
            scaled = optimizers.scaled_loss(model, loss)
        gradients = tape.gradient(scaled, [compat.tensor(variable) for variable in trainable])
        optimizers.apply_gradients(model, self._held.mask(gradients, trainable))
        return tf.cast(loss, tf.float32)

    def _held_step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        loss = self._step(x, y)
        self._held.hold()
        return loss

    def _loop(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        """Return the function that takes some steps and sums their losses."""
        return take_steps(self._step, self._x, self._y, signature, jit=jit)

    def _held_loop(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        """Return the same, with masks that hold after every step, whatever the optimizer does."""
        return take_steps(self._held_step, self._x, self._y, signature, jit=jit)

    def _look(self, signature: Any, *, jit: bool) -> Callable[..., Any]:
        """Return the function that gives mean loss and number of right answers."""
        function = tf.function(self._evaluation, autograph=False, jit_compile=jit)
        return function.get_concrete_function(*signature)

    def _evaluation(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = compat.known_shape(x)[0]
        at_once = min(size, _EVALUATED_AT_ONCE)

        def some(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = self.model(x, training=False)
            loss = compat.loss_of(self.model, x, y, outputs, training=False)
            truth = y if y.shape.rank == 1 else tf.argmax(y, axis=-1, output_type=tf.int32)
            right = tf.argmax(outputs, axis=-1, output_type=tf.int32) == truth
            return tf.cast(loss, tf.float32) * x.shape[0], tf.reduce_sum(tf.cast(right, tf.int32))

        def rows(part: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
            begin = [i * at_once] + [0] * (part.shape.rank - 1)
            return tf.slice(part, begin, [at_once, *part.shape[1:]])

        def one(i: tf.Tensor, loss: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, ...]:
            more_loss, more_correct = some(rows(x, i), rows(y, i))
            return i + 1, loss + more_loss, correct + more_correct

        whole = size // at_once
        _, loss, correct = tf.while_loop(lambda i, *_: i < whole, one, (0, 0.0, 0))
        if size % at_once:
            more_loss, more_correct = some(x[whole * at_once :], y[whole * at_once :])
            loss, correct = loss + more_loss, correct + more_correct
        return loss / size, correct
