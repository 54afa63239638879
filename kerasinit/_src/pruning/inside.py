"""What is inside a model, however it is held: nested models, wrappers, layers of a layer."""

from collections.abc import Collection
from typing import Any

from kerasinit._src import compat
from kerasinit._src.network.parts import variables_of
from kerasinit._src.network.prunable import PrunableWeight
from kerasinit._src.network.walk import layers_inside


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
