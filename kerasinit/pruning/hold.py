"""Fixed masks that hold while a model trains, in both Kerases."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit import kerases
from kerasinit.masks import Masks
from kerasinit.pruning.registry import prunable_weights


class HoldMasks(keras.callbacks.Callback, tf_keras.callbacks.Callback):
    """Keeps removed weights at zero in ``fit``: to retrain a ticket, or fine-tune a pruned model.

    After each batch ``w <- w * mask``, so every forward pass, every evaluation and every
    saved file sees the sparse network. Works with models of either Keras. To have masks
    chosen while a model trains, see `prune_low_magnitude`.

    Args:
        masks: Boolean array by structural name (``"dense/kernel"``), True where a weight
            lives: a ticket's ``masks``, or what `kerasinit.pruning.masks` returned.

    Raises:
        ValueError: When a training begins of a model that the masks do not fit, or that
            takes several steps at once (``steps_per_execution``), between which nothing
            can be held.

    Example:
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> half = {"dense/kernel": np.arange(32).reshape(8, 4) % 2 == 0}
    >>> x, y = np.ones((6, 8)), np.ones((6, 4))
    >>> history = model.fit(x, y, callbacks=[HoldMasks(half)], verbose=0)
    >>> bool((model.layers[0].kernel.numpy() != 0).sum() == 16)
    True
    """

    # Both parents want to own it, one of them as a read-only property.
    model: Any = None

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        keras.callbacks.Callback.__init__(self)
        tf_keras.callbacks.Callback.__init__(self)
        self._masks = masks if isinstance(masks, Masks) else Masks(masks)
        self._held: list[tuple[Any, tf.Tensor]] = []

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        self.model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the masks fit, and apply them."""
        weights = {weight.name: weight.variable for weight in prunable_weights(self.model)}
        shapes = {name: tuple(variable.shape) for name, variable in weights.items()}
        # A model may have more kernels than there are masks for; those train freely.
        self._masks.require_fit(
            {name: shape for name, shape in shapes.items() if name in self._masks},
            f"the model {self.model.name!r}",
        )
        steps = kerases.steps_per_execution(self.model)
        if steps != 1:
            raise ValueError(
                f"The model takes {steps} steps at a time (steps_per_execution), and masks can "
                f"only be held after each. Compile it with steps_per_execution=1."
            )
        self._held = [
            (weights[name], tf.constant(mask, kerases.tensor(weights[name]).dtype))
            for name, mask in self._masks.items()
        ]
        self._apply()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the removed weights back to zero."""
        self._apply()

    def on_train_end(self, logs: Any = None) -> None:
        """Do so again: an optimizer may have written its averaged weights since."""
        self._apply()

    def _apply(self) -> None:
        for variable, mask in self._held:
            kerases.assign(variable, kerases.tensor(variable) * mask)
