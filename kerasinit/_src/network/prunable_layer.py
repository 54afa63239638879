"""What a layer class of a user's own says about pruning."""

import abc
from typing import Any


class PrunableLayer(abc.ABC):
    """Base class for layers that say themselves which of their weights are pruned.

    Pruning knows the layers of both Kerases. A class of your own, also one derived from a
    layer it knows, is refused until it says which of its variables may be masked: derive
    it from its Keras layer and from this class. The same class serves layers of Keras 3
    and of tf_keras, whose layers tfmot then accepts as well. A model or a recurrent cell
    may derive from it, too.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> @keras.saving.register_keras_serializable(package="mine")
    ... class Gated(keras.layers.Layer, pruning.PrunableLayer):
    ...     def build(self, shape):
    ...         self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
    ...         self.gate = self.add_weight(shape=(shape[-1],), name="gate")
    ...     def call(self, inputs):
    ...         return self.gate * (inputs @ self.kernel)
    ...     def get_prunable_weights(self):
    ...         return [self.kernel]
    >>> model = keras.Sequential([keras.Input((4,)), Gated()])
    >>> [weight.name for weight in pruning.prunable_weights(model)]
    ['gated/kernel']
    """

    @abc.abstractmethod
    def get_prunable_weights(self) -> list[Any]:
        """Return the variables to prune, those of the built layer; an empty list for none."""
