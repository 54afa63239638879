"""The graph of a functional or sequential model, read from its Keras configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.keras_config import (
    Call,
    Plan,
    Reference,
    Shape,
    first_argument,
    leaves,
    mapped,
    matched,
    output_shape,
    plan_of,
    references,
    value_argument,
)


@dataclass(frozen=True)
class Node:
    """A call of a layer, or an operation, in a graph.

    Attributes:
        name: The layer's name; for an operation of Keras 3 the operation's.
        layer: The layer; None for an operation.
        kind: ``"sum"``; ``"product"`` if it is zero where one of its inputs is; or ``""``.
        operation: The name of the class or function, such as ``"Sigmoid"``.
        inputs: Indices of the nodes that its inputs come from, each once.
        shapes: The shapes of these inputs; None where unknown.
        constant: Whether it combines one input with a constant.
        value: Index of the node that an attention takes its values from; else None.
    """

    name: str
    layer: Any
    kind: str
    operation: str
    inputs: tuple[int, ...]
    shapes: tuple[Shape, ...]
    constant: bool = False
    value: int | None = None

    @property
    def function(self) -> str:
        """The operation, spelled alike for both Kerases: ``"expanddims"``."""
        return _plain(self.operation)


@dataclass(frozen=True)
class Graph:
    """The calls of a model, in topological order, and the indices of its outputs."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @cached_property
    def users(self) -> list[list[int]]:
        """For each node the indices of the nodes that use its output."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for place, node in enumerate(self.nodes):
            for source in node.inputs:
                users[source].append(place)
        return users


def graph_of(model: Any) -> Graph | None:
    """Return the graph of a model, or None if it has none (a subclassed model).

    Functional and sequential models inside it are expanded at each of their calls. Any other layer
    is one node. Raises ValueError if Keras cannot serialize the model's configuration.
    """
    builder = _Builder()
    outputs = builder.enter(model, None)
    return None if outputs is None else Graph(tuple(builder.nodes), tuple(dict.fromkeys(outputs)))


class _Builder:
    """Expands a model and the models inside it into nodes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.plans: dict[int, Plan | None] = {}

    def enter(self, model: Any, given: Any) -> list[int] | None:
        """Append the nodes of a model and return the indices of its outputs.

        ``given`` holds the nodes that its inputs come from, in the structure of the call; None for
        the outermost model. Returns None, with nothing appended, if the model has no graph or its
        inputs cannot be matched.
        """
        if isinstance(model, compat.library_of(model).Sequential):
            return self._enter_chain(model, given)
        if id(model) not in self.plans:
            self.plans[id(model)] = plan_of(model)
        plan = self.plans[id(model)]
        sources = {} if plan is None or given is None else matched(plan.inputs, given)
        if plan is None or sources is None:
            return None
        places: dict[Call, list[int]] = {}

        def source(reference: Reference) -> int:
            found = places[plan.calls_by_reference[reference.call]]
            return found[reference.output if reference.output < len(found) else 0]

        for call in plan.order:
            name, data = call[0], plan.data[call]
            entry, layer = plan.entries[name], plan.layers.get(name)
            shapes: dict[int, Shape] = {}
            needed = list(references(data, plan.entries))
            for one in needed:
                shape = one.shape or output_shape(plan.layers.get(one.name), one.output)
                shapes.setdefault(source(one), shape)
            if name in sources:
                shapes = {sources[name]: None}
            inner = model_in(layer)
            if inner is not None:
                asked = mapped(first_argument(data), plan.entries, source)
                found = self.enter_inside(inner, asked)
                if found is not None:
                    places[call] = found
                    continue
            value = value_argument(data) if row_of(layer).signal == "attends" else None
            value = next(references(value, plan.entries), None)
            kind, operation = _kind(entry, layer)
            places[call] = [len(self.nodes)]
            self.nodes.append(
                Node(
                    name,
                    layer,
                    kind,
                    operation,
                    tuple(shapes),
                    tuple(shapes.values()),
                    bool(kind) and len(needed) < 2,
                    None if value is None else source(value),
                )
            )
        return [source(reference) for reference in plan.outputs]

    def enter_inside(self, model: Any, given: Any) -> list[int] | None:
        """Like `enter`, for a nested model; one that cannot be read is one layer."""
        try:
            return self.enter(model, given)
        except ValueError:
            return None

    def _enter_chain(self, model: Any, given: Any) -> list[int] | None:
        before = list(leaves(given))
        if given is not None and len(before) != 1:
            return None
        for layer in map(compat.unwrapped, model.layers):
            inner = model_in(layer)
            found = None
            if inner is not None:
                found = self.enter_inside(inner, before[0] if before else None)
            if found is not None:
                before = found[:1]
                continue
            place, shapes = len(self.nodes), (None,) * len(before)
            self.nodes.append(Node(layer.name, layer, "", _name(layer), tuple(before), shapes))
            before = [place]
        return before


