"""One call of a model, as the operations that TensorFlow records when it traces it."""

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


class Recorded:
    """The operations of one call, in their order, and which of them make the layers' outputs.

    Args:
        model: A model of either Keras.
        x: A batch, as tensors in the structure that the model takes.

    Attributes:
        calls: Path and output of each call of a layer.
        inputs: The model's inputs.
        outputs: Its outputs, in the order of `tf.nest.flatten`.
        operations: The operations.

    Raises:
        Exception: Whatever the model's ``call`` raises while it is traced.
    """

    def __init__(self, model: Any, x: Any) -> None:
        self.calls: list[tuple[str, Any]] = []
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

        specs = [tf.TensorSpec(one.shape, one.dtype) for one in tf.nest.flatten(x)]
        with kept_as_computed(model), probing(model, look):
            traced = tf.function(call, autograph=False).get_concrete_function(*specs)
        self._graph = traced.graph
        found = self._graph.get_operations()
        self._number = {one.name: number for number, one in enumerate(found)}
        self.operations = [self._read(one) for one in found]

    def _read(self, operation: Any) -> Operation:
        made = [_resolved(one) for one in operation.inputs]
        sources = [self._number[one.op.name] for one in made]
        of_shapes = operation.type in _OF_SHAPES
        carried = [
            source
            for source, one in zip(sources, made, strict=True)
            if one.dtype != tf.bool and not of_shapes
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
        """Return the number of the operation that made a tensor."""
        return self._number[_resolved(tensor).op.name]


@contextlib.contextmanager
def kept_as_computed(model: Any) -> Iterator[None]:
    """Let nothing be computed a second time for the gradient: each call is seen once.

    Args:
        model: A model of either Keras.
    """
    with contextlib.ExitStack() as stack:
        for layer in (model, *layers_inside(model)):
            if hasattr(layer, "rematerialized_call"):
                stack.enter_context(calls.replaced(layer, "rematerialized_call", _called_once))
        yield


def _called_once(call: Any, *args: Any, **kwargs: Any) -> Any:
    return call


def _resolved(tensor: Any) -> Any:
    """Return the tensor that another one is the same as, though made beside others."""
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


_OF_SHAPES = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")
