"""The graph of a model that has none to read: what its layers were seen to pass on, in one call.

What a subclassed model does stands in its ``call``. One call on zeros shows which layer takes
what another gave: the very same tensor. What the call does in between with functions, such as
``tf.nn.relu(x)`` or ``x + y``, is not seen, and the layer after it stands at a beginning.
"""

import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Graph, Node, kind_of_layer
from kerasinit._src.network.walk import inner_layers


def traced_graph(model: Any) -> Graph | None:
    """Return what a model's layers pass to one another, or None if no layer was called.

    Layers inside layers of your own are seen, too. The shape of the inputs is the one that the
    model was built with.

    Args:
        model: A built model of either Keras.

    Raises:
        ValueError: If it cannot be called on zeros, with what its call raised.

    Example:
    >>> import keras, numpy as np
    >>> class Mine(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.last, self.first = keras.layers.Dense(2), keras.layers.Dense(3, "relu")
    ...
    ...     def call(self, x):
    ...         return self.last(self.first(x))
    >>> model = Mine()
    >>> _ = model(np.zeros((1, 4)))
    >>> [(node.layer.units, node.inputs) for node in traced_graph(model).nodes]
    [(3, ()), (2, (0,))]
    """
    if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(f"Keras runs on {keras.backend.backend()}, and not on TensorFlow")
    built = _input_shape(model)
    if built is None:
        raise ValueError("Keras did not note down the shape of its inputs")
    nodes: list[Node] = []
    made: dict[int, int] = {}  # which call gave a tensor
    held: list[Any] = []  # as long as a tensor is held, no other has its id

    def around(
        layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        outputs = call(*args, **kwargs)
        given = [made[id(one)] for one in tf.nest.flatten((args, kwargs)) if id(one) in made]
        for one in tf.nest.flatten(outputs):
            if tf.is_tensor(one):
                made[id(one)] = len(nodes)
                held.append(one)
        inputs = tuple(dict.fromkeys(given))
        name, kind = type(layer).__qualname__, kind_of_layer(layer)
        nodes.append(Node(layer.name, layer, kind, name, inputs, (None,) * len(inputs)))
        return outputs

    with restored(model), calls.intercepted(_innermost(model), around):
        try:
            outputs = model(_zeros(built), training=False)
        except Exception as error:  # a call may ask for anything
            raise ValueError(raised(error)) from error
    last = [made[id(one)] for one in tf.nest.flatten(outputs) if id(one) in made]
    return Graph(tuple(nodes), tuple(dict.fromkeys(last))) if nodes else None


def raised(error: Exception) -> str:
    """Return what was raised in a call, in a line, without what Keras writes around it.

    Example:
    >>> raised(ValueError("no more"))
    'ValueError: no more'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _innermost(model: Any) -> list[Any]:
    """Return the layers whose calls are watched: those with no others inside, or closed ones."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        for _, layer in inner_layers(waiting.pop()):
            row = row_of(layer)
            # What goes on inside them is known, or happens in loops, step by step.
            closed = row.loops or row.signal == "attends"
            if closed or not any(inner_layers(layer)):
                found.setdefault(id(layer), layer)
            else:
                waiting.append(layer)
    return list(found.values())


def _input_shape(model: Any) -> Any:
    inputs = getattr(model, "inputs", None)
    if inputs:
        shapes = [tuple(one.shape) for one in inputs]
        return shapes[0] if len(shapes) == 1 else shapes
    return (model.get_build_config() or {}).get("input_shape")


def _zeros(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {key: _zeros(one) for key, one in shape.items()}
    if isinstance(shape, list | tuple) and any(isinstance(one, list | tuple) for one in shape):
        return [_zeros(one) for one in shape]
    return tf.zeros([1 if size is None else size for size in shape])
