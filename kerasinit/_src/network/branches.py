"""The residual branches of a model: their layers, their shortcuts and the layers that end them.

How large the branches start decides how deep a residual network may be, so the rules of
`kerasinit.rules` need to know which layers lie in one.
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
from kerasinit._src.network.keras_config import PASS_BRANCHES
from kerasinit._src.network.model import Network, is_scale, read, unique

# Operations whose first input holds the values and whose other inputs describe their layout.
_FIRST_DECIDES = ("broadcastto", "pad", "reshape", "resize", "stridedslice", "tile")


@dataclass(frozen=True)
class Branch:
    """A residual branch: what is added to a signal.

    Layers are the innermost ones that own weights; a recurrent layer counts as one.

    Attributes:
        sum: Name of the layer or operation that adds.
        layers: The layers with weights in the branch, in the order of the data.
        shortcut: Those of the shortcut; empty for an identity shortcut.
        last_kernels: The layers whose kernels make the branch zero if they are zero: one; several
            if the branch ends in a sum or a concatenation; none if no kernel can.
        last_weights: The same, but the scale of a normalization counts, too.
        depth: The number of kernels on the shortest path through the branch that has any.
        stream: A number shared by the branches of one residual stream, such as those of an
            encoder. A new one begins where the signal is projected.
        crosses: Whether it contains an attention to another signal.
        index: The index of the sum in the graph; -1 if the branch was passed by the caller.
    """

    sum: str
    layers: tuple[Any, ...]
    shortcut: tuple[Any, ...]
    last_kernels: tuple[Any, ...]
    last_weights: tuple[Any, ...]
    depth: int
    stream: int = 0
    crosses: bool = False
    index: int = -1


def residual_branches(model: Any) -> list[Branch]:
    """Return the residual branches of a functional or sequential model, in the order of the data.

    For each sum of tensors of one shape, the point where its inputs diverge is located. The input
    with the fewest kernels since that point is the shortcut, each other one a branch. Consecutive
    sums from the same point count as one. A sum whose inputs share no such point, a sum of
    embeddings and one without kernels are not residual. Nested models are entered at each of their
    calls; what a layer adds inside its own ``call`` cannot be seen.

    Raises ValueError if the model has no graph or no weights, or if two inputs of a sum have
    equally few kernels.

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
    """Return the residual branches of a graph of ``network``; see `residual_branches`."""
    return list(_Search(graph, network).branches())


def given_branches(model: Any, given: Any) -> list[Branch]:
    """Return the branches that the caller passed.

    Each is a `Branch` or a list of its layers, their names or their structural names; the last of
    them is where the branch ends.
    """
    expected = "branches is a list with a list of layers or names for each branch"
    if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable):
        raise TypeError(f"{expected}; got {given!r}.")
    network = read(model)
    branches = []
    for number, branch in enumerate(given):
        if isinstance(branch, Branch):
            branches.append(branch)
            continue
        if isinstance(branch, str | bytes | dict) or not isinstance(branch, Iterable):
            raise TypeError(f"{expected}; got {branch!r} as one of them.")
        layers = [layer for one in branch for layer in network.find_layers(one)]
        with_kernels = [layer for layer in layers if network.kernels(layer)]
        if not with_kernels:
            raise ValueError(f"branches[{number}] has no layer with a kernel: {branch!r}.")
        last = [layer for layer in layers if network.kernels(layer) or network.scales(layer)][-1]
        branches.append(
            Branch(
                f"branches[{number}]",
                tuple(layers),
                (),
                (with_kernels[-1],) if keeps_zero(with_kernels[-1]) else (),
                (last,) if keeps_zero(last) else (),
                network.depth(layers),
            )
        )
    return branches


def terminal_layers(model: Any) -> list[Any]:
    """Return the layers with kernels that no other kernel follows.

    These are the heads of a model, unless it ends with a residual sum. Raises ValueError if the
    model has no graph.
    """
    network = read(model)
    return _Search(_required_graph(network), network).terminal()


