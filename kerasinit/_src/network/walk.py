"""Walks a model: its layers and the layers inside them, by paths that survive rebuilding.

Keras numbers layer names by how many such layers the process has created (``dense_3``). A path
here depends on the model alone and is the same in both Kerases: a layer in a model is named by its
class in snake case and numbered within the model; one inside a layer, by the attribute that holds
it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat
from kerasinit._src.keras_naming import snake_case
from kerasinit._src.network.catalogue import row_of

NamesOnPath = tuple[tuple[str, bool], ...]
"""For each layer on a path, its name, and whether the user set that name."""


@dataclass(frozen=True, eq=False)
class LocatedLayer:
    """A layer of a model, and where it is.

    Attributes:
        path: Its path: ``dense_1``, ``functional/conv2d``, ``bidirectional/forward``. A layer that
            is only wrapped, such as the cell of an LSTM, has the path of its wrapper.
        called: The names along the path, with those that the user set.
        layers: The layers that contain it, from the outermost inwards, and the layer itself.
    """

    path: str
    called: NamesOnPath
    layers: tuple[Any, ...]

    @property
    def layer(self) -> Any:
        """The layer itself."""
        return self.layers[-1]


def located_layers(
    model: Any, closed: Callable[[Any], bool] | None = None
) -> Iterator[LocatedLayer]:
    """Yield each layer of a model, at any depth, once and after the layers inside it.

    Layers for which ``closed`` returns True are yielded, but not entered.
    """
    entered: set[int] = set()

    def enter(located: LocatedLayer) -> Iterator[LocatedLayer]:
        layer = located.layer
        if id(layer) in entered:
            return
        entered.add(id(layer))
        # Inner layers first: a variable belongs to the innermost layer that has it.
        for name, names, inner in (
            () if closed and closed(layer) else _inner_layers_with_names(layer)
        ):
            path = f"{located.path}/{name}" if name else located.path
            yield from enter(
                LocatedLayer(path, (*located.called, *names), (*located.layers, inner))
            )
        yield located

    for path, called, layer in _walk_with_names(model):
        yield from enter(LocatedLayer(path, called, (layer,)))


def walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield ``(path, layer)`` for each layer of a model, in the order of ``model.layers``.

    A shared layer is yielded once, where it first appears. Nested models are entered, not yielded;
    a single layer is yielded with its own path.
    """
    for path, _, layer in _walk_with_names(model):
        yield path, layer


def _walk_with_names(model: Any) -> Iterator[tuple[str, NamesOnPath, Any]]:
    """Yield what `walk` does, with the names along each path."""
    seen: set[int] = set()

    def enter(
        container: Any, prefix: str, called: NamesOnPath
    ) -> Iterator[tuple[str, NamesOnPath, Any]]:
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
        name, given = snake_case(type(model).__name__), given_name(model)
        yield name, ((given or name, given is not None),), model


def given_name(layer: Any) -> str | None:
    """Return a layer's name if the user set it; None if it is Keras' default."""
    name = getattr(layer, "name", None)
    is_default = not isinstance(name, str) or is_default_name(name, type(layer).__name__)
    if compat.is_model(layer) and not is_default:
        is_default = any(
            is_default_name(str(name), kind) for kind in ("Functional", "Model", "Sequential")
        )
    return None if is_default else name


def is_default_name(name: str, kind: str) -> bool:
    """Return whether a layer's name is Keras' default for its class, such as ``dense_3``."""
    return re.sub(r"_\d+$", "", name) == snake_case(kind)


def _inner_layers_with_names(layer: Any) -> Iterator[tuple[str, NamesOnPath, Any]]:
    """Yield what `inner_layers` does, with the names that the user set."""
    if compat.is_model(layer):
        yield from _walk_with_names(layer)
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
        # Keras gives them fixed names: query, key, value, ...
        yield from (
            (given_name(inner) or name, inner) for name, inner in _layers_in_attributes(layer)
        )
    else:
        yield from _layers_in_attributes(layer)


def _layers_in_attributes(layer: Any) -> list[tuple[str, Any]]:
    """Return the layers that a layer holds in its attributes, named after those attributes."""
    named: dict[int, tuple[str, Any]] = {}
    # Keras' own bookkeeping holds the same layers under less meaningful names.
    attributes = sorted(vars(layer).items(), key=lambda item: item[0] in _BOOKKEEPING)
    for attribute, value in attributes:
        attribute = attribute.lstrip("_")
        for suffix, inner in _elements_with_suffixes(value):
            if compat.is_layer(inner) and inner is not layer:
                named.setdefault(id(inner), (f"{attribute}{suffix}", inner))
    return list(named.values())


_BOOKKEEPING = (
    "_layers",
    "_self_tracked_trackables",
    "_self_unconditional_dependency_names",
    "_self_unconditional_checkpoint_dependencies",
)


def _elements_with_suffixes(value: Any) -> Iterator[tuple[str, Any]]:
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
    """Return whether a layer or model is a proper part of another."""
    if part is whole:
        return False
    if any(part is layer for layer in layers_inside(whole)):
        return True
    if compat.is_model(part):
        return False
    own = {id(variable) for variable in part.weights}
    return bool(own) and own <= {id(variable) for variable in whole.weights}


def _numbered(layers: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield layers named by their class in snake case, numbered if several share a class."""
    counts: dict[str, int] = {}
    for layer in layers:
        stem = snake_case(type(layer).__name__)
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        yield (f"{stem}_{number}" if number else stem), layer
