"""One training of a masked model, as a compiled loop.

A Keras model of either kind is taken through many iterations by one TensorFlow
function: it gathers the batches from data in memory, takes the model's compiled
loss and optimizer through a step, and holds the masks. XLA compiles the whole loop
where it can, which is several times faster than a call per step.

Pruned weights get no gradient, as in a network whose weights are multiplied by
their mask: so they also leave no trace in momentum or in the norm that gradients
are clipped by. They are multiplied by the mask after the step as well, since an
optimizer may move a weight without a gradient (weight decay, averaging).
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit import kerases, streams
from kerasinit.lottery.compilation import by_xla, draws_hidden_numbers
from kerasinit.lottery.data import Dataset, Order
from kerasinit.lottery.models import fit_shape
from kerasinit.masks import Masks
from kerasinit.pruning.registry import named_variables, prunable_weights

# Rows that are evaluated at once: enough to keep two cores busy, few enough for
# the activations of a convolutional network to stay in memory.
_EVALUATED_AT_ONCE = 1000

State = dict[str, np.ndarray]


class DivergedError(ArithmeticError):
    """The loss of a training is no longer a finite number."""


@dataclass(frozen=True)
class Point:
    """What was measured after an iteration."""

    iteration: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """How a training went, and the weights it ended with.

    Attributes:
        curve: The measurements, in order of iterations.
        best_iteration: Where the validation loss was least (the first such): the
            "early stop" of the lottery papers, found afterwards.
        best_validation_loss: The validation loss there.
        test_accuracy: The accuracy on the test examples there.
        final_test_accuracy: The accuracy on the test examples at the end.
        final: Every variable at the end.
        kept: Every variable, and the optimizer's, at the iteration that was asked for.
        seconds: The time that its steps took; a trainer's first training compiles them too.
    """

    curve: tuple[Point, ...]
    best_iteration: int
    best_validation_loss: float
    test_accuracy: float
    final_test_accuracy: float
    final: State
    kept: State | None
    seconds: float


class Trainer:
    """A compiled model and its data, ready to be trained again and again.

    Args:
        model: A built and compiled model of either Keras, that fits the data.
        data: The examples.
        validation: Positions of the validation examples among ``data.x_train``.
        seed: The origin of what random layers of tf_keras draw; those of Keras 3 have
            their own.
        xla: Whether XLA compiles the loop. It is several times faster; without it, the
            two Kerases train to the same bits.

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
        xla: bool = True,
    ) -> None:
        self.model = model
        self._seed = seed
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
                for number, variable in enumerate(kerases.optimizer_variables(model))
            },
        }
        self._prunable = {weight.name: weight.variable for weight in prunable_weights(model)}
        if not self._prunable:
            raise ValueError("The model has no weights that can be pruned (no kernels).")
        self._masks = {
            id(variable): tf.Variable(
                tf.ones(variable.shape, kerases.tensor(variable).dtype),
                trainable=False,
                name="mask",
            )
            for variable in self._prunable.values()
        }
        self._functions: dict[tuple[tf.TensorSpec, ...], Callable[..., Any]] = {}
        forward = tf.function(lambda x: model(x, training=True), autograph=False)
        self.repeatable = not draws_hidden_numbers(forward.get_concrete_function(self._x[:2]))
        """Whether `restore` puts back all that a training depends on.

        False where a layer draws from a generator that TensorFlow hides in the graph,
        as the random layers of tf_keras do; XLA would draw other numbers every time.
        """
        # Keras compiles for a processor without XLA unless told otherwise, so what the
        # model was compiled with does not say what its author wants.
        self._xla = xla and self.repeatable

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights that can be pruned, by name, in the model's order."""
        return {name: tuple(variable.shape) for name, variable in self._prunable.items()}

    def state(self) -> State:
        """Return a copy of every variable of the model and its optimizer."""
        return {name: kerases.read(variable) for name, variable in self._variables.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Give variables back the values of an earlier `state`, or of a part of one."""
        for name, value in state.items():
            kerases.assign(self._variables[name], value)

    def mask_state(self, state: Mapping[str, np.ndarray], masks: Masks) -> State:
        """Return a state in which what is pruned is zero, in the optimizer's moments too.

        A moment belongs to the weight of its shape whose name it carries; one that
        cannot be told apart is kept, and dies out without gradients.
        """
        masked = dict(state)
        for name, mask in masks.items():
            masked[name] = np.where(mask, state[name], np.zeros((), state[name].dtype))
        for name, variable in self._variables.items():
            owner = name.startswith("optimizer/") and self._owner(variable)
            if owner:
                mask = masks[owner]
                masked[name] = np.where(mask, state[name], np.zeros((), state[name].dtype))
        return masked

    def _owner(self, moment: Any) -> str | None:
        """Return the prunable weight that an optimizer's variable belongs to, if it is one."""
        prunable = {id(variable): name for name, variable in self._prunable.items()}
        path = kerases.variable_path(moment).replace("/", "_")
        matches: dict[int, list[str | None]] = {}
        for variable in self.model.trainable_variables:
            weight = kerases.variable_path(variable).replace("/", "_")
            if weight in path and tuple(moment.shape) == tuple(variable.shape):
                matches.setdefault(len(weight), []).append(prunable.get(id(variable)))
        # The longest name: "dense/kernel" is found within "my_dense/kernel" as well.
        owners = matches[max(matches)] if matches else []
        return owners[0] if len(owners) == 1 else None

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

        Raises:
            DivergedError: When the loss is not a finite number.
        """
        masks.require_fit(self.shapes, "the model")
        for name, variable in self._prunable.items():
            self._masks[id(variable)].assign(masks[name])
        self._hold()
        looks = {i for i in range(start + 1, iterations) if i % evaluate_every == 0} | {iterations}
        stops = sorted(looks | ({keep} if keep is not None and keep > start else set()))
        kept = self.state() if keep == start else None
        curve: list[Point] = []
        best: tuple[Point, dict[str, tf.Tensor]] | None = None
        seconds, at = 0.0, start
        for stop in stops:
            began = time.perf_counter()
            loss = self._advance(order, at, stop, evaluate_every)
            seconds += time.perf_counter() - began
            if not math.isfinite(loss):
                raise DivergedError(
                    f"The training loss is {loss} between iterations {at} and {stop}. A smaller "
                    f"learning rate or another initializer usually mends this."
                )
            at = stop
            if stop == keep:
                kept = self.state()
            if stop not in looks:
                continue
            point = Point(stop, loss, *self._measure(*self._validation))
            if not math.isfinite(point.validation_loss):
                raise DivergedError(
                    f"The validation loss is {point.validation_loss} at iteration {stop}."
                )
            curve.append(point)
            if best is None or point.validation_loss < best[0].validation_loss:
                best = point, self._copy()
            if watch:
                watch(point)
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
        """Take the iterations from ``start`` to ``stop``; return their mean loss."""
        total = 0.0
        # Chunks of one size: XLA compiles once for each shape.
        for first in range(start, stop, most):
            last = min(first + most, stop)
            batches = order.batches(first, last)
            padded = np.zeros((most, batches.shape[1]), np.int32)
            padded[: last - first] = batches
            steps = self._compiled(self._loop, self._loop_signature(*padded.shape))
            total += float(steps(tf.constant(padded), tf.constant(last - first)))
        return total / (stop - start)

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
        loss, correct = self._compiled(self._look, signature)(x, y)
        return float(loss), int(correct) / x.shape[0]

    def _copy(self) -> dict[str, tf.Tensor]:
        return {name: tf.identity(kerases.tensor(v)) for name, v in self._variables.items()}

    def _put(self, values: dict[str, tf.Tensor]) -> None:
        for name, value in values.items():
            kerases.assign(self._variables[name], value)

    def _hold(self) -> None:
        for variable in self._prunable.values():
            variable.assign(kerases.tensor(variable) * self._masks[id(variable)])

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        model = self.model
        trainable = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = kerases.loss_of(model, x, y, outputs, training=True)
            scaled = kerases.scaled_loss(model, loss)
        gradients = tape.gradient(scaled, [kerases.tensor(variable) for variable in trainable])
        masked = []
        for variable, gradient in zip(trainable, gradients, strict=True):
            mask = self._masks.get(id(variable))
            if mask is not None and gradient is not None:
                gradient = tf.convert_to_tensor(gradient) * tf.cast(mask, gradient.dtype)
            masked.append(gradient)
        kerases.apply_gradients(model, masked)
        self._hold()
        return tf.cast(loss, tf.float32)

    def _compiled(
        self, make: Callable[..., Any], signature: tuple[tf.TensorSpec, ...]
    ) -> Callable[..., Any]:
        """Return a function for tensors of these shapes, compiled at its first use."""
        if signature not in self._functions:
            # A random layer of tf_keras gets its seed when it is traced.
            with streams.global_stream(self._seed, "layers"):
                self._functions[signature] = (
                    by_xla(make, signature, refused=self._leave_xla)
                    if self._xla
                    else make(jit=False).get_concrete_function(*signature)
                )
        return self._functions[signature]

    def _leave_xla(self) -> None:
        self._xla = False

    def _loop(self, *, jit: bool) -> Any:
        """Return the function that takes ``count`` steps, its batches gathered inside."""
        x, y = self._x, self._y

        def steps(batches: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
            def one(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return i + 1, total + self._step(tf.gather(x, batches[i]), tf.gather(y, batches[i]))

            return tf.while_loop(lambda i, _: i < count, one, (0, 0.0))[1]

        return tf.function(steps, autograph=False, jit_compile=jit)

    @staticmethod
    def _loop_signature(most: int, batch_size: int) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        return tf.TensorSpec((most, batch_size), tf.int32), tf.TensorSpec((), tf.int32)

    def _look(self, *, jit: bool) -> Any:
        """Return the function that gives mean loss and number of right answers."""
        return tf.function(self._evaluation, autograph=False, jit_compile=jit)

    def _evaluation(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = x.shape[0]
        at_once = min(size, _EVALUATED_AT_ONCE)

        def some(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = self.model(x, training=False)
            loss = kerases.loss_of(self.model, x, y, outputs, training=False)
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