def _required_graph(network: Network) -> Graph:
    graph, model = network.graph, network.model
    if graph is None:
        raise ValueError(
            f"The model {model.name!r} of class {type(model).__qualname__} has no graph: its call "
            f"cannot be inspected. Make it a functional model, or {PASS_BRANCHES}."
        )
    return graph


class _Search:
    """The search for the branches of one graph."""

    def __init__(self, graph: Graph, network: Network):
        self.nodes, self.network = graph.nodes, network
        self.before = ancestors(graph)
        # Not every output of a nested model need be used.
        alive = reduce(operator.or_, (self.before[output] for output in graph.outputs), 0)
        self.alive = tuple(members(alive))
        self.kernels = [len(network.kernels(node.layer)) for node in self.nodes]
        self.uses = [0] * len(self.nodes)
        for index in self.alive:
            for source in self.nodes[index].inputs:
                self.uses[source] += 1
        for output in graph.outputs:
            self.uses[output] += 1
        # The sums of tensors of one shape, and those that are part of a later one.
        self.inputs: dict[int, tuple[int, ...]] = {}
        self.absorbed: set[int] = set()
        self.streams: dict[int, int] = {}
        for index in self.alive:
            node = self.nodes[index]
            if node.kind == "sum" and len(node.inputs) > 1 and _one_shape(node.shapes):
                self.inputs[index] = self._merged(node.inputs)

    def branches(self) -> Iterator[Branch]:
        for index in self.alive:
            self.streams[index] = self._own_stream(index)
            if index in self.inputs and index not in self.absorbed:
                yield from self._branches_of(index)

    def _own_stream(self, index: int) -> int:
        node = self.nodes[index]
        if self.kernels[index] or self.network.tables(node.layer) or not node.inputs:
            return index
        return index if node.kind == "sum" else self.streams[node.inputs[0]]

    def _branches_of(self, index: int) -> Iterator[Branch]:
        inputs = self.inputs[index]
        common = self._common(inputs)
        split = self._latest(common)
        regions = [self._between(split, common, source) for source in inputs]
        counts = [self._count(region) for region in regions]
        fewest = min(counts)
        nearest = [number for number, count in enumerate(counts) if count == fewest]
        # A shortcut depends on nothing but the point of divergence. Otherwise two signals meet
        # here that share only a minor input, such as a mask.
        closed = [n for n in nearest if self.before[inputs[n]] & ~common == regions[n]]
        if max(counts) == 0 or not closed or self._has_table(regions[closed[0]]):
            return
        if fewest and len(nearest) > 1:
            raise ValueError(
                f"Cannot distinguish the residual branch from the shortcut among the inputs of the "
                f"sum {self.nodes[index].name!r}: {len(nearest)} of them pass {fewest} kernel(s) "
                f"after they diverge. {PASS_BRANCHES[0].upper()}{PASS_BRANCHES[1:]}."
            )
        self.streams[index] = self.streams[inputs[nearest[0]]]
        shortcut = [layer for number in nearest for layer in self._layers(regions[number])]
        for number, source in enumerate(inputs):
            if number not in nearest:
                region = regions[number]
                yield Branch(
                    self.nodes[index].name,
                    self._layers(region),
                    tuple(shortcut),
                    unique(self._last(source, region, scales=False) or ()),
                    unique(self._last(source, region, scales=True) or ()),
                    self._depth(source, region, split),
                    self.streams[index],
                    self._crosses(region, split),
                    index,
                )

    def _merged(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return the inputs of a sum, with those of earlier sums that it merely extends."""
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
            for index in members(own):
                between |= self._between(self._latest(common), common, index)
            if own and not self._count(between):
                self.absorbed.add(inner)
                return self._merged(more)
        return inputs

    def _carried(self, index: int) -> int | None:
        """Return the sum whose value reaches this node without weights and is used only here."""
        while self.uses[index] == 1:
            if index in self.inputs and index not in self.absorbed:
                return index
            node = self.nodes[index]
            if len(node.inputs) != 1 or self.network.layers_with_weights(node.layer):
                return None
            index = node.inputs[0]
        return None

    def _common(self, inputs: Iterable[int]) -> int:
        return reduce(operator.and_, (self.before[source] for source in inputs))

    def _latest(self, nodes: int) -> int:
        """Return the nodes that none of the others depends on."""
        latest = 0
        while nodes:
            last = nodes.bit_length() - 1
            latest |= 1 << last
            nodes &= ~self.before[last]
        return latest

    def _between(self, split: int, common: int, end: int) -> int:
        """Return the nodes on the paths from where inputs diverge to one of them."""
        region = 0
        for index in members(self.before[end] & ~common):
            if self.before[index] & split:
                region |= 1 << index
        return region

    def _count(self, region: int) -> int:
        return sum(self.kernels[index] for index in members(region))

    def _has_table(self, region: int) -> bool:
        return any(self.network.tables(self.nodes[p].layer) for p in members(region))

    def _layers(self, region: int) -> tuple[Any, ...]:
        return unique(
            layer
            for index in members(region)
            for layer in self.network.layers_with_weights(self.nodes[index].layer)
        )

    def _last(self, index: int, region: int, *, scales: bool) -> list[Any] | None:
        """Return the layers to zero so that this node gives zeros; None if that is impossible."""
        node = self.nodes[index]
        if (
            not region >> index & 1
            or (node.kind == "sum" and node.constant)
            or not keeps_zero(node)
        ):
            return None
        if self.kernels[index] or (scales and self.network.scales(node.layer)):
            return self._last_inside(node.layer, scales=scales)
        if scales and self.network.statistics(node.layer):
            return None  # a normalization without a scale would amplify values near zero
        sources = node.inputs
        if node.function in _FIRST_DECIDES:
            sources = sources[:1]
        found = [self._last(source, region, scales=scales) for source in sources]
        if node.kind == "product" and not node.constant:
            return next((one for one in found if one), None)
        seen = [one for one in found if one is not None]
        if not found or len(seen) < len(found):
            return None
        return [layer for one in seen for layer in one]

    def _last_inside(self, layer: Any, *, scales: bool) -> list[Any] | None:
        def counts(inner: Any) -> bool:
            own_scale = scales and any(map(is_scale, self.network.parts_of(inner)))
            return bool(self.network.kernels(inner)) or own_scale

        last = [inner for inner in self.network.layers_with_weights(layer) if counts(inner)][-1]
        return [last] if keeps_zero(last) else None

    def _depth(self, end: int, region: int, start: int) -> int:
        """Return the number of kernels on the shortest path from ``start`` that has any."""
        free: dict[int, bool] = {}
        shortest: dict[int, list[int]] = {}
        for index in members(region):
            node = self.nodes[index]
            inside = [source for source in node.inputs if region >> source & 1]
            direct = not node.inputs or any(start >> source & 1 for source in node.inputs)
            free[index] = direct or any(free[source] for source in inside)
            ways = {number for source in inside for number in shortest[source]}
            shortest[index] = sorted(ways)[:1]
            own = self.network.depth(self.network.layers_with_weights(node.layer))
            if own:
                passed = [0] if free[index] else shortest[index] or [0]
                shortest[index], free[index] = [passed[0] + own], False
        return shortest[end][0] if shortest.get(end) else 0

    def _crosses(self, region: int, split: int) -> bool:
        values = [self.nodes[index].value for index in members(region)]
        return any(value is not None and not (region | split) >> value & 1 for value in values)

    def terminal(self) -> list[Any]:
        """Return the layers with kernels that no other kernel follows."""
        followed = 0
        found: list[Any] = []
        for index in reversed(self.alive):
            node = self.nodes[index]
            if self.kernels[index] and not followed >> index & 1:
                inside = self.network.layers_with_weights(node.layer)
                found = [layer for layer in inside if self.network.kernels(layer)][-1:] + found
            if self.kernels[index] or followed >> index & 1:
                for source in node.inputs:
                    followed |= 1 << source
        return list(unique(found))


def _one_shape(shapes: Iterable[Any]) -> bool:
    first, *rest = shapes
    return all(is_same_shape(first, other) for other in rest)
