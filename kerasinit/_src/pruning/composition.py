"""Tracks changes to the layers and weights of a pruned model.

Layers may be popped, added, replaced, quantized or given adapters while a model is pruned. Masks
belong to variables, not to names: a mask follows its variable when that is renamed, and is dropped
when the variable leaves the model.
"""

import weakref
from collections.abc import Callable, Collection, Iterator
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.network.parts import named_variables, variables_of
from kerasinit._src.network.prunable import PrunableWeight, has_all_weights, prunable_by_layer
from kerasinit._src.network.walk import layers_inside
from kerasinit._src.pruning.pruner import Pruner


class Composition:
    """The weights and layers of a pruned Keras 3 model at the last update.

    ``allow`` is the function of its pruning policy, if any. ``whole`` is False if only layers
    inside the model were pruned.
    """

    def __init__(
        self, model: Any, allow: Callable[[Any], bool] | None = None, *, whole: bool = True
    ) -> None:
        self.allow, self.whole = allow, whole
        # Keeps the variables alive, so that no new variable gets the id of an old one.
        self._known = {id(variable): variable for variable in model.weights} if whole else {}
        self._new: set[int] = set()
        self._layers = [weakref.ref(layer) for layer in model.layers]
        self._sums: dict[int, float] = {}
        self._messages: dict[str, str] = {}
        self._reported: set[str] = set()

    def is_new(self, variable: Any) -> bool:
        """Return whether a variable was added after the whole model was pruned."""
        return self.whole and id(variable) in self._new

    def has_same_layers(self, model: Any) -> bool:
        """Return whether no direct layer of the model was added, removed or replaced."""
        layers = model.layers
        return len(layers) == len(self._layers) and all(
            known() is layer for known, layer in zip(self._layers, layers, strict=True)
        )

    def update(self, model: Any, pruner: Pruner) -> list[Any]:
        """Rename weights to their current names; drop and return variables that were removed."""
        self._layers = [weakref.ref(layer) for layer in model.layers]
        pruned = {id(variable) for variable in pruner.variables}
        now = find_weights(model, pruned)
        before = zip(pruner.weights, map(id, pruner.variables), strict=True)
        removed: dict[str, Any] = {}
        if [(weight.name, id(weight.variable)) for weight in now] != [*before]:
            removed = pruner.keep_only(now)
        for name, variable in removed.items():
            self._messages[f"{name} {id(variable)} removed"] = (
                f"{name!r} ({compat.variable_path(variable)} in Keras) was pruned and is no "
                "longer in the model: its mask is dropped."
            )
        if self.whole and has_all_weights(model):
            for name, variable in self._new_weights(model):
                self._new.add(id(variable))
                self._messages[f"{name} {id(variable)} new"] = _new_weight_message(name, variable)
            self._known |= {id(variable): variable for variable in model.weights}
        for name, message in adapter_messages(model, now).items():
            self.note(f"{name} adapter", message)
        return [*removed.values()]

    def note(self, topic: str, message: str) -> None:
        """Add a message, unless one on this topic was taken before."""
        self._messages[topic] = message

    def take_messages(self) -> list[str]:
        """Return the messages on topics that were not reported before."""
        new = [text for topic, text in self._messages.items() if topic not in self._reported]
        self._reported |= self._messages.keys()
        self._messages.clear()
        return new

    def remember(self, pruner: Pruner) -> None:
        """Record the weights, to detect later whether they were trained."""
        self._sums = _sums(pruner)

    def all_changed(self, pruner: Pruner) -> bool:
        """Return whether every weight has changed since `remember`."""
        now = _sums(pruner)
        return bool(now) and all(now[key] != self._sums.get(key) for key in now)

    def _new_weights(self, model: Any) -> Iterator[tuple[str, Any]]:
        names = {id(variable): name for name, variable in named_variables(model).items()}
        for _, variables, _ in prunable_by_layer(model, self.allow):
            for variable in variables:
                if id(variable) not in self._known:
                    yield names[id(variable)], variable


def find_weights(model: Any, wanted: Collection[int]) -> list[PrunableWeight]:
    """Return the weights of a model whose ``id`` is in ``wanted``, in the model's order."""
    return [
        PrunableWeight(one.name, one.layers[0], one.variable)
        for one in variables_of(model)
        if id(one.variable) in wanted
    ]


def _new_weight_message(name: str, variable: Any) -> str:
    if tf.as_dtype(compat.dtype_of(variable)).is_floating:
        return (
            f"{name!r} was added to the model after pruning, and is not pruned. Call "
            "prune_low_magnitude(model, ...) again to prune it too; the others keep their masks."
        )
    return (
        f"{name!r} was quantized to {compat.dtype_of(variable)} and is no longer pruned; its "
        "zeros are still zeros."
    )


def adapter_messages(model: Any, weights: list[PrunableWeight]) -> dict[str, str]:
    """Return, by name, warnings about masked weights that have a LoRA adapter."""
    adapted = {
        id(variable)
        for layer in layers_inside(model)
        if getattr(layer, "lora_enabled", False) is True
        for variable in layer.weights
    }
    return {
        weight.name: (
            f"{weight.name!r} has an adapter (enable_lora), and its mask applies to the frozen "
            "kernel only: the sum of kernel and adapter is dense, and so are saved files, which "
            "contain that sum."
        )
        for weight in weights
        if id(weight.variable) in adapted
    }


def _sums(pruner: Pruner) -> dict[int, float]:
    return {
        id(weight): float(tf.reduce_sum(tf.abs(tf.convert_to_tensor(weight))))
        for weight in pruner.weights.values()
    }
