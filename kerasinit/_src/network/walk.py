"""The walk over a model's layers, and the names of its variables that survive rebuilding."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kerasinit._src import compat
from kerasinit._src.compat import snake_case


def walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield each layer of a model once, with a path that survives rebuilding.

    Keras numbers the names of layers by what the process made before
    (``dense_3``), so a name or variable path of one build means nothing to the
    next. The path here is the class in snake case, numbered within its model:
    ``dense``, ``dense_1``, ``functional/conv2d``. It is the same for every build
    of the same code, in either Keras. A layer that stands in several places comes
    once, at the first.

    Args:
        model: A model of either Keras, or a single layer.

    Yields:
        ``(path, layer)`` in the order of ``model.layers``; nested models are
        entered, not yielded. A single layer is yielded with its own path.
    """
    for path, _, layer in walk_called(model):
        yield path, layer


Called = tuple[tuple[str, bool], ...]
"""A path as it is called: each name, and whether a person gave it."""


def walk_called(model: Any) -> Iterator[tuple[str, Called, Any]]:
    """Yield each layer of a model as `walk` does, with the path by the names that were given."""
    seen: set[int] = set()

    def enter(container: Any, prefix: str, called: Called) -> Iterator[tuple[str, Called, Any]]:
        counts: dict[str, int] = {}
        for layer in map(compat.unwrapped, container.layers):
            stem = snake_case(type(layer).__name__)
            number = counts.get(stem, 0)
            counts[stem] = number + 1
            name = f"{stem}_{number}" if number else stem
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            given = given_name(layer)
            names = (*called, (given or name, given is not None))
            if compat.is_model(layer):
                yield from enter(layer, f"{prefix}{name}/", names)
            else:
                yield prefix + name, names, layer

    model = compat.unwrapped(model)
    if compat.is_model(model):
        yield from enter(model, "", ())
    else:
        name, given = snake_case(type(model).__name__), given_name(model)
        yield name, ((given or name, given is not None),), model


def given_name(layer: Any) -> str | None:
    """Return the name that a person gave a layer; None if it is one that Keras makes up.

    Example:
    >>> import keras
    >>> given_name(keras.layers.Dense(3, name="encoder")), given_name(keras.layers.Dense(3))
    ('encoder', None)
    """
    name = getattr(layer, "name", None)
    made_up = not isinstance(name, str) or is_made_up(name, type(layer).__name__)
    if compat.is_model(layer) and not made_up:
        made_up = any(is_made_up(str(name), kind) for kind in ("Functional", "Model", "Sequential"))
    return None if made_up else name


def is_made_up(name: str, kind: str) -> bool:
    """Return whether a layer's name is one that Keras makes for its class.

    Example:
    >>> is_made_up("dense_3", "Dense"), is_made_up("encoder", "Dense")
    (True, False)
    """
    return re.sub(r"_\d+$", "", name) == snake_case(kind)


def named_variables(model: Any, given: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return every variable of a model by a name that survives rebuilding.

    The name is the layer's path (see `walk`) and the last part of the variable's
    own name, numbered where a layer has several of one name: ``dense_1/kernel``,
    ``lstm/bias``. Variables that no layer of ``model.layers`` owns, such as those made
    by a subclassed model itself, come last, under the path ``model``.

    Args:
        model: A built model, or a built layer, of either Keras.
        given: Names that some variables have already, by the variables' ``id``.

    Returns:
        Variables by name, in the order of the model. Weights and the states of
        random layers; not the optimizer's.
    """
    given = given or {}
    taken = set(given.values())
    names: dict[str, Any] = {}
    seen: set[int] = set()

    def add(path: str, variables: Any) -> None:
        for variable in variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            if id(variable) in given:
                names[given[id(variable)]] = variable
                continue
            stem = f"{path}/{compat.variable_name(variable)}"
            name, number = stem, 0
            while name in names or name in taken:
                number += 1
                name = f"{stem}_{number}"
            names[name] = variable

    for path, layer in walk(model):
        add(path, _state(layer))
    add("model", _state(model))
    return names


def _state(layer: Any) -> list[Any]:
    # Keras 3 counts a model's metrics among its variables, tf_keras among its weights.
    # They hold no state of the network. Nor do the words of a lookup layer, which tf_keras
    # puts there too, though they are no variable.
    variables = layer.variables if compat.kerase_of(layer) == "keras" else layer.weights
    metrics = {
        id(variable)
        for metric in getattr(layer, "metrics", None) or ()
        for variable in metric.variables
    }
    return [
        variable
        for variable in variables
        if id(variable) not in metrics and hasattr(variable, "numpy")
    ]
