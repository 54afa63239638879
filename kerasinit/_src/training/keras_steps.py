"""Training a model that takes its own steps, with masks or without.

A model with a ``train_step`` of its own (adversarial examples, distillation, several
optimizer steps) cannot be put into the compiled loop of `training.loop`, which
takes the step itself. Here Keras calls it, a batch at a time as ``fit`` does, several times
more slowly. The masks act where every step must pass, in front of the optimizer.
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.errors import warn
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.loop import Loop
from kerasinit._src.training.trainer import Trainer


class KerasLoop(Loop):
    """A `Loop` whose steps are those of the model's own ``train_step``.

    What a ``train_step`` draws cannot be known, so a training that was stopped does not go on
    in the middle; it begins again, with the same numbers. ``xla`` is whether XLA compiles the
    evaluation; whether it compiles the step is what the model was compiled with.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.repeatable = False
        self._begun = False

    @property
    def by_xla(self) -> bool:
        """False: the steps are Keras' own."""
        return False

    def advance(self, batches: np.ndarray) -> float:
        """Take a step on each batch and return the sum of their losses."""
        return sum((self._train_on(batch) for batch in batches), 0.0)

    def _train_on(self, batch: np.ndarray) -> float:
        some = tf.nest.map_structure(lambda one: tf.gather(one, batch), (self._x, self._y))
        # Keras reports means over all batches since this.
        self.model.reset_metrics()
        # Traced at the first call: hidden generators get their seeds then.
        first = nullcontext() if self._begun else compat.global_stream(self._seed, "layers")
        with first:
            logs = self.model.train_on_batch(*some, return_dict=True)
        self._begun = True
        if "loss" not in logs:
            raise ValueError(
                f"The train_step of {type(self.model).__name__} returns "
                f"{', '.join(sorted(logs)) or 'nothing'}; its 'loss' is needed too, to see "
                f"whether it is still a number."
            )
        return float(logs["loss"])


class KerasTrainer(KerasLoop, Trainer):
    """A `Trainer` whose steps are those of the model's own ``train_step``.

    A model that both can train comes out with the same masks and, without XLA, with the same
    weights to the last bit.
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
        _warn_once(type(model).__name__)
        super().__init__(model, data, validation, seed=seed, xla=xla)
        optimizer = model.optimizer
        if compat.kerase_of(model) == "keras":
            optimizer.apply = self._masking(optimizer.apply)
        else:
            optimizer.apply_gradients = self._masking_pairs(optimizer.apply_gradients)

    def _masking(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``optimizer.apply`` of Keras 3, under the masks."""

        @functools.wraps(apply)
        def masked(gradients: Any, trainable_variables: Any = None, **options: Any) -> Any:
            variables = list(
                self.model.trainable_variables
                if trainable_variables is None
                else trainable_variables
            )
            result = apply(self._held.mask(gradients, variables), trainable_variables, **options)
            self._held.hold()
            return result

        return masked

    def _masking_pairs(self, apply_gradients: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``optimizer.apply_gradients`` of tf_keras, under the masks."""

        @functools.wraps(apply_gradients)
        def masked(grads_and_vars: Any, *arguments: Any, **options: Any) -> Any:
            pairs = list(grads_and_vars)
            variables = [variable for _, variable in pairs]
            gradients = self._held.mask([gradient for gradient, _ in pairs], variables)
            result = apply_gradients(
                list(zip(gradients, variables, strict=True)), *arguments, **options
            )
            self._held.hold()
            return result

        return masked


@functools.cache
def _warn_once(name: str) -> None:
    warn(
        f"{name} has a train_step of its own, so Keras takes its steps one at a time, which is "
        f"several times slower than the compiled loop."
    )
