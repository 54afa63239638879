"""Steps of a model in a compiled loop, whatever its inputs, its outputs and its loss."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.network.parts import named_variables
from kerasinit._src.training.examples import Examples
from kerasinit._src.training.xla import Compiler, draws_hidden_numbers, take_steps, xla_pays

# Rows that are evaluated at once, as many as fit beside the activations of a large network.
_EVALUATED_AT_ONCE = 1000

State = dict[str, tf.Tensor]


class Steps:
    """A compiled model that takes steps on examples in memory, from any state.

    As `training.loop.Trainer`, for models that need not be classifiers and have
    no masks: one TensorFlow function gathers the batches and takes the steps, so that a call
    costs nothing beside them.

    Args:
        model: A built and compiled model of either Keras.
        examples: What it is trained and measured on, in the shape that it takes.
        held_out: Positions of the examples that it is measured on.
        most: How many steps one call takes, at most.
        seed: The origin of what random layers of tf_keras draw; those of Keras 3 have their
            own.
        xla: Whether XLA compiles the loop; None for where it is faster.
    """

    def __init__(
        self,
        model: Any,
        examples: Examples,
        held_out: np.ndarray,
        *,
        most: int,
        seed: int,
        xla: bool | None,
    ) -> None:
        self.model = model
        self._seed, self._most = seed, most
        self._x, self._y = tf.nest.map_structure(tf.constant, (examples.x, examples.y))
        self._measured = tf.nest.map_structure(tf.constant, examples.at(held_out))
        self._variables = {
            **named_variables(model),
            **{
                f"optimizer/{number:03d}": variable
                for number, variable in enumerate(optimizers.optimizer_variables(model))
            },
        }
        self._fresh = True
        self._own_steps = compat.has_own_train_step(model)
        two = tf.nest.map_structure(lambda one: one[:2], self._x)
        forward = tf.function(lambda x: model(x, training=True), autograph=False)
        traced = forward.get_concrete_function(two)
        self.repeatable = not (self._own_steps or draws_hidden_numbers(traced))
        """Whether `restore` puts back all that a training depends on.

        False where a layer draws from a generator that TensorFlow hides in the graph, as the
        random layers of tf_keras do, and where nobody can tell what a step does.
        """
        chosen = xla_pays(traced) if xla is None else xla
        self._compiler = Compiler(seed, xla=chosen and self.repeatable)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all variables, by name; the optimizer's among them."""
        return {name: tuple(variable.shape) for name, variable in self._variables.items()}

    def state(self) -> State:
        """Return a copy of every variable of the model and its optimizer."""
        return {name: tf.identity(compat.tensor(v)) for name, v in self._variables.items()}

    def restore(self, state: State) -> None:
        """Give variables back the values of a `state`, or of a part of one."""
        for name, value in state.items():
            compat.assign(self._variables[name], value)

    def begin_hidden(self, step: int) -> None:
        """Let generators that TensorFlow hides begin anew.

        To set TensorFlow's seed, as is done wherever something is built or traced, begins all
        of them anew, those of other trainings too. So that it makes no difference whose turn
        comes when, each begins anew whenever its turn comes.

        Args:
            step: Where the turn begins.
        """
        if not self.repeatable:
            with compat.global_stream(self._seed, "layers", step):
                pass

    def advance(self, batches: np.ndarray) -> float:
        """Take a step on each batch and return the sum of their losses.

        Args:
            batches: Positions, of shape ``(steps, batch_size)``.
        """
        if self._own_steps:
            return sum(self._train_on(batch) for batch in batches)
        total = 0.0
        for start in range(0, len(batches), self._most):
            some = batches[start : start + self._most]
            # Padded to one size: XLA compiles once for each shape.
            padded = np.zeros((self._most, batches.shape[1]), np.int32)
            padded[: len(some)] = some
            signature = (tf.TensorSpec(padded.shape, tf.int32), tf.TensorSpec((), tf.int32))
            take = self._compiler.compiled(self._loop, signature)
            total += float(take(tf.constant(padded), tf.constant(len(some))))
        return total

    def measure(self) -> float:
        """Return the mean loss of the held-out examples."""
        x, y = self._measured
        size, total = tf.nest.flatten(x)[0].shape[0], 0.0
        for start in range(0, size, _EVALUATED_AT_ONCE):
            stop = min(start + _EVALUATED_AT_ONCE, size)
            some = tf.nest.map_structure(lambda one: one[start:stop], (x, y))  # noqa: B023
            signature = tf.nest.map_structure(lambda one: tf.TensorSpec(one.shape, one.dtype), some)
            loss = self._compiler.compiled(self._loss, signature)
            total += float(loss(*some)) * (stop - start)
        return total / size

    def _train_on(self, batch: np.ndarray) -> float:
        """Let a model take its own step."""
        some = tf.nest.map_structure(lambda one: tf.gather(one, batch), (self._x, self._y))
        # Keras reports means over all batches since this.
        self.model.reset_metrics()
        # Traced at the first call: hidden generators get their seeds then.
        first = compat.global_stream(self._seed, "layers") if self._fresh else nullcontext()
        with first:
            logs = self.model.train_on_batch(*some, return_dict=True)
        self._fresh = False
        if "loss" not in logs:
            raise ValueError(
                f"The train_step of {type(self.model).__name__} returns "
                f"{', '.join(sorted(logs)) or 'nothing'}; a comparison needs its 'loss' too."
            )
        return float(logs["loss"])

    def _step(self, x: Any, y: Any) -> tf.Tensor:
        model = self.model
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = compat.loss_of(model, x, y, outputs, training=True)
            scaled = optimizers.scaled_loss(model, loss)
        trainable = [compat.tensor(variable) for variable in model.trainable_variables]
        optimizers.apply_gradients(model, tape.gradient(scaled, trainable))
        return tf.cast(loss, tf.float32)

    def _loop(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        return take_steps(self._step, self._x, self._y, signature, jit=jit)

    def _loss(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        def loss(x: Any, y: Any) -> tf.Tensor:
            outputs = self.model(x, training=False)
            return tf.cast(compat.loss_of(self.model, x, y, outputs, training=False), tf.float32)

        function = tf.function(loss, autograph=False, jit_compile=jit)
        return function.get_concrete_function(*signature)
