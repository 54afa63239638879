"""The base of callbacks that both Kerases take."""

from typing import Any

import keras
import tf_keras


class Callback(keras.callbacks.Callback, tf_keras.callbacks.Callback):
    """A callback of both Kerases, which knows the model that is trained from `set_model` on."""

    # Both parents want to own it, one of them as a read-only property.
    model: Any = None

    def __init__(self) -> None:
        keras.callbacks.Callback.__init__(self)
        tf_keras.callbacks.Callback.__init__(self)

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        self.model = model
