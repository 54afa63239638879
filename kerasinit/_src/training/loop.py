"""The training loop shared by all trainings.

One TensorFlow function runs many training steps of a model of either Keras: it gathers the
batches from data in memory and applies the model's compiled loss and optimizer. XLA compiles the
whole loop where that is faster (see `training.xla.xla_pays`); it is then several times faster than
one call per step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.network.parts import named_variables
from kerasinit._src.training.outcome import State
from kerasinit._src.training.xla import Compiler, draws_hidden_numbers, take_steps, xla_pays

EVALUATION_BATCH = 1000
"""Examples evaluated at once: enough to keep two cores busy, few enough for the activations of a
convolutional network to fit in memory."""


class Loop:
    """A compiled model that trains on examples in memory, from any state.

    Args:
        model: A built and compiled model of either Keras.
        x: The inputs, in the shape that the model takes; an array or several.
        y: The labels, as the loss takes them.
        max_steps: The number of steps in one call of the compiled function; fewer are padded.
        seed: The seed of tf_keras' random layers; those of Keras 3 have their own.
        xla: Whether XLA compiles the loop; None to decide by what is faster. Without XLA, the two
            Kerases train to the same bits.
    """

    def __init__(
        self, model: Any, x: Any, y: Any, *, max_steps: int, seed: int, xla: bool | None
    ) -> None:
        self.model = model
        self._seed, self._max_steps = seed, max_steps
        self._x, self._y = tf.nest.map_structure(tf.constant, (x, y))
        self._optimizer_variables = {
            f"optimizer/{number:03d}": variable
            for number, variable in enumerate(optimizers.optimizer_variables(model))
        }
        self._variables = {**named_variables(model), **self._optimizer_variables}
        forward = tf.function(lambda x: model(x, training=True), autograph=False)
        traced = forward.get_concrete_function(
            tf.nest.map_structure(lambda array: array[:2], self._x)
        )
        self.repeatable = not draws_hidden_numbers(traced)
        """Whether `restore` restores everything that a training depends on.

        False where a layer draws from a generator that TensorFlow hides in the graph,
        as the random layers of tf_keras do; XLA would draw other numbers every time.
        """
        # By default Keras compiles without XLA on a CPU, so the model's jit_compile does not
        # reveal what its author wants.
        self.xla = xla_pays(traced) if xla is None else xla
        """Whether XLA was chosen, by the caller or by what is faster."""
        self._compiler = Compiler(seed, xla=self.xla and self.repeatable)
        self._make_loop = self._loop_function

    @property
    def uses_xla(self) -> bool:
        """Whether XLA compiles the loop; it turns False if XLA fails at the first call."""
        return self._compiler.xla

    def state(self) -> State:
        """Return a copy of every variable of the model and its optimizer."""
        return {name: compat.read(variable) for name, variable in self._variables.items()}

    def state_on_device(self) -> dict[str, tf.Tensor]:
        """Return the same as `state`, but as tensors, which stay on the device."""
        return {name: tf.identity(compat.tensor(v)) for name, v in self._variables.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Assign the values of an earlier `state` or `state_on_device`, or some of them."""
        for name, value in state.items():
            compat.assign(self._variables[name], value)

    def reseed_hidden_generators(self, step: int) -> None:
        """Reseed the generators that TensorFlow hides, before training continues from a step.

        Setting TensorFlow's seed, as every build and trace does, restarts all of them,
        including those of other trainings. Each training reseeds its own when it continues, so the
        order of trainings makes no difference.
        """
        if not self.repeatable:
            with compat.global_stream(self._seed, "layers", step):
                pass

    def advance(self, batches: np.ndarray) -> float:
        """Take a step on each batch (a row of example positions); return the sum of the losses."""
        total = 0.0
        for start in range(0, len(batches), self._max_steps):
            chunk = batches[start : start + self._max_steps]
            # Padded to one size: XLA compiles once for each shape.
            padded = np.zeros((self._max_steps, batches.shape[1]), np.int32)
            padded[: len(chunk)] = chunk
            signature = tf.TensorSpec(padded.shape, tf.int32), tf.TensorSpec((), tf.int32)
            run_steps = self._compiler.compiled(self._make_loop, signature)
            total += float(run_steps(tf.constant(padded), tf.constant(len(chunk))))
        return total

    def mean_loss(self, x: Any, y: Any) -> float:
        """Return the mean loss of examples given as tensors."""
        size, total = tf.nest.flatten(x)[0].shape[0], 0.0
        for start in range(0, size, EVALUATION_BATCH):
            stop = min(start + EVALUATION_BATCH, size)
            chunk = tf.nest.map_structure(lambda part: part[start:stop], (x, y))  # noqa: B023
            signature = tf.nest.map_structure(
                lambda part: tf.TensorSpec(part.shape, part.dtype), chunk
            )
            loss = self._compiler.compiled(self._loss_function, signature)
            total += float(loss(*chunk)) * (stop - start)
        return total / size

    def _loop_function(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        """Return the function that takes some steps and sums their losses."""
        return take_steps(self._step, self._x, self._y, signature, jit=jit)

    def _step(self, x: Any, y: Any) -> tf.Tensor:
        model = self.model
        trainable = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = compat.loss_of(model, x, y, outputs, training=True)
            scaled = optimizers.scaled_loss(model, loss)
        gradients = tape.gradient(scaled, [compat.tensor(variable) for variable in trainable])
        optimizers.apply_gradients(model, self._gradients_to_apply(gradients, trainable))
        return tf.cast(loss, tf.float32)

    def _gradients_to_apply(self, gradients: list[Any], variables: Sequence[Any]) -> list[Any]:
        """Return the gradients that the optimizer receives; here all of them."""
        return gradients

    def _loss_function(self, signature: Any, *, jit: bool) -> Callable[..., tf.Tensor]:
        def loss(x: Any, y: Any) -> tf.Tensor:
            outputs = self.model(x, training=False)
            return tf.cast(compat.loss_of(self.model, x, y, outputs, training=False), tf.float32)

        function = tf.function(loss, autograph=False, jit_compile=jit)
        return function.get_concrete_function(*signature)
