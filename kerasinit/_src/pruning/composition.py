"""What a model was made of when it was pruned, and what has become of it.

Layers are popped, added, replaced, quantized and adapted while a model is pruned. Its masks belong
to variables, not to names: a mask follows its variable to the name that it has now, and is
forgotten with it.
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
    """The weights and layers of a pruned model, as they were last seen.

    Args:
        model: A Keras 3 model.
        allow: Which layers its policy prunes; None if it has no policy.
        whole: Whether the model was pruned, and not only something inside it.
    """

    def __init__(
        self, model: Any, allow: Callable[[Any], bool] | None = None, *, whole: bool = True
    ) -> None:
        self.allow, self.whole = allow, whole
        # Held, for the id of a variable that is gone may be that of the next.
        self._known = {id(variable): variable for variable in model.weights} if whole else {}
        self._new: set[int] = set()
        self._layers = [weakref.ref(layer) for layer in model.layers]
        self._sums: dict[int, float] = {}
        self._messages: dict[str, str] = {}
        self._reported: set[str] = set()

    def is_new(self, variable: Any) -> bool:
        """Return whether a variable has come into a model after the whole of it was pruned."""
        return self.whole and id(variable) in self._new

    def has_same_layers(self, model: Any) -> bool:
        """Return whether no layer of a model itself was added, removed or replaced."""
        layers = model.layers
        return len(layers) == len(self._layers) and all(
            known() is layer for known, layer in zip(self._layers, layers, strict=True)
        )

    def follow(self, model: Any, pruner: Pruner) -> list[Any]:
        """Give weights the names that they have now, and forget those that are gone.

        Returns:
            The variables that are gone.
        """
        self._layers = [weakref.ref(layer) for layer in model.layers]
        pruned = {id(variable) for variable in pruner.variables}
        now = placed(model, pruned)
        before = zip(pruner.weights, map(id, pruner.variables), strict=True)
        gone: dict[str, Any] = {}
        if [(weight.name, id(weight.variable)) for weight in now] != [*before]:
            gone = pruner.keep_only(now)
        for name, variable in gone.items():
            self._messages[f"{name} {id(variable)} gone"] = (
                f"{name!r} ({compat.variable_path(variable)} in Keras) was pruned and is no "
                "longer in the model: its mask is dropped."
            )
        if self.whole and has_all_weights(model):
            for name, variable in self._new_weights(model):
                self._new.add(id(variable))
                self._messages[f"{name} {id(variable)} new"] = _of_a_new(name, variable)
            self._known |= {id(variable): variable for variable in model.weights}
        for name, message in adapters(model, now).items():
            self.note(f"{name} adapter", message)
        return [*gone.values()]

    def note(self, topic: str, message: str) -> None:
        """Keep a message for whoever takes them, unless it was taken before."""
        self._messages[topic] = message

    def take_messages(self) -> list[str]:
        """Return what has changed since the last time."""
        new = [text for topic, text in self._messages.items() if topic not in self._reported]
        self._reported |= self._messages.keys()
        self._messages.clear()
        return new

    def remember(self, pruner: Pruner) -> None:
        """Remember the values of the weights, to see later whether somebody has trained them."""
        self._sums = _sums(pruner)

    def were_all_changed(self, pruner: Pruner) -> bool:
        """Return whether every weight has other values than when they were remembered."""
        now = _sums(pruner)
        return bool(now) and all(now[key] != self._sums.get(key) for key in now)

    def _new_weights(self, model: Any) -> Iterator[tuple[str, Any]]:
        names = {id(variable): name for name, variable in named_variables(model).items()}
        for _, variables, _ in prunable_by_layer(model, self.allow):
            for variable in variables:
                if id(variable) not in self._known:
                    yield names[id(variable)], variable


def placed(model: Any, wanted: Collection[int]) -> list[PrunableWeight]:
    """Return some variables under the names that they have in a model now.

    Args:
        model: A model whose weights exist.
        wanted: The ``id`` of each variable.

    Returns:
        Those that the model has, in its order.
    """
    return [
        PrunableWeight(one.name, one.layers[0], one.variable)
        for one in variables_of(model)
        if id(one.variable) in wanted
    ]


def _of_a_new(name: str, variable: Any) -> str:
    if tf.as_dtype(compat.dtype_of(variable)).is_floating:
        return (
            f"{name!r} has come into the model since it was pruned, and is not pruned. Call "
            "prune_low_magnitude(model, ...) again to prune it, too; the others keep their masks."
        )
    return (
        f"{name!r} was quantized to {compat.dtype_of(variable)} and is not pruned any more; its "
        "zeros are still zeros."
    )


def adapters(model: Any, weights: list[PrunableWeight]) -> dict[str, str]:
    """Return, by name, what is to be said of masked weights that have an adapter above them."""
    adapted = {
        id(variable)
        for layer in layers_inside(model)
        if getattr(layer, "lora_enabled", False) is True
        for variable in layer.weights
    }
    return {
        weight.name: (
            f"{weight.name!r} has an adapter (enable_lora), and its mask holds for the kernel "
            "below it: kernel and adapter together are dense, and so are saved files, in which "
            "Keras adds them up."
        )
        for weight in weights
        if id(weight.variable) in adapted
    }


def _sums(pruner: Pruner) -> dict[int, float]:
    return {
        id(weight): float(tf.reduce_sum(tf.abs(tf.convert_to_tensor(weight))))
        for weight in pruner.weights.values()
    }
