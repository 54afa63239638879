"""Which way the data takes from layer to layer, read from what the model computes.

A functional model has a graph of layers, a subclassed one has not, and in neither does the graph
show what a layer does in its ``call``. What every model has is the operations that TensorFlow
records when it traces one call: sums, products and softmaxes among them, by whatever name and in
whatever layer. From these it is read

* which layers' outputs come into a layer next;
* whether a layer is on the *main* way of some input to some output, that is, whether there is no
  way past it; or *beside* it, as a residual branch, a gate or one of several concatenated ways;
* whether it only *chooses*: what it computes reaches the outputs through a softmax that weighs
  other signals, as queries and keys do;
* whether it depends on the data at all (tables of positions, class tokens);
* how much is lost on the way by averaging, which is no fault.
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
    """How the data comes to a call of a layer, and where it goes from there.

    Attributes:
        before: Places, in the order of the calls, of those whose outputs come in next; ``-1 - k``
            for the model's floating input ``k``.
        averaged: How many nats of its mean square an average may have taken on the way from these.
        way: ``"main"`` if the data of some input reaches some output only through it;
            ``"choice"`` if it only weighs other signals, by a softmax; ``"constant"`` if it does
            not depend on the data; else ``"beside"``.
        follows: The function that its output goes into, by the name of Keras' activation, if the
            model's own code or another layer applies one; None if it goes elsewhere, too.
    """

    before: tuple[int, ...]
    averaged: float
    way: Way
    follows: str | None = None


@dataclass(frozen=True)
class Flow:
    """The passages of a model, for each call of a layer in the order in which they are finished.

    Attributes:
        paths: The layers' paths.
        passages: How the data passes them.
        ends: The function that comes last before each output, by the name of Keras' activation,
            whether a layer or the model applies it; None if there is none.
        in_graph: Whether Keras may find logits only in a graph: see `fit_loss.logits_need_graph`.
        failure: Why there are none; empty if there are.
    """

    paths: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    ends: tuple[str | None, ...] = ()
    in_graph: bool = False
    failure: str = ""


def traced(model: Any, x: Any) -> Flow:
    """Return how the data flows through a model, or why it cannot be followed.

    Args:
        model: A model of either Keras.
        x: A batch, as tensors in the structure that the model takes.
    """
    try:
        operations = _Operations(Recorded(model, x))
    except Exception as error:  # a call may do anything that only works outside a graph
        return Flow(failure=raised(error))
    try:
        found = operations.flow()
    except ValueError as error:
        found = Flow(failure=raised(error))
    outputs = map(unprobed, operations.recorded.outputs)
    in_graph = any(logits_need_graph(model, one) for one in outputs)
    return dataclasses.replace(found, ends=operations.ends(), in_graph=in_graph)


class _Operations:
    """What can be said of the operations of a call."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.all = recorded.operations
        self.users: list[list[int]] = [[] for _ in self.all]
        for number, one in enumerate(self.all):
            for source in set(one.sources):
                self.users[source].append(number)
        self.inputs = [recorded.maker(one) for one in recorded.inputs]
        self.outputs = [recorded.maker(one) for one in recorded.outputs if recorded.has(one)]

    def flow(self) -> Flow:
        """Return how the data passes each call of a layer."""
        holders: dict[int, list[int]] = {}
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
            for place in places:  # a layer may hand on what came
                passages[place] = Passage(before, lost, way, self._following(number))
                before, lost = (place,), 0.0
        paths = tuple(path for path, _ in self.recorded.calls)
        return Flow(paths, tuple(passages))

    def ends(self) -> tuple[str | None, ...]:
        """Return the function that comes last before each output."""
        kinds = [
            self.all[self.recorded.maker(one)].kind if self.recorded.has(one) else ""
            for one in self.recorded.outputs
        ]
        return tuple({"Softmax": "softmax"}.get(kind, _FUNCTIONS.get(kind)) for kind in kinds)

    def _following(self, number: int) -> str | None:
        """Return the function that all of what an operation gives goes into."""
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
        found: list[bool] = []
        for number, one in enumerate(self.all):
            found.append(number in self.inputs or any(found[source] for source in one.sources))
        return found

    @cached_property
    def ways(self) -> list[list[int]]:
        """The sources that bring each operation a signal of the data: not through a choice."""
        return [
            [
                source
                for source in one.carried
                if self.depends[source] and source not in self.choices
            ]
            for one in self.all
        ]

    @cached_property
    def choices(self) -> dict[int, list[int]]:
        """The softmaxes that weigh another signal, and the products in which they do."""
        found = {}
        for number in range(len(self.all)):
            if self.depends[number] and self._is_softmax(number):
                found[number] = self._weighed(number)
        return {number: products for number, products in found.items() if products}

    @cached_property
    def weighing(self) -> dict[int, int]:
        """The products of a choice with what it chooses from, and among how many."""
        return {
            product: self.all[number].last or 1
            for number, products in self.choices.items()
            for product in products
        }

    @cached_property
    def leaves(self) -> list[bool]:
        """Whether a signal gets from each operation to an output."""
        return [count > 0 for count in self._counted_back(self.outputs)]

    @cached_property
    def chooses(self) -> list[bool]:
        """Whether a signal gets from each operation to a choice."""
        return [count > 0 for count in self._counted_back(list(self.choices))]

    def _is_softmax(self, number: int) -> bool:
        one = self.all[number]
        if one.kind == "Softmax":
            return True
        if one.kind == "Exp" and one.sources:  # of a logarithm of probabilities
            before = self.all[one.sources[0]]
            return before.kind == "LogSoftmax" or (
                before.kind == "Sub" and self._comes_from(before.sources[1], ("Log",)) is not None
            )
        if one.kind == "RealDiv" and len(one.sources) == 2:  # written by hand
            total = self._comes_from(one.sources[1], ("Sum",))
            return total is not None and one.sources[0] in self.all[total].sources
        return False

    def _comes_from(self, number: int, kinds: tuple[str, ...]) -> int | None:
        """Return the operation of one of these kinds shortly before another; None if none is."""
        waiting = [(number, 0)]
        while waiting:
            at, steps = waiting.pop()
            if self.all[at].kind in kinds:
                return at
            if steps < _NEARBY:
                waiting += [(source, steps + 1) for source in self.all[at].sources]
        return None

    def _weighed(self, number: int) -> list[int]:
        """Return the products in which what an operation gives meets another signal."""
        reached, waiting, found = {number}, [number], []
        while waiting:
            for user in self.users[waiting.pop()]:
                if user in reached:
                    continue
                carried = [one for one in self.all[user].carried if self.depends[one]]
                others = [one for one in carried if one not in reached]
                if others:
                    found += [user] if self.all[user].kind in _PRODUCTS else []
                elif self.all[user].kind not in _WEIGHTED:
                    reached.add(user)
                    waiting.append(user)
        return found

    def _nearest(self, holders: dict[int, list[int]]) -> tuple[list[tuple[int, ...]], list[float]]:
        """Return for each operation the calls that its signal comes from, and what is averaged."""
        nearest: list[tuple[int, ...]] = []
        averaged: list[float] = []
        sources = [
            one
            for one, made in zip(self.inputs, self.recorded.inputs, strict=True)
            if made.dtype.is_floating
        ]
        for number, one in enumerate(self.all):
            ways = self.ways[number]
            found: dict[int, None] = {}
            lost = [0.0]
            if number in sources:
                found[-1 - sources.index(number)] = None
            for source in ways:
                places = (holders[source][-1],) if source in holders else nearest[source]
                found.update(dict.fromkeys(places))
            if ways:
                lost = [0.0 if source in holders else averaged[source] for source in ways]
            nearest.append(tuple(found))
            averaged.append(min(lost) + self._lost(number, one, ways))
        return nearest, averaged

    def _lost(self, number: int, one: Operation, ways: list[int]) -> float:
        if number in self.weighing:
            return math.log(self.weighing[number])
        if one.kind in _AVERAGES and ways and one.size:
            return max(0.0, math.log((self.all[ways[0]].size or one.size) / one.size))
        return 0.0

    def _main(self, places: list[int]) -> set[int]:
        """Return which operations stand on every way from some input to some output."""
        back = [(output, self._counted_back([output])) for output in set(self.outputs)]
        found: set[int] = set()
        for start in set(self.inputs):
            forth = self._counted_forth(start)
            for _, rest in back:
                if rest[start]:
                    found |= {
                        place for place in places if forth[place] * rest[place] == rest[start]
                    }
        return found

    def _counted_forth(self, start: int) -> list[int]:
        """Return the number of ways from an operation to each other one."""
        counts = [0] * len(self.all)
        counts[start] = 1
        for number, ways in enumerate(self.ways):
            if ways and number != start:
                counts[number] = sum(counts[source] for source in ways)
        return counts

    def _counted_back(self, ends: list[int]) -> list[int]:
        """Return the number of ways from each operation to some others."""
        counts = [0] * len(self.all)
        for end in ends:
            counts[end] = 1
        for number in reversed(range(len(self.all))):
            for source in self.ways[number] if counts[number] else ():
                counts[source] += counts[number]
        return counts


_NEARBY = 4  # operations, such as the addition of an epsilon
_PRODUCTS = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul", "Mul")
# Where a signal meets weights it is another one.
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
