"""The base class of custom layers that choose their prunable weights."""

import abc
from typing import Any


class PrunableLayer(abc.ABC):
    """Base class for layers that choose which of their weights are pruned.

    Pruning knows the layers of both Kerases. A custom class, even one derived from a known layer,
    is refused until it declares which of its variables may be masked: derive it from its Keras
    layer and from this class. This works for layers of Keras 3 and of tf_keras; tfmot then accepts
    the latter as well. Models and recurrent cells may derive from it, too.

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
