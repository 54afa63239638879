"""Policies that exclude frozen or unsupported layers, in both Kerases."""

from collections.abc import Iterable
from typing import Any

from kerasinit._src import compat, errors
from kerasinit._src.network.catalogue import UNKNOWN, exact_row
from kerasinit._src.network.prunable import NoRuleError, layer_weights
from kerasinit._src.pruning.policy import PruningPolicy
from kerasinit._src.pruning.tfmot_bridge import tfmot

_MAX_NAMES = 5


class PruneTrainableLayers(PruningPolicy):
    """Excludes frozen layers, as in transfer learning.

    Without it a frozen layer (``trainable=False``) is pruned like any other, as in tfmot, although
    no update compensates for the removed weights. It supports every model. Policies can be combined
    with ``&``: a layer is pruned if both allow it.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> layers = [keras.layers.Dense(4, trainable=False), keras.layers.Dense(2, name="head")]
    >>> model = keras.Sequential([keras.Input((8,)), *layers])
    >>> policy = pruning.PruneTrainableLayers() & pruning.PruneKnownLayers()
    >>> list(pruning.masks(pruning.prune_low_magnitude(model, pruning_policy=policy)))
    ['dense_1/kernel']
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Return whether a layer has a trainable prunable weight, or no prunable weight at all."""
        if not layer.trainable:
            return False
        try:
            weights = layer_weights(layer) if layer.built else []
        except NoRuleError:
            return True
        return not weights or any(not is_frozen(layer, variable) for variable in weights)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Do nothing, since every model is supported."""


class PruneKnownLayers(PruningPolicy):
    """Excludes layers whose prunable weights are unknown, instead of raising an error.

    These are custom layers without a method ``get_prunable_weights``; in tf_keras also the layers
    that tfmot rejects. It supports every model. Policies can be combined with ``&``: a layer is
    pruned if both allow it.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> class Gate(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.gate = self.add_weight(shape=(shape[-1],), name="gate")
    ...     def call(self, inputs):
    ...         return self.gate * inputs
    >>> model = keras.Sequential([keras.Input((8,)), Gate(), keras.layers.Dense(4)])
    >>> policy = pruning.PruneKnownLayers()
    >>> list(pruning.masks(pruning.prune_low_magnitude(model, pruning_policy=policy)))
    ['dense/kernel']
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Return whether the prunable weights of a layer are known.

        Args:
            layer: A layer of the model.

        Raises:
            TypeError: If it is not a layer of either Keras.
        """
        if hasattr(layer, "get_prunable_weights"):
            return True
        if compat.kerase_of(layer) == "tf_keras" and not compat.is_model(layer):
            return _tfmot_supports(layer)
        try:
            layer_weights(layer)
        except NoRuleError:
            return False
        return True

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Do nothing, since every model is supported."""


def is_frozen(layer: Any, variable: Any) -> bool:
    """Return whether a layer's variable is not trainable."""
    return all(variable is not one for one in layer.trainable_weights)


def warn_of_frozen(names: Iterable[str]) -> None:
    """Warn that frozen layers are pruned, if there are any."""
    names = [*dict.fromkeys(names)]
    if not names:
        return
    shown = ", ".join(map(repr, names[:_MAX_NAMES]))
    if len(names) > _MAX_NAMES:
        shown += f" and {len(names) - _MAX_NAMES} more"
    layers, are = ("layer", "is") if len(names) == 1 else ("layers", "are")
    errors.warn(
        f"Pruning: the {layers} {shown} {are} frozen (trainable=False) and {are} pruned "
        "nevertheless, as in tfmot; no update will compensate for the removed weights. "
        "pruning_policy=kerasinit.pruning.PruneTrainableLayers() excludes frozen layers."
    )


def _tfmot_supports(layer: Any) -> bool:
    """Return whether tfmot supports a tf_keras layer, by having it wrap a copy."""
    if exact_row(type(layer)) is UNKNOWN:
        return False
    try:
        tfmot().prune_low_magnitude(type(layer).from_config(layer.get_config()))
    except ValueError:
        return False
    return True