def model_in(layer: Any) -> Any:
    """Return the model that a layer is or wraps; None if neither."""
    while row_of(layer).inside in ("layer", "wrapped"):
        layer = layer.layer
    return layer if layer is not None and compat.is_model(layer) else None


# By the names of Keras 3's operations and TensorFlow's functions.
_KINDS = {
    **dict.fromkeys(("add", "addn", "radd"), "sum"),
    **dict.fromkeys(("dot", "einsum", "matmul", "mul", "multiply", "rmul"), "product"),
}


def _kind(entry: dict[str, Any], layer: Any) -> tuple[str, str]:
    """Return whether a call is a sum or a product, and the name of its operation."""
    name = entry["class_name"]
    if kind_of_layer(layer):
        return kind_of_layer(layer), name
    function = entry["config"].get("function")
    if name == "TFOpLambda" and isinstance(function, str):
        name = function.rsplit(".", 1)[-1]
    elif layer is not None:
        return "", _name(layer)
    return _KINDS.get(_plain(name), ""), name


def kind_of_layer(layer: Any) -> str:
    """Return ``"sum"`` for a layer that adds its inputs, ``"product"`` for one that multiplies."""
    return {"adds": "sum", "multiplies": "product"}.get(row_of(layer).signal, "")


def _plain(operation: str) -> str:
    return operation.lower().replace("_", "")


def _name(layer: Any) -> str:
    return type(layer).__qualname__


def keeps_zero(node_or_layer: Any) -> bool:
    """Return whether the activation of a layer or operation maps zero to zero."""
    layer = node_or_layer
    if isinstance(node_or_layer, Node):
        if node_or_layer.function in _NOT_ZERO_AT_ZERO:
            return False
        layer = node_or_layer.layer
    activation = getattr(layer, "activation", None)
    if not callable(activation):
        return True
    if compat.is_layer(activation):
        # Not called: it may have weights, for one shape.
        return _plain(_name(activation)) not in _NOT_ZERO_AT_ZERO and keeps_zero(activation)
    if compat.kerase_of(layer) == "tf_keras":
        import tensorflow as tf

        zero = tf.zeros((1, 2))
    else:
        zero = keras.ops.zeros((1, 2))
    return not np.any(keras.ops.convert_to_numpy(activation(zero)))


_NOT_ZERO_AT_ZERO = {
    "cos",
    "cosh",
    "exp",
    "hardsigmoid",
    "logsigmoid",
    "logsoftmax",
    "sigmoid",
    "softmax",
    "softplus",
}


def is_same_shape(one: Shape, other: Shape) -> bool:
    """Return whether two shapes may be the same, as far as they are known."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def ancestors(graph: Graph) -> list[int]:
    """Return for each node the set of nodes that it depends on, itself included.

    A set is an integer with a bit for each node: in a model of ten thousand layers, sets of
    numbers would exhaust the memory.
    """
    found: list[int] = []
    for place, node in enumerate(graph.nodes):
        found.append(1 << place)
        for source in node.inputs:
            found[place] |= found[source]
    return found


def members(bits: int) -> Iterator[int]:
    """Yield the indices in a set, in ascending order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
