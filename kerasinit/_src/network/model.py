"""A model, read once: its variables, its graph and its layers with weights.

Every entry point makes a `Network` and passes it on instead of the model.
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
    """A built model of either Keras, with its weights as `parts`."""

    def __init__(self, model: Any):
        self.model = model
        self.parts = parts(model)
        self._by_variable = {id(part.variable): part for part in self.parts}
        self._layers_with_weights: dict[int, tuple[Any, ...]] = {}

    @cached_property
    def graph(self) -> Graph | None:
        """The model's graph, None if it has none; ValueError if Keras cannot serialize it."""
        return graph_of(self.model)

    def parts_in(self, layer: Any) -> list[Part]:
        """Return the parts of a layer and of all layers in it."""
        # An operation of Keras 3 is a node of a graph without a layer.
        variables = () if layer is None else layer.weights
        found = (self._by_variable.get(id(variable)) for variable in variables)
        return [part for part in found if part is not None]

    def parts_of(self, layer: Any) -> list[Part]:
        """Return the parts that belong to one of the `layers_with_weights`."""
        return [part for part in self.parts_in(layer) if layer_with_weights(part) is layer]

    def layers_with_weights(self, layer: Any) -> tuple[Any, ...]:
        """Return the innermost layers with weights in a layer, in the order of the data.

        In a layer that is not a model, that is the order in which it created them.
        """
        if id(layer) not in self._layers_with_weights:
            self._layers_with_weights[id(layer)] = unique(self._inside(layer))
        return self._layers_with_weights[id(layer)]

    def _inside(self, layer: Any) -> Iterator[Any]:
        graph = self._graph(layer)
        if graph is None:
            return map(layer_with_weights, self.parts_in(layer))
        return (inner for node in graph.nodes for inner in self.layers_with_weights(node.layer))

    def _graph(self, layer: Any) -> Graph | None:
        model = model_in(layer)
        try:
            if model is self.model:
                return self.graph
            return None if model is None else graph_of(model)
        except ValueError:  # treated like a layer without a graph
            return None

    def kernels(self, layer: Any) -> list[Kernel]:
        """Return the kernels in a layer that multiply a signal."""
        inside = self.layers_with_weights(layer)
        return [part for inner in inside for part in self.parts_of(inner) if is_multiplied(part)]

    def scales(self, layer: Any) -> list[Part]:
        """Return the scales in a layer, those of normalizations and others."""
        return [part for part in self.parts_in(layer) if is_scale(part)]

    def statistics(self, layer: Any) -> list[Part]:
        """Return the statistics of normalizations in a layer."""
        return [p for p in self.parts_in(layer) if p.role == "statistic"]

    def tables(self, layer: Any) -> list[Part]:
        """Return the embeddings in a layer."""
        return [part for part in self.parts_in(layer) if is_table(part)]

    def depth(self, layers: Iterable[Any]) -> int:
        """Return the number of kernels that a signal passes on its way through some layers."""
        return sum(
            1 if is_recurrent(layer) else len(self.kernels(layer))
            for layer in layers
            if not any(map(is_query_or_key, self.parts_of(layer)))
        )

    def last_kernels(self, layer: Any) -> list[Kernel]:
        """Return the kernels that alone make the output of a layer with weights zero.

        Of two in sequence only the second: if both were zero, neither would get a gradient.
        """
        if row_of(layer).inside == "directions":
            directions = (layer.forward_layer, layer.backward_layer)
            return [part for one in directions for part in self._last_of(self.parts_in(one))]
        return self._last_of(self.parts_of(layer))

    def _last_of(self, found: list[Part]) -> list[Kernel]:
        return [part for part in found if part.role == "kernel" and is_multiplied(part)][-1:]

    def find_layers(self, layer_or_name: Any) -> tuple[Any, ...]:
        """Return the layers with weights in a layer of the model, or in one given by name."""
        if isinstance(layer_or_name, str):
            return self._by_name(layer_or_name)
        compat.kerase_of(layer_or_name)
        inside = self.layers_with_weights(compat.unwrapped(layer_or_name))
        if not inside:
            raise ValueError(
                f"The layer {layer_or_name.name!r} has no weights in {self.model.name!r}."
            )
        return inside

    def _by_name(self, name: str) -> tuple[Any, ...]:
        here = [part for part in self.parts if part.name.startswith(f"{name}/")]
        layers = [layer for layer in self._layers if layer.name == name]
        candidates = {
            tuple(map(id, self.layers_with_weights(layer))): self.layers_with_weights(layer)
            for layer in layers
        }
        candidates.pop((), None)
        if here:
            inside = unique(map(layer_with_weights, here))
            same = next((known for known in candidates.values() if _are_same(known, inside)), None)
            if same is None:
                candidates[tuple(map(id, inside))] = inside
        if len(candidates) > 1:
            raise ValueError(
                f"Several layers of {self.model.name!r} are called {name!r}: give the layer itself."
            )
        if not candidates:
            names = {layer.name for layer in self._layers}
            names |= {part.name.rsplit("/", 1)[0] for part in self.parts}
            raise errors.unknown("layer", name, names)
        return next(iter(candidates.values()))

    @cached_property
    def _layers(self) -> list[Any]:
        return list(layers_inside(self.model))


def read(model: Any) -> Network:
    """Return the `Network` of a built model; a `Network` is returned unchanged."""
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


def is_query_or_key(part: Part) -> bool:
    """Return whether a variable belongs to the query or key layer of an attention."""
    return is_of_attention(part) and part.layer.name not in ("value", "attention_output")


def is_of_attention(part: Part) -> bool:
    """Return whether a variable lies in an attention with kernels."""
    return any(row_of(layer).signal == "attends" for layer in part.layers)


def layer_with_weights(part: Part) -> Any:
    """Return the innermost layer that owns a variable, or the recurrent layer around it."""
    return next((layer for layer in part.layers if is_recurrent(layer)), part.layer)


def is_recurrent(layer: Any) -> bool:
    """Return whether a layer is recurrent; it counts as one, whatever cells it has."""
    return row_of(layer).signal == "recurs"


def unique(layers: Iterable[Any]) -> tuple[Any, ...]:
    """Return layers, each once, in their order."""
    return tuple({id(layer): layer for layer in layers}.values())


def _are_same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    return {id(layer) for layer in one} == {id(layer) for layer in other}


def is_table(part: Part) -> bool:
    """Return whether a variable holds embeddings, which are looked up or added."""
    return part.role == "embeddings"


def is_multiplied(part: Part) -> TypeGuard[Kernel]:
    """Return whether a variable is a kernel other than embeddings."""
    return isinstance(part, Kernel) and not is_table(part)
