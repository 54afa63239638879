"""Training a model with a custom ``train_step``, with masks or without.

Such a step (adversarial examples, distillation, several optimizer steps) cannot be compiled
into the loop of `training.loop`. Here Keras calls it, one batch at a time as ``fit`` does, which
is several times slower. The masks are applied in front of the optimizer, where every step
passes.
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
    """A `Loop` whose steps are those of the model's ``train_step``.

    What a ``train_step`` draws is unknown, so a stopped training does not resume in the middle; it
    starts over, with the same numbers. ``xla`` says whether XLA compiles the evaluation; for the
    step, that is decided when the model is compiled.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.repeatable = False
        self._begun = False

    @property
    def uses_xla(self) -> bool:
        """False: the steps are Keras' own."""
        return False

    def advance(self, batches: np.ndarray) -> float:
        """Take a step on each batch and return the sum of their losses."""
        return sum((self._train_on(batch) for batch in batches), 0.0)

    def _train_on(self, batch: np.ndarray) -> float:
        examples = tf.nest.map_structure(lambda part: tf.gather(part, batch), (self._x, self._y))
        # Keras reports means over all batches since the last reset.
        self.model.reset_metrics()
        # The first call traces the step, which seeds hidden generators.
        with nullcontext() if self._begun else compat.global_stream(self._seed, "layers"):
            logs = self.model.train_on_batch(*examples, return_dict=True)
        self._begun = True
        if "loss" not in logs:
            raise ValueError(
                f"The train_step of {type(self.model).__name__} returns "
                f"{', '.join(sorted(logs)) or 'nothing'}; its 'loss' is needed too, to "
                f"detect divergence."
            )
        return float(logs["loss"])


class KerasTrainer(KerasLoop, Trainer):
    """A `Trainer` whose steps are those of the model's ``train_step``.

    A model that both can train ends with the same masks and, without XLA, the same weights to the
    last bit.
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
        """Wrap ``optimizer.apply`` of Keras 3 with the masks."""

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
        """Wrap ``optimizer.apply_gradients`` of tf_keras with the masks."""

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
        f"{name} has a custom train_step, so Keras takes its steps one at a time, which is several "
        f"times slower than the compiled loop."
    )
