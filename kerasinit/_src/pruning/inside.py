"""What is inside a model, however it is held: nested models, wrappers, layers of a layer."""

from collections.abc import Collection, Iterator
from typing import Any

from kerasinit._src import compat
from kerasinit._src.network.parts import inner_layers, parts
from kerasinit._src.network.prunable import NoRuleError, PrunableWeight, layer_weights, own_weights
from kerasinit._src.network.walk import walk


def layers_inside(thing: Any) -> Iterator[Any]:
    """Yield every layer and model inside a model or layer, at any depth, each once."""
    seen = {id(thing)}

    def enter(outer: Any) -> Iterator[Any]:
        inner = outer.layers if compat.is_model(outer) else [one for _, one in inner_layers(outer)]
        for layer in inner:
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                yield from enter(layer)

    yield from enter(thing)


def is_inside(part: Any, whole: Any) -> bool:
    """Return whether a layer or model is a part of another that has more to it."""
    if part is whole:
        return False
    if any(part is layer for layer in layers_inside(whole)):
        return True
    if compat.is_model(part):
        return False
    own = {id(variable) for variable in part.weights}
    return bool(own) and own <= {id(variable) for variable in whole.weights}


def placed(model: Any, wanted: Collection[int]) -> list[PrunableWeight]:
    """Return some variables under the names that they have in a model now.

    The names are those of `prunable_weights`, and, of what is inside a layer without a rule,
    those of `network.parts.parts`.

    Args:
        model: A model whose weights exist.
        wanted: The ``id`` of each variable.

    Returns:
        Those that the model has, in its order.
    """
    found: list[PrunableWeight] = []
    left = set(wanted)

    def note(name: str, layer: Any, variable: Any) -> None:
        if id(variable) in left:
            left.discard(id(variable))
            found.append(PrunableWeight(name, layer, variable))

    for path, layer in walk(model):
        if left.isdisjoint(map(id, layer.weights)):
            continue
        for name, variable in _names(layer):
            note(f"{path}/{name}", layer, variable)
    if left and compat.is_model(model):
        try:
            own = own_weights(model)
        except NoRuleError:
            own = [(compat.variable_name(v), v) for v in model.trainable_weights]
        for name, variable in own:
            note(name, model, variable)
    return found


def _names(layer: Any) -> list[tuple[str, Any]]:
    try:
        return layer_weights(layer)
    except NoRuleError:
        if layer.built:
            return [(part.name.partition("/")[2], part.variable) for part in parts(layer)]
        return [(compat.variable_path(v), v) for v in layer.weights]
