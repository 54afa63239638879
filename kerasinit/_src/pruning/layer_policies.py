"""Policies that leave out what cannot be pruned, or had better not be, in both Kerases."""

from collections.abc import Iterable
from typing import Any

from kerasinit._src import compat, errors
from kerasinit._src.network.catalogue import UNKNOWN, exact_row
from kerasinit._src.network.prunable import NoRuleError, layer_weights
from kerasinit._src.pruning.policy import PruningPolicy
from kerasinit._src.pruning.tfmot_bridge import tfmot

_NAMED = 5


class PruneTrainableLayers(PruningPolicy):
    """Leaves out frozen layers, as in transfer learning.

    Without it a frozen layer (``trainable=False``) is pruned like any other, as by tfmot, though
    no update makes up for the weights that it loses. It takes every model. Policies are combined
    by ``&``: a layer is pruned if both allow it.

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
        """Return whether a layer has a prunable weight that is trained, or has none at all."""
        if not layer.trainable:
            return False
        try:
            weights = layer_weights(layer) if layer.built else []
        except NoRuleError:
            return True
        return not weights or any(not is_frozen(layer, variable) for variable in weights)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Accept every model."""


class PruneKnownLayers(PruningPolicy):
    """Leaves out layers whose prunable weights nobody has named, in place of an error.

    These are custom layers without a method ``get_prunable_weights``; in tf_keras also the
    layers that tfmot refuses. It takes every model. Policies are combined by ``&``: a layer is
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
        """Return whether it is known which weights of a layer are pruned."""
        if hasattr(layer, "get_prunable_weights"):
            return True
        if compat.kerase_of(layer) == "tf_keras" and not compat.is_model(layer):
            return _tfmot_takes(layer)
        try:
            layer_weights(layer)
        except NoRuleError:
            return False
        return True

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Accept every model."""


def is_frozen(layer: Any, variable: Any) -> bool:
    """Return whether a layer's variable is not trained."""
    return all(variable is not one for one in layer.trainable_weights)


def warn_of_frozen(names: Iterable[str]) -> None:
    """Warn that frozen layers are pruned; not if there are none."""
    names = [*dict.fromkeys(names)]
    if not names:
        return
    shown = ", ".join(map(repr, names[:_NAMED]))
    if len(names) > _NAMED:
        shown += f" and {len(names) - _NAMED} more"
    layers, are = ("layer", "is") if len(names) == 1 else ("layers", "are")
    errors.warn(
        f"Pruning: the {layers} {shown} {are} frozen (trainable=False) and {are} pruned all the "
        "same, as by tfmot; no update will make up for the weights that are removed. "
        "pruning_policy=kerasinit.pruning.PruneTrainableLayers() leaves frozen layers out."
    )


def _tfmot_takes(layer: Any) -> bool:
    """Return whether tfmot knows a tf_keras layer, by asking it to wrap another like it."""
    if exact_row(type(layer)) is UNKNOWN:
        return False
    try:
        tfmot().prune_low_magnitude(type(layer).from_config(layer.get_config()))
    except ValueError:
        return False
    return True
