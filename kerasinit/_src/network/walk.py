"""The walk over a model: its layers, and the layers inside them, by paths that survive rebuilding.

Keras numbers the names of layers by what the process made before (``dense_3``), so a name of one
build means nothing to the next. A path here depends on the model alone, and is the same in both
Kerases: the class in snake case, numbered within its model, and within a layer the name under
which that holds it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat
from kerasinit._src.network.catalogue import row_of

Called = tuple[tuple[str, bool], ...]
"""A path as it is called: each name, and whether a person gave it."""


@dataclass(frozen=True, eq=False)
class Place:
    """A layer of a model, and where it is.

    Attributes:
        path: Its path: ``dense_1``, ``functional/conv2d``, ``bidirectional/forward``. What is only
            wrapped, such as the cell of an LSTM, has the path of what wraps it.
        called: The same by the names that were given to layers.
        layers: The layers that it is in, from the outermost on, and itself.
    """

    path: str
    called: Called
    layers: tuple[Any, ...]

    @property
    def layer(self) -> Any:
        """The layer itself."""
        return self.layers[-1]


def places(model: Any, closed: Callable[[Any], bool] | None = None) -> Iterator[Place]:
    """Yield each layer of a model, at any depth, once and after the layers inside it.

    Layers inside layers are entered: cells, wrapped layers, the dense layers of an
    attention, the layers that a custom layer holds in its attributes.

    Args:
        model: A model or layer of either Keras.
        closed: Returns whether a layer is not entered.
    """
    entered: set[int] = set()

    def enter(place: Place) -> Iterator[Place]:
        layer = place.layer
        if id(layer) in entered:
            return
        entered.add(id(layer))
        # Inner layers first: a variable belongs to the innermost layer that has it.
        for name, more, inner in () if closed and closed(layer) else _inner_called(layer):
            path = f"{place.path}/{name}" if name else place.path
            yield from enter(Place(path, (*place.called, *more), (*place.layers, inner)))
        yield place

    for path, called, layer in _walk_called(model):
        yield from enter(Place(path, called, (layer,)))


def walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield each layer of a model once, by its path; see `Place`.

    The path is the class in snake case, numbered within its model. A layer that stands in
    several places comes once, at the first.

    Args:
        model: A model of either Keras, or a single layer.

    Yields:
        ``(path, layer)`` in the order of ``model.layers``; nested models are
        entered, not yielded. A single layer is yielded with its own path.
    """
    for path, _, layer in _walk_called(model):
        yield path, layer


def _walk_called(model: Any) -> Iterator[tuple[str, Called, Any]]:
    """Yield each layer of a model as `walk` does, with the path by the names that were given."""
    seen: set[int] = set()

    def enter(container: Any, prefix: str, called: Called) -> Iterator[tuple[str, Called, Any]]:
        for name, layer in _numbered(map(compat.unwrapped, container.layers)):
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
        name, given = compat.snake_case(type(model).__name__), given_name(model)
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
    return re.sub(r"_\d+$", "", name) == compat.snake_case(kind)


def _inner_called(layer: Any) -> Iterator[tuple[str, Called, Any]]:
    """Yield the layers directly inside a layer with their names, and those that were given."""
    if compat.is_model(layer):
        yield from _walk_called(layer)
        return
    named_by_keras = row_of(layer).inside in ("cell", "cells", "dense layers", "directions")
    for name, inner in inner_layers(layer):
        given = None if named_by_keras else given_name(inner)
        called = given or name
        yield name, ((called, given is not None),) if called else (), inner


def inner_layers(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers directly inside a layer, by names that survive rebuilding.

    The name is empty for a layer that is only wrapped, such as the cell of an LSTM.
    """
    inside = row_of(layer).inside
    if compat.is_model(layer):
        yield from walk(layer)
    elif inside == "directions":
        yield "forward", layer.forward_layer
        yield "backward", layer.backward_layer
    elif inside == "cells":
        yield from _numbered(layer.cells)
    elif inside == "cell":
        yield "", layer.cell
    elif inside == "layer":
        yield "", layer.layer
    elif inside == "dense layers":
        # Their dense layers have fixed names: query, key, value, ...
        yield from ((given_name(inner) or name, inner) for name, inner in _held(layer))
    else:
        yield from _held(layer)


def _held(layer: Any) -> list[tuple[str, Any]]:
    """Return the layers that an object holds in its attributes, by the attributes' names."""
    named: dict[int, tuple[str, Any]] = {}
    # What Keras notes down for itself holds the same layers again, under worse names.
    attributes = sorted(vars(layer).items(), key=lambda item: item[0] in _BOOKKEEPING)
    for attribute, value in attributes:
        attribute = attribute.lstrip("_")
        for suffix, inner in _elements(value):
            if compat.is_layer(inner) and inner is not layer:
                named.setdefault(id(inner), (f"{attribute}{suffix}", inner))
    return list(named.values())


_BOOKKEEPING = (
    "_layers",
    "_self_tracked_trackables",
    "_self_unconditional_dependency_names",
    "_self_unconditional_checkpoint_dependencies",
)


def _elements(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        yield from ((f"_{number}", element) for number, element in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"_{key}", element) for key, element in value.items())
    else:
        yield "", value


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


def _numbered(layers: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield layers by their class in snake case, numbered where several are of one."""
    counts: dict[str, int] = {}
    for layer in layers:
        stem = compat.snake_case(type(layer).__name__)
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        yield (f"{stem}_{number}" if number else stem), layer
