"""The data flow from layer to layer, read from the operations of a traced call.

A functional model has a graph of layers, a subclassed one does not, and neither shows what a layer
does in its ``call``. The operations that TensorFlow records in a trace show all sums, products and
softmaxes of any model. From these follows

* which layers' outputs are the inputs of a layer;
* whether a layer is on the *main* path, that is, whether every path from some input to some output
  passes it; or *beside* it, as a residual branch, a gate or one of several concatenated branches;
* whether it only *chooses*: its output reaches the model's outputs through a softmax that weights
  other signals, as queries and keys do;
* whether it depends on the data at all (position embeddings and class tokens do not);
* how much of the signal averages remove, which is no fault.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import tensorflow as tf

from kerasinit._src.compat.fit_loss import logits_need_graph
from kerasinit._src.diagnosis.probes import unprobed
from kerasinit._src.diagnosis.recorded import Operation, Recorded
from kerasinit._src.network.trace import raised

Way = Literal["main", "beside", "choice", "constant"]


@dataclass(frozen=True)
class Passage:
    """The data flow through one call of a layer: see these attributes of `Measure`."""

    before: tuple[int, ...]
    averaged: float
    way: Way
    follows: str | None = None


@dataclass(frozen=True)
class Flow:
    """The data flow of a model, by calls of layers in the order in which they finish.

    Attributes:
        paths: The layers' paths.
        passages: The flow through each call.
        ends: The activation right before each output, in a layer or in the model; None without one.
        in_graph: Whether Keras finds logits in a graph only: see `fit_loss.logits_need_graph`.
        failure: Why the flow could not be traced; empty if it could.
    """

    paths: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    ends: tuple[str | None, ...] = ()
    in_graph: bool = False
    failure: str = ""


def traced(model: Any, x: Any) -> Flow:
    """Return the data flow through a model, or why it could not be traced."""
    try:
        operations = _Operations(Recorded(model, x))
    except Exception as error:  # a call may do anything that only works outside a graph
        return Flow(failure=raised(error))
    try:
        flow = operations.flow()
    except ValueError as error:
        flow = Flow(failure=raised(error))
    outputs = map(unprobed, operations.recorded.outputs)
    in_graph = any(logits_need_graph(model, output) for output in outputs)
    return dataclasses.replace(flow, ends=operations.ends(), in_graph=in_graph)


class _Operations:
    """The graph of the operations of a call; operations go by their index in it."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.all = recorded.operations
        self.users: list[list[int]] = [[] for _ in self.all]
        for number, operation in enumerate(self.all):
            for source in set(operation.sources):
                self.users[source].append(number)
        self.inputs = [recorded.maker(tensor) for tensor in recorded.inputs]
        self.outputs = [recorded.maker(out) for out in recorded.outputs if recorded.has(out)]

    def flow(self) -> Flow:
        """Return the data flow through the calls of layers."""
        holders: dict[int, list[int]] = {}  # for each operation, the calls that return its output
        for place, (path, out) in enumerate(self.recorded.calls):
            if tf.is_symbolic_tensor(out) and not self.recorded.has(out):
                raise ValueError(f"the layer {path} is called in a loop")
            if self.recorded.has(out):
                holders.setdefault(self.recorded.maker(out), []).append(place)
        passages = [Passage((), 0.0, "constant") for _ in self.recorded.calls]
        nearest, averaged = self._nearest(holders)
        main = self._main(list(holders))
        for number, places in holders.items():
            if not self.depends[number]:
                continue
            way: Way = "main" if number in main else "beside"
            if not self.leaves[number] and self.chooses[number]:
                way = "choice"
            before, lost = nearest[number], averaged[number]
            for place in places:  # a layer may return its input
                passages[place] = Passage(before, lost, way, self._following(number))
                before, lost = (place,), 0.0
        paths = tuple(path for path, _ in self.recorded.calls)
        return Flow(paths, tuple(passages))

    def ends(self) -> tuple[str | None, ...]:
        """Return the activation right before each output."""
        functions = _FUNCTIONS | {"Softmax": "softmax"}
        return tuple(
            functions.get(self.all[self.recorded.maker(out)].kind)
            if self.recorded.has(out)
            else None
            for out in self.recorded.outputs
        )

    def _following(self, number: int) -> str | None:
        """Return the activation that all users of an operation's output apply."""
        functions = set()
        for user in self.users[number]:
            kind = self.all[user].kind
            if not self.leaves[user]:
                continue
            if kind in _REARRANGING:
                functions.add(self._following(user))
            elif self.depends[user]:
                functions.add(_FUNCTIONS.get(kind))
        return functions.pop() if len(functions) == 1 else None

    @cached_property
    def depends(self) -> list[bool]:
        """Whether each operation depends on the data."""
        depends: list[bool] = []
        for number, operation in enumerate(self.all):
            from_data = any(depends[source] for source in operation.sources)
            depends.append(number in self.inputs or from_data)
        return depends

    @cached_property
    def ways(self) -> list[list[int]]:
        """The sources of each operation that carry a signal of the data, not through a choice."""
        return [
            [
                source
                for source in operation.carried
                if self.depends[source] and source not in self.choices
            ]
            for operation in self.all
        ]

    @cached_property
    def choices(self) -> dict[int, list[int]]:
        """The softmaxes that weight another signal, and the products in which they do."""
        softmaxes = [n for n in range(len(self.all)) if self.depends[n] and self._is_softmax(n)]
        products = {number: self._weighted_products(number) for number in softmaxes}
        return {number: found for number, found in products.items() if found}

    @cached_property
    def weighing(self) -> dict[int, int]:
        """The products of a choice with another signal, and how many it chooses from."""
        return {
            product: self.all[number].last or 1
            for number, products in self.choices.items()
            for product in products
        }

    @cached_property
    def leaves(self) -> list[bool]:
        """Whether a signal from each operation reaches an output."""
        return [count > 0 for count in self._counted_back(self.outputs)]

    @cached_property
    def chooses(self) -> list[bool]:
        """Whether a signal from each operation reaches a choice."""
        return [count > 0 for count in self._counted_back(list(self.choices))]

    def _is_softmax(self, number: int) -> bool:
        operation = self.all[number]
        if operation.kind == "Softmax":
            return True
        if operation.kind == "Exp" and operation.sources:  # of log probabilities
            before = self.all[operation.sources[0]]
            return before.kind == "LogSoftmax" or (
                before.kind == "Sub" and self._nearby(before.sources[1], "Log") is not None
            )
        if operation.kind == "RealDiv" and len(operation.sources) == 2:  # written by hand
            total = self._nearby(operation.sources[1], "Sum")
            return total is not None and operation.sources[0] in self.all[total].sources
        return False

    def _nearby(self, number: int, kind: str) -> int | None:
        """Return an operation of this kind that is the given one or shortly before it, if any."""
        waiting = [(number, 0)]
        while waiting:
            at, steps = waiting.pop()
            if self.all[at].kind == kind:
                return at
            if steps < _NEARBY:
                waiting += [(source, steps + 1) for source in self.all[at].sources]
        return None

    def _weighted_products(self, number: int) -> list[int]:
        """Return the products of an operation's output with another signal."""
        reached, waiting, products = {number}, [number], []
        while waiting:
            for user in self.users[waiting.pop()]:
                if user in reached:
                    continue
                carried = [source for source in self.all[user].carried if self.depends[source]]
                if not reached.issuperset(carried):
                    products += [user] if self.all[user].kind in _PRODUCTS else []
                elif self.all[user].kind not in _WEIGHTED:
                    reached.add(user)
                    waiting.append(user)
        return products

    def _nearest(self, holders: dict[int, list[int]]) -> tuple[list[tuple[int, ...]], list[float]]:
        """Return for each operation the nearest calls before it, and the nats averaged since."""
        nearest: list[tuple[int, ...]] = []
        averaged: list[float] = []
        sources = [
            number
            for number, tensor in zip(self.inputs, self.recorded.inputs, strict=True)
            if tensor.dtype.is_floating
        ]
        for number, operation in enumerate(self.all):
            ways = self.ways[number]
            calls: dict[int, None] = {}
            if number in sources:
                calls[-1 - sources.index(number)] = None
            for source in ways:
                places = (holders[source][-1],) if source in holders else nearest[source]
                calls.update(dict.fromkeys(places))
            before = [0.0 if source in holders else averaged[source] for source in ways]
            nearest.append(tuple(calls))
            averaged.append(min(before, default=0.0) + self._averaged(number, operation, ways))
        return nearest, averaged

    def _averaged(self, number: int, operation: Operation, ways: list[int]) -> float:
        if number in self.weighing:
            return math.log(self.weighing[number])
        if operation.kind in _AVERAGES and ways and operation.size:
            before = self.all[ways[0]].size or operation.size
            return max(0.0, math.log(before / operation.size))
        return 0.0

    def _main(self, candidates: list[int]) -> set[int]:
        """Return the operations on every path from some input to some output."""
        backward = [self._counted_back([output]) for output in set(self.outputs)]
        main: set[int] = set()
        for start in set(self.inputs):
            forward = self._counted_forth(start)
            for rest in backward:
                if rest[start]:
                    main |= {at for at in candidates if forward[at] * rest[at] == rest[start]}
        return main

    def _counted_forth(self, start: int) -> list[int]:
        """Return the number of paths from an operation to each other one."""
        counts = [0] * len(self.all)
        counts[start] = 1
        for number, ways in enumerate(self.ways):
            if ways and number != start:
                counts[number] = sum(counts[source] for source in ways)
        return counts

    def _counted_back(self, ends: list[int]) -> list[int]:
        """Return the number of paths from each operation to the given ones."""
        counts = [0] * len(self.all)
        for end in ends:
            counts[end] = 1
        for number in reversed(range(len(self.all))):
            for source in self.ways[number] if counts[number] else ():
                counts[source] += counts[number]
        return counts


_NEARBY = 4  # operations, such as the addition of an epsilon
_PRODUCTS = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul", "Mul")
# A product with weights makes another signal.
_WEIGHTED = (*_PRODUCTS[:-1], "Conv2D", "Conv3D", "PartitionedCall", "StatefulPartitionedCall")
_REARRANGING = ("Identity", "Reshape", "Transpose")
_FUNCTIONS = {
    "Elu": "elu",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
_AVERAGES = ("AvgPool", "AvgPool3D", "Mean")
