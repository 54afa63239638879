"""A model, read once: its variables by the layers that they are in, and its graph.

Every entry makes a `Network` and hands it down in the place of the model.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TypeGuard

from kerasinit._src import compat, errors
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Graph, graph_of, model_in
from kerasinit._src.network.parts import Kernel, Part, parts
from kerasinit._src.network.walk import layers_inside


class Network:
    """A built model of either Keras and what was read of it.

    Attributes:
        model: The model.
        parts: Its weights; see `network.parts`.
    """

    def __init__(self, model: Any):
        self.model = model
        self.parts = parts(model)
        self._by_variable = {id(part.variable): part for part in self.parts}
        self._units: dict[int, tuple[Any, ...]] = {}

    @cached_property
    def graph(self) -> Graph | None:
        """The model's graph, None if it has none; a ValueError if Keras cannot write it."""
        return graph_of(self.model)

    def within(self, layer: Any) -> list[Part]:
        """Return the parts of a layer and of all layers in it."""
        # An operation of Keras 3 is a node of a graph without a layer.
        variables = () if layer is None else layer.weights
        found = (self._by_variable.get(id(variable)) for variable in variables)
        return [part for part in found if part is not None]

    def own(self, unit: Any) -> list[Part]:
        """Return the parts of one of the layers that `units` returns."""
        return [part for part in self.within(unit) if unit_of(part) is unit]

    def units(self, layer: Any) -> tuple[Any, ...]:
        """Return the innermost layers with weights in a layer, in the order of the data.

        In a layer that is no model, that is the order in which it made them.
        """
        if id(layer) not in self._units:
            self._units[id(layer)] = unique(self._inside(layer))
        return self._units[id(layer)]

    def _inside(self, layer: Any) -> Iterator[Any]:
        graph = self._graph(layer)
        if graph is None:
            return map(unit_of, self.within(layer))
        return (unit for node in graph.nodes for unit in self.units(node.layer))

    def _graph(self, layer: Any) -> Graph | None:
        model = model_in(layer)
        try:
            if model is self.model:
                return self.graph
            return None if model is None else graph_of(model)
        except ValueError:  # it counts as a layer that made its layers in some order
            return None

    def kernels(self, layer: Any) -> list[Kernel]:
        """Return the kernels in a layer that multiply a signal."""
        return [
            part for unit in self.units(layer) for part in self.own(unit) if is_multiplied(part)
        ]

    def scales(self, layer: Any) -> list[Part]:
        """Return the scales of normalizations in a layer, and those that stand alone."""
        return [part for part in self.within(layer) if is_scale(part)]

    def statistics(self, layer: Any) -> list[Part]:
        """Return the statistics of normalizations in a layer."""
        return [p for p in self.within(layer) if p.role == "statistic"]

    def tables(self, layer: Any) -> list[Part]:
        """Return the embeddings in a layer."""
        return [part for part in self.within(layer) if is_table(part)]

    def depth(self, units: Iterable[Any]) -> int:
        """Return how many kernels a signal passes that goes through some layers in turn."""
        return sum(
            1 if is_recurrent(unit) else len(self.kernels(unit))
            for unit in units
            if not any(only_looks(part) for part in self.own(unit))
        )

    def last_kernels(self, unit: Any) -> list[Kernel]:
        """Return the kernels that alone decide whether one of the `units` gives zeros.

        Of two in a row only the second: if both were zero, neither would get a gradient.
        """
        if row_of(unit).inside == "directions":
            directions = (unit.forward_layer, unit.backward_layer)
            return [part for one in directions for part in self._last_of(self.within(one))]
        return self._last_of(self.own(unit))

    def _last_of(self, found: list[Part]) -> list[Kernel]:
        return [part for part in found if part.role == "kernel" and is_multiplied(part)][-1:]

    def named(self, one: Any) -> tuple[Any, ...]:
        """Return the innermost layers of a layer of the model, or of the name of one."""
        if isinstance(one, str):
            return self._by_name(one)
        compat.kerase_of(one)
        units = self.units(compat.unwrapped(one))
        if not units:
            raise ValueError(f"The layer {one.name!r} has no weights in {self.model.name!r}.")
        return units

    def _by_name(self, name: str) -> tuple[Any, ...]:
        here = [part for part in self.parts if part.name.startswith(f"{name}/")]
        layers = [layer for layer in self._layers if layer.name == name]
        meant = {tuple(map(id, self.units(layer))): self.units(layer) for layer in layers}
        meant.pop((), None)
        if here:
            units = unique(map(unit_of, here))
            same = next((known for known in meant.values() if _are_same(known, units)), None)
            if same is None:
                meant[tuple(map(id, units))] = units
        if len(meant) > 1:
            raise ValueError(
                f"Several layers of {self.model.name!r} are called {name!r}: give the layer itself."
            )
        if not meant:
            names = {layer.name for layer in self._layers}
            names |= {part.name.rsplit("/", 1)[0] for part in self.parts}
            raise errors.unknown("layer", name, names)
        return next(iter(meant.values()))

    @cached_property
    def _layers(self) -> list[Any]:
        return list(layers_inside(self.model))


def read(model: Any) -> Network:
    """Return a model as it is handed down; what was read before is returned as it is.

    Raises:
        TypeError: If it is no model.
        ValueError: If it is not built.
    """
    if isinstance(model, Network):
        return model
    if not compat.is_model(model):
        raise TypeError(
            f"Expected a model of Keras 3 or tf_keras; got {model!r} of type "
            f"{type(model).__qualname__}."
        )
    return Network(model)


def is_scale(part: Part) -> bool:
    """Return whether a variable scales each channel."""
    # ConvNeXt's layer, which in Keras 3 gives its variable no name.
    return part.role == "scale" or type(part.layer).__qualname__ == "LayerScale"


def only_looks(part: Part) -> bool:
    """Return whether a variable is an attention's, and not on the way of the values."""
    return is_of_attention(part) and part.layer.name not in ("value", "attention_output")


def is_of_attention(part: Part) -> bool:
    """Return whether a variable lies in an attention with kernels."""
    return any(row_of(layer).signal == "attends" for layer in part.layers)


def unit_of(part: Part) -> Any:
    """Return the innermost layer that owns a variable, or the recurrent one around it."""
    return next((layer for layer in part.layers if is_recurrent(layer)), part.layer)


def is_recurrent(layer: Any) -> bool:
    """Return whether a layer is recurrent: one whole, whatever cells it has."""
    return row_of(layer).signal == "recurs"


def unique(layers: Iterable[Any]) -> tuple[Any, ...]:
    """Return layers, each once, in their order."""
    return tuple({id(layer): layer for layer in layers}.values())


def _are_same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    return {id(unit) for unit in one} == {id(unit) for unit in other}


def is_table(part: Part) -> bool:
    """Return whether a variable holds embeddings, which are looked up or added."""
    return part.role == "embeddings"


def is_multiplied(part: Part) -> TypeGuard[Kernel]:
    """Return whether a variable is a kernel, but no embeddings."""
    return isinstance(part, Kernel) and not is_table(part)
