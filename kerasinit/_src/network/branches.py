"""The residual branches of a model, and where each of them ends.

A residual network adds to a signal what a branch makes of it. How large the branches start
decides how deep the network may be, so the ready rules of `kerasinit.rules` ask here which
layers lie in one.
"""

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from kerasinit._src.network.graph import (
    Graph,
    ancestors,
    is_same_shape,
    keeps_zero,
    members,
)
from kerasinit._src.network.keras_config import TELL_BRANCHES
from kerasinit._src.network.model import Network, is_scale, read, unique

# What takes one of its inputs for the values and the others for how to lay them out.
_FIRST_DECIDES = ("broadcastto", "pad", "reshape", "resize", "stridedslice", "tile")


@dataclass(frozen=True)
class Branch:
    """What is added to a signal, and what it is added to.

    Layers are the innermost that own weights (the query, key, value and output layers of
    an attention); a recurrent layer is one.

    Attributes:
        sum: Name of the layer or operation that adds.
        layers: The layers with weights in the branch, in the order of the data.
        shortcut: Those on the other way; empty if the signal goes past unchanged.
        last_kernels: The layers whose kernels make the branch zero if they are zero.
            One layer; more where the branch ends in a sum or a concatenation; none where
            nothing can.
        last_weights: The same, where the scale of a normalization counts, too.
        depth: How many kernels the signal passes in the branch, on the shortest way that
            has any.
        stream: A number that the branches of one signal share: those of an encoder one,
            those of a decoder another. Where the signal is projected a new one begins.
        crosses: Whether it has an attention that looks at another signal.
        place: The place of the sum in the graph; -1 if it was not found there.
    """

    sum: str
    layers: tuple[Any, ...]
    shortcut: tuple[Any, ...]
    last_kernels: tuple[Any, ...]
    last_weights: tuple[Any, ...]
    depth: int
    stream: int = 0
    crosses: bool = False
    place: int = -1


def residual_branches(model: Any) -> list[Branch]:
    """Return the residual branches of a functional or sequential model.

    For each sum of tensors of one shape, the point is found where its inputs part. The
    input that passes the fewest kernels from there is the shortcut, each other one a
    branch. Sums that follow one another from the same point are one sum. A sum whose
    inputs have no point in common, one of embeddings, or one without kernels, is not
    residual. Models inside the model are entered, each time that they are called; what a
    layer adds inside its own ``call`` cannot be seen.

    Args:
        model: A built model of either Keras, or what `read` returned of it.

    Returns:
        The branches in the order of the data; an empty list if there are none.

    Raises:
        TypeError: If it is not a model.
        ValueError: If the model has no graph or no weights yet, or two inputs of a sum
            pass equally few kernels.

    Example:
    >>> import keras
    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(8, "relu", name="up")(inputs)
    >>> outputs = inputs + keras.layers.Dense(4, name="down")(hidden)
    >>> [branch] = residual_branches(keras.Model(inputs, outputs))
    >>> [layer.name for layer in branch.layers], branch.shortcut, branch.depth
    (['up', 'down'], (), 2)
    """
    network = read(model)
    return branches_in(_required_graph(network), network)


def branches_in(graph: Graph, network: Network) -> list[Branch]:
    """Return the residual branches of a graph, see `residual_branches`.

    Args:
        graph: The graph of a model.
        network: That model.

    Raises:
        ValueError: If two inputs of a sum pass equally few kernels.
    """
    return list(_Search(graph, network).branches())


def told_branches(model: Any, told: Any) -> list[Branch]:
    """Return branches that a user has told.

    Args:
        model: A built model of either Keras, or what `read` returned of it.
        told: For each branch a `Branch`, or a list of its layers, their names or their
            structural names; the last of them is where the branch ends.

    Raises:
        TypeError: If it is something else.
        ValueError: If there is no such layer, a name stands for several, or a branch has
            no kernel.
    """
    expected = "branches is a list with a list of layers or names for each branch"
    if isinstance(told, str | bytes | dict) or not isinstance(told, Iterable):
        raise TypeError(f"{expected}; got {told!r}.")
    network = read(model)
    found = []
    for number, given in enumerate(told):
        if isinstance(given, Branch):
            found.append(given)
            continue
        if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable):
            raise TypeError(f"{expected}; got {given!r} as one of them.")
        units = [unit for one in given for unit in network.named(one)]
        with_kernels = [unit for unit in units if network.kernels(unit)]
        if not with_kernels:
            raise ValueError(f"branches[{number}] has no layer with a kernel: {given!r}.")
        last = [unit for unit in units if network.kernels(unit) or network.scales(unit)][-1]
        found.append(
            Branch(
                f"branches[{number}]",
                tuple(units),
                (),
                (with_kernels[-1],) if keeps_zero(with_kernels[-1]) else (),
                (last,) if keeps_zero(last) else (),
                network.depth(units),
            )
        )
    return found


