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

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import tensorflow as tf

from kerasinit.diagnosis.probes import probing
from kerasinit.graph.traced import raised
from kerasinit.graph.units import every_layer

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
        failure: Why there are none; empty if there are.
    """

    paths: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    failure: str = ""


def traced(model: Any, x: Any) -> Flow:
    """Return how the data flows through a model, or why it cannot be followed.

    Args:
        model: A model of either Keras.
        x: A batch, as tensors in the structure that the model takes.
    """
    try:
        return flow_of(model, x)
    except Exception as error:  # a call may do anything that only works outside a graph
        return Flow(failure=raised(error))


def flow_of(model: Any, x: Any) -> Flow:
    """Return how the data flows through a model of either Keras.

    Args:
        model: The model.
        x: A batch, as tensors in the structure that the model takes.

    Raises:
        Exception: Whatever the model's ``call`` raises while it is traced, such as one that asks
            for the value of a tensor.
    """
    return _Operations(_Trace(model, x)).flow()


class _Trace:
    """The operations of one call, and which of them make the layers' outputs."""

    def __init__(self, model: Any, x: Any) -> None:
        self.calls: list[tuple[str, Any]] = []
        given = tf.nest.flatten(x)
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

        def look(path: str, layer: Any, inputs: list[Any], out: Any) -> Any:
            self.calls.append((path, out))
            return lambda gradient: None

        def call(*tensors: Any) -> Any:
            self.calls.clear()
            self.inputs = list(tensors)
            outputs = model(tf.nest.pack_sequence_as(x, tensors), training=False)
            self.outputs = [one for one in tf.nest.flatten(outputs) if tf.is_tensor(one)]
            return self.outputs

        specs = [tf.TensorSpec(one.shape, one.dtype) for one in given]
        with _kept_as_computed(model), probing(model, look):
            traced = tf.function(call, autograph=False).get_concrete_function(*specs)
        self.graph = traced.graph


@contextlib.contextmanager
def _kept_as_computed(model: Any) -> Iterator[None]:
    """Let nothing be computed a second time for the gradient: it is not asked for here."""
    changed = [one for one in (model, *every_layer(model)) if hasattr(one, "rematerialized_call")]
    for layer in changed:
        # Past Keras' own __setattr__, which keeps books on what a layer holds.
        vars(layer)["rematerialized_call"] = lambda call, *args, **kwargs: call
    try:
        yield
    finally:
        for layer in changed:
            del vars(layer)["rematerialized_call"]


@dataclass
class _Operation:
    """An operation, as far as it is looked at.

    Attributes:
        kind: TensorFlow's name for what it does.
        sources: For each tensor that goes in, the number of the operation that made it.
        carried: Those of the sources that carry a signal here; truth values do not.
        size: How many numbers its first output has; None if that is not known.
        last: How many it has on its last axis.
    """

    kind: str
    sources: list[int]
    carried: list[int]
    size: int | None
    last: int | None


class _Operations:
    """What can be said of a trace."""

    def __init__(self, trace: _Trace) -> None:
        self.trace = trace
        operations = trace.graph.get_operations()
        self.number = {one.name: number for number, one in enumerate(operations)}
        self.all = [self._read(one) for one in operations]
        self.users: list[list[int]] = [[] for _ in self.all]
        for number, one in enumerate(self.all):
            for source in set(one.sources):
                self.users[source].append(number)
        self.inputs = [self._maker(one) for one in trace.inputs]
        self.outputs = [self._maker(one) for one in trace.outputs if self._is_here(one)]

    def _read(self, operation: Any) -> _Operation:
        made = [_resolved(one) for one in operation.inputs]
        sources = [self.number[one.op.name] for one in made]
        carried = [
            source
            for source, one in zip(sources, made, strict=True)
            if one.dtype != tf.bool and operation.type not in _OF_SHAPES
        ]
        shape = operation.outputs[0].shape if operation.outputs else None
        size = last = None
        if shape is not None and shape.is_fully_defined():
            size, last = shape.num_elements(), shape[-1] if shape.rank else None
        return _Operation(
            operation.type,
            [] if operation.type in _OF_SHAPES else sources,
            carried,
            size,
            last,
        )

    def _is_here(self, tensor: Any) -> bool:
        return tf.is_symbolic_tensor(tensor) and tensor.graph is self.trace.graph

    def _maker(self, tensor: Any) -> int:
        return self.number[_resolved(tensor).op.name]

    def flow(self) -> Flow:
        """Return how the data passes each call of a layer."""
        holders: dict[int, list[int]] = {}
        for place, (path, out) in enumerate(self.trace.calls):
            if tf.is_symbolic_tensor(out) and not self._is_here(out):
                raise ValueError(f"the layer {path} is called in a loop")
            if self._is_here(out):
                holders.setdefault(self._maker(out), []).append(place)
        passages = [Passage((), 0.0, "constant") for _ in self.trace.calls]
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
        return Flow(tuple(path for path, _ in self.trace.calls), tuple(passages))

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
            for one, made in zip(self.inputs, self.trace.inputs, strict=True)
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

    def _lost(self, number: int, one: _Operation, ways: list[int]) -> float:
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


def _resolved(tensor: Any) -> Any:
    """Return the tensor that another one is the same as, though made beside others."""
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


_NEARBY = 4  # operations, such as the addition of an epsilon
_OF_SHAPES = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")
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
