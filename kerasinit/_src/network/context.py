"""The context of each layer with kernels: the activations before and after it."""

from dataclasses import dataclass
from typing import Any

from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Graph
from kerasinit._src.network.model import Network, unit_of
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
    """What stands around a layer with kernels.

    Attributes:
        activation: The activation that its sums go into, in the layer itself or after it: a name
            known to Keras 3, a layer or a function; None if none comes before the next kernel,
            sum or product, or it is not seen.
        input_activation: The activation that its inputs come from; None if they come from
            elsewhere.
        normalized: Whether a normalization comes between its sums and the activation.
        gate: Whether the activation's output multiplies another signal.
        output: Whether an output of the model comes after it, and no kernel.
        run: How many layers of this activation stand in a row, it among them, with neither a
            normalization nor a sum in between.
        widths: How many units each layer of that row has, as far as they are known.
    """

    activation: Any = None
    input_activation: Any = None
    normalized: bool = False
    gate: bool = False
    output: bool = False
    run: int = 1
    widths: tuple[int, ...] = ()


def contexts_in(network: Network) -> tuple[Graph | None, dict[int, Context], str]:
    """Return the graph of any model, read or traced, and the `contexts` in it.

    Args:
        network: The model, read.

    Returns:
        The graph, None if it has none and cannot be traced; what stands around the layers that are
        seen; and why others are not seen, empty if all are.
    """
    try:
        graph = network.graph
    except ValueError:  # Keras cannot write its configuration
        graph = None
    if graph is None:
        traced, unseen = _traced(network.model)
        return traced, {} if traced is None else contexts(traced, network), unseen
    found, unseen = contexts(graph, network), ""
    units = [unit_of(part) for part in network.parts if part.role == "kernel"]
    if any(id(unit) not in found for unit in units):
        traced, unseen = _traced(network.model)  # which also sees the layers inside custom ones
        found = {**({} if traced is None else contexts(traced, network)), **found}
    return graph, found, unseen


def _traced(model: Any) -> tuple[Graph | None, str]:
    try:
        return traced_graph(model), ""
    except ValueError as error:
        return None, str(error)


def contexts(graph: Graph, network: Network) -> dict[int, Context]:
    """Return what stands around each innermost layer with kernels, by the layer's ``id``.

    A layer that is called several times is described by its first call. Layers inside a layer that
    holds several and is not a model are left out: their order is unknown.

    Args:
        graph: The graph of a model.
        network: That model.

    Example:
    >>> import keras
    >>> layers = [keras.layers.Dense(3), keras.layers.ReLU(), keras.layers.Dense(2, "softmax")]
    >>> model = keras.Sequential([keras.Input((4,)), *layers])
    >>> from kerasinit._src.network.model import read
    >>> network = read(model)
    >>> found = contexts(network.graph, network)
    >>> found[id(layers[0])].activation, found[id(layers[2])].activation
    ('relu', 'softmax')
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
        places = [place for place, has in enumerate(self.has_kernel) if has]
        for place in places:
            self.forward[place] = self._following(place)
        for place in places:
            self.sources[place], self.previous[place] = self._feeding(place)
        rows = self._rows(places)
        found: dict[int, Context] = {}
        for place in places:
            activation, normalized, end = self.forward[place]
            units = [
                unit
                for unit in self.network.units(self.nodes[place].layer)
                if self.network.kernels(unit)
            ]
            one = Context(
                activation,
                self.sources[place],
                normalized,
                any(self.nodes[user].kind == "product" for user in self.users[end]),
                self.out[place] and not self.after[place],
                len(rows[place]),
                tuple(self._width(other) for other in rows[place]),
            )
            if len(units) == 1 or row_of(self.nodes[place].layer).signal == "attends":
                for unit in units:
                    found.setdefault(id(unit), one)
        return found

    def _reached(self) -> tuple[list[bool], list[bool]]:
        """Return for each place whether a kernel comes after it, and whether an output does."""
        after, out = [False] * len(self.nodes), [False] * len(self.nodes)
        for place in reversed(range(len(self.nodes))):
            users = self.users[place]
            after[place] = any(self.has_kernel[user] or after[user] for user in users)
            out[place] = place in self.outputs or any(out[user] for user in users)
        return after, out

    def _following(self, place: int) -> tuple[Any, bool, int]:
        """Return the activation after a kernel, whether it is normalized first, and where it is."""
        layer = self.nodes[place].layer
        own = own_activation(layer)
        if own is not None or row_of(layer).signal in ("attends", "recurs", "steps"):
            return own, False, place
        return self._following_from(place, place)

    def _following_from(self, place: int, kernel: int) -> tuple[Any, bool, int]:
        ways: dict[str, tuple[Any, bool, int]] = {}
        for user in set(self.users[place]):
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

    def _feeding(self, place: int) -> tuple[Any, tuple[int, ...]]:
        """Return the activation in front of a kernel, and the kernels before that."""
        found: dict[str, Any] = {}
        kernels: list[int] = []
        waiting: list[tuple[int, Any]] = [(source, None) for source in self.nodes[place].inputs]
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

    def _rows(self, places: list[int]) -> dict[int, tuple[int, ...]]:
        """Return for each kernel the longest row of its kind that it stands in."""
        before: dict[int, tuple[int, ...]] = {}
        for place in places:
            ways = [
                before[source]
                for source in self.previous[place]
                if source in before and self._alike(source, place)
            ]
            before[place] = (*max(ways, key=len, default=()), place)
        longest: dict[int, tuple[int, ...]] = {}
        for place in reversed(places):
            for one in before[place]:
                if len(longest.get(one, ())) < len(before[place]):
                    longest[one] = before[place]
        return longest

    def _alike(self, one: int, other: int) -> bool:
        first, second = self.forward[one], self.forward[other]
        return not first[1] and not second[1] and key_of(first[0]) == key_of(second[0])

    def _width(self, place: int) -> int:
        kernels = self.network.kernels(self.nodes[place].layer)
        reading = kernels[-1].reading
        shape = kernels[-1].shape
        width = 1
        for axis in reading.output_axes:
            width *= shape[axis]
        return width // reading.gates