def terminal_layers(model: Any) -> list[Any]:
    """Return the layers with kernels from which the data reaches no further kernel.

    These are the heads of a model, unless it ends with a residual sum.

    Args:
        model: A built model of either Keras, with a graph, or what `read` returned of it.

    Raises:
        ValueError: If it has none.
    """
    network = read(model)
    return _Search(_required_graph(network), network).terminal()


def _required_graph(network: Network) -> Graph:
    graph, model = network.graph, network.model
    if graph is None:
        raise ValueError(
            f"The model {model.name!r} of class {type(model).__qualname__} has no graph: what its "
            f"call does cannot be read. Make it a functional model, or {TELL_BRANCHES}."
        )
    return graph


class _Search:
    """The search for the branches of one graph."""

    def __init__(self, graph: Graph, network: Network):
        self.nodes, self.network = graph.nodes, network
        self.before = ancestors(graph)
        # Of a model inside the model not every output need be used.
        alive = reduce(operator.or_, (self.before[output] for output in graph.outputs), 0)
        self.alive = tuple(members(alive))
        self.kernels = [len(network.kernels(node.layer)) for node in self.nodes]
        self.uses = [0] * len(self.nodes)
        for place in self.alive:
            for source in self.nodes[place].inputs:
                self.uses[source] += 1
        for output in graph.outputs:
            self.uses[output] += 1
        # The sums of tensors of one shape, and those that are part of a later one.
        self.inputs: dict[int, tuple[int, ...]] = {}
        self.absorbed: set[int] = set()
        self.streams: dict[int, int] = {}
        for place in self.alive:
            node = self.nodes[place]
            if node.kind == "sum" and len(node.inputs) > 1 and _one_shape(node.shapes):
                self.inputs[place] = self._merged(node.inputs)

    def branches(self) -> Iterator[Branch]:
        for place in self.alive:
            self.streams[place] = self._own_stream(place)
            if place in self.inputs and place not in self.absorbed:
                yield from self._branches_of(place)

    def _own_stream(self, place: int) -> int:
        node = self.nodes[place]
        if self.kernels[place] or self.network.tables(node.layer) or not node.inputs:
            return place
        return place if node.kind == "sum" else self.streams[node.inputs[0]]

    def _branches_of(self, place: int) -> Iterator[Branch]:
        inputs = self.inputs[place]
        common = self._common(inputs)
        split = self._latest(common)
        regions = [self._between(split, common, source) for source in inputs]
        counts = [self._count(region) for region in regions]
        least = min(counts)
        nearest = [number for number, count in enumerate(counts) if count == least]
        # A shortcut depends on nothing but the point where the ways part. Otherwise two
        # signals meet here that have only something small in common, such as a mask.
        closed = [n for n in nearest if self.before[inputs[n]] & ~common == regions[n]]
        if max(counts) == 0 or not closed or self._has_table(regions[closed[0]]):
            return
        if least and len(nearest) > 1:
            raise ValueError(
                f"Cannot tell which input of the sum {self.nodes[place].name!r} is the residual "
                f"branch and which the shortcut: {len(nearest)} of them pass {least} kernel(s) "
                f"from where they part. {TELL_BRANCHES[0].upper()}{TELL_BRANCHES[1:]}."
            )
        self.streams[place] = self.streams[inputs[nearest[0]]]
        shortcut = [unit for number in nearest for unit in self._units(regions[number])]
        for number, source in enumerate(inputs):
            if number not in nearest:
                region = regions[number]
                yield Branch(
                    self.nodes[place].name,
                    self._units(region),
                    tuple(shortcut),
                    unique(self._last(source, region, scales=False) or ()),
                    unique(self._last(source, region, scales=True) or ()),
                    self._depth(source, region, split),
                    self.streams[place],
                    self._crosses(region, split),
                    place,
                )

    def _merged(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return the inputs of a sum, with those of sums that it only carries on."""
        for source in inputs:
            inner = self._carried(source)
            if inner is None:
                continue
            more = tuple(
                dict.fromkeys(
                    part
                    for one in inputs
                    for part in (self.inputs[inner] if one == source else (one,))
                )
            )
            common = self._common(more)
            if not common:
                continue
            own = self._latest(self._common(self.inputs[inner]))
            between = 0
            for place in members(own):
                between |= self._between(self._latest(common), common, place)
            if own and not self._count(between):
                self.absorbed.add(inner)
                return self._merged(more)
        return inputs

    def _carried(self, place: int) -> int | None:
        """Return the sum whose value arrives here without weights and goes nowhere else."""
        while self.uses[place] == 1:
            if place in self.inputs and place not in self.absorbed:
                return place
            node = self.nodes[place]
            if len(node.inputs) != 1 or self.network.units(node.layer):
                return None
            place = node.inputs[0]
        return None

    def _common(self, inputs: Iterable[int]) -> int:
        return reduce(operator.and_, (self.before[source] for source in inputs))

    def _latest(self, places: int) -> int:
        """Return the places that none of the others depends on."""
        latest = 0
        while places:
            last = places.bit_length() - 1
            latest |= 1 << last
            places &= ~self.before[last]
        return latest

    def _between(self, split: int, common: int, end: int) -> int:
        """Return the places on the ways from where inputs part to one of them."""
        region = 0
        for place in members(self.before[end] & ~common):
            if self.before[place] & split:
                region |= 1 << place
        return region

    def _count(self, region: int) -> int:
        return sum(self.kernels[place] for place in members(region))

    def _has_table(self, region: int) -> bool:
        return any(self.network.tables(self.nodes[p].layer) for p in members(region))

    def _units(self, region: int) -> tuple[Any, ...]:
        return unique(
            unit for p in members(region) for unit in self.network.units(self.nodes[p].layer)
        )

    def _last(self, place: int, region: int, *, scales: bool) -> list[Any] | None:
        """Return the layers to be zeroed for a zero here; None if nothing brings one."""
        node = self.nodes[place]
        if (
            not region >> place & 1
            or (node.kind == "sum" and node.constant)
            or not keeps_zero(node)
        ):
            return None
        if self.kernels[place] or (scales and self.network.scales(node.layer)):
            return self._last_inside(node.layer, scales=scales)
        if scales and self.network.statistics(node.layer):
            return None  # a normalization without a scale would blow up what is almost zero
        sources = node.inputs
        if node.function in _FIRST_DECIDES:
            sources = sources[:1]
        found = [self._last(source, region, scales=scales) for source in sources]
        if node.kind == "product" and not node.constant:
            return next((one for one in found if one), None)
        seen = [one for one in found if one is not None]
        if not found or len(seen) < len(found):
            return None
        return [unit for one in seen for unit in one]

    def _last_inside(self, layer: Any, *, scales: bool) -> list[Any] | None:
        units = [
            unit
            for unit in self.network.units(layer)
            if self.network.kernels(unit) or (scales and any(map(is_scale, self.network.own(unit))))
        ]
        return [units[-1]] if keeps_zero(units[-1]) else None

    def _depth(self, end: int, region: int, start: int) -> int:
        """Return how many kernels lie on the shortest way from ``start`` that has any."""
        free: dict[int, bool] = {}
        least: dict[int, list[int]] = {}
        for place in members(region):
            node = self.nodes[place]
            inside = [source for source in node.inputs if region >> source & 1]
            direct = not node.inputs or any(start >> source & 1 for source in node.inputs)
            free[place] = direct or any(free[source] for source in inside)
            least[place] = sorted({number for source in inside for number in least[source]})[:1]
            own = self.network.depth(self.network.units(node.layer))
            if own:
                passed = [0] if free[place] else least[place] or [0]
                least[place], free[place] = [passed[0] + own], False
        return least[end][0] if least.get(end) else 0

    def _crosses(self, region: int, split: int) -> bool:
        values = [self.nodes[place].value for place in members(region)]
        return any(value is not None and not (region | split) >> value & 1 for value in values)

    def terminal(self) -> list[Any]:
        """Return the layers with kernels after which the data passes no other."""
        followed = 0
        found: list[Any] = []
        for place in reversed(self.alive):
            node = self.nodes[place]
            if self.kernels[place] and not followed >> place & 1:
                found = self._terminal_inside(node.layer) + found
            if self.kernels[place] or followed >> place & 1:
                for source in node.inputs:
                    followed |= 1 << source
        return list(unique(found))

    def _terminal_inside(self, layer: Any) -> list[Any]:
        return [unit for unit in self.network.units(layer) if self.network.kernels(unit)][-1:]


def _one_shape(shapes: Iterable[Any]) -> bool:
    first, *rest = shapes
    return all(is_same_shape(first, other) for other in rest)
