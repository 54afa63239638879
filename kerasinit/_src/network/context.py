"""The context of each layer with kernels: the activations before and after it."""

import math
from dataclasses import dataclass
from typing import Any

from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Graph
from kerasinit._src.network.model import Network, layer_with_weights
from kerasinit._src.network.signal_roles import (
    activation_of,
    is_concatenation,
    is_normalization,
    key_of,
    own_activation,
    passes,
)
from kerasinit._src.network.trace import traced_graph


@dataclass(frozen=True)
class Context:
    """The surroundings of a layer with kernels.

    Attributes:
        activation: The activation that its sums go into, in the layer itself or after it: a name
            known to Keras 3, a layer or a function; None if none comes before the next kernel,
            sum or product, or it is not seen.
        input_activation: The activation that its inputs come from; None if there is none.
        normalized: Whether a normalization lies between its sums and the activation.
        gate: Whether the activation's output multiplies another signal.
        output: Whether it leads to an output of the model without a further kernel.
        run: The number of consecutive layers with this activation, itself included, with neither
            a normalization nor a sum in between.
        widths: The number of units of each layer of that run.
    """

    activation: Any = None
    input_activation: Any = None
    normalized: bool = False
    gate: bool = False
    output: bool = False
    run: int = 1
    widths: tuple[int, ...] = ()


def contexts_in(network: Network) -> tuple[Graph | None, dict[int, Context], str]:
    """Return a model's graph, read or traced, the `contexts` in it, and why others are missing.

    The graph is None if there is none and the model cannot be traced; the reason is empty if the
    surroundings of all layers are known.
    """
    try:
        graph = network.graph
    except ValueError:  # Keras cannot write its configuration
        graph = None
    if graph is None:
        traced, unseen = _traced(network.model)
        return traced, {} if traced is None else contexts(traced, network), unseen
    found, unseen = contexts(graph, network), ""
    owners = [layer_with_weights(part) for part in network.parts if part.role == "kernel"]
    if any(id(owner) not in found for owner in owners):
        traced, unseen = _traced(network.model)  # which also sees the layers inside custom ones
        found = {**({} if traced is None else contexts(traced, network)), **found}
    return graph, found, unseen


def _traced(model: Any) -> tuple[Graph | None, str]:
    try:
        return traced_graph(model), ""
    except ValueError as error:
        return None, str(error)


def contexts(graph: Graph, network: Network) -> dict[int, Context]:
    """Return the context of each innermost layer with kernels, by the layer's ``id``.

    A layer that is called several times is described by its first call. Layers inside a layer that
    holds several and is not a model are left out: their order is unknown.
    """
    return _ContextReader(graph, network).read()


class _ContextReader:
    def __init__(self, graph: Graph, network: Network):
        self.nodes, self.network = graph.nodes, network
        self.users = graph.users
        self.has_kernel = [bool(network.kernels(node.layer)) for node in graph.nodes]
        self.outputs = set(graph.outputs)
        self.after, self.out = self._reached()
        self.forward: list[tuple[Any, bool, int]] = [(None, False, -1)] * len(graph.nodes)
        self.sources: list[Any] = [None] * len(graph.nodes)
        self.previous: list[tuple[int, ...]] = [()] * len(graph.nodes)

    def read(self) -> dict[int, Context]:
        nodes = [index for index, has in enumerate(self.has_kernel) if has]
        for index in nodes:
            self.forward[index] = self._following(index)
        for index in nodes:
            self.sources[index], self.previous[index] = self._feeding(index)
        rows = self._rows(nodes)
        found: dict[int, Context] = {}
        for index in nodes:
            activation, normalized, end = self.forward[index]
            inside = self.network.layers_with_weights(self.nodes[index].layer)
            layers = [layer for layer in inside if self.network.kernels(layer)]
            one = Context(
                activation,
                self.sources[index],
                normalized,
                any(self.nodes[user].kind == "product" for user in self.users[end]),
                self.out[index] and not self.after[index],
                len(rows[index]),
                tuple(self._width(other) for other in rows[index]),
            )
            if len(layers) == 1 or row_of(self.nodes[index].layer).signal == "attends":
                for layer in layers:
                    found.setdefault(id(layer), one)
        return found

    def _reached(self) -> tuple[list[bool], list[bool]]:
        """Return for each node whether a kernel comes after it, and whether an output does."""
        after, out = [False] * len(self.nodes), [False] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            users = self.users[index]
            after[index] = any(self.has_kernel[user] or after[user] for user in users)
            out[index] = index in self.outputs or any(out[user] for user in users)
        return after, out

    def _following(self, index: int) -> tuple[Any, bool, int]:
        """Return the activation after a kernel, whether it is normalized first, and its node."""
        layer = self.nodes[index].layer
        own = own_activation(layer)
        if own is not None or row_of(layer).signal in ("attends", "recurs", "steps"):
            return own, False, index
        return self._following_from(index, index)

    def _following_from(self, index: int, kernel: int) -> tuple[Any, bool, int]:
        ways: dict[str, tuple[Any, bool, int]] = {}
        for user in set(self.users[index]):
            node = self.nodes[user]
            activation = activation_of(node)
            if activation is not None:
                way = (activation, False, user)
            elif not self.has_kernel[user] and (passes(node) or is_concatenation(node)):
                way = self._following_from(user, kernel)
                way = (way[0], way[1] or is_normalization(node.layer), way[2])
            else:
                way = (None, False, kernel)
            ways[f"{key_of(way[0])} {way[1]}"] = way
        return next(iter(ways.values())) if len(ways) == 1 else (None, False, kernel)

    def _feeding(self, index: int) -> tuple[Any, tuple[int, ...]]:
        """Return the activation in front of a kernel, and the kernels before that."""
        found: dict[str, Any] = {}
        kernels: list[int] = []
        waiting: list[tuple[int, Any]] = [(source, None) for source in self.nodes[index].inputs]
        seen: set[int] = set()
        while waiting:
            source, activation = waiting.pop()
            if source in seen:
                continue
            seen.add(source)
            node, here = self.nodes[source], activation_of(self.nodes[source])
            if self.has_kernel[source]:
                kernels.append(source)
                here = own_activation(node.layer)
            activation = here if activation is None else activation
            scaled = passes(node) and not is_normalization(node.layer)
            goes_on = node.inputs and (here is not None or scaled or is_concatenation(node))
            if self.has_kernel[source] or not goes_on:
                found[key_of(activation)] = activation
            else:
                waiting += [(one, activation) for one in node.inputs]
        return next(iter(found.values())) if len(found) == 1 else None, tuple(kernels)

    def _rows(self, nodes: list[int]) -> dict[int, tuple[int, ...]]:
        """Return for each kernel the longest run of layers with its activation around it."""
        before: dict[int, tuple[int, ...]] = {}
        for index in nodes:
            ways = [
                before[source]
                for source in self.previous[index]
                if source in before and self._alike(source, index)
            ]
            before[index] = (*max(ways, key=len, default=()), index)
        longest: dict[int, tuple[int, ...]] = {}
        for index in reversed(nodes):
            for one in before[index]:
                if len(longest.get(one, ())) < len(before[index]):
                    longest[one] = before[index]
        return longest

    def _alike(self, one: int, other: int) -> bool:
        first, second = self.forward[one], self.forward[other]
        return not first[1] and not second[1] and key_of(first[0]) == key_of(second[0])

    def _width(self, index: int) -> int:
        kernels = self.network.kernels(self.nodes[index].layer)
        reading = kernels[-1].reading
        shape = kernels[-1].shape
        return math.prod(shape[axis] for axis in reading.output_axes) // reading.gates
