"""The model that initializers are compared on, built anew for each seed."""

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

Tensors = dict[str, tf.Tensor]

_BATCH = 256


class Subject:
    """A build function and its examples, from which each training gets its start.

    A seed stands for what `build` draws (biases, embeddings, masks of dropout), for the
    streams from which a choice draws, and for the batch that a choice may look at. So two
    choices of one seed differ in what they set, and in nothing else.

    Args:
        build: Returns a compiled model of either Keras.
        examples: What it is trained on.
        training: Positions of the examples to train on.
        held_out: Positions of those to measure on.
        optimizer: A name and arguments, in place of the compiled optimizer; None to keep it.
        seed: The origin of every random number.
        most: How many steps one call takes, at most.
        xla: Whether XLA compiles the loop; None for where it is faster.

    Raises:
        ValueError: If ``build`` needs what is not offered, returns no model that can be trained
            on the examples, or Keras runs on another backend than TensorFlow.
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
        most: int,
        xla: bool | None,
    ) -> None:
        self._build, self._given, self._optimizer = build, examples, optimizer
        self._training = training
        self._seed, self._most, self._xla = seed, most, xla
        self._fitting = examples
        self._loop = self._looped(self.built(0), 0)
        self._measured = tf.nest.map_structure(tf.constant, self._fitting.at(held_out))
        self._empty = {n: v for n, v in self._loop.copy().items() if n.startswith("optimizer/")}
        self._bases: dict[int, Tensors] = {}

    @property
    def size(self) -> int:
        """How many examples there are to train on."""
        return len(self._training)

    def built(self, trial: int) -> Any:
        """Return a new model, as the build function makes it with a seed."""
        label = models.name_of(self._build)
        described = self._given.described
        model = models.called(self._build, described, self._seed, "weights", trial)
        models.require_compiled(model, label)
        if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"compare trains with TensorFlow; Keras runs on {keras.backend.backend()}. Set "
                f"KERAS_BACKEND=tensorflow."
            )
        if self._optimizer is not None:
            optimizers.replace_optimizer(model, *identifiers.split(self._optimizer))
        x = self._given.x
        if isinstance(x, np.ndarray):
            x = models.fit_shape(model, x, label)
        self._fitting = dataclasses.replace(self._given, x=x)
        _require_loss(model, self._fitting, label)
        return model

    def begin(self, name: str, choice: Any, trial: int) -> tuple[Loop, Tensors, tuple[str, ...]]:
        """Return a loop, the state in which a choice begins with a seed, and what it left as built.

        The loop is the same one for all where a state is all that a training depends on, so
        that it is compiled once.

        Args:
            name: The choice's name.
            choice: What `choices.named` has for it.
            trial: The number of the seed.

        Raises:
            ValueError: If the choice cannot be applied to the model.
        """
        if self._loop.repeatable:
            loop = self._loop
            loop.restore(self._base(trial) | self._empty)
        else:
            loop = self._looped(self.built(trial), trial)
        random = streams.generator(self._seed, "compare", "batch", trial)
        size = min(_BATCH, self.size)
        batch, _ = self._fitting.at(random.choice(self._training, size, replace=False))
        drawn = streams.derive(self._seed, "compare", "weights", trial)
        kept = choices.begin(name, choice, loop.model, batch, drawn)
        return loop, loop.copy(), kept

    def _base(self, trial: int) -> Tensors:
        """Return the values that the build function gives the variables with a seed."""
        if trial not in self._bases:
            variables = named_variables(self.built(trial))
            self._bases[trial] = {n: tf.constant(compat.read(v)) for n, v in variables.items()}
            shapes = {n: tuple(v.shape) for n, v in variables.items()}
            wanted = {n: tuple(v.shape) for n, v in named_variables(self._loop.model).items()}
            if shapes != wanted:
                raise ValueError(
                    f"{models.name_of(self._build)} returned a model with other variables than the "
                    f"first time. It must build the same network at every call."
                )
        return self._bases[trial]

    def measure(self, loop: Loop) -> float:
        """Return the mean loss of the held-out examples under a loop's present values."""
        return loop.mean_loss(*self._measured)

    def _looped(self, model: Any, trial: int) -> Loop:
        own = compat.has_own_train_step(model)
        return (KerasLoop if own else Loop)(
            model,
            self._fitting.x,
            self._fitting.y,
            max_steps=self._most,
            seed=streams.derive(self._seed, "layers", trial),
            xla=False if own else self._xla,
        )


def _require_loss(model: Any, examples: Examples, label: str) -> None:
    """Raise unless a model makes a loss of examples."""
    x, y = tf.nest.map_structure(tf.constant, examples.at(np.arange(2)))
    try:
        loss = compat.loss_of(model, x, y, model(x, training=False), training=False)
    except (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError) as error:
        shown = tf.nest.map_structure(lambda one: tuple(one.shape), (x, y))
        raise ValueError(
            f"{label} returned a model that does not make a loss of inputs and labels of shapes "
            f"{shown}: {error}"
        ) from error
    if loss is None or tf.convert_to_tensor(loss).shape.rank != 0:
        raise ValueError(f"{label} returned a model whose loss is no number: {loss!r}.")
