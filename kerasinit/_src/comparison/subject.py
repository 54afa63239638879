"""The model on which initializers are compared, built once per seed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat, streams
from kerasinit._src.comparison import choices
from kerasinit._src.compat import optimizers
from kerasinit._src.initializers import identifiers
from kerasinit._src.network.parts import named_variables
from kerasinit._src.training import models
from kerasinit._src.training.examples import Examples
from kerasinit._src.training.keras_steps import KerasLoop
from kerasinit._src.training.loop import Loop
from kerasinit._src.troubleshooting import see

Tensors = dict[str, tf.Tensor]

_BATCH = 256


class Subject:
    """A build function and its examples, from which all trainings start.

    A seed determines what ``build`` draws (biases, embeddings, dropout masks), the streams from
    which a choice draws, and the batch for data-dependent choices. Two choices with the same seed
    thus differ only in the variables that they set.

    ``training`` and ``held_out`` are indices of examples, ``optimizer`` a name with arguments that
    replaces the compiled one, ``max_steps`` the max number of steps per call of the loop. XLA
    compiles the loop where that is faster, unless ``xla`` is set.
    """

    def __init__(
        self,
        build: Callable[..., Any],
        examples: Examples,
        training: np.ndarray,
        held_out: np.ndarray,
        *,
        optimizer: str | None,
        seed: int,
        max_steps: int,
        xla: bool | None,
    ) -> None:
        self._build, self._examples, self._optimizer = build, examples, optimizer
        self._training = training
        self._seed, self._max_steps, self._xla = seed, max_steps, xla
        self._fitting = examples
        self._loop = self._loop_for(self.built(0), 0)
        self._measured = tf.nest.map_structure(tf.constant, self._fitting.at(held_out))
        self._empty = {
            n: v for n, v in self._loop.state_on_device().items() if n.startswith("optimizer/")
        }
        self._initial: dict[int, Tensors] = {}

    @property
    def size(self) -> int:
        """The number of training examples."""
        return len(self._training)

    def built(self, trial: int) -> Any:
        """Build a new model with the seed of a trial."""
        label = models.name_of(self._build)
        described = self._examples.described
        model = models.called(self._build, described, self._seed, "weights", trial)
        models.require_compiled(model, label)
        if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"compare requires TensorFlow; Keras uses {keras.backend.backend()}. "
                f"Set KERAS_BACKEND=tensorflow. {see('tensorflow-backend')}"
            )
        if self._optimizer is not None:
            optimizers.replace_optimizer(model, *identifiers.split(self._optimizer))
        x = self._examples.x
        if isinstance(x, np.ndarray):
            x = models.fit_shape(model, x, label)
        self._fitting = dataclasses.replace(self._examples, x=x)
        _require_loss(model, self._fitting, label)
        return model

    def start(self, name: str, choice: Any, trial: int) -> tuple[Loop, Tensors, tuple[str, ...]]:
        """Return a loop, the initial state of a choice in a trial, and the variables left as built.

        If trainings depend on their state only, all share one loop, which is compiled once.
        """
        if self._loop.repeatable:
            loop = self._loop
            loop.restore(self._initial_values(trial) | self._empty)
        else:
            loop = self._loop_for(self.built(trial), trial)
        random = streams.generator(self._seed, "compare", "batch", trial)
        size = min(_BATCH, self.size)
        batch, _ = self._fitting.at(random.choice(self._training, size, replace=False))
        drawn = streams.derive(self._seed, "compare", "weights", trial)
        kept = choices.apply(name, choice, loop.model, batch, drawn)
        return loop, loop.state_on_device(), kept

    def _initial_values(self, trial: int) -> Tensors:
        """Return the values of the variables as built with the seed of a trial."""
        if trial not in self._initial:
            variables = named_variables(self.built(trial))
            self._initial[trial] = {n: tf.constant(compat.read(v)) for n, v in variables.items()}
            shapes = {n: tuple(v.shape) for n, v in variables.items()}
            wanted = {n: tuple(v.shape) for n, v in named_variables(self._loop.model).items()}
            if shapes != wanted:
                raise ValueError(
                    f"{models.name_of(self._build)} returned a model whose variables differ from "
                    f"those of the first call. Each call must build the same network."
                )
        return self._initial[trial]

    def measure(self, loop: Loop) -> float:
        """Return the mean loss of the held-out examples with a loop's current weights."""
        return loop.mean_loss(*self._measured)

    def _loop_for(self, model: Any, trial: int) -> Loop:
        own = compat.has_own_train_step(model)
        return (KerasLoop if own else Loop)(
            model,
            self._fitting.x,
            self._fitting.y,
            max_steps=self._max_steps,
            seed=streams.derive(self._seed, "layers", trial),
            xla=False if own else self._xla,
        )


def _require_loss(model: Any, examples: Examples, label: str) -> None:
    """Raise unless the model's loss of two examples is a number."""
    x, y = tf.nest.map_structure(tf.constant, examples.at(np.arange(2)))
    try:
        loss = compat.loss_of(model, x, y, model(x, training=False), training=False)
    except (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError) as error:
        shapes = tf.nest.map_structure(lambda tensor: tuple(tensor.shape), (x, y))
        raise ValueError(
            f"{label} returned a model whose loss cannot be computed from inputs and labels of "
            f"shapes {shapes}: {error}"
        ) from error
    if loss is None or tf.convert_to_tensor(loss).shape.rank != 0:
        raise ValueError(f"{label} returned a model whose loss is not a number: {loss!r}.")
