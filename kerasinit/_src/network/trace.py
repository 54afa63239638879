"""The graph of a model without a configured one, traced in a single call.

A call of a subclassed model on zeros shows which layer takes a tensor that another returned.
Functions in between, such as ``tf.nn.relu(x)`` or ``x + y``, are not seen, and the layer after
them has no input.
"""

import re
from collections.abc import Callable
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Graph, Node, kind_of_layer
from kerasinit._src.network.walk import inner_layers


def traced_graph(model: Any) -> Graph | None:
    """Return the graph of a model's layers in one call, or None if no layer was called.

    Layers inside custom layers are included. The inputs are zeros of the shape that the model was
    built with. Raises ValueError, with what the call raised, if it fails on them.
    """
    if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(f"Keras runs on {keras.backend.backend()}, not on TensorFlow")
    built = _input_shape(model)
    if built is None:
        raise ValueError("Keras did not record the shape of its inputs")
    import tensorflow as tf

    nodes: list[Node] = []
    made: dict[int, int] = {}  # the call that returned a tensor, by its id
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
        except Exception as error:  # a custom call may raise anything
            raise ValueError(raised(error)) from error
    last = [made[id(one)] for one in tf.nest.flatten(outputs) if id(one) in made]
    return Graph(tuple(nodes), tuple(dict.fromkeys(last))) if nodes else None


def raised(error: Exception) -> str:
    """Return an error of a call in one line, without what Keras adds to it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _innermost(model: Any) -> list[Any]:
    """Return the layers whose calls are recorded: those without layers inside, or closed ones."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        for _, layer in inner_layers(waiting.pop()):
            row = row_of(layer)
            # Their inside is known, or runs in loops, step by step.
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
    import tensorflow as tf

    return tf.zeros([1 if size is None else size for size in shape])
