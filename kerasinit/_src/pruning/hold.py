"""Trains a model under fixed masks, in both Kerases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat, errors
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.old_names import named_for
from kerasinit._src.network.prunable import prunable_weights
from kerasinit._src.pruning import attach, masked_update
from kerasinit._src.pruning.composition import adapter_messages


class MaskedFit(Callback):
    """Trains a model in ``fit`` under masks, in the compiled step or between the steps.

    Subclasses call `_hold` when training begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[Any, Any]] = []
        self._compiled: _MaskedTraining | None = None

    def _hold(self, held: list[tuple[Any, Any]]) -> None:
        """Begin to train under masks.

        Args:
            held: Variables of the model and their masks, tensors or TensorFlow variables of 0 and
                1. The mask of a variable must not be another one at the next training: its values
                may change, at any time.

        Raises:
            ValueError: If masks have to be applied between steps, and the model takes several
                steps at a time.
        """
        self._held = held
        if self._is_compilable():
            self._apply()
            # Layers may have been replaced since the last `fit`.
            if self._compiled is None or not self._compiled.matches(self.model, self._held):
                self._compiled = _MaskedTraining(self.model, self._held)
            self._compiled.begin()
            return
        self._compiled = None
        steps = compat.steps_per_execution(self.model)
        if steps != 1:
            raise ValueError(
                f"The model takes {steps} steps at a time (steps_per_execution), but its masks "
                f"have to be applied after each. Compile it with steps_per_execution=1."
            )
        self._apply()

    def _is_compilable(self) -> bool:
        return (
            compat.kerase_of(self.model) == "keras"
            # A pruned model, or one with another HoldMasks, has masks in its step already.
            and not attach.has_overrides(self.model)
            and masked_update.is_possible(self.model, self.model.train_step)
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the removed weights to zero, unless the compiled step has done so."""
        if self._compiled is None or not self._compiled.applied:
            self._apply()

    def on_train_end(self, logs: Any = None) -> None:
        """Mask the weights again, since an optimizer may have written averaged ones."""
        if self._compiled is not None:
            self._compiled.end()
        self._apply()

    def _apply(self) -> None:
        for variable, mask in self._held:
            compat.assign(variable, compat.tensor(variable) * mask)


class HoldMasks(MaskedFit):
    """Keeps removed weights at zero in ``fit``: to retrain a ticket, or fine-tune a pruned model.

    After each step ``w <- w * mask``, so every forward pass, every evaluation and every
    saved file uses the sparse network. In a Keras 3 model without a custom training step or
    optimizer, this is part of the compiled step and costs a few percent of it; in all other
    models it is done between steps. In a custom training loop, call ``set_model`` and
    ``on_train_begin`` before the loop and ``on_train_batch_end`` after each step. To choose
    masks during training, see `prune_low_magnitude`.

    Args:
        masks: For each structural name (``"dense/kernel"``) a boolean array of the shape of the
            weight, True where it is kept: a ticket's ``masks``, or the result of
            `kerasinit.pruning.masks`.

    Raises:
        ValueError: When training begins, if the masks do not fit the model, or if masks have
            to be applied between steps and ``steps_per_execution`` is not 1.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> half = {"dense/kernel": np.arange(32).reshape(8, 4) % 2 == 0}
    >>> x, y = np.ones((6, 8)), np.ones((6, 4))
    >>> history = model.fit(x, y, callbacks=[HoldMasks(half)], verbose=0)
    >>> bool((model.layers[0].kernel.numpy() != 0).sum() == 16)
    True
    """

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._masks = masks if isinstance(masks, Masks) else Masks(masks)

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the masks fit the model, and apply them."""
        masks = named_for(self._masks, self.model)
        prunable = prunable_weights(self.model)
        weights = {weight.name: weight.variable for weight in prunable}
        shapes = {name: tuple(variable.shape) for name, variable in weights.items()}
        # Kernels without a mask train freely.
        masks.require_fit(
            {name: shape for name, shape in shapes.items() if name in masks},
            f"the model {self.model.name!r}",
        )
        dense = adapter_messages(
            self.model, [weight for weight in prunable if weight.name in masks]
        )
        if dense:
            errors.warn(f"HoldMasks: {' '.join(dense.values())}")
        self._hold(
            [
                (weights[name], tf.constant(mask, compat.tensor(weights[name]).dtype))
                for name, mask in masks.items()
            ]
        )


class _MaskedTraining:
    """Replaces the training function of a Keras 3 model by one that applies masks."""

    def __init__(self, model: Any, held: list[tuple[Any, Any]]) -> None:
        self.model, self._held = model, held
        # Whether the steps of this training have masked the weights.
        self.applied = False
        self._plain: Any = None
        self._masking: Any = None

    def matches(self, model: Any, held: list[tuple[Any, Any]]) -> bool:
        """Return whether this was created for these variables of this model."""
        variables, others = ([id(variable) for variable, _ in one] for one in (self._held, held))
        return self.model is model and variables == others

    def begin(self) -> None:
        """Switch the model to the masked training function."""
        model = self.model
        # Recompiling a model creates a new training function.
        if self._masking is None or model.train_function is not self._plain:
            self._plain = model.train_function
            masked = self._masked_step(model.train_step)
            self._masking = self._recording(attach.train_function_for(model, masked))
        attach.set_train_function(model, self._masking)
        # Called by the next training, which ends this one if it was interrupted.
        attach.override_methods(model, {"make_train_function": self._end_and_make_function})

    def end(self) -> None:
        """Restore the model's own training function."""
        self.applied = False
        if self.model.train_function is self._masking:
            attach.set_train_function(self.model, self._plain)
        attach.restore_methods(self.model)

    def _masked_step(self, train_step: Any) -> Any:
        held = [(variable, mask, variable.constraint) for variable, mask in self._held]

        def masked_train_step(*args: Any, **kwargs: Any) -> Any:
            # Other callbacks may write weights between two steps, so no epsilons here.
            with masked_update.masking(held):
                return train_step(*args, **kwargs)

        return masked_train_step

    def _recording(self, compiled: Any) -> Any:
        def train_function(iterator: Any) -> Any:
            self.applied = True
            return compiled(iterator)

        return train_function

    def _end_and_make_function(self, force: bool = False) -> Any:
        self.end()
        return self.model.make_train_function(force)
