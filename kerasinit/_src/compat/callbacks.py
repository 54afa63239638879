"""The base class of callbacks that work in both Kerases."""

from typing import Any

import keras
import tf_keras


class Callback(keras.callbacks.Callback, tf_keras.callbacks.Callback):
    """A callback that both Kerases accept; ``model`` is available after `set_model`."""

    # Both parents define it, one of them as a read-only property.
    model: Any = None

    def __init__(self) -> None:
        keras.callbacks.Callback.__init__(self)
        tf_keras.callbacks.Callback.__init__(self)

    def set_model(self, model: Any) -> None:
        """Store the model being trained; called by Keras."""
        self.model = model
