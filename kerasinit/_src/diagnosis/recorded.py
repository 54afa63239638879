"""One call of a model as a graph: the operations that TensorFlow records in a trace."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kerasinit._src.compat import calls
from kerasinit._src.diagnosis.probes import probing
from kerasinit._src.network.walk import layers_inside


@dataclass
class Operation:
    """One operation of the graph.

    Attributes:
        kind: Its type in TensorFlow.
        sources: For each input tensor, the index of the operation that made it.
        carried: The sources that carry a signal here; boolean ones do not.
        size: The number of elements of its first output; None if unknown.
        last: The size of that output's last axis.
    """

    kind: str
    sources: list[int]
    carried: list[int]
    size: int | None
    last: int | None


class Recorded:
    """The operations of one call in topological order; ``calls`` holds paths and outputs of layers.

    Tracing may raise whatever the model's ``call`` raises.
    """

    def __init__(self, model: Any, x: Any) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

        def on_call(path: str, layer: Any, inputs: list[Any], out: Any) -> Any:
            self.calls.append((path, out))
            return lambda gradient: None

        def call(*tensors: Any) -> Any:
            self.calls.clear()
            self.inputs = list(tensors)
            outputs = model(tf.nest.pack_sequence_as(x, tensors), training=False)
            self.outputs = [output for output in tf.nest.flatten(outputs) if tf.is_tensor(output)]
            return self.outputs

        specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(x)]
        with without_recomputation(model), probing(model, on_call):
            self._graph = tf.function(call, autograph=False).get_concrete_function(*specs).graph
        operations = self._graph.get_operations()
        self._number = {operation.name: number for number, operation in enumerate(operations)}
        self.operations = [self._read(operation) for operation in operations]

    def _read(self, operation: Any) -> Operation:
        inputs = [_resolved(tensor) for tensor in operation.inputs]
        sources = [self._number[tensor.op.name] for tensor in inputs]
        of_shapes = operation.type in _OF_SHAPES
        carried = [
            source
            for source, tensor in zip(sources, inputs, strict=True)
            if tensor.dtype != tf.bool and not of_shapes
        ]
        shape = operation.outputs[0].shape if operation.outputs else None
        size = last = None
        if shape is not None and shape.is_fully_defined():
            size, last = shape.num_elements(), shape[-1] if shape.rank else None
        return Operation(operation.type, [] if of_shapes else sources, carried, size, last)

    def has(self, tensor: Any) -> bool:
        """Return whether a tensor was made by one of the operations."""
        return tf.is_symbolic_tensor(tensor) and tensor.graph is self._graph

    def maker(self, tensor: Any) -> int:
        """Return the index of the operation that made a tensor."""
        return self._number[_resolved(tensor).op.name]


@contextlib.contextmanager
def without_recomputation(model: Any) -> Iterator[None]:
    """Disable rematerialization within the block, so that each call is recorded once."""
    with contextlib.ExitStack() as stack:
        for layer in (model, *layers_inside(model)):
            if hasattr(layer, "rematerialized_call"):
                stack.enter_context(calls.replaced(layer, "rematerialized_call", _called_once))
        yield


def _called_once(call: Any, *args: Any, **kwargs: Any) -> Any:
    return call


def _resolved(tensor: Any) -> Any:
    """Return the tensor behind identity operations on several tensors."""
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


_OF_SHAPES = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")
