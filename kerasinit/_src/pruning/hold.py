"""Fixed masks that hold while a model trains, in both Kerases."""

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
from kerasinit._src.pruning.composition import adapters


class HoldMasks(Callback):
    """Keeps removed weights at zero in ``fit``: to retrain a ticket, or fine-tune a pruned model.

    After each step ``w <- w * mask``, so every forward pass, every evaluation and every
    saved file sees the sparse network. In a Keras 3 model that trains and updates its
    weights as Keras does, this is part of the compiled step, and costs a few percent of it; in
    other models, and in those of tf_keras, it is done between steps. In a loop of your own,
    call ``set_model`` and ``on_train_begin`` before it and ``on_train_batch_end`` after each
    step. To have masks chosen while a model trains, see `prune_low_magnitude`.

    Args:
        masks: Boolean array by structural name (``"dense/kernel"``), True where a weight
            lives: a ticket's ``masks``, or what `kerasinit.pruning.masks` returned.

    Raises:
        ValueError: When a training begins of a model that the masks do not fit, or that
            takes several steps at once (``steps_per_execution``), if masks are held
            between steps.

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
        self._held: list[tuple[Any, tf.Tensor]] = []
        self._compiled: _Compiled | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the masks fit, and apply them."""
        masks = named_for(self._masks, self.model)
        prunable = prunable_weights(self.model)
        weights = {weight.name: weight.variable for weight in prunable}
        shapes = {name: tuple(variable.shape) for name, variable in weights.items()}
        # A model may have more kernels than there are masks for; those train freely.
        masks.require_fit(
            {name: shape for name, shape in shapes.items() if name in masks},
            f"the model {self.model.name!r}",
        )
        dense = adapters(self.model, [weight for weight in prunable if weight.name in masks])
        if dense:
            errors.warn(f"HoldMasks: {' '.join(dense.values())}")
        self._held = [
            (weights[name], tf.constant(mask, compat.tensor(weights[name]).dtype))
            for name, mask in masks.items()
        ]
        if self._can_be_compiled():
            self._apply()
            # Layers may have been replaced since the last training.
            if self._compiled is None or not self._compiled.is_for(self.model, self._held):
                self._compiled = _Compiled(self.model, self._held)
            self._compiled.begin()
            return
        self._compiled = None
        steps = compat.steps_per_execution(self.model)
        if steps != 1:
            raise ValueError(
                f"The model takes {steps} steps at a time (steps_per_execution), and its masks can "
                f"only be held after each. Compile it with steps_per_execution=1."
            )
        self._apply()

    def _can_be_compiled(self) -> bool:
        return (
            compat.kerase_of(self.model) == "keras"
            # A model that prunes itself, or that another callback holds, has masks in its step.
            and not attach.is_attached(self.model)
            and masked_update.is_possible(self.model, self.model.train_step)
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the removed weights back to zero, unless the compiled step has done so."""
        if self._compiled is None or not self._compiled.holds:
            self._apply()

    def on_train_end(self, logs: Any = None) -> None:
        """Do so again: an optimizer may have written its averaged weights since."""
        if self._compiled is not None:
            self._compiled.end()
        self._apply()

    def _apply(self) -> None:
        for variable, mask in self._held:
            compat.assign(variable, compat.tensor(variable) * mask)


class _Compiled:
    """The training function of a Keras 3 model with its masks inside, beside the model's own."""

    def __init__(self, model: Any, held: list[tuple[Any, tf.Tensor]]) -> None:
        self.model, self._held = model, held
        self.holds = False
        """Whether the steps of the training so far have masked the weights."""
        self._plain: Any = None
        self._masking: Any = None

    def is_for(self, model: Any, held: list[tuple[Any, tf.Tensor]]) -> bool:
        """Return whether this holds the masks of these variables, in this model."""
        variables, others = ([id(variable) for variable, _ in one] for one in (self._held, held))
        return self.model is model and variables == others

    def begin(self) -> None:
        """Let the model train with the masks from here."""
        model = self.model
        # Keras makes a new function when a model is compiled again.
        if self._masking is None or model.train_function is not self._plain:
            self._plain = model.train_function
            masked = self._masked_step(model.train_step)
            self._masking = self._telling(attach.second_train_function(model, masked))
        attach.train_by(model, self._masking)
        # The first thing that a training without the masks calls, if this one broke off.
        attach.put_in_front(model, {"make_train_function": self._end_and_make})

    def end(self) -> None:
        """Let the model train as it did before."""
        self.holds = False
        if self.model.train_function is self._masking:
            attach.train_by(self.model, self._plain)
        attach.take_away(self.model)

    def _masked_step(self, train_step: Any) -> Any:
        held = [(variable, mask, variable.constraint) for variable, mask in self._held]

        def masked_train_step(*args: Any, **kwargs: Any) -> Any:
            # Other callbacks may write weights between two steps, and do not tell.
            with masked_update.masking(held):
                return train_step(*args, **kwargs)

        return masked_train_step

    def _telling(self, compiled: Any) -> Any:
        def train_function(iterator: Any) -> Any:
            self.holds = True
            return compiled(iterator)

        return train_function

    def _end_and_make(self, force: bool = False) -> Any:
        self.end()
        return self.model.make_train_function(force)
