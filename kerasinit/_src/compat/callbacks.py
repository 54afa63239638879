"""The base class of callbacks that work in both Kerases."""

from typing import Any

import keras

from kerasinit._src.compat.libraries import serves_tf_keras
from kerasinit._src.compat.models import kerase_of, library_of


@serves_tf_keras("callbacks.Callback")
class Callback(keras.callbacks.Callback):
    """A callback that both Kerases accept; ``model`` is available after `set_model`."""

    # Both bases define it, one of them as a read-only property.
    model: Any = None

    def __init__(self) -> None:
        keras.callbacks.Callback.__init__(self)

    def set_model(self, model: Any) -> None:
        """Store the model being trained; called by Keras."""
        if kerase_of(model) == "tf_keras":
            # Sets what tf_keras expects of a callback, which may be older than its import.
            library_of(model).callbacks.Callback.__init__(self)
        self.model = model
